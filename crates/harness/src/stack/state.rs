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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub backend: Backend,
    /// It asks its clients who they are.
    pub auth: bool,
    /// The origins whose web pages may send spans.
    pub allowed_origins: Vec<String>,
    /// Texts that are kept out of all that is written.
    pub redact: Vec<String>,
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
    /// The origins whose web pages may send spans.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
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
    pub fn check_is(&self, kind: &Kept) -> Result<()> {
        let is_allowed = |origin: &String| self.allowed_origins.contains(origin);
        let other_origin = kind.allowed_origins.iter().find(|one| !is_allowed(one));
        let lacks = [
            (
                kind.auth && self.token.is_none(),
                "asks for no token",
                "--auth".to_owned(),
            ),
            (
                kind.backend == Backend::Jaeger && self.traces_from.is_none(),
                "has no Jaeger",
                "--backend jaeger".to_owned(),
            ),
            (
                other_origin.is_some(),
                "accepts no spans from web pages of that origin",
                format!("--allow-origin {}", other_origin.map_or("", String::as_str)),
            ),
            // Its texts are written nowhere, so they can't be compared.
            (
                !kind.redact.is_empty(),
                "may keep that text",
                "--redact TEXT".to_owned(),
            ),
        ];
        match lacks.into_iter().find(|(is_lacking, ..)| *is_lacking) {
            None => Ok(()),
            Some((_, lack, flag)) => Err(Failure::new(format!("the stack that is up {lack}"))
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
            allowed_origins: vec!["http://localhost:3000".to_owned()],
        }
    }

    #[test]
    fn a_stack_that_lacks_what_is_asked_for_is_no_answer() {
        let with = |token: bool, jaeger: bool| StackState {
            token: token.then(PathBuf::new),
            traces_from: jaeger.then(String::new),
            ..state(1)
        };
        let check_kind = |state: &StackState, kind: &Kept, message: Option<&str>| {
            let failure = state.check_is(kind).err();
            assert_eq!(failure.map(|one| one.message).as_deref(), message);
        };
        let check = |state: StackState, auth, backend, message: Option<&str>| {
            let kind = Kept {
                backend,
                auth,
                ..Kept::default()
            };
            check_kind(&state, &kind, message);
        };
        let from = |origin: &str| Kept {
            allowed_origins: vec![origin.to_owned()],
            ..Kept::default()
        };
        check_kind(&state(1), &from("http://localhost:3000"), None);
        check_kind(
            &state(1),
            &from("http://localhost:3001"),
            Some("the stack that is up accepts no spans from web pages of that origin"),
        );
        let redacting = Kept {
            redact: vec!["hush".to_owned()],
            ..Kept::default()
        };
        check_kind(
            &state(1),
            &redacting,
            Some("the stack that is up may keep that text"),
        );
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
