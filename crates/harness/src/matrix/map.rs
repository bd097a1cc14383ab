//! The map itself: one value that every form of it is made from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trace_parity::{Contract, Family, Severity};

use super::environment::{local_path, resolved};
use super::mend::add_mends;
use super::outcome::{Cause, Expected, Outcome};
use super::plan::{ExamplePlan, Plan, Variant};
use super::record::{Measured, Record};
use crate::embedded::stack_name;
use crate::failure::Result;
use crate::manifest::ExitManifest;
use crate::prepare::Versions;

/// What `schema` says in the map's JSON.
pub const SCHEMA: &str = "milvus-otel.compatibility/1";

/// What was measured, and what was made of it.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    pub schema: &'static str,
    /// Such as `Milvus 2.3.5 embedded`.
    pub server: String,
    pub machine: Machine,
    pub examples: Vec<Language>,
    pub unmeasured: Vec<Unmeasured>,
}

/// What it was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub system: String,
    pub cores: usize,
    pub memory_gib: u64,
}

/// One example and all that was tried of it.
#[derive(Clone, Debug, Serialize)]
pub struct Language {
    pub name: String,
    pub axes: Vec<AxisInfo>,
    pub variants: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AxisInfo {
    pub name: String,
    pub packages: Vec<String>,
}

/// One variant: what it was, what was expected, what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub name: String,
    /// Versions by axis, as resolved; a path as it was given.
    pub versions: BTreeMap<String, String>,
    /// The axes that are not the example's own.
    pub set: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub runtime: Option<String>,
    pub newest: bool,
    pub expected: Outcome,
    pub expected_rules: Vec<String>,
    /// Why it is expected not to be whole.
    pub reason: Option<String>,
    /// `None` where it was not measured yet.
    pub found: Option<Found>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub outcome: Outcome,
    pub as_expected: bool,
    pub rules: Vec<String>,
    pub cause: Option<Cause>,
    /// One line about it. Unescaped.
    pub message: String,
    pub hint: Option<String>,
    /// The nearest variant that is whole, and what to change for it.
    pub mend: Option<String>,
    pub client_rpcs: u64,
    pub joined: u64,
    /// Differences that the contract expects.
    pub divergences: Vec<String>,
    /// RFC 3339, UTC.
    pub measured: String,
    /// The worst finding's severity by family of rules; for the page's cells.
    #[serde(skip)]
    pub families: Vec<(Family, Severity)>,
    /// For the page's details.
    #[serde(skip)]
    pub findings: Vec<FoundFinding>,
    #[serde(skip)]
    pub all_versions: Versions,
    #[serde(skip)]
    pub seconds: (f64, f64),
    /// Where capture, logs and report are.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Clone, Debug)]
pub struct FoundFinding {
    pub rule: String,
    pub severity: Severity,
    pub message: String,
    pub hint: Option<String>,
    pub count: u64,
}

/// What can't be measured here, and why not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmeasured {
    pub what: String,
    pub reason: String,
}

impl Map {
    /// Reads and judges every variant's record.
    pub(crate) fn draw(
        plan: &Plan,
        contract: &Contract,
        folder: impl Fn(&str, &str) -> PathBuf,
    ) -> Result<Self> {
        let mut examples = Vec::new();
        for plan in &plan.examples {
            let mut variants = Vec::new();
            for variant in &plan.variants {
                let folder = folder(&plan.example, &variant.name);
                let measured = Record::read(&folder)
                    .map(|record| record.judge(&folder, contract))
                    .transpose()?;
                variants.push(entry(plan, variant, measured.as_ref(), &folder));
            }
            fill_in_own_versions(&mut variants);
            add_mends(&mut variants);
            examples.push(Language {
                name: plan.example.clone(),
                axes: plan
                    .axes
                    .iter()
                    .map(|axis| AxisInfo {
                        name: axis.name.clone(),
                        packages: axis.packages.clone(),
                    })
                    .collect(),
                variants,
            });
        }
        Ok(Self {
            schema: SCHEMA,
            server: stack_name(),
            machine: Machine::this(),
            examples,
            unmeasured: plan.unmeasured.clone(),
        })
    }

    pub fn entries(&self) -> impl Iterator<Item = (&Language, &Entry)> {
        self.examples
            .iter()
            .flat_map(|language| language.variants.iter().map(move |entry| (language, entry)))
    }

    /// Every variant was measured, and none was better or worse than expected.
    pub fn is_as_expected(&self) -> bool {
        self.entries()
            .all(|(_, entry)| entry.found.as_ref().is_some_and(|found| found.as_expected))
    }

    pub fn is_complete(&self) -> bool {
        self.entries().all(|(_, entry)| entry.found.is_some())
    }

    /// The first and last day of measuring, as `2026-11-22`.
    pub fn days(&self) -> Option<(String, String)> {
        let mut days: Vec<String> = self
            .entries()
            .filter_map(|(_, entry)| entry.found.as_ref())
            .map(|found| found.measured.chars().take(10).collect())
            .collect();
        days.sort();
        Some((days.first()?.clone(), days.last()?.clone()))
    }

    /// How many variants came out how, the best first.
    pub fn counts(&self) -> Vec<(Outcome, usize)> {
        let count = |outcome| {
            let same = |entry: &Entry| {
                entry
                    .found
                    .as_ref()
                    .is_some_and(|found| found.outcome == outcome)
            };
            (
                outcome,
                self.entries().filter(|(_, entry)| same(entry)).count(),
            )
        };
        Outcome::ALL
            .map(count)
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// As the schema beside the documentation describes it.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Entry {
    /// Such as `agent 2.26.1`, of what isn't the example's own.
    pub fn changes(&self) -> String {
        let versions = self
            .set
            .iter()
            .filter_map(|axis| Some(format!("{axis} {}", self.versions.get(axis)?)));
        let env = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let runtime = self.runtime.iter().cloned();
        let all: Vec<String> = versions.chain(env).chain(runtime).collect();
        if all.is_empty() {
            return "the example's own versions".to_owned();
        }
        all.join(", ")
    }
}

impl Machine {
    fn this() -> Self {
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: u64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
        }
    }
}

fn entry(
    plan: &ExamplePlan,
    variant: &Variant,
    measured: Option<&Measured>,
    folder: &Path,
) -> Entry {
    let versions = plan.axes.iter().filter_map(|axis| {
        let asked = variant.set.get(&axis.name);
        let local = asked.filter(|version| local_path(version).is_some());
        let found = || {
            let versions = &measured?.record.versions;
            resolved(versions, axis.packages.first()?).map(str::to_owned)
        };
        let version = local.cloned().or_else(found).or_else(|| asked.cloned())?;
        Some((axis.name.clone(), version))
    });
    Entry {
        name: variant.name.clone(),
        versions: versions.collect(),
        set: plan
            .axes
            .iter()
            .map(|axis| axis.name.clone())
            .filter(|axis| variant.set.contains_key(axis))
            .collect(),
        env: variant.env.clone(),
        runtime: variant.runtime.clone(),
        newest: variant.newest,
        expected: variant.expected.outcome,
        expected_rules: variant.expected.rules.clone(),
        reason: variant.expected.reason.clone(),
        found: measured.map(|measured| found(measured, &variant.expected, folder)),
    }
}

fn found(measured: &Measured, expected: &Expected, folder: &Path) -> Found {
    let verdict = measured.verdict.as_ref();
    let example = verdict.and_then(|verdict| verdict.examples.first());
    let findings: Vec<FoundFinding> = verdict
        .into_iter()
        .flat_map(|verdict| &verdict.findings)
        .map(|finding| FoundFinding {
            rule: finding.rule.name().to_owned(),
            severity: finding.severity,
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            count: finding.count,
        })
        .collect();
    let mut families: BTreeMap<Family, Severity> = BTreeMap::new();
    for finding in verdict.into_iter().flat_map(|verdict| &verdict.findings) {
        let worst = families
            .entry(finding.rule.family())
            .or_insert(finding.severity);
        *worst = (*worst).max(finding.severity);
    }
    let decisive = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .min_by_key(|finding| {
            (
                !decides(measured.outcome, &finding.rule),
                std::cmp::Reverse(finding.severity),
            )
        });
    Found {
        outcome: measured.outcome,
        as_expected: expected.is_met(measured.outcome, &measured.rules),
        rules: measured.rules.clone(),
        cause: measured.cause,
        message: message(measured, decisive),
        hint: decisive.and_then(|finding| finding.hint.clone()),
        mend: None,
        client_rpcs: example.map_or(0, |example| example.client_rpcs),
        joined: example.map_or(0, |example| example.joined),
        divergences: verdict
            .into_iter()
            .flat_map(|verdict| &verdict.expected_divergences)
            .map(|divergence| format!("{} {}", divergence.rule, divergence.subject))
            .collect(),
        measured: measured.record.measured.clone(),
        families: families.into_iter().collect(),
        findings,
        all_versions: measured.record.versions.clone(),
        seconds: (measured.record.prepare_seconds, measured.record.run_seconds),
        folder: folder.to_owned(),
    }
}

/// The finding that an outcome's name comes from is told first.
fn decides(outcome: Outcome, rule: &str) -> bool {
    match outcome {
        Outcome::ServerHalfLost => matches!(rule, "context-lost" | "no-server-span"),
        Outcome::ClientHalfLost => matches!(rule, "client-unseen" | "no-spans" | "no-root"),
        Outcome::CouldNotRun => rule == "example-failed",
        Outcome::Whole | Outcome::Differs | Outcome::DoesNotBuild => false,
    }
}

fn message(measured: &Measured, decisive: Option<&FoundFinding>) -> String {
    if let Some(cause) = measured.cause {
        let said = measured
            .message
            .as_deref()
            .map(str::trim)
            .filter(|said| !said.is_empty());
        let how = match measured.record.exit {
            Some(ExitManifest::Code(code)) if said.is_none() => Some(format!("exit code {code}")),
            _ => said.map(str::to_owned),
        };
        return match how {
            Some(how) if cause == Cause::BuildFailed => anywhere(&how),
            Some(how) => format!("{}: {}", cause.words(), anywhere(&how)),
            None => cause.words().to_owned(),
        };
    }
    match decisive {
        Some(finding) => finding.message.clone(),
        None => "one trace, every call with its server span".to_owned(),
    }
}

/// The same on every machine: where a home or a checkout is doesn't matter.
fn anywhere(line: &str) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    match home.len() {
        0 | 1 => line.to_owned(),
        _ => line.replace(&home, "~"),
    }
}

/// A variant that was never installed has the example's own version of what it doesn't set.
fn fill_in_own_versions(variants: &mut [Entry]) {
    let own = variants
        .iter()
        .find(|entry| entry.set.is_empty() && !entry.versions.is_empty())
        .map(|entry| entry.versions.clone())
        .unwrap_or_default();
    for entry in variants {
        for (axis, version) in &own {
            entry
                .versions
                .entry(axis.clone())
                .or_insert_with(|| version.clone());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn entry(name: &str, sdk: &str, agent: &str, outcome: Outcome, message: &str) -> Entry {
        let versions = [("agent", agent), ("sdk", sdk)];
        Entry {
            name: name.to_owned(),
            versions: versions
                .map(|(axis, version)| (axis.to_owned(), version.to_owned()))
                .into(),
            set: if name == "own" {
                Vec::new()
            } else {
                vec!["agent".to_owned()]
            },
            env: BTreeMap::new(),
            runtime: None,
            newest: name == "newest",
            expected: outcome,
            expected_rules: Vec::new(),
            reason: (outcome != Outcome::Whole).then(|| "a flag | of `traceparent`".to_owned()),
            found: Some(Found {
                outcome,
                as_expected: true,
                rules: match outcome {
                    Outcome::ServerHalfLost => vec!["context-lost".to_owned()],
                    _ => Vec::new(),
                },
                cause: (outcome == Outcome::DoesNotBuild).then_some(Cause::BuildFailed),
                message: message.to_owned(),
                hint: None,
                mend: None,
                client_rpcs: 17,
                joined: if outcome == Outcome::Whole { 17 } else { 0 },
                divergences: Vec::new(),
                measured: "2026-11-22T15:00:00Z".to_owned(),
                families: vec![(Family::Join, Severity::Error)],
                findings: vec![FoundFinding {
                    rule: "context-lost".to_owned(),
                    severity: Severity::Error,
                    message: message.to_owned(),
                    hint: None,
                    count: 17,
                }],
                all_versions: [("a<b>".to_owned(), "1".to_owned())].into(),
                seconds: (1.0, 2.0),
                folder: PathBuf::from("target/x"),
            }),
        }
    }

    /// A map with one of everything, and text that tries to be more than text.
    pub(in super::super) fn sample() -> Map {
        let evil = "<script>alert(1)</script> | `x` \u{1b}[31m*bold*";
        let mut variants = vec![
            entry("own", "2.5.10", "2.25.0", Outcome::Whole, "one trace"),
            entry("older", "2.5.10", "2.20.1", Outcome::Whole, "one trace"),
            entry("lost", "2.5.10", "2.26.1", Outcome::ServerHalfLost, evil),
            entry(
                "newest",
                "2.6.22",
                "2.33.1",
                Outcome::ServerHalfLost,
                "lost",
            ),
            entry("broken", "2.5.10", "2.27.0", Outcome::DoesNotBuild, evil),
        ];
        variants[4].expected = Outcome::Whole;
        if let Some(found) = &mut variants[4].found {
            found.as_expected = false;
        }
        add_mends(&mut variants);
        Map {
            schema: SCHEMA,
            server: "Milvus 2.3.5 embedded".to_owned(),
            machine: Machine {
                system: "linux x86_64".to_owned(),
                cores: 2,
                memory_gib: 24,
            },
            examples: vec![Language {
                name: "java".to_owned(),
                axes: ["agent", "sdk"]
                    .map(|name| AxisInfo {
                        name: name.to_owned(),
                        packages: vec![format!("group:{name}")],
                    })
                    .into(),
                variants,
            }],
            unmeasured: vec![Unmeasured {
                what: "Milvus 2.6".to_owned(),
                reason: "images only".to_owned(),
            }],
        }
    }

    #[test]
    fn the_json_is_as_its_schema_says() {
        let schema: serde_json::Value = serde_json::from_str(super::super::JSON_SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let check = |name: &str, text: &str| {
            let map: serde_json::Value = serde_json::from_str(text).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&map)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}");
        };
        check("a sample", &sample().json());
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let committed = std::fs::read_to_string(docs.join("compatibility.json")).unwrap();
        check("the documentation", &committed);
        let beside = std::fs::read_to_string(docs.join("compatibility.schema.json")).unwrap();
        assert_eq!(beside, super::super::JSON_SCHEMA);
    }
}
