//! The state of a stack that is kept up, and its files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use supervise::{Failure, Result, locks, processes};

use crate::PROGRAM;
use crate::stack::authorization::Token;
use crate::stack::jaeger::Backend;
use crate::workspace::Workspace;

pub const SCHEMA: &str = "milvus-otel.stack/1";

/// The kind of a stack that is kept up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub backend: Backend,
    /// It asks its clients who they are.
    pub auth: bool,
}

/// A stack that is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackState {
    pub schema: String,
    pub pid: i32,
    /// RFC 3339, UTC.
    pub since: String,
    /// Such as `Milvus 2.3.5 embedded`.
    pub stack: String,
    pub milvus_uri: String,
    pub otlp_grpc: String,
    pub otlp_http: String,
    /// The folder that the capture writes to.
    pub folder: PathBuf,
    /// Jaeger's query API, where spans are sent on to one.
    #[serde(default)]
    pub traces_from: Option<String>,
    /// The file with the clients' token, if Milvus requires one.
    #[serde(default)]
    pub token: Option<PathBuf>,
}

/// The state of this checkout's stack; `None` where none is up.
pub fn status(workspace: &Workspace) -> Result<Option<StackState>> {
    if !is_held(workspace) {
        return Ok(None);
    }
    read_state(workspace)
}

impl StackState {
    /// The id of its run. The data folder of that name is the stack's: an empty name would be the folder of all.
    pub fn run(&self) -> Result<&Path> {
        let name = self.folder.file_name().map(Path::new);
        name.ok_or_else(|| {
            Failure::new(format!(
                "`{}` isn't the folder of a stack",
                self.folder.display()
            ))
        })
    }

    /// The memory of all its processes, in bytes; `None` if the system doesn't report it.
    pub fn memory(&self) -> Option<u64> {
        processes::memory(self.pid)
    }

    /// Fails if the stack lacks something that `kind` asks for.
    pub fn check_is(&self, kind: Kept) -> Result<()> {
        let asked = [
            (
                kind.auth,
                self.token.is_some(),
                "asks for no token",
                "--auth",
            ),
            (
                kind.backend == Backend::Jaeger,
                self.traces_from.is_some(),
                "has no Jaeger",
                "--backend jaeger",
            ),
        ];
        match asked
            .into_iter()
            .find(|(asked, there, ..)| *asked && !there)
        {
            None => Ok(()),
            Some((_, _, lack, flag)) => Err(Failure::new(format!("the stack that is up {lack}"))
                .hint(format!("{PROGRAM} down && {PROGRAM} up {flag}"))),
        }
    }
}

/// The token for the clients of a stack that is up.
pub fn token(state: &StackState) -> Result<Option<Token>> {
    state.token.as_deref().map(Token::read).transpose()
}

/// Removes the state of a stack that is up.
pub fn forget(workspace: &Workspace) {
    for file in [state_file(workspace), token_file(workspace)] {
        let _ = std::fs::remove_file(file);
    }
}

pub fn read_state(workspace: &Workspace) -> Result<Option<StackState>> {
    let path = state_file(workspace);
    let Ok(bytes) = std::fs::read(&path) else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::new(format!("can't read `{}`: {error}", path.display())).hint(
            "it was written by another version; end that stack with the version that started it",
        )
    })
}

pub fn is_held(workspace: &Workspace) -> bool {
    locks::is_held(&lock_file(workspace))
}

pub fn state_file(workspace: &Workspace) -> PathBuf {
    workspace.state().join("stack.json")
}

pub fn token_file(workspace: &Workspace) -> PathBuf {
    workspace.state().join("stack.token")
}

pub fn lock_file(workspace: &Workspace) -> PathBuf {
    workspace.state().join("stack.lock")
}

pub fn keeper_log(workspace: &Workspace) -> PathBuf {
    workspace.state().join("stack.log")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn state(pid: i32) -> StackState {
        StackState {
            schema: SCHEMA.to_owned(),
            pid,
            since: String::new(),
            stack: String::new(),
            milvus_uri: String::new(),
            otlp_grpc: String::new(),
            otlp_http: String::new(),
            folder: PathBuf::from("runs/one"),
            traces_from: None,
            token: None,
        }
    }

    #[test]
    fn a_stack_that_lacks_what_is_asked_for_is_no_answer() {
        let with = |token: bool, jaeger: bool| StackState {
            token: token.then(PathBuf::new),
            traces_from: jaeger.then(String::new),
            ..state(1)
        };
        let check = |state: StackState, auth, backend, message: Option<&str>| {
            let failure = state.check_is(Kept { backend, auth }).err();
            assert_eq!(failure.map(|one| one.message).as_deref(), message);
        };
        let (capture, jaeger) = (Backend::Capture, Backend::Jaeger);
        check(with(false, false), false, capture, None);
        check(with(true, true), false, capture, None);
        check(with(true, true), true, jaeger, None);
        check(
            with(false, true),
            true,
            jaeger,
            Some("the stack that is up asks for no token"),
        );
        check(
            with(true, false),
            true,
            jaeger,
            Some("the stack that is up has no Jaeger"),
        );
    }
}
