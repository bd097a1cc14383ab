//! The one filled value that all reporters render.

use std::collections::BTreeMap;
use std::path::PathBuf;

use trace_parity::{Exit, Verdict};

/// One finished run, or one comparison of captures, ready to be shown.
///
/// The harness fills it; a reporter asks nobody anything else.
#[derive(Clone, Debug)]
pub struct Run {
    /// `20261122T101502Z-4f2a9c`; `None` for `compare`.
    pub id: Option<String>,
    /// The run's folder; `None` for `compare`.
    pub folder: Option<PathBuf>,
    /// Such as `Milvus 2.3.5 embedded`; `None` for `compare`.
    pub stack: Option<String>,
    pub verdict: Verdict,
    /// Seconds from start to finish; `None` for `compare`.
    pub wall_seconds: Option<f64>,
    /// In the order they began.
    pub phases: Vec<Phase>,
    /// One per started example, in report order; empty for `compare`.
    pub examples: Vec<ExampleRun>,
}

#[derive(Clone, Debug)]
pub struct Phase {
    pub name: String,
    pub seconds: f64,
}

/// What the harness knows of one example's process.
#[derive(Clone, Debug)]
pub struct ExampleRun {
    pub name: String,
    pub exit: Exit,
    pub seconds: f64,
    /// Resolved versions by package name.
    pub versions: BTreeMap<String, String>,
    /// The last lines of its output, oldest first. Unescaped.
    pub log_tail: Vec<String>,
    /// The whole output.
    pub log: Option<PathBuf>,
}
