//! Advice: the causes of findings and their cures, as rows of `advice.toml`.
//!
//! A row says which evidence it needs. [`crate::hints`] picks the rows that a finding's evidence supports.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::rule::Rule;

/// How sure a row is, once its needs hold; ordered from the surest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The evidence proves the cause.
    Proof,
    /// The evidence allows the cause and others.
    Cause,
    /// The cure is the same whatever the cause.
    Always,
}

/// One cause and its cure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// Names the row in other files; unique.
    pub id: String,
    #[serde(rename = "rules")]
    rule_names: Vec<String>,
    pub certainty: Certainty,
    #[serde(default)]
    pub(crate) needs: Needs,
    /// The cause, as a clause; empty where the cure says enough. `{name}` stands for a piece of evidence.
    #[serde(default)]
    pub says: String,
    /// Something one can do, as a clause.
    pub cure: String,
    /// Where it is known from.
    pub source: String,
}

/// The evidence that a row needs; what is left out doesn't matter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Needs {
    /// What the rule itself saw.
    pub(crate) case: Vec<String>,
    /// `telemetry.sdk.language` of the program.
    pub(crate) language: Vec<String>,
    /// `telemetry.sdk.version` of the program.
    pub(crate) sdk: Option<versions::Range>,
    /// Whether a distribution, such as the Java agent, names itself in the program's resource.
    pub(crate) distribution: Option<bool>,
    /// `telemetry.distro.version` of the program.
    pub(crate) distro: Option<versions::Range>,
    /// A part of the name of the client span's scope.
    pub(crate) scope: Option<String>,
    pub(crate) scope_version: Option<versions::Range>,
    /// A part of the name of the server span's scope.
    pub(crate) server_scope: Option<String>,
    pub(crate) server_scope_version: Option<versions::Range>,
    /// W3C trace flags of the client span, in hex.
    pub(crate) flags: Vec<String>,
    /// Attributes that the client span has.
    pub(crate) has: Vec<String>,
    /// Attributes that the client span lacks.
    pub(crate) lacks: Vec<String>,
    /// Parts of scope names, of which one has made a span of the program.
    pub(crate) beside: Vec<String>,
    /// Parts of scope names, of which none has made a span of the program.
    pub(crate) without: Vec<String>,
    /// Pieces of evidence that the rule names, with their allowed values.
    pub(crate) told: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    advice: Vec<Advice>,
}

static FILE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("advice.toml"))
        .unwrap_or_else(|error| panic!("advice.toml: {error}"))
});

static BY_RULE: LazyLock<HashMap<Rule, Vec<&'static Advice>>> = LazyLock::new(|| {
    let mut by_rule: HashMap<Rule, Vec<&Advice>> = HashMap::new();
    for advice in &FILE.advice {
        for rule in advice.rules() {
            by_rule.entry(rule).or_default().push(advice);
        }
    }
    by_rule
});

impl Advice {
    /// Every row, in the file's order.
    pub fn all() -> impl Iterator<Item = &'static Advice> {
        FILE.advice.iter()
    }

    /// The rows about one rule, in the file's order.
    #[must_use]
    pub fn of(rule: Rule) -> &'static [&'static Advice] {
        BY_RULE.get(&rule).map_or(&[], Vec::as_slice)
    }

    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Advice> {
        Advice::all().find(|advice| advice.id == id)
    }

    /// The rules whose findings it explains.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.rule_names.iter().map(|name| {
            name.parse()
                .unwrap_or_else(|error| panic!("advice.toml: `{}`: {error}", self.id))
        })
    }

    /// What the rule must have seen; any of them, or anything where there is none.
    #[must_use]
    pub fn cases(&self) -> &[String] {
        &self.needs.case
    }

    /// The cause without a finding's evidence: ` {name}` is left out, and what is in brackets with it.
    #[must_use]
    pub fn cause(&self) -> String {
        let brackets = self.says.split(" (").enumerate();
        let kept: String = brackets
            .map(|(at, part)| match part.split_once(')') {
                Some((inside, after)) if at > 0 && inside.contains('{') => after.to_owned(),
                _ if at > 0 => format!(" ({part}"),
                _ => part.to_owned(),
            })
            .collect();
        let mut parts = kept.split(" {");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            text + part.split_once('}').map_or(part, |(_, rest)| rest)
        })
    }

    /// The evidence that it needs, in words; empty where it needs none.
    #[must_use]
    pub fn when(&self) -> String {
        self.needs.to_string()
    }
}

/// `` `a` or `b` ``.
fn any(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| match name.as_str() {
            "" => "unknown".to_owned(),
            name => format!("`{name}`"),
        })
        .collect();
    quoted.join(" or ")
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |name: &str, values: &[String]| {
            (!values.is_empty()).then(|| format!("{name} {}", any(values)))
        };
        let range = |name: &str, range: &Option<versions::Range>| {
            range.as_ref().map(|range| format!("{name} {range}"))
        };
        let scope = |whose: &str, name: &Option<String>| {
            name.as_ref().map(|name| format!("{whose} scope `{name}`"))
        };
        let distribution = self.distribution.map(|is_there| {
            if is_there {
                "an agent or another distribution".to_owned()
            } else {
                "no agent or other distribution".to_owned()
            }
        });
        let parts = [
            list("language", &self.language),
            range("SDK", &self.sdk),
            distribution,
            range("agent", &self.distro),
            scope("client", &self.scope),
            range("client scope's version", &self.scope_version),
            scope("server", &self.server_scope),
            range("server scope's version", &self.server_scope_version),
            list("trace flags", &self.flags),
            list("has the attribute", &self.has),
            list("lacks the attribute", &self.lacks),
            list("spans of scope", &self.beside),
            list("no span of scope", &self.without),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}
