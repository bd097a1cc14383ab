//! `manifest.json`: versions and settings of a run, and the facts that aren't in its spans.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grpc_witness::FaultCount;
pub use otlp_capture::Stats;
use otlp_capture::{Program, Secrets, Sender, Who};
use otlp_signals::Signals;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use supervise::{Exit, Failure, IoContext, Result, disk};
use trace_parity::{Delivery, ExampleFacts, RefusedFacts, RunFacts, SenderFacts, TraceId, Wire};

use crate::folder::{RunFolder, WIRE_FILE};
use crate::prepare::task::Versions;
use crate::signals;

const SCHEMA: &str = "milvus-otel.manifest/1";

/// The flags whose values may be secrets, and the text that replaces them.
pub const SECRET_FLAG: &str = "header";
pub const REDACT_FLAG: &str = "redact";
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
    /// The statistics of the capture; `None` without a capture of ours.
    #[serde(default)]
    pub capture: Option<Stats>,
    /// Whether every call had its server span and nothing more came before the limit of waiting ran out; `None` before that.
    #[serde(default)]
    pub settled: Option<bool>,
    /// Whether the capture had sent on all that it was to within its limit; `None` where it sends nothing on.
    #[serde(default)]
    pub forwarded: Option<bool>,
    /// How the traces differ that were read back from the store that the capture sends on to, where they do.
    #[serde(default)]
    pub read_back: Option<String>,
    /// Milvus's own metrics before and after the programs: files of the run's folder in Prometheus's text format.
    #[serde(default)]
    pub server_metrics: Vec<String>,
    /// How often each fault was played.
    #[serde(default)]
    pub faults: Vec<FaultCount>,
    pub phases: Vec<PhaseManifest>,
    /// The reason for a missing verdict.
    pub failure: Option<String>,
    /// Texts that are redacted.
    #[serde(skip)]
    pub secrets: Secrets,
    /// The calls that a witness saw, from the file beside the manifest.
    #[serde(skip)]
    pub wire: Option<Arc<Wire>>,
    /// Metrics and logs, from the files beside the manifest.
    #[serde(skip)]
    pub signals: Option<Arc<Signals>>,
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
    /// The variables that the runner set, in addition to the inherited ones.
    pub environment: BTreeMap<String, String>,
    pub versions: Versions,
    /// `None` while it runs.
    pub exit: Option<Exit>,
    pub seconds: f64,
    pub trace_id: Option<String>,
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
            capture: None,
            settled: None,
            forwarded: None,
            read_back: None,
            server_metrics: Vec::new(),
            faults: Vec::new(),
            phases: Vec::new(),
            failure: None,
            wire: None,
            signals: None,
            secrets: Secrets::default(),
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

    /// Reads a run's manifest with what only a verdict needs: what a witness recorded, metrics and logs.
    pub fn read_whole(path: &Path) -> Result<Self> {
        let folder = RunFolder::of_file(path);
        Ok(Self {
            signals: signals::read(&folder)?,
            wire: read_wire(&path.with_file_name(WIRE_FILE))?,
            ..Self::read(path)?
        })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |error: serde_json::Error| {
            Failure::new(format!("can't write `{}`: {error}", path.display()))
        };
        let mut manifest = serde_json::to_value(self).map_err(failed)?;
        redact(&mut manifest, &self.secrets);
        disk::write_json(path, &manifest)
    }

    /// The facts of the run, for the engine.
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
            server_is_own: matches!(self.stack.kind.as_str(), "embedded" | "compose"),
            server_version: self.stack.versions.get("milvus").cloned(),
            delivery: self.capture.as_ref().map(delivery),
            unsettled: self.settled == Some(false),
            read_back: self.read_back.clone(),
            wire: self.wire.clone(),
            signals: self.signals.clone(),
        }
    }
}

/// The calls that a witness saw; `None` where there is no such file.
pub fn read_wire(path: &Path) -> Result<Option<Arc<Wire>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).at("read", path)?;
    let wire = Wire::read(&text).map_err(|error| {
        Failure::new(format!(
            "`{}` is not a witness's file: {error}",
            path.display()
        ))
        .hint("copy the capture alone to another folder to judge it without the wire")
    })?;
    Ok(Some(Arc::new(wire)))
}

impl From<&trace_report::Phase> for PhaseManifest {
    fn from(phase: &trace_report::Phase) -> Self {
        Self {
            name: phase.name.clone(),
            seconds: phase.seconds,
        }
    }
}

/// Stars secrets out in every text.
fn redact(value: &mut Value, secrets: &Secrets) {
    match value {
        Value::String(text) if !secrets.is_empty() => *text = secrets.redacted(text),
        Value::Array(elements) => elements.iter_mut().for_each(|value| redact(value, secrets)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact(value, secrets)),
        _ => {}
    }
}

/// The capture's account as the engine has it.
fn delivery(stats: &Stats) -> Delivery {
    Delivery {
        senders: stats.senders.iter().map(sender_facts).collect(),
        refused_connections: stats.refused_connections,
        file_error: stats.last_file_error.clone(),
        forward_error: stats.last_forward_error.clone(),
    }
}

fn sender_facts(sender: &Sender) -> SenderFacts {
    let (name, program) = match &sender.who {
        Who::Program(program) => {
            let name = program.instance.as_ref().or(program.service.as_ref());
            let name = name.map_or_else(
                || "a program of the run".to_owned(),
                |name| format!("`{name}`"),
            );
            (name, program.clone())
        }
        Who::Peer { address, .. } => (
            format!("an unnamed sender at {address}"),
            Program::default(),
        ),
        Who::Others => ("other senders".to_owned(), Program::default()),
    };
    let account = &sender.account;
    let refused = account.refused.iter().map(|refused| RefusedFacts {
        requests: refused.requests,
        reason: refused.reason.clone(),
        user_agent: refused.user_agent.clone(),
        advice: refused.advice.clone(),
    });
    SenderFacts {
        name,
        run: program.run,
        instance: program.instance,
        service: program.service,
        requests: account.requests,
        refused: refused.collect(),
        asked_again: account.asked_again,
        missing: account.missing_requests(),
        unwritten_records: account.unwritten_records,
        unforwarded_records: account.forward.lost_records,
    }
}

/// An exit as the engine has it.
pub fn exit_fact(exit: Exit) -> trace_parity::Exit {
    match exit {
        Exit::Code(code) => trace_parity::Exit::Code(code),
        Exit::Signal(signal) => trace_parity::Exit::Signal(signal),
        Exit::TimedOut => trace_parity::Exit::TimedOut,
        Exit::NotStarted => trace_parity::Exit::NotStarted,
        Exit::Stopped => trace_parity::Exit::Stopped,
    }
}

/// A command line with the values of its secret flags hidden. Words after `--` are a program's own.
fn without_secrets(words: impl Iterator<Item = String>) -> Vec<String> {
    let is_secret = |flag: &str| {
        let name = flag.strip_prefix("--");
        name.is_some_and(|name| [SECRET_FLAG, REDACT_FLAG].contains(&name))
    };
    let (mut is_value, mut ours) = (false, true);
    words
        .map(|word| {
            ours &= word != "--";
            if std::mem::replace(&mut is_value, ours && is_secret(&word)) {
                return HIDDEN.to_owned();
            }
            match word.split_once('=') {
                Some((flag, _)) if ours && is_secret(flag) => format!("{flag}={HIDDEN}"),
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
        check("exec --redact hush -- curl", "exec --redact … -- curl");
        check("exec -- curl --header x", "exec -- curl --header x");
    }

    #[test]
    fn a_secret_is_in_no_text_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("manifest.json");
        let mut manifest = Manifest::new("run", "now".to_owned(), "embedded");
        manifest.secrets = Secrets::new(["hush \"now\" hush"]);
        manifest.failure = Some("no hush \"now\" hush here".to_owned());
        manifest.write(&path).expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains("hush"), "{text}");
        let read = Manifest::read(&path).expect("a manifest");
        assert_eq!(read.failure.as_deref(), Some("no *************** here"));
    }

    #[test]
    fn an_account_is_a_fact_and_none_is_none() {
        let mut manifest = Manifest::new("run", "now".to_owned(), "external");
        assert_eq!(manifest.facts().delivery, None);
        manifest.capture = Some(Stats {
            senders: vec![Sender {
                who: Who::Peer {
                    address: [127, 0, 0, 1].into(),
                    user_agent: None,
                },
                user_agent: None,
                account: otlp_capture::Account {
                    requests: 3,
                    asked_again: 3,
                    came_again: 1,
                    ..otlp_capture::Account::default()
                },
            }],
            ..Stats::default()
        });
        let delivery = manifest.facts().delivery.expect("a capture");
        let sender = &delivery.senders[0];
        assert_eq!(sender.name, "an unnamed sender at 127.0.0.1");
        assert_eq!((sender.asked_again, sender.missing), (3, 2));
    }
}
