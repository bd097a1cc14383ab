//! `matrix.toml`: the axes of each example, and its variants with their expected outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::workspace::Workspace;
use serde::{Deserialize, Serialize};
use supervise::{Failure, IoContext, Result};
use trace_parity::{Advice, Rule};
use wildmatch::WildMatch;

use crate::conflict::Conflict;
use crate::outcome::{Expected, Outcome};

const SCHEMA: &str = "milvus-otel.matrix/1";

/// The variants to measure, and combinations that can't be measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub examples: Vec<ExamplePlan>,
    pub unmeasured: Vec<Unmeasured>,
}

/// A combination that can't be measured, and the reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmeasured {
    pub what: String,
    pub reason: String,
}

/// One example's axes and variants.
#[derive(Clone, Debug)]
pub(crate) struct ExamplePlan {
    pub example: String,
    /// Relative to the checkout, where it isn't one of the built-in examples.
    pub folder: Option<PathBuf>,
    /// Where it isn't a run of the contract's scenario.
    pub program: Option<ProgramPlan>,
    pub axes: Vec<Axis>,
    pub runtimes: BTreeMap<String, Vec<PathBuf>>,
    pub variants: Vec<Variant>,
}

/// A program of its own scenario, judged by the rules of `exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramPlan {
    /// Texts that it handles, by what they are. A span with one of them leaks it.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

/// Packages that share one version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Axis {
    pub name: String,
    pub packages: Vec<String>,
    /// Its releases are pre-releases.
    #[serde(default)]
    pub previews: bool,
}

/// One combination of versions and settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variant {
    pub name: String,
    /// Versions by axis. Other axes have the example's own version.
    pub set: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// One of the example's runtimes, to put before `PATH`.
    pub runtime: Option<String>,
    /// Whether it represents the newest version of every axis that it sets.
    pub newest: bool,
    pub expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    #[serde(default)]
    example: Vec<ExampleTable>,
    #[serde(default)]
    unmeasured: Vec<Unmeasured>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleTable {
    name: String,
    folder: Option<PathBuf>,
    program: Option<ProgramPlan>,
    #[serde(default)]
    axes: Vec<Axis>,
    #[serde(default)]
    runtimes: BTreeMap<String, Vec<PathBuf>>,
    variants: Vec<VariantTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantTable {
    name: String,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    runtime: Option<String>,
    #[serde(default)]
    newest: bool,
    #[serde(default)]
    expect: Outcome,
    #[serde(default)]
    rules: Vec<String>,
    /// One of these says why it isn't whole: a text, a row of `advice.toml`, or one of `conflicts.toml`.
    reason: Option<String>,
    advice: Option<String>,
    conflict: Option<String>,
}

impl Plan {
    pub(crate) fn path(workspace: &Workspace) -> PathBuf {
        workspace.root().join("matrix.toml")
    }

    /// Reads the checkout's `matrix.toml`.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let path = Self::path(workspace);
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        Self::parse(&text, &path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |message: String| {
            Failure::new(format!("`{}`: {message}", path.display()))
                .hint("CONTRIBUTING.md says what a variant is made of")
        };
        let file: File = toml::from_str(text).map_err(|error| {
            wrong(error.message().to_owned()).detail(error.to_string().lines().map(str::to_owned))
        })?;
        if file.schema != SCHEMA {
            return Err(wrong(format!(
                "its schema is `{}`, and this version reads `{SCHEMA}`",
                file.schema
            )));
        }
        let examples = file
            .example
            .into_iter()
            .map(|table| example(table).map_err(wrong))
            .collect::<Result<Vec<_>>>()?;
        once("example", examples.iter().map(|plan| plan.example.as_str())).map_err(wrong)?;
        Ok(Self {
            examples,
            unmeasured: file.unmeasured,
        })
    }

    pub(crate) fn of(&self, example: &str) -> Result<&ExamplePlan> {
        self.examples
            .iter()
            .find(|plan| plan.example == example)
            .ok_or_else(|| {
                let known: Vec<&str> = self
                    .examples
                    .iter()
                    .map(|plan| plan.example.as_str())
                    .collect();
                Failure::new(format!("matrix.toml has no example `{example}`"))
                    .hint(format!("it has: {}", known.join(", ")))
            })
    }

    /// The part of the plan for some examples and for variants whose names match `pattern`.
    pub(crate) fn select(&self, examples: &[String], pattern: Option<&str>) -> Result<Self> {
        for name in examples {
            self.of(name)?;
        }
        let chosen = |plan: &ExamplePlan| ExamplePlan {
            variants: plan
                .variants
                .iter()
                .filter(|variant| pattern.is_none_or(|pattern| matches(pattern, &variant.name)))
                .cloned()
                .collect(),
            ..plan.clone()
        };
        let selected: Vec<ExamplePlan> = self
            .examples
            .iter()
            .filter(|plan| examples.is_empty() || examples.contains(&plan.example))
            .map(chosen)
            .filter(|plan| !plan.variants.is_empty())
            .collect();
        if selected.is_empty() {
            return Err(Failure::new(format!(
                "no variant is called `{}`",
                pattern.unwrap_or_default()
            ))
            .hint("a pattern is part of a name, or has `*` for anything: `--variant 'agent*'`"));
        }
        Ok(Self {
            examples: selected,
            unmeasured: self.unmeasured.clone(),
        })
    }
}

impl ExamplePlan {
    pub(crate) fn axis(&self, name: &str) -> Result<&Axis> {
        self.axes
            .iter()
            .find(|axis| axis.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = self.axes.iter().map(|axis| axis.name.as_str()).collect();
                Failure::new(format!("`{}` has no axis `{name}`", self.example))
                    .hint(format!("it has: {}", known.join(", ")))
            })
    }

    /// The version of each package.
    pub(crate) fn packages(
        &self,
        set: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let mut packages = BTreeMap::new();
        for (axis, version) in set {
            for package in &self.axis(axis)?.packages {
                packages.insert(package.clone(), version.clone());
            }
        }
        Ok(packages)
    }
}

fn example(table: ExampleTable) -> std::result::Result<ExamplePlan, String> {
    let (example, axes) = (table.name, table.axes);
    once("axis", axes.iter().map(|axis| axis.name.as_str()))?;
    if let Some(axis) = axes.iter().find(|axis| axis.packages.is_empty()) {
        return Err(format!(
            "the axis `{}` of `{example}` has no packages",
            axis.name
        ));
    }
    let variants: Vec<Variant> = table
        .variants
        .into_iter()
        .map(|variant| {
            let name = variant.name.clone();
            checked(variant, &axes, &table.runtimes)
                .map_err(|wrong| format!("the variant `{name}` of `{example}` {wrong}"))
        })
        .collect::<std::result::Result<_, _>>()?;
    once(
        "variant",
        variants.iter().map(|variant| variant.name.as_str()),
    )?;
    Ok(ExamplePlan {
        example,
        folder: table.folder,
        program: table.program,
        axes,
        runtimes: table.runtimes,
        variants,
    })
}

fn checked(
    table: VariantTable,
    axes: &[Axis],
    runtimes: &BTreeMap<String, Vec<PathBuf>>,
) -> std::result::Result<Variant, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if table.name.is_empty() || table.name.starts_with('.') || !table.name.chars().all(fits) {
        return Err(
            "has a name that is no file's name: letters, digits, `-`, `_`, `.`, `+`".to_owned(),
        );
    }
    if let Some(axis) = table
        .set
        .keys()
        .find(|name| axes.iter().all(|axis| &axis.name != *name))
    {
        return Err(format!("sets the axis `{axis}`, which isn't declared"));
    }
    if let Some(runtime) = table
        .runtime
        .as_ref()
        .filter(|name| !runtimes.contains_key(*name))
    {
        return Err(format!(
            "wants the runtime `{runtime}`, which isn't declared"
        ));
    }
    let (reason, advice) = reason(&table)?;
    if table.expect != Outcome::Whole && reason.is_none() {
        return Err(
            "is expected not to be whole, and gives no `advice`, `conflict` or `reason`".to_owned(),
        );
    }
    if (table.expect == Outcome::Differs) == table.rules.is_empty() {
        return Err("names `rules` exactly where it is expected to differ".to_owned());
    }
    if let Some(rule) = table
        .rules
        .iter()
        .find(|rule| rule.parse::<Rule>().is_err())
    {
        return Err(format!("names `{rule}`, and no rule is called so"));
    }
    let mut rules = table.rules;
    rules.sort();
    Ok(Variant {
        name: table.name,
        set: table.set,
        env: table.env,
        runtime: table.runtime,
        newest: table.newest,
        expected: Expected {
            outcome: table.expect,
            rules,
            reason,
            advice,
        },
    })
}

/// The reason's text, and the row that it comes from.
fn reason(table: &VariantTable) -> std::result::Result<(Option<String>, Option<String>), String> {
    let unknown = |id: &str, file: &str| format!("names `{id}`, and {file} has no such row");
    match (&table.reason, &table.advice, &table.conflict) {
        (reason, None, None) => Ok((reason.clone(), None)),
        (None, Some(id), None) => {
            let advice = Advice::by_id(id).ok_or_else(|| unknown(id, "advice.toml"))?;
            Ok((Some(advice.cause()), Some(id.clone())))
        }
        (None, None, Some(id)) => {
            let conflict = Conflict::by_id(id).ok_or_else(|| unknown(id, "conflicts.toml"))?;
            Ok((Some(conflict.says.clone()), Some(id.clone())))
        }
        _ => Err("gives more than one of `advice`, `conflict` and `reason`".to_owned()),
    }
}

fn once<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> std::result::Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!(
                "two things of the kind `{what}` are called `{name}`"
            ));
        }
    }
    Ok(())
}

/// `*` matches any text. A pattern without `*` matches any part of the name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.contains('*') {
        true => WildMatch::new(pattern).matches(name),
        false => name.contains(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "schema = \"milvus-otel.matrix/1\"\n[[example]]\nname = \"x\"\naxes = [{ name = \"sdk\", packages = [\"a\", \"b\"] }]\n";

    fn parse(rest: &str) -> Result<Plan> {
        Plan::parse(&format!("{HEAD}{rest}"), Path::new("matrix.toml"))
    }

    #[test]
    fn a_plan_that_is_wrong_says_where() {
        let check = |variant: &str, message: &str| {
            let failure = parse(&format!("variants = [{variant}]")).expect_err(variant);
            assert!(
                failure.message.contains(message),
                "{variant}: {}",
                failure.message
            );
        };
        check(
            r#"{ name = "v", set = { agent = "1" } }"#,
            "sets the axis `agent`, which isn't declared",
        );
        check(
            r#"{ name = "v", runtime = "jdk" }"#,
            "wants the runtime `jdk`",
        );
        check(
            r#"{ name = "v", expect = "server-half-lost" }"#,
            "gives no `advice`, `conflict` or `reason`",
        );
        check(
            r#"{ name = "v", expect = "server-half-lost", advice = "no-such" }"#,
            "names `no-such`, and advice.toml has no such row",
        );
        check(
            r#"{ name = "v", expect = "does-not-build", conflict = "c", reason = "r" }"#,
            "gives more than one of",
        );
        check(
            r#"{ name = "v", expect = "differs", reason = "r" }"#,
            "names `rules` exactly where",
        );
        check(
            r#"{ name = "v", rules = ["span-name"] }"#,
            "names `rules` exactly where",
        );
        check(
            r#"{ name = "v", expect = "differs", reason = "r", rules = ["spam-name"] }"#,
            "no rule is called so",
        );
        check(r#"{ name = "../v" }"#, "no file's name");
        check(
            r#"{ name = "v" }, { name = "v" }"#,
            "`variant` are called `v`",
        );
        check(
            r#"{ name = "v", expects = "whole" }"#,
            "unknown field `expects`",
        );
        check(
            r#"{ name = "v", expect = "fine" }"#,
            "unknown variant `fine`",
        );
    }

    #[test]
    fn an_axis_sets_all_of_its_packages() {
        let plan = parse(r#"variants = [{ name = "v", set = { sdk = "1.2" } }]"#).unwrap();
        let plan = plan.of("x").unwrap();
        let packages = plan.packages(&plan.variants[0].set).unwrap();
        assert_eq!(
            packages.into_iter().collect::<Vec<_>>(),
            [
                ("a".to_owned(), "1.2".to_owned()),
                ("b".to_owned(), "1.2".to_owned())
            ]
        );
        assert_eq!(plan.variants[0].expected.outcome, Outcome::Whole);
    }

    #[test]
    fn variants_are_chosen_by_part_or_pattern() {
        let check = |pattern: &str, name: &str, fits: bool| {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        };
        check("agent", "agent-2.26.1", true);
        check("2.26", "agent-2.26.1", true);
        check("agent*", "agent-2.26.1", true);
        check("*2.26.1", "agent-2.26.1", true);
        check("a*2.2*1", "agent-2.26.1", true);
        check("sdk*", "agent-2.26.1", false);
        check("*2.26", "agent-2.26.1", false);
        check("agent*2.2*2.26.1", "agent-2.26.1", false);
    }

    #[test]
    fn the_checkout_has_a_plan_that_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = Workspace::find(&root, "cargo xtask").unwrap();
        let plan = Plan::read(&workspace).unwrap();
        let variants: usize = plan.examples.iter().map(|plan| plan.variants.len()).sum();
        assert!(variants >= 40, "{variants}");
        let newest = |plan: &ExamplePlan| plan.variants.iter().any(|variant| variant.newest);
        let by_version = |plan: &&ExamplePlan| plan.program.is_none() && !plan.axes.is_empty();
        for plan in plan.examples.iter().filter(by_version) {
            assert!(
                newest(plan),
                "`{}` has no variant for the newest of everything",
                plan.example
            );
        }
    }
}
