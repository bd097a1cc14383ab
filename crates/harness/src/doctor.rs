//! What is wrong with this machine, this project or the stack that is up, each with its cure.

mod checks;
mod milvus_config;

use std::path::PathBuf;

use serde::Serialize;

use crate::failure::{IoContext, Result};
use crate::stack::{self, StackState};
use crate::workspace::Workspace;

/// The format of [`Examination`] as JSON.
const SCHEMA: &str = "milvus-otel.doctor/1";

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
struct Patient {
    workspace: Workspace,
    /// The user's own project: the current folder and those in it.
    folders: Vec<PathBuf>,
    up: Option<StackState>,
}

impl Examination {
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Whether nothing would stop the next run, or the traces of a stack that is up.
    pub fn is_healthy(&self) -> bool {
        self.checks.iter().all(|check| check.status < Status::Fault)
    }
}

impl Check {
    fn ok(found: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            found: found.into(),
            cure: None,
        }
    }

    fn with_cure(status: Status, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }
}

/// Looks at everything.
pub async fn doctor(workspace: &Workspace) -> Result<Examination> {
    let patient = Patient {
        workspace: workspace.clone(),
        folders: project_folders()?,
        up: stack::status(workspace)?,
    };
    let mut checks = Vec::new();
    for look in checks::LOOKS {
        checks.extend(look(&patient));
    }
    checks.extend(checks::stack_that_is_up(&patient).await);
    Ok(Examination {
        schema: SCHEMA,
        checks,
    })
}

/// The current folder and those directly in it, but what is hidden or built.
fn project_folders() -> Result<Vec<PathBuf>> {
    let here = PathBuf::from(".");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&here)
        .at("read", &here)?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            entry.path().is_dir()
                && !name.starts_with('.')
                && !["target", "node_modules"].contains(&name.as_ref())
        })
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders.insert(0, here);
    Ok(folders)
}
