//! What was looked at and what was found.

use std::path::PathBuf;

use harness::Workspace;
use harness::stack::state::StackState;
use serde::Serialize;

/// The format of [`Examination`] as JSON.
pub(super) const SCHEMA: &str = "milvus-otel.doctor/1";

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub status: Status,
    /// What was found, as a fragment. Unescaped.
    pub found: String,
    /// What to do, where there is anything to do.
    pub cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Worth knowing; it stops nothing.
    Note,
    /// It would stop the next `run-all`, or the traces of a stack that is up.
    Fault,
}

/// All that was looked at, in the order of the looking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    pub schema: &'static str,
    pub checks: Vec<Check>,
}

/// What the checks look at.
pub(super) struct Patient {
    pub(super) workspace: Workspace,
    /// The user's own project: the current folder and those in it.
    pub(super) folders: Vec<PathBuf>,
    pub(super) up: Option<StackState>,
}

impl Examination {
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("an examination is strings")
    }

    /// Whether nothing would stop the next run, or the traces of a stack that is up.
    pub fn is_healthy(&self) -> bool {
        self.checks.iter().all(|check| check.status < Status::Fault)
    }
}

impl Check {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            found: found.into(),
            cure: None,
        }
    }

    pub(super) fn with_cure(
        status: Status,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            status,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }
}
