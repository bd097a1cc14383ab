//! The one filled value that all reporters render.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use trace_parity::{Exit, Signals, Verdict};

/// A finished run, or a comparison of captures.
///
/// The harness fills it, and reporters need nothing else.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command that the reader types, such as `cargo xtask`. A `{program}` in a hint stands for it.
    pub program: String,
    /// The arguments after [`program`](Self::program) that repeat this run, without secrets. Empty if unknown.
    pub arguments: Vec<String>,
    pub subject: Subject,
    /// `20261122T101502Z-4f2a9c`; `None` for `compare`.
    pub id: Option<String>,
    /// The run's folder; `None` for `compare`.
    pub folder: Option<PathBuf>,
    /// Such as `Milvus 2.3.5 embedded`; `None` for `compare`.
    pub stack: Option<String>,
    pub verdict: Verdict,
    /// Facts about the run that are no findings but help to understand them.
    pub notes: Vec<Note>,
    /// Seconds from start to finish; `None` for `compare`.
    pub wall_seconds: Option<f64>,
    /// Metrics and logs beside the spans; `None` where there are none.
    pub signals: Option<Arc<Signals>>,
    /// In the order they began.
    pub phases: Vec<Phase>,
    /// One per started example, in report order; empty for `compare`.
    pub examples: Vec<ExampleRun>,
}

/// The subject of the verdict, which decides the wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The project's examples, which all do the same.
    Examples,
    /// The user's own programs, or captures of any programs.
    Programs,
}

/// A fact about the run that the reader should know. Unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub kind: NoteKind,
    /// The example that it is about; `None` for the whole run.
    pub example: Option<String>,
    /// A sentence or two.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// Versions that are known not to work, or not together.
    Versions,
    /// The environment changes the content or the target of the export.
    Environment,
    /// Anything else.
    General,
}

#[derive(Clone, Debug)]
pub struct Phase {
    pub name: String,
    pub seconds: f64,
}

/// The process of one example.
#[derive(Clone, Debug)]
pub struct ExampleRun {
    pub name: String,
    /// The program and its arguments, without secrets. Empty if unknown.
    pub command: Vec<String>,
    pub exit: Exit,
    pub seconds: f64,
    /// Resolved versions by package name.
    pub versions: BTreeMap<String, String>,
    /// The last lines of its output, oldest first. Unescaped.
    pub log_tail: Vec<String>,
    /// The whole output.
    pub log: Option<PathBuf>,
}

impl Run {
    /// A comparison of captures: a verdict without a run behind it.
    pub fn comparison(program: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            subject: Subject::Programs,
            id: None,
            folder: None,
            stack: None,
            verdict,
            notes: Vec::new(),
            wall_seconds: None,
            signals: None,
            phases: Vec::new(),
            examples: Vec::new(),
        }
    }
}

impl Note {
    /// A note about the whole run.
    pub fn new(kind: NoteKind, text: String) -> Self {
        Self {
            kind,
            example: None,
            text,
        }
    }
}

impl NoteKind {
    /// The name in `report.json`, which is also the type of its JUnit case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Environment => "environment",
            Self::General => "general",
        }
    }
}
