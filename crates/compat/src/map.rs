//! The map: the one value from which every format is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness::prepare::task::Versions;
use serde::{Deserialize, Serialize};
use trace_parity::{Family, Severity};

use crate::around::Around;
use crate::outcome::{Cause, Outcome};
use crate::plan::Unmeasured;
use crate::sent::Sent;

/// The value of `schema` in the map's JSON.
pub const SCHEMA: &str = "milvus-otel.compatibility/1";

/// The JSON Schema of the map's JSON.
pub const JSON_SCHEMA: &str = include_str!("compatibility.schema.json");

/// All measurements and their judgment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Map {
    pub schema: String,
    /// For example `Milvus 2.3.5 embedded`.
    pub server: String,
    pub machine: Machine,
    pub examples: Vec<Language>,
    pub unmeasured: Vec<Unmeasured>,
}

/// The machine of the measurements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub cores: usize,
    pub memory_gib: u64,
}

/// One example and its variants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Language {
    pub name: String,
    /// Its folder in the checkout, where it isn't one of the built-in examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Whether it is a program of its own scenario, judged by the rules of `exec`.
    #[serde(default)]
    pub is_program: bool,
    pub axes: Vec<AxisInfo>,
    pub variants: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AxisInfo {
    pub name: String,
    pub packages: Vec<String>,
}

/// One variant: its versions, the expected outcome and the result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub name: String,
    /// Resolved versions by axis; a path is unchanged.
    pub versions: BTreeMap<String, String>,
    /// The axes with other versions than the example.
    pub set: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub runtime: Option<String>,
    pub newest: bool,
    pub expected: Outcome,
    pub expected_rules: Vec<String>,
    /// The reason why it isn't expected to be whole.
    pub reason: Option<String>,
    /// The row of `advice.toml` or `conflicts.toml` that the reason comes from.
    #[serde(default)]
    pub advice: Option<String>,
    /// `None` if it wasn't measured yet.
    pub found: Option<Found>,
}

/// The result of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    pub outcome: Outcome,
    pub as_expected: bool,
    pub rules: Vec<String>,
    pub cause: Option<Cause>,
    /// A description in one line. Unescaped.
    pub message: String,
    pub hint: Option<String>,
    /// The nearest whole variant, and the changes that lead to it.
    pub mend: Option<String>,
    pub client_rpcs: u64,
    pub joined: u64,
    /// Expected divergences.
    pub divergences: Vec<String>,
    /// What a program's instrumentation adds to its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
    /// The metrics and logs of an example that ran; `None` if they weren't captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// RFC 3339, UTC.
    pub measured: String,
    /// The worst severity per family of rules, for the page's cells.
    #[serde(skip)]
    pub families: Vec<(Family, Severity)>,
    /// For the page's details.
    #[serde(skip)]
    pub findings: Vec<FoundFinding>,
    #[serde(skip)]
    pub all_versions: Versions,
    #[serde(skip)]
    pub seconds: (f64, f64),
    /// The folder with capture, logs and report.
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

/// The first and last day of times in RFC 3339.
pub(crate) fn first_and_last_day<'t>(
    times: impl Iterator<Item = &'t str>,
) -> Option<(&'t str, &'t str)> {
    let days = times.map(|time| time.get(..10).unwrap_or(time));
    days.fold(None, |found, day| match found {
        None => Some((day, day)),
        Some((first, last)) => Some((day.min(first), day.max(last))),
    })
}

/// Such as `on 2026-11-22`, or `from 2026-11-22 to 2026-11-24`.
pub(crate) fn on_days(days: Option<(&str, &str)>) -> String {
    match days {
        Some((first, last)) if first == last => format!("on {first}"),
        Some((first, last)) => format!("from {first} to {last}"),
        None => "never".to_owned(),
    }
}

impl Map {
    pub fn entries(&self) -> impl Iterator<Item = (&Language, &Entry)> {
        self.examples
            .iter()
            .flat_map(|language| language.variants.iter().map(move |entry| (language, entry)))
    }

    /// Whether every variant was measured with the expected outcome.
    pub fn is_as_expected(&self) -> bool {
        self.entries()
            .all(|(_, entry)| entry.found.as_ref().is_some_and(|found| found.as_expected))
    }

    pub fn is_complete(&self) -> bool {
        self.entries().all(|(_, entry)| entry.found.is_some())
    }

    /// The first and last day of the measurements, such as `2026-11-22`.
    pub fn days(&self) -> Option<(&str, &str)> {
        let found = self.entries().filter_map(|(_, entry)| entry.found.as_ref());
        first_and_last_day(found.map(|found| found.measured.as_str()))
    }

    /// The number of variants per outcome, the best first.
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

    /// The map as JSON, as described by the schema in the documentation.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a map has strings for keys");
        text.push('\n');
        text
    }
}

impl Entry {
    /// The versions that differ from the example, such as `agent 2.26.1`.
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
    pub(crate) fn this() -> Self {
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

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::mend::add_mends;
    use crate::sent::SentState;

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
            advice: None,
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
                around: None,
                sent: (outcome == Outcome::Whole).then(|| Sent {
                    rpc_duration: SentState::Ok,
                    metric: Some("rpc.client.duration".to_owned()),
                    exemplars: SentState::Ok,
                    logs: SentState::Ok,
                    log_ids: SentState::Differs,
                }),
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

    /// A map with one of everything, and with hostile text.
    pub(crate) fn sample() -> Map {
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
            schema: SCHEMA.to_owned(),
            server: "Milvus 2.3.5 embedded".to_owned(),
            machine: Machine {
                system: "linux x86_64".to_owned(),
                cores: 2,
                memory_gib: 24,
            },
            examples: vec![Language {
                name: "java".to_owned(),
                folder: None,
                is_program: false,
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
        let schema: serde_json::Value = serde_json::from_str(JSON_SCHEMA).unwrap();
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
        assert_eq!(beside, JSON_SCHEMA);
    }
}
