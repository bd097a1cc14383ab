//! The settings of a capture: addresses, files, limits.

use crate::forward::Forward;
use crate::schema::Signal;
use crate::secrets::Secrets;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Called with each line, without its line feed, after it is written.
pub type Observer = Box<dyn FnMut(Signal, &[u8]) + Send>;

/// The addresses to listen on, the files to write, and the limits.
pub struct Config {
    /// The address for OTLP/gRPC; port 0 selects a free port.
    pub grpc: SocketAddr,
    /// The address for OTLP/HTTP; port 0 selects a free port.
    pub http: SocketAddr,
    /// The directory of the files. It is created if it doesn't exist. Existing files are appended
    /// to.
    pub dir: PathBuf,
    /// Limits on requests, memory and connections.
    pub limits: Limits,
    /// When to start a new file; `None`: never.
    pub rotation: Option<Rotation>,
    /// The receiver to which stored requests are forwarded; `None`: nowhere.
    pub forward: Option<Forward>,
    /// Texts that are replaced with stars everywhere in a request before it is stored, forwarded or
    /// quoted.
    pub secrets: Secrets,
    /// Origins whose web pages may send (CORS), such as `http://localhost:3000`; `*` allows any.
    /// Default: none.
    pub allowed_origins: Vec<String>,
    /// Called with each line on the writer's thread, so it delays the writing.
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

/// Limits on requests, memory and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request as it is received. Default: 64 MiB, as OTLP recommends.
    pub received_bytes: usize,
    /// Bytes of a request after decompression. Default: 64 MiB, as OTLP recommends.
    pub decompressed_bytes: usize,
    /// Bytes of all requests that are being received or waiting to be written. A single request may
    /// exceed it if it is alone. Default: 32 MiB.
    pub queue_bytes: usize,
    /// Concurrent connections, for gRPC and HTTP each. Further ones are closed immediately.
    /// Default: 256.
    pub connections: usize,
    /// The number of senders with their own account. Further senders share one. Default: 256.
    pub senders: usize,
    /// The time limit for receiving one request. Default: 30 s.
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

/// When to start a new file: `capture.jsonl` becomes `capture-1.jsonl`, that becomes
/// `capture-2.jsonl`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The maximum size of a file, unless a single line is larger.
    pub max_bytes: u64,
    /// The number of older files to keep for each signal.
    pub keep: u32,
}
