//! The failures of a capture as a whole; a request's are in `refusal.rs`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a capture could not start, or not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken, or may not be used.
    #[error("cannot listen on `{address}` for OTLP over {protocol}: {source}")]
    Listen {
        /// As it was asked for.
        address: SocketAddr,
        /// `gRPC` or `HTTP`.
        protocol: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file can't be made.
    #[error("cannot write `{path}`: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What was stored can't be sent on to there.
    #[error("cannot forward to `{endpoint}`: {reason}")]
    Forward {
        /// As it was asked for.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The observer panicked, and nothing was written after that.
    #[error("the writer of the captured requests panicked")]
    WriterPanicked,
}
