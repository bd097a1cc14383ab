//! Free ports, and the tutorial's.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// Below the range that systems take outgoing connections' ports from, so that nothing slips in between
/// finding a port free and the server's listening on it.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Every port that the embedded server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ports {
    pub proxy: u16,
    pub proxy_internal: u16,
    /// Health and metrics.
    pub metrics: u16,
    pub etcd: u16,
    pub etcd_peer: u16,
    pub root_coord: u16,
    pub query_coord: u16,
    pub query_node: u16,
    pub index_coord: u16,
    pub index_node: u16,
    pub data_coord: u16,
    pub data_node: u16,
}

/// Where the tutorial's Milvus and its programs expect everything to be.
pub(crate) const TUTORIAL: Ports = Ports {
    proxy: 19530,
    proxy_internal: 19529,
    metrics: 9091,
    etcd: 2379,
    etcd_peer: 2380,
    root_coord: 53100,
    query_coord: 19531,
    query_node: 21123,
    index_coord: 22930,
    index_node: 21121,
    data_coord: 13333,
    data_node: 21124,
};

/// The tutorial's OTLP endpoints: gRPC and HTTP.
pub(crate) const TUTORIAL_OTLP: (u16, u16) = (4317, 4318);

impl Ports {
    /// Ports that nobody listens on now.
    pub(crate) fn free() -> Result<Self> {
        let mut free = free_ports();
        let mut next = || {
            free.next().ok_or_else(|| {
                Failure::new(format!(
                    "no free port between {} and {}",
                    RANGE.start, RANGE.end
                ))
            })
        };
        Ok(Self {
            proxy: next()?,
            proxy_internal: next()?,
            metrics: next()?,
            etcd: next()?,
            etcd_peer: next()?,
            root_coord: next()?,
            query_coord: next()?,
            query_node: next()?,
            index_coord: next()?,
            index_node: next()?,
            data_coord: next()?,
            data_node: next()?,
        })
    }

    /// What each port is for, by Milvus's own names.
    pub(crate) fn named(&self) -> [(&'static str, u16); 12] {
        [
            ("proxy", self.proxy),
            ("proxy_internal", self.proxy_internal),
            ("metrics", self.metrics),
            ("etcd", self.etcd),
            ("etcd_peer", self.etcd_peer),
            ("root_coord", self.root_coord),
            ("query_coord", self.query_coord),
            ("query_node", self.query_node),
            ("index_coord", self.index_coord),
            ("index_node", self.index_node),
            ("data_coord", self.data_coord),
            ("data_node", self.data_node),
        ]
    }

    /// Fails, naming them, where some are taken.
    pub(crate) fn check_free(&self) -> Result<()> {
        check_free(&self.named())
    }
}

/// Fails where some of the stack's ports are taken, naming them and their holders.
pub(crate) fn check_free(ports: &[(&str, u16)]) -> Result<()> {
    let taken: Vec<String> = ports
        .iter()
        .filter(|(_, port)| !is_free(*port))
        .map(|(name, port)| format!("{port} ({name}){}", held_by(*port)))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("ports that the stack needs are taken: {}", taken.join(", ")))
        .hint("another Milvus may be running: `cargo xtask status` tells of ours, `cargo xtask down` stops it; `ss -ltnp` or `lsof -i` names any other"))
}

/// `, held by process 4711 (python3)`, or nothing where the system doesn't tell.
pub(crate) fn held_by(port: u16) -> String {
    match holder(port) {
        Some((pid, name)) => format!(", held by process {pid} ({name})"),
        None => String::new(),
    }
}

/// The process that listens on a port, where this user may know.
fn holder(port: u16) -> Option<(u32, String)> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.into_iter().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = std::fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files.find(|file| {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            sockets
                .iter()
                .any(|socket| target.as_os_str() == socket.as_str())
        })?;
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some((pid, name.trim().to_owned()))
    })
}

/// The listening sockets of a port in one of the kernel's tables, as `/proc/PID/fd` names them.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local_port) = local.rsplit_once(':')?;
        let is_it = *state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port);
        is_it.then(|| format!("socket:[{inode}]"))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// So many ports that nobody listens on now.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let found: Vec<u16> = free_ports().take(count).collect();
    if found.len() == count {
        return Ok(found);
    }
    Err(Failure::new(format!(
        "no {count} free ports between {} and {}",
        RANGE.start, RANGE.end
    )))
}

fn free_ports() -> impl Iterator<Item = u16> {
    let size = u64::from(RANGE.end - RANGE.start);
    // Two runs that begin at once look in different places first.
    let begin = RandomState::new().hash_one(std::process::id()) % size;
    (0..size)
        .map(move |step| RANGE.start + u16::try_from((begin + step) % size).unwrap_or_default())
        .filter(|port| !is_of_tutorial(*port) && is_free(*port))
}

/// The tutorial's ports are left to `up` and to what others run on them.
fn is_of_tutorial(port: u16) -> bool {
    TUTORIAL.named().iter().any(|(_, taken)| *taken == port)
}

/// Milvus listens on every interface, so a port that is taken on any of them is taken.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        if cfg!(target_os = "linux") {
            let said = held_by(port);
            let expected = format!(", held by process {} (", std::process::id());
            assert!(said.starts_with(&expected), "{said}");
        }
        drop(listener);
        assert_eq!(held_by(port), "");
    }
}
