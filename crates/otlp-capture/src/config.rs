//! The settings of a capture: addresses, files, limits.

use crate::forward::Forward;
use crate::schema::Signal;
use crate::secrets::Secrets;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Called with every line, without its line feed, after it was written.
pub type Observer = Box<dyn FnMut(Signal, &[u8]) + Send>;

/// What to listen on, where to write, and how much to take.
pub struct Config {
    /// Where OTLP/gRPC is received; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where OTLP/HTTP is received; port 0 takes a free one.
    pub http: SocketAddr,
    /// The directory of the files; it is made if it isn't there. Files that are there are appended
    /// to.
    pub dir: PathBuf,
    /// How much is taken at once.
    pub limits: Limits,
    /// When a new file is begun; `None`: never.
    pub rotation: Option<Rotation>,
    /// Where what was stored is sent on to; `None`: nowhere.
    pub forward: Option<Forward>,
    /// What is starred out wherever it stands in a request, before that is stored, sent on, or quoted.
    pub secrets: Secrets,
    /// Origins whose pages may send from a browser (CORS), as `http://localhost:3000`; `*` is any. Default: none.
    pub allowed_origins: Vec<String>,
    /// Sees every line, on the writer's thread: what it takes long for delays the writing.
    pub observer: Option<Observer>,
}

impl Config {
    /// Free ports on loopback, the default limits, no rotation.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let limits = Limits::default();
        Self {
            grpc: loopback,
            http: loopback,
            dir: dir.into(),
            limits,
            rotation: None,
            forward: None,
            secrets: Secrets::default(),
            allowed_origins: Vec::new(),
            observer: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("grpc", &self.grpc)
            .field("http", &self.http)
            .field("dir", &self.dir)
            .field("limits", &self.limits)
            .field("rotation", &self.rotation)
            .field("forward", &self.forward)
            .field("secrets", &self.secrets)
            .field("allowed_origins", &self.allowed_origins)
            .field("observer", &self.observer.as_ref().map(|_| ".."))
            .finish()
    }
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request as it is received. Default: 64 MiB, as OTLP recommends.
    pub received_bytes: usize,
    /// Bytes of a request after decompression. Default: 64 MiB, as OTLP recommends.
    pub decompressed_bytes: usize,
    /// Bytes of all requests that are being received or waiting to be written. A single request may
    /// exceed it, when it is alone. Default: 32 MiB.
    pub queue_bytes: usize,
    /// Connections at a time, over gRPC and HTTP each; another is closed at once. Default: 256.
    pub connections: usize,
    /// Senders whose accounts are kept apart; those of all others are summed up. Default: 256.
    pub senders: usize,
    /// How long the sending of one request may take. Default: 30 s.
    pub receive_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            received_bytes: 64 * MIB,
            decompressed_bytes: 64 * MIB,
            queue_bytes: 32 * MIB,
            connections: 256,
            senders: 256,
            receive_timeout: Duration::from_secs(30),
        }
    }
}

/// When a new file is begun: `capture.jsonl` becomes `capture-1.jsonl`, that `capture-2.jsonl`, and
/// so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size that a file doesn't exceed, unless a single line does.
    pub max_bytes: u64,
    /// How many older files are kept for each signal, besides the current one.
    pub keep: u32,
}
