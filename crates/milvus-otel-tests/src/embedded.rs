//! A real Milvus server of a test's own, where `cargo xtask prepare` has installed one.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

const PORTS: [&str; 12] = [
    "proxy_port",
    "proxy_internal_port",
    "etcd_port",
    "root_coord_port",
    "query_coord_port",
    "query_node_port",
    "index_coord_port",
    "index_node_port",
    "data_coord_port",
    "data_node_port",
    "metrics",
    "etcd_peer",
];

/// A server. It ends, and its data goes, when this is dropped. It also ends if this process is killed.
#[derive(Debug)]
pub struct Milvus {
    child: Child,
    state: PathBuf,
    ports: BTreeMap<&'static str, u16>,
    log: PathBuf,
    // Dropped after the server.
    data: TempDir,
}

impl Milvus {
    /// Starts a server with `extra` settings; says why not where none is installed.
    ///
    /// Its program is looked for under `MILVUS_EMBEDDED`, or where `cargo xtask` keeps it.
    pub async fn start(extra: Value) -> Result<Self, String> {
        let default = workspace().join("target/milvus-otel/milvus");
        let state = env::var_os("MILVUS_EMBEDDED").map_or(default, PathBuf::from);
        if !state.join("bin/milvus").exists() {
            return Err(format!(
                "there is no Milvus in `{}`; `cargo xtask prepare` installs it",
                state.display()
            ));
        }
        let data = tempfile::tempdir().expect("there is room for Milvus's data");
        let ports: BTreeMap<&str, u16> = PORTS.into_iter().zip(free_ports()).collect();
        let settings = json!({
            "base": data.path(),
            "bin": state.join("bin"),
            "metrics_port": ports["metrics"],
            "etcd_peer_port": ports["etcd_peer"],
            "ports": ports.iter().filter(|(name, _)| name.ends_with("_port")).collect::<BTreeMap<_, _>>(),
            "authorization": extra["common.security.authorizationEnabled"] == true,
            "extra": extra,
        });
        let log = data.path().join("log");
        let mut first = guarded(state.join("venv/bin/python"));
        first
            .arg(workspace().join("crates/harness/milvus/launch.py"))
            .arg("run")
            .arg(settings.to_string());
        let mut server = Self {
            child: launch(first, &log),
            state,
            ports,
            log,
            data,
        };
        server.ready().await;
        Ok(server)
    }

    /// Where a client connects.
    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports["proxy_port"])
    }

    /// What the server has logged up to now.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the server at once.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the server can be killed");
    }

    /// Starts the server again, with the data and on the ports that it had.
    pub async fn restart(&mut self) {
        // Not by way of the launcher, which takes a port that was in use a moment ago for one that still is.
        let base = self.data.path();
        let bin = self.state.join("bin");
        let mut again = guarded(bin.join("milvus"));
        again
            .args(["run", "standalone"])
            .current_dir(base)
            .env("DEPLOY_MODE", "STANDALONE")
            .env("METRICS_PORT", self.ports["metrics"].to_string())
            .env("MILVUS_RUN_DIR", base.join("run"))
            .env("ETCD_CONFIG_PATH", base.join("configs/etcd.yaml"))
            .env("LD_LIBRARY_PATH", &bin)
            .env("DYLD_LIBRARY_PATH", &bin);
        self.child = launch(again, &self.log);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !is_healthy(self.ports["metrics"]).await {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("Milvus ended at boot, {status}: {}", self.log());
            }
            assert!(
                Instant::now() < deadline,
                "Milvus was not healthy within two minutes: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Reads the standard input to its end, then kills the program that this shell becomes. A shell gives a background process an
/// empty standard input, hence the copy.
const GUARD: &str = r#"exec 3<&0; { read -r _; kill -9 "$$"; } <&3 & exec "$@" </dev/null 3<&-"#;

/// A command that also ends when its standard input is closed, which the end of this process does.
fn guarded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", GUARD, "guard"])
        .arg(program)
        .stdin(Stdio::piped());
    command
}

fn launch(mut command: Command, log: &Path) -> Child {
    let output = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("a log can be written");
    let errors = output.try_clone().expect("a log can be written");
    command
        .stdout(output)
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .expect("Milvus can be started")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Ports below the range from which systems take those of outgoing connections, and no port twice.
fn free_ports() -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own_start = 20_000 + (std::process::id() % 1_000) as u16 * 12;
    let next =
        std::iter::repeat_with(|| own_start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)));
    // As the launcher looks for it: a port that was in use a moment ago is not free.
    let free = |port: &u16| {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind((Ipv4Addr::LOCALHOST, *port).into()).is_ok()
    };
    next.filter(free).take(PORTS.len()).collect()
}

async fn is_healthy(port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    matches!(answer, Ok(Ok(answer)) if answer.split(|byte| *byte == b' ').nth(1) == Some(b"200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guarded_program_ends_when_its_standard_input_is_closed() {
        let mut program = guarded("sleep").arg("600").spawn().unwrap();
        assert!(program.try_wait().unwrap().is_none());
        drop(program.stdin.take());
        let ended = tokio::time::timeout(Duration::from_secs(60), program.wait()).await;
        assert!(!ended.expect("it was killed").unwrap().success());
    }
}
