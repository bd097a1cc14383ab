//! Problems of this machine, this project or the stack that is up, each with its fix.

mod checks;
mod examination;
mod milvus_config;

pub use examination::{Check, Examination, Status};

use std::path::PathBuf;

use harness::stack::state;
use harness::workspace::Workspace;
use supervise::{IoContext, Result};

use crate::doctor::examination::{Patient, SCHEMA};

/// Runs all checks.
pub async fn doctor(workspace: &Workspace) -> Result<Examination> {
    let patient = Patient {
        workspace: workspace.clone(),
        folders: project_folders()?,
        up: state::status(workspace)?,
    };
    let mut checks = checks::tools(&patient).await;
    for look in checks::LOOKS {
        checks.extend(look(&patient));
    }
    checks.extend(checks::docker_and_ports(&patient).await);
    checks.extend(checks::stack_that_is_up(&patient).await);
    Ok(Examination {
        schema: SCHEMA,
        checks,
    })
}

/// The current folder and the folders directly in it, except hidden and build folders.
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
