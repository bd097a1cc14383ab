//! The ports of the stack: the tutorial's, and free ones.

use supervise::{Failure, Result, ports};

/// The purpose of each of the embedded server's ports, by Milvus's own names.
const NAMES: [&str; 12] = [
    "proxy",
    "proxy_internal",
    "metrics",
    "etcd",
    "etcd_peer",
    "root_coord",
    "query_coord",
    "query_node",
    "index_coord",
    "index_node",
    "data_coord",
    "data_node",
];

/// Every port that the embedded server listens on, in the order of `NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports([u16; 12]);

/// The ports that the tutorial's Milvus and its programs use.
pub const TUTORIAL: Ports = Ports([
    19530, 19529, 9091, 2379, 2380, 53100, 19531, 21123, 22930, 21121, 13333, 21124,
]);

/// The tutorial's OTLP endpoints: gRPC and HTTP.
pub const TUTORIAL_OTLP: (u16, u16) = (4317, 4318);

impl Ports {
    /// Ports that nobody listens on now.
    pub fn free() -> Result<Self> {
        let mut ports = [0; 12];
        ports.copy_from_slice(&free(NAMES.len())?);
        Ok(Self(ports))
    }

    /// The same ports, with another one for clients.
    pub fn with_proxy(mut self, port: u16) -> Self {
        self.0[0] = port;
        self
    }

    pub const fn proxy(&self) -> u16 {
        self.0[0]
    }

    /// Health and metrics.
    pub const fn metrics(&self) -> u16 {
        self.0[2]
    }

    pub const fn etcd(&self) -> u16 {
        self.0[3]
    }

    pub const fn etcd_peer(&self) -> u16 {
        self.0[4]
    }

    pub fn named(&self) -> [(&'static str, u16); 12] {
        std::array::from_fn(|at| (NAMES[at], self.0[at]))
    }

    /// Fails, naming them, where some are taken.
    pub fn check_free(&self) -> Result<()> {
        check_free(&self.named())
    }
}

/// Fails where some of the stack's ports are taken, naming them and their holders.
pub fn check_free(named: &[(&str, u16)]) -> Result<()> {
    let taken: Vec<String> = named
        .iter()
        .filter(|(_, port)| !ports::is_free(*port))
        .map(|(name, port)| format!("{port} ({name}){}", ports::held_by(*port)))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("ports that the stack needs are taken: {}", taken.join(", ")))
        .hint("another Milvus may be running: `{program} status` shows ours, `{program} down` stops it; `ss -ltnp` or `lsof -i` shows any other"))
}

/// Ports that are free now, without the tutorial's, which are for `up`.
pub fn free(count: usize) -> Result<Vec<u16>> {
    ports::free(count, &TUTORIAL.named().map(|(_, port)| port))
}
