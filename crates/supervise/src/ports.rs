//! Free ports, and the holder of a taken one.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{Failure, Result};

/// Below the range for outgoing connections, so that no connection takes a port between the check and the server's
/// start.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// `count` ports without a listener that aren't `reserved`.
pub fn free(count: usize, reserved: &[u16]) -> Result<Vec<u16>> {
    // Two runs that begin at the same time start at different ports.
    let begin =
        RandomState::new().hash_one(std::process::id()) % u64::from(RANGE.end - RANGE.start);
    let first = RANGE.start + u16::try_from(begin).expect("it is less than the range's length");
    let found: Vec<u16> = (first..RANGE.end)
        .chain(RANGE.start..first)
        .filter(|port| !reserved.contains(port) && is_free(*port))
        .take(count)
        .collect();
    if found.len() == count {
        return Ok(found);
    }
    Err(Failure::new(format!(
        "no {count} free ports between {} and {}",
        RANGE.start, RANGE.end
    )))
}

/// Whether a port is free on every interface.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).is_ok()
}

/// `, held by process 4711 (python3)`, or an empty text if the system doesn't say.
pub fn held_by(port: u16) -> String {
    match holder(port) {
        Some((pid, name)) => format!(", held by process {pid} ({name})"),
        None => String::new(),
    }
}

/// The process that listens on a port, if this user may see it.
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
