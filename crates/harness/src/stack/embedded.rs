//! The embedded stack: the real Milvus server from PyPI, without Docker.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;
use supervise::{Failure, GRACE, IoContext, Output, Program, Result, Supervisor, locks, processes};
use versions::Range;

use crate::assets::MILVUS;
use crate::prepare::example::{Need, Prepare};
use crate::prepare::task::Task;
use crate::stack::authorization::Token;
use crate::stack::ports::Ports;
use crate::stack::server::{Probe, Server};
use crate::workspace::Workspace;

/// As pinned in `crates/harness/milvus/requirements.txt`.
const MILVUS_VERSION: &str = "2.3.5";

/// The schedule delay of the server's and the examples' exporters. The default, 5 s, would take most of a run's time.
pub const SCHEDULE_DELAY: Duration = Duration::from_millis(200);

/// The longest boot that is still a boot; a busy machine needs 20 s.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How long another run may take to make its folder and to wipe abandoned ones.
const MAKING_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Where one server keeps its data. Gone when dropped, which must be after the server has ended.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The stack's name as people read it.
pub fn stack_name() -> String {
    format!("Milvus {MILVUS_VERSION} embedded")
}

/// Fails where no wheel of the server exists.
pub fn check_platform() -> Result<()> {
    let has_wheel = cfg!(any(
        all(
            target_os = "linux",
            target_arch = "x86_64",
            target_env = "gnu"
        ),
        target_os = "macos"
    ));
    if has_wheel {
        return Ok(());
    }
    Err(Failure::new(format!(
        "there is no embedded Milvus for {} on {}: the `milvus` package has wheels for Linux x86-64 (glibc) and macOS",
        std::env::consts::OS,
        std::env::consts::ARCH
    ))
    .hint("use Docker: compose/README.md starts the tutorial's stack; every example's README runs against it"))
}

pub fn needs() -> Vec<Need> {
    if installed_python().is_some() {
        return Vec::new();
    }
    vec![Need {
        command: "python3".to_owned(),
        version: Some(Range::at_least("3.8")),
        version_args: vec!["-c".to_owned(), "import ensurepip, platform; print(platform.python_version())".to_owned()],
        get: "https://www.python.org/downloads/, or the system's packages `python3` and `python3-venv`".to_owned(),
    }]
}

/// Installs the server and unpacks it.
pub fn preparation(workspace: &Workspace) -> Result<Task> {
    let state = state(workspace);
    let in_state = |path: &str| state.join(path).to_string_lossy().into_owned();
    let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let python = python(workspace).to_string_lossy().into_owned();
    let mut install = vec![
        command(&["python3", "-m", "venv", "--clear", &in_state("venv")]),
        command(&[
            &python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--requirement",
            "requirements.txt",
        ]),
    ];
    if installed_python().is_some() {
        install.clear();
    }
    let unpack = command(&[&python, "launch.py", "unpack", &state.to_string_lossy()]);
    install.push(unpack);
    Ok(Task {
        name: "milvus".to_owned(),
        folder: MILVUS.write(workspace)?,
        prepare: Prepare {
            inputs: vec!["requirements.txt".to_owned(), "launch.py".to_owned()],
            outputs: vec![python.clone(), in_state("bin/milvus")],
            commands: install,
            versions: command(&[&python, "-m", "pip", "list", "--format=freeze"]),
        },
        state,
    })
}

/// The Python whose packages have the server.
fn python(workspace: &Workspace) -> PathBuf {
    installed_python().unwrap_or_else(|| state(workspace).join("venv/bin/python"))
}

/// The Python environment that this program was installed into, where the server was installed with it.
fn installed_python() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    let bin = executable.parent()?;
    let python = bin.join("python3");
    let package = format!("site-packages/milvus-{MILVUS_VERSION}.dist-info");
    let libraries = std::fs::read_dir(bin.parent()?.join("lib")).ok()?;
    let has_server = libraries
        .flatten()
        .any(|library| library.path().join(&package).is_dir());
    (has_server && python.exists()).then_some(python)
}

/// The configuration of a run's server while it is up.
pub fn configuration(workspace: &Workspace, run: &Path) -> PathBuf {
    let data = state(workspace).join("data").join(run);
    data.join("configs").join("milvus.yaml")
}

/// Ends the processes of a server whose runner and guard are gone, and removes its data.
pub async fn end_what_works_in(workspace: &Workspace, run: &Path, limit: Duration) -> Result<()> {
    let all = state(workspace).join("data");
    let folder = all.join(run);
    let began = Instant::now();
    let mut signal = Signal::TERM;
    loop {
        let left = processes::working_in(&folder);
        if left.is_empty() {
            break;
        }
        let waited = began.elapsed();
        if waited > limit {
            return Err(Failure::new(format!(
                "processes that work in `{}` don't end: {left:?}",
                folder.display()
            )));
        }
        if signal == Signal::TERM || waited > GRACE {
            for process in left {
                let _ = kill_process(process, signal);
            }
            signal = Signal::KILL;
        }
        tokio::time::sleep(POLL).await;
    }
    if all.is_dir() {
        let _making = making(&all).await?;
        wipe_abandoned(&all);
    }
    Ok(())
}

/// What differs between servers beside their ports.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where it sends its spans.
    pub otlp: SocketAddr,
    /// The only one that it takes; without one, it asks for none.
    pub token: Option<&'a Token>,
    /// By their names in `milvus.yaml`.
    pub further: &'a BTreeMap<String, String>,
}

/// Starts the server, and returns once it is healthy.
pub async fn start(
    workspace: &Workspace,
    data: &DataFolder,
    supervisor: &Supervisor,
    ports: Ports,
    Settings {
        otlp,
        token,
        further,
    }: Settings<'_>,
    log: &Path,
) -> Result<Server> {
    let mut extra = further.clone();
    extra.extend(
        [
            ("trace.exporter", "otlp".to_owned()),
            ("trace.sampleFraction", "1".to_owned()),
            ("trace.otlp.endpoint", otlp.to_string()),
            ("trace.otlp.secure", "false".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let state = state(workspace);
    let coordinates: BTreeMap<String, u16> = ports
        .named()
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "metrics" | "etcd_peer"))
        .map(|(name, port)| (format!("{name}_port"), port))
        .collect();
    let settings = json!({
        "base": data.path,
        "bin": state.join("bin"),
        "metrics_port": ports.metrics(),
        "etcd_peer_port": ports.etcd_peer(),
        "ports": coordinates,
        "authorization": token.is_some(),
        "extra": extra,
    });
    let program = Program {
        command: vec![
            python(workspace).to_string_lossy().into_owned(),
            "launch.py".to_owned(),
            "run".to_owned(),
            settings.to_string(),
        ],
        folder: MILVUS.folder(workspace),
        env: BTreeMap::from([(
            "OTEL_BSP_SCHEDULE_DELAY".to_owned(),
            SCHEDULE_DELAY.as_millis().to_string(),
        )]),
        without_env: &["OTEL_", "MILVUS_", "ETCD_"],
        output: Output::File(log.to_owned()),
    };
    let server = Server {
        name: "Milvus",
        process: supervisor.start_server(&program)?,
        log: log.to_owned(),
        telling: "",
        remedy: Some(format!(
            "if its files are damaged, delete `{}`, which is made again",
            state.display()
        )),
    };
    let health = Probe::get("Milvus", ports.metrics(), "/healthz");
    server.ready(&[health], BOOT_LIMIT).await?;
    if let Some(token) = token {
        token
            .install((Ipv4Addr::LOCALHOST, ports.proxy()).into())
            .await?;
    }
    Ok(server)
}

impl DataFolder {
    /// Makes an empty folder for `run`, and takes away those that runs left which could not clean up.
    pub async fn make(workspace: &Workspace, run: &str) -> Result<Self> {
        let all = state(workspace).join("data");
        std::fs::create_dir_all(&all).at("make", &all)?;
        let _making = making(&all).await?;
        wipe_abandoned(&all);
        let path = all.join(run);
        std::fs::create_dir_all(&path).at("make", &path)?;
        let lock = locks::hold(&path.join("lock"))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        wipe(&self.path);
    }
}

/// Removes a folder, and the files that its server left elsewhere.
fn wipe(folder: &Path) {
    if let Ok(outside) = std::fs::read_to_string(folder.join("server-id")) {
        let _ = std::fs::remove_file(outside);
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// The lock that is held while a folder is created, so that a folder without a lock isn't mistaken for an abandoned one.
fn making_lock(all: &Path) -> PathBuf {
    all.join("lock")
}

async fn making(all: &Path) -> Result<File> {
    let path = making_lock(all);
    let lock = locks::acquire(&path, MAKING_LIMIT, |_| ()).await?;
    lock.ok_or_else(|| locks::still_held(&path, MAKING_LIMIT, "make a folder for Milvus's data"))
}

/// An abandoned folder is one whose lock nobody holds.
fn wipe_abandoned(all: &Path) {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    for folder in entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
    {
        if !locks::is_held(&folder.join("lock")) {
            wipe(&folder);
        }
    }
}

fn state(workspace: &Workspace) -> PathBuf {
    workspace.state().join("milvus")
}
