//! `manifest.json`: what a run was made of, and the facts that no span tells.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use supervise::{Exit, Failure, IoContext, Result, disk};
use trace_parity::{Drops, ExampleFacts, RunFacts, TraceId};

use crate::prepare::task::Versions;

const SCHEMA: &str = "milvus-otel.manifest/1";

/// The flag whose value may be a secret, and what is written in its place.
pub const SECRET_FLAG: &str = "header";
const HIDDEN: &str = "…";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: String,
    pub run: String,
    /// RFC 3339, UTC.
    pub started: String,
    pub command: Vec<String>,
    pub stack: StackManifest,
    /// It was judged by the rules that need no contract.
    #[serde(default)]
    pub general_rules: bool,
    /// Its one program doesn't say whose its spans are.
    #[serde(default)]
    pub unclaimed: bool,
    pub examples: Vec<ExampleManifest>,
    pub drops: DropsManifest,
    pub phases: Vec<PhaseManifest>,
    /// Why there is no verdict, where there is none.
    pub failure: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StackManifest {
    pub kind: String,
    pub milvus_uri: Option<String>,
    pub otlp_grpc: Option<String>,
    pub otlp_http: Option<String>,
    /// A query API that has the spans as well.
    #[serde(default)]
    pub traces_from: Option<String>,
    pub versions: Versions,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExampleManifest {
    pub name: String,
    pub folder: String,
    pub command: Vec<String>,
    /// What the runner set beside what the program inherited.
    pub environment: BTreeMap<String, String>,
    pub versions: Versions,
    /// `None` while it runs.
    pub exit: Option<Exit>,
    pub seconds: f64,
    pub trace_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DropsManifest {
    pub refused_requests: u64,
    pub dropped_spans: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseManifest {
    pub name: String,
    pub seconds: f64,
}

impl Manifest {
    pub fn new(run: &str, started: String, stack: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run: run.to_owned(),
            started,
            command: without_secrets(std::env::args().skip(1)),
            stack: StackManifest {
                kind: stack.to_owned(),
                ..StackManifest::default()
            },
            general_rules: false,
            unclaimed: false,
            examples: Vec::new(),
            drops: DropsManifest::default(),
            phases: Vec::new(),
            failure: None,
        }
    }

    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).at("read", path)?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(format!(
                "`{}` is not a run's manifest: {error}",
                path.display()
            ))
            .hint("copy the capture alone to another folder to judge it without run facts")
        })?;
        if manifest.schema != SCHEMA {
            return Err(Failure::new(format!(
                "`{}` has the schema `{}`, and this version reads `{SCHEMA}`",
                path.display(),
                manifest.schema
            )));
        }
        Ok(manifest)
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        disk::write_json(path, self)
    }

    /// What the engine gets to know of the run.
    pub fn facts(&self) -> RunFacts {
        RunFacts {
            run: (!self.unclaimed).then(|| self.run.clone()),
            examples: self
                .examples
                .iter()
                .map(|example| ExampleFacts {
                    name: example.name.clone(),
                    exit: exit_fact(example.exit.unwrap_or(Exit::NotStarted)),
                    trace_id: example.trace_id.as_deref().and_then(parse_trace_id),
                })
                .collect(),
            server_is_own: matches!(self.stack.kind.as_str(), "embedded" | "compose" | "kept"),
            server_version: self.stack.versions.get("milvus").cloned(),
            drops: Drops {
                refused_requests: self.drops.refused_requests,
                dropped_spans: self.drops.dropped_spans,
            },
        }
    }
}

impl From<&trace_report::Phase> for PhaseManifest {
    fn from(phase: &trace_report::Phase) -> Self {
        Self {
            name: phase.name.clone(),
            seconds: phase.seconds,
        }
    }
}

/// An exit as the engine has it.
pub fn exit_fact(exit: Exit) -> trace_parity::Exit {
    match exit {
        Exit::Code(code) => trace_parity::Exit::Code(code),
        Exit::Signal(signal) => trace_parity::Exit::Signal(signal),
        Exit::TimedOut => trace_parity::Exit::TimedOut,
        Exit::NotStarted => trace_parity::Exit::NotStarted,
    }
}

/// A command line with the values of its secret flags hidden. Words after `--` are a program's own.
fn without_secrets(words: impl Iterator<Item = String>) -> Vec<String> {
    let flag = format!("--{SECRET_FLAG}");
    let (mut is_value, mut ours) = (false, true);
    words
        .map(|word| {
            ours &= word != "--";
            if std::mem::replace(&mut is_value, ours && word == flag) {
                return HIDDEN.to_owned();
            }
            match word.split_once('=') {
                Some((name, _)) if ours && name == flag => format!("{flag}={HIDDEN}"),
                _ => word,
            }
        })
        .collect()
}

fn parse_trace_id(hex: &str) -> Option<TraceId> {
    let fits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| {
        u128::from_str_radix(hex, 16)
            .ok()
            .map(|id| TraceId(id.to_be_bytes()))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_on_the_command_line_is_not_kept() {
        let check = |line: &str, expected: &str| {
            let kept = without_secrets(line.split(' ').map(str::to_owned));
            assert_eq!(kept.join(" "), expected);
        };
        check(
            "run-all --header a:hush --jobs 2",
            "run-all --header … --jobs 2",
        );
        check("run-all --header=a:hush", "run-all --header=…");
        check("run-all --header", "run-all --header");
        check("exec -- curl --header x", "exec -- curl --header x");
    }
}
