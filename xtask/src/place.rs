//! Where the command is given: the checkout, and paths as seen from the current folder.

use std::path::{Path, PathBuf};

use harness::Workspace;
use supervise::{Failure, Result};

pub(crate) fn workspace() -> Result<Workspace> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(format!("the current folder can't be read: {error}")))?;
    Workspace::find(&here).or_else(|failure| {
        // Called by its path, from a project of the user's: it belongs to the checkout that it was built in.
        let own = std::env::current_exe().ok();
        own.and_then(|own| Workspace::find(&own).ok())
            .ok_or(failure)
    })
}

/// The path as seen from here, where that is shorter.
pub(crate) fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .map_or_else(|_| path.to_owned(), Path::to_owned)
}
