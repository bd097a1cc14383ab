//! What a right trace is: one TOML file, read once and checked whole.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;
use toml::Spanned;
use versions::Range;

use crate::rule::{Family, Rule, Severity};
use crate::traces::{Kind, Span, Status, Value};

/// The format that [`Contract::parse`] reads.
const SCHEMA: &str = "milvus-otel.contract/1";

/// The scenario, the server's names, the attributes and the known differences that traces are judged by.
#[derive(Clone, Debug)]
pub struct Contract {
    pub(crate) name: String,
    pub(crate) server: Server,
    /// Anything may be the root, where it is left out.
    pub(crate) root: Option<Root>,
    /// How much a call matters that failed and left no server span, outside of steps that are to fail.
    pub(crate) call_failed: Severity,
    pub(crate) resource: Vec<ResourceAttribute>,
    pub(crate) attributes: Vec<AttributeRule>,
    pub(crate) steps: Vec<Step>,
    pub(crate) housekeeping: Vec<String>,
    /// Metrics that each example must send, under the name of any generation.
    pub(crate) metrics: Vec<String>,
    pub(crate) divergences: Vec<Divergence>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) rpc_service: String,
    pub(crate) services: Vec<String>,
    /// Services that may stand between a call and the server; any may, where it is left out.
    pub(crate) between: Option<Vec<String>>,
    /// Spans that the server's own code leaves without their parent.
    #[serde(default)]
    pub(crate) orphan: Vec<ServerOrphan>,
    /// Parts of the server that send their spans late.
    #[serde(default)]
    pub(crate) late: Vec<LateService>,
    /// Methods that some of the server's versions don't have.
    #[serde(default)]
    pub(crate) lacks: Vec<LackingMethods>,
}

/// A span whose parent the server never ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerOrphan {
    versions: Range,
    name: String,
    scope: String,
    /// Methods of the calls in whose trace it stands.
    within: Vec<String>,
    pub(crate) reason: String,
}

/// A service with a fixed schedule of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LateService {
    pub(crate) service: String,
    /// Methods whose calls it works for.
    pub(crate) methods: Vec<String>,
    /// Its schedule, and some time for the way.
    pub(crate) seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LackingMethods {
    versions: Range,
    methods: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) name: String,
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceAttribute {
    pub(crate) key: String,
    /// Any, where it is left out.
    pub(crate) value: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct AttributeRule {
    pub(crate) key: String,
    pub(crate) type_name: &'static str,
    pub(crate) value: Option<String>,
    /// One value throughout an example.
    pub(crate) constant: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) optional: bool,
    pub(crate) polling: bool,
    /// A call that fails may be made again.
    pub(crate) retries: bool,
    /// A call may be made several times side by side; the others are cancelled once one is answered.
    pub(crate) hedging: bool,
    pub(crate) rpcs: Vec<String>,
    pub(crate) with: Vec<String>,
    pub(crate) server_core: Vec<String>,
    /// `Error` where the scenario provokes a failure.
    pub(crate) status: Status,
}

#[derive(Clone, Debug)]
pub(crate) struct Divergence {
    pub(crate) scope: String,
    pub(crate) versions: Range,
    pub(crate) rule: Rule,
    pub(crate) subject: String,
    pub(crate) reason: String,
}

/// Why a text is no contract, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractError {
    /// 1-based.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ContractError {}

impl Contract {
    /// The tutorial's scenario.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn builtin() -> Self {
        Contract::shared_builtin().clone()
    }

    /// Whether the scenario may do without this step.
    #[must_use]
    pub fn is_optional(&self, step: &str) -> bool {
        self.step(step).is_some_and(|step| step.optional)
    }

    /// Names of the server spans that this step's work must contain.
    #[must_use]
    pub fn server_core(&self, step: &str) -> &[String] {
        self.step(step).map_or(&[], |step| &step.server_core)
    }

    /// The methods of a step's own calls; `None` if there is no such step.
    pub fn methods(&self, step: &str) -> Option<&[String]> {
        self.step(step).map(|step| step.rpcs.as_slice())
    }

    fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub(crate) fn shared_builtin() -> &'static Self {
        static BUILTIN: LazyLock<Contract> = LazyLock::new(|| {
            Contract::parse(Contract::builtin_text()).expect("the built-in contract is right")
        });
        &BUILTIN
    }

    /// The built-in contract as it would be written to a file, to start one's own from.
    #[must_use]
    pub fn builtin_text() -> &'static str {
        include_str!("contract/quick_setup.toml")
    }

    /// Reads a contract.
    ///
    /// # Errors
    /// What is wrong and in which line, where the text isn't TOML, has a key that nobody knows, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let at = |span: Option<std::ops::Range<usize>>, message: String| ContractError {
            line: 1 + text[..span.map_or(0, |span| span.start.min(text.len()))]
                .matches('\n')
                .count(),
            message,
        };
        let file: File =
            toml::from_str(text).map_err(|error| at(error.span(), error.message().to_owned()))?;
        check(file).map_err(|(span, message)| at(Some(span), message))
    }

    /// The scenario's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The steps' names, in the scenario's order.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }

    pub(crate) fn is_server(&self, service_name: &str) -> bool {
        self.server
            .services
            .iter()
            .any(|known| known == service_name)
    }

    /// Whether the span's service is one of the server's.
    pub(crate) fn is_server_span(&self, span: &Span<'_>) -> bool {
        let service = span.service_name();
        service.is_some_and(|name| self.is_server(name))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: Spanned<String>,
    name: String,
    server: Option<Server>,
    root: Option<RootTable>,
    call_failed: Option<Spanned<String>>,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    resource: Vec<ResourceAttribute>,
    #[serde(default)]
    attribute: Vec<AttributeTable>,
    #[serde(default)]
    step: Vec<StepTable>,
    #[serde(default)]
    housekeeping: Housekeeping,
    #[serde(default)]
    divergence: Vec<DivergenceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootTable {
    name: String,
    kind: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeTable {
    key: String,
    r#type: Spanned<String>,
    value: Option<String>,
    #[serde(default)]
    constant: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    name: Spanned<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    polling: bool,
    #[serde(default)]
    retries: bool,
    #[serde(default)]
    hedging: bool,
    rpcs: Spanned<Vec<String>>,
    #[serde(default)]
    with: Vec<String>,
    #[serde(default)]
    server_core: Vec<String>,
    status: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Housekeeping {
    rpcs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DivergenceTable {
    scope: String,
    versions: Spanned<String>,
    rule: Spanned<String>,
    subject: Spanned<String>,
    reason: Spanned<String>,
}

type Located<T> = Result<T, (std::ops::Range<usize>, String)>;

fn check(file: File) -> Located<Contract> {
    if file.schema.get_ref() != SCHEMA {
        let message = format!(
            "expected schema `{SCHEMA}`, found `{}`",
            file.schema.get_ref()
        );
        return Err((file.schema.span(), message));
    }
    let root = file.root.map(root).transpose()?;
    let severities = [
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("info", Severity::Info),
    ];
    let call_failed = file
        .call_failed
        .map(|severity| one_of("call_failed", &severity, &severities));
    let mut steps: Vec<Step> = Vec::with_capacity(file.step.len());
    for table in file.step {
        let span = table.name.span();
        let step = step(table)?;
        if steps.iter().any(|known| known.name == step.name) {
            return Err((span, format!("there are two steps `{}`", step.name)));
        }
        steps.push(step);
    }
    Ok(Contract {
        name: file.name,
        server: file
            .server
            .unwrap_or_else(|| Contract::shared_builtin().server.clone()),
        root,
        call_failed: call_failed
            .transpose()?
            .unwrap_or(Rule::CallFailed.severity()),
        resource: file.resource,
        attributes: file
            .attribute
            .into_iter()
            .map(attribute)
            .collect::<Located<_>>()?,
        steps,
        housekeeping: file.housekeeping.rpcs,
        metrics: file.metrics,
        divergences: file
            .divergence
            .into_iter()
            .map(divergence)
            .collect::<Located<_>>()?,
    })
}

fn root(table: RootTable) -> Located<Root> {
    let kind = table.kind.as_ref();
    Ok(Root {
        name: table.name,
        kind: kind
            .map(|kind| one_of("kind", kind, &Kind::ALL.map(|kind| (kind.name(), kind))))
            .transpose()?,
    })
}

fn attribute(table: AttributeTable) -> Located<AttributeRule> {
    let types = TYPES.map(|name| (name, name));
    Ok(AttributeRule {
        key: table.key,
        type_name: one_of("type", &table.r#type, &types)?,
        value: table.value,
        constant: table.constant,
    })
}

/// As [`Value::type_name`] calls them.
const TYPES: [&str; 6] = ["string", "int", "bool", "double", "array", "map"];

fn step(table: StepTable) -> Located<Step> {
    if table.rpcs.get_ref().is_empty() {
        let message = format!("step `{}` has no rpcs", table.name.get_ref());
        return Err((table.rpcs.span(), message));
    }
    let statuses = [("ok", Status::Ok), ("error", Status::Error)];
    let status = table
        .status
        .map(|status| one_of("status", &status, &statuses));
    Ok(Step {
        name: table.name.into_inner(),
        optional: table.optional,
        polling: table.polling,
        retries: table.retries,
        hedging: table.hedging,
        rpcs: table.rpcs.into_inner(),
        with: table.with,
        server_core: table.server_core,
        status: status.transpose()?.unwrap_or(Status::Ok),
    })
}

fn divergence(table: DivergenceTable) -> Located<Divergence> {
    let versions = Range::from_str(table.versions.get_ref())
        .map_err(|message| (table.versions.span(), message))?;
    Rule::from_str(table.rule.get_ref()).map_err(|error| (table.rule.span(), error.to_string()))?;
    let rule = one_of("rule", &table.rule, &divergent_rules())?;
    for (key, text) in [("subject", &table.subject), ("reason", &table.reason)] {
        if text.get_ref().trim().is_empty() {
            return Err((text.span(), format!("a divergence needs its `{key}`")));
        }
    }
    Ok(Divergence {
        scope: table.scope,
        versions,
        rule,
        subject: table.subject.into_inner(),
        reason: table.reason.into_inner(),
    })
}

const OF_METRICS: [Rule; 5] = [
    Rule::MetricMissing,
    Rule::MetricRenamed,
    Rule::MetricUnit,
    Rule::MetricAttribute,
    Rule::MetricDisagrees,
];

/// The rules whose findings are a scope's words, on spans or metrics; no other difference is a library's own.
fn divergent_rules() -> Vec<(&'static str, Rule)> {
    let rules = Rule::ALL.iter().copied();
    rules
        .filter(|rule| rule.family() == Family::Vocabulary || OF_METRICS.contains(rule))
        .map(|rule| (rule.name(), rule))
        .collect()
}

fn one_of<T: Copy>(key: &str, written: &Spanned<String>, known: &[(&str, T)]) -> Located<T> {
    let found = known.iter().find(|(name, _)| name == written.get_ref());
    found.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!(
            "`{key}` is one of {}, not `{}`",
            names.join(", "),
            written.get_ref()
        );
        (written.span(), message)
    })
}

impl Server {
    /// Whether a server of `version` leaves such a span without its parent; any version, where it isn't known.
    pub(crate) fn leaves_orphaned(
        &self,
        version: Option<&str>,
        name: &str,
        scope: &str,
        mut within: impl FnMut(&str) -> bool,
    ) -> Option<&ServerOrphan> {
        self.orphan.iter().find(|orphan| {
            version.is_none_or(|version| orphan.versions.contains(version))
                && orphan.name == name
                && orphan.scope == scope
                && orphan.within.iter().any(|method| within(method))
        })
    }

    /// Whether a server of `version` is known not to have `method`; any version, where it isn't known.
    pub(crate) fn lacks(&self, version: Option<&str>, method: &str) -> bool {
        self.lacks.iter().any(|lacking| {
            version.is_none_or(|version| lacking.versions.contains(version))
                && lacking.methods.iter().any(|known| known == method)
        })
    }
}

impl AttributeRule {
    /// Where the contract names a type, whether the value has it.
    pub(crate) fn type_fits(&self, value: Value<'_>) -> bool {
        value.type_name() == self.type_name
    }
}

#[cfg(test)]
mod tests {
    use super::Contract;

    #[test]
    fn the_built_in_contract_has_the_scenario() {
        let contract = Contract::builtin();
        assert_eq!(contract.name(), "quick_setup");
        let steps: Vec<&str> = contract.steps().collect();
        assert_eq!(
            steps,
            [
                "connect",
                "has_collection",
                "drop_existing",
                "create",
                "wait_loaded",
                "insert",
                "search",
                "drop"
            ]
        );
    }

    #[test]
    fn errors_say_where() {
        let check = |from: &str, to: &str, expected: &str| {
            let at = Contract::builtin_text()
                .find(from)
                .expect("it is in the contract");
            let line =
                1 + Contract::builtin_text()[..at].matches('\n').count() + to.matches('\n').count();
            let text = Contract::builtin_text().replacen(from, to, 1);
            let error = Contract::parse(&text).expect_err(to);
            assert_eq!(error.to_string(), format!("line {line}: {expected}"));
        };
        check(
            "milvus-otel.contract/1",
            "milvus-otel.contract/2",
            "expected schema `milvus-otel.contract/1`, found `milvus-otel.contract/2`",
        );
        check(
            "kind = \"internal\"",
            "kind = \"inside\"",
            "`kind` is one of `unspecified`, `internal`, `server`, `client`, `producer`, `consumer`, not `inside`",
        );
        check(
            "[[step]]\nname = \"connect\"",
            "[[step]]\nnom = \"connect\"",
            "unknown field `nom`, expected one of `name`, `optional`, `polling`, `retries`, `hedging`, `rpcs`, `with`, `server_core`, `status`",
        );
        check(
            "rpcs = [\"Connect\"]",
            "rpcs = []",
            "step `connect` has no rpcs",
        );
        check(
            "rule = \"span-name\"",
            "rule = \"span-names\"",
            "no rule is called `span-names`",
        );
        check(
            "rule = \"span-name\"",
            "rule = \"status-differs\"",
            "`rule` is one of `span-name`, `attribute-missing`, `attribute-renamed`, `attribute-type`, `attribute-value`, `metric-missing`, `metric-renamed`, `metric-unit`, `metric-attribute`, `metric-disagrees`, not `status-differs`",
        );
        check(
            "versions = \"<0.61\"",
            "versions = \"0.61\"",
            "expected `*`, or versions each after `<`, `<=`, `=`, `>=` or `>`, found `0.61`",
        );
        check(
            "name = \"has_collection\"",
            "name = \"connect\"",
            "there are two steps `connect`",
        );
    }

    #[test]
    fn root_and_server_may_be_left_out() {
        let text = "schema = \"milvus-otel.contract/1\"\nname = \"mine\"\n[[step]]\nname = \"search\"\nrpcs = [\"Search\"]\n";
        let contract = Contract::parse(text).expect("it is a contract");
        assert!(contract.root.is_none());
        assert_eq!(
            contract.server.rpc_service,
            "milvus.proto.milvus.MilvusService"
        );
    }

    #[test]
    fn what_is_not_toml_has_its_line() {
        let error = Contract::parse("schema = \"milvus-otel.contract/1\"\nname = \n")
            .expect_err("no value");
        assert_eq!(error.line, 2);
    }
}
