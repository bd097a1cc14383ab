//! The error type: problem, place, and what to do.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// An error that prevents a result. The process exits with 2, or with 130 or 143 if it was interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    /// Further lines, such as the end of a log. Unescaped.
    pub detail: Vec<String>,
    pub hint: Option<String>,
    #[serde(skip)]
    pub interrupted: Option<Interrupt>,
}

/// The signal that interrupted a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    CtrlC,
    Terminate,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            detail: Vec::new(),
            hint: None,
            interrupted: None,
        }
    }

    pub fn interrupted(by: Interrupt) -> Self {
        Self {
            interrupted: Some(by),
            ..Self::new(match by {
                Interrupt::CtrlC => "interrupted",
                Interrupt::Terminate => "stopped by SIGTERM",
            })
        }
    }

    #[must_use]
    pub fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.interrupted {
            None => 2,
            Some(Interrupt::CtrlC) => 130,
            Some(Interrupt::Terminate) => 143,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The error and its sources, as `outer: inner`. A source that an error already names isn't repeated.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text += &format!(": {said}");
        }
        source = inner.source();
    }
    text
}

/// Adds the operation and the path to an I/O error.
pub trait IoContext<T> {
    fn at(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let failure = Failure::new(format!("can't {doing} `{}`: {error}", path.display()));
            match error.kind() {
                ErrorKind::StorageFull => {
                    failure.hint("free some space, then run the same command again")
                }
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    failure.hint("make it writable, then run the same command again")
                }
                _ => failure,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Outer(&'static str, io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn a_chain_names_each_source_once() {
        let check = |outer, expected: &str| {
            let inner = io::Error::other("the pipe is closed");
            assert_eq!(chain(&Outer(outer, inner)), expected);
        };
        check("can't send", "can't send: the pipe is closed");
        check(
            "can't send: the pipe is closed",
            "can't send: the pipe is closed",
        );
    }
}
