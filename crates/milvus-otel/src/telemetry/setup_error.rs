//! The failures of a set-up.

use std::io;

/// Why the set-up failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The environment asks for an exporter that can't be made.
    #[error("cannot make an exporter: {0}")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no thread for the exporter.
    #[error("cannot start the thread that sends spans: {0}")]
    Thread(#[source] io::Error),
    /// A variable has a value that means nothing here.
    #[error("`{variable}` is `{value}`, which is none of {known}")]
    #[non_exhaustive]
    Unknown {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        known: &'static str,
    },
}
