//! Where the command is given: the workspace, and paths as seen from the current folder.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use harness::Workspace;
use supervise::{Failure, Result};

/// The program whose command runs.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The command as it is typed, such as `cargo xtask`.
    pub program: &'static str,
    /// The workspace of a program that is called in a folder.
    pub workspace: fn(&Path, &'static str) -> Result<Workspace>,
}

static CALLER: OnceLock<Caller> = OnceLock::new();

pub(crate) fn set_caller(caller: Caller) {
    let _ = CALLER.set(caller);
}

fn caller() -> Caller {
    *CALLER.get().expect("`begin` comes before any command")
}

/// The command as it is typed.
pub fn program() -> &'static str {
    caller().program
}

/// The text with the caller's name in place of `{program}`.
pub fn named(text: &str) -> String {
    text.replace(harness::PROGRAM, program())
}

/// The workspace of the current folder.
pub fn workspace() -> Result<Workspace> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(format!("the current folder can't be read: {error}")))?;
    (caller().workspace)(&here, program())
}

/// The checkout around a folder; anywhere else, the folder itself.
pub fn here(folder: &Path, program: &'static str) -> Result<Workspace> {
    Workspace::find(folder, program).or_else(|_| Workspace::of_folder(folder, program))
}

/// The path as seen from here, where that is shorter.
pub fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .map_or_else(|_| path.to_owned(), Path::to_owned)
}
