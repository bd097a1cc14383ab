//! The failures of a capture as a whole; a request's are in `refusal.rs`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why a capture couldn't start, or didn't stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken, or can't be used.
    #[error("cannot listen on `{address}` for OTLP over {protocol}: {source}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// `gRPC` or `HTTP`.
        protocol: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file can't be created.
    #[error("cannot write `{path}`: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The address for forwarding is invalid.
    #[error("cannot forward to `{endpoint}`: {reason}")]
    Forward {
        /// The requested address.
        endpoint: String,
        /// The problem.
        reason: &'static str,
    },
    /// The observer panicked. Nothing was written after that.
    #[error("the writer of the captured requests panicked")]
    WriterPanicked,
}
