//! The stored result of a variant: a folder with capture, manifest, logs and this record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use harness::prepare::task::Versions;
use harness::run::judge::{self, CaptureArgument, Judged};
use serde::{Deserialize, Serialize};
use supervise::{Exit, IoContext, Result, disk, log};
use trace_parity::{Contract, Kind, Span, Traces, Verdict};

use crate::around::Around;
use crate::diagnosis::Unready;
use crate::outcome::{self, Cause, Outcome};
use crate::plan::ProgramPlan;

const SCHEMA: &str = "milvus-otel.measured/1";
const UNFINISHED: &str = "milvus-otel.unfinished/1";

/// The facts of one measurement. They are judged each time they are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub schema: String,
    pub fingerprint: String,
    /// RFC 3339, UTC.
    pub measured: String,
    pub versions: Versions,
    pub unready: Option<Unready>,
    pub exit: Option<Exit>,
    pub prepare_seconds: f64,
    pub run_seconds: f64,
}

/// A record and its judgment.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub record: Record,
    pub outcome: Outcome,
    /// The rules of the findings at warning or worse, sorted.
    pub rules: Vec<String>,
    pub cause: Option<Cause>,
    /// A description in one line, if there is no trace. Unescaped.
    pub message: Option<String>,
    pub verdict: Option<Verdict>,
    /// The names and attribute names of the client's calls.
    pub names: BTreeSet<String>,
    /// What a program's instrumentation adds to its calls.
    pub around: Option<Around>,
}

/// A measurement in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    schema: String,
    /// RFC 3339, UTC. Later results belong to this measurement.
    pub began: String,
    pub variants: Vec<String>,
}

impl Record {
    pub(crate) fn new(fingerprint: String, versions: Versions) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            fingerprint,
            measured: harness::time::now(),
            versions,
            unready: None,
            exit: None,
            prepare_seconds: 0.0,
            run_seconds: 0.0,
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        disk::write_json(&path(folder), self)
    }

    /// The record in a variant's folder; `None` if there is none that this version can read.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(path(folder)).ok()?).ok()?;
        (record.schema == SCHEMA).then_some(record)
    }

    pub(crate) fn is_since(&self, began: &str) -> bool {
        let time = |text: &str| text.parse::<DateTime<Utc>>().ok();
        let times = time(&self.measured).zip(time(began));
        times.is_some_and(|(measured, began)| measured >= began)
    }

    /// Judges the capture, as `compare` of the folder does.
    pub(crate) fn judge(
        self,
        folder: &Path,
        contract: &Contract,
        program: Option<&ProgramPlan>,
    ) -> Result<Measured> {
        if let Some(unready) = &self.unready {
            return Ok(Measured {
                outcome: unready.outcome,
                rules: Vec::new(),
                cause: Some(unready.cause),
                message: Some(unready.message.clone()),
                verdict: None,
                names: BTreeSet::new(),
                around: None,
                record: self,
            });
        }
        let contract = program.is_none().then_some(contract);
        let Judged { run, traces, .. } = judged(folder, contract)?;
        let verdict = run.verdict;
        let (outcome, rules) = outcome::of_verdict(&verdict);
        let (cause, message) = match (outcome, self.exit) {
            (Outcome::CouldNotRun, Some(Exit::TimedOut)) => (Some(Cause::TimedOut), None),
            (Outcome::CouldNotRun, _) => (Some(Cause::ProgramFailed), failed_line(folder)),
            _ => (None, None),
        };
        Ok(Measured {
            record: self,
            outcome,
            rules,
            cause,
            message,
            verdict: Some(verdict),
            names: names(&traces),
            around: program.map(|program| Around::of(&traces, &program.texts)),
        })
    }
}

fn names(traces: &Traces) -> BTreeSet<String> {
    let spans = traces.iter().flat_map(|trace| trace.spans());
    // Milvus's own services call each other, a little differently each time.
    let is_programs = |span: &Span<'_>| {
        let mut attributes = span.resource_attributes();
        attributes.any(|(name, _)| name == "milvus_otel.run")
    };
    let calls = spans.filter(|span| span.kind() == Kind::Client && is_programs(span));
    calls
        .flat_map(|call| {
            let attributes = call.attributes().map(|(name, _)| name.to_owned());
            attributes.chain([call.name().to_owned()])
        })
        .collect()
}

impl Unfinished {
    /// The interrupted measurement of this map, or a new one.
    pub(crate) fn resume_or_begin(folder: &Path, variants: Vec<String>) -> Result<(Self, bool)> {
        let path = folder.join("unfinished.json");
        let found: Option<Self> = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(found) =
            found.filter(|found| found.schema == UNFINISHED && found.variants == variants)
        {
            return Ok((found, true));
        }
        let new = Self {
            schema: UNFINISHED.to_owned(),
            began: harness::time::now(),
            variants,
        };
        std::fs::create_dir_all(folder).at("make", folder)?;
        disk::write_json(&path, &new)?;
        Ok((new, false))
    }

    pub(crate) fn finish(folder: &Path) {
        let _ = std::fs::remove_file(folder.join("unfinished.json"));
    }
}

/// Judges a variant's capture with the run facts beside it.
pub(crate) fn judged(folder: &Path, contract: Option<&Contract>) -> Result<Judged> {
    let capture = CaptureArgument {
        name: None,
        path: folder.to_owned(),
    };
    judge::compare(
        harness::PROGRAM,
        &[capture],
        &match contract {
            Some(contract) => judge::Rules::Contract(Box::new(contract.clone())),
            None => judge::Rules::General,
        },
        &judge::Selection::default(),
    )
}

fn path(folder: &Path) -> PathBuf {
    folder.join("record.json")
}

/// Text in lines that report a failure, the most significant first.
const TELLING: [&str; 4] = ["failed:", "Error: ", "Exception: ", "error: "];

/// The line of a program's output that reports the failure, otherwise the last line.
fn failed_line(folder: &Path) -> Option<String> {
    let lines = log::tail(&folder.join("program.log"), 200);
    let with = |sign: &&str| lines.iter().find(|line| line.contains(*sign));
    let said = |line: &&String| !line.trim().is_empty() && !line.starts_with("trace_id=");
    TELLING
        .iter()
        .find_map(with)
        .or_else(|| lines.iter().rev().find(said))
        .cloned()
}
