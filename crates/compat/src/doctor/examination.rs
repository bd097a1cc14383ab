//! The results of the checks.

use std::path::PathBuf;

use harness::Workspace;
use harness::stack::state::StackState;
use serde::Serialize;

/// The format of [`Examination`] as JSON.
pub(super) const SCHEMA: &str = "milvus-otel.doctor/1";

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub status: Status,
    /// The finding, as a lower-case fragment. Unescaped.
    pub found: String,
    /// The fix, if there is one.
    pub cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Worth knowing, but nothing fails because of it.
    Note,
    /// It would make the next `run-all` fail, or lose traces of a stack that is up.
    Fault,
}

/// All results, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    pub schema: &'static str,
    pub checks: Vec<Check>,
}

/// The subjects of the checks.
pub(super) struct Patient {
    pub(super) workspace: Workspace,
    /// The user's project: the current folder and the folders in it.
    pub(super) folders: Vec<PathBuf>,
    pub(super) up: Option<StackState>,
}

impl Examination {
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("an examination is strings")
    }

    /// Whether nothing would make the next run fail, or lose traces of a stack that is up.
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
