//! Runs the real executable and checks what it leaves behind.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod clients;

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Set, to a unique value, in the environment of every process that a command under test starts.
const MARK: &str = "XTASK_TEST_MARK";
/// The longest wait of any test.
const LIMIT: Duration = Duration::from_secs(300);
/// The time after the end of a killed run in which its guards end all its processes. Whatever is there afterwards was left.
const CLEAN_WITHIN: Duration = Duration::from_secs(60);

/// Servers need much memory, so only one test runs at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) use test_support::skip;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is in the workspace")
}

/// Waits until `condition` returns a value.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        if let Some(found) = condition() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within {LIMIT:?}: {what}");
}

/// A command under test, and the mark of its processes.
pub(crate) struct Xtask {
    mark: String,
    command: Command,
}

/// A running command.
pub(crate) struct Running {
    mark: String,
    child: Child,
}

/// The result of a command.
pub(crate) struct Finished {
    pub(crate) mark: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn xtask(arguments: &[&str]) -> Xtask {
    let unique = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock");
    let mark = format!("{}-{}", std::process::id(), unique.as_nanos());
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(arguments)
        .current_dir(root())
        .env(MARK, &mark)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Xtask { mark, command }
}

impl Xtask {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it through `program`, with these words before its own.
    pub(crate) fn by(mut self, program: &str, words: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(words).arg(self.command.get_program());
        command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.command = command;
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let child = self.command.spawn().expect("the executable starts");
        Running {
            mark: self.mark,
            child,
        }
    }

    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// Sends a process the signal called `name`, such as `-KILL`.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "the process is there to be signalled"
    );
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until `condition` returns a value; panics if the command ends or time runs out first.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Processes) -> Option<T>,
    ) -> T {
        until(what, || {
            if let Some(found) = condition(&Processes::of(&self.mark)) {
                return Some(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let mut said = String::new();
                if let Some(stderr) = self.child.stderr.as_mut() {
                    let _ = stderr.read_to_string(&mut said);
                }
                panic!("it ended with {status} before {what}: {said}");
            }
            None
        })
    }

    pub(crate) fn finish(self) -> Finished {
        let Output {
            status,
            stdout,
            stderr,
        } = self.child.wait_with_output().expect("it can be waited for");
        Finished {
            mark: self.mark,
            status,
            stdout: String::from_utf8(stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(stderr).expect("UTF-8 on stderr"),
        }
    }
}

impl Finished {
    /// Its exit code, after a check that none of its processes is left.
    pub(crate) fn code(&self) -> Option<i32> {
        assert_nothing_left(&self.mark);
        self.status.code()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// The processes that one command started, without zombies, with their command lines.
pub(crate) struct Processes(pub(crate) Vec<(u32, String)>);

impl Processes {
    pub(crate) fn of(mark: &str) -> Self {
        let wanted = format!("{MARK}={mark}");
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let found = entries.filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let marked = environment
                .split(|byte| *byte == 0)
                .any(|line| line == wanted.as_bytes());
            let state = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let zombie = state.rsplit(") ").next()?.starts_with('Z');
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&words).replace('\0', " ");
            (marked && !zombie).then_some((pid, command))
        });
        Self(found.collect())
    }

    /// The first whose command line contains `text`.
    pub(crate) fn with(&self, text: &str) -> Option<u32> {
        self.0
            .iter()
            .find(|(_, command)| command.contains(text))
            .map(|(pid, _)| *pid)
    }
}

/// Panics if a process of the command is left after [`CLEAN_WITHIN`].
pub(crate) fn assert_nothing_left(mark: &str) {
    let began = Instant::now();
    loop {
        let left = Processes::of(mark).0;
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < CLEAN_WITHIN, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder with one example whose program is a shell command.
pub(crate) struct ShellExample {
    name: String,
    folder: tempfile::TempDir,
}

impl ShellExample {
    pub(crate) fn new(name: &str, script: &str, timeout_seconds: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::written(folder, name, script, timeout_seconds, "")
    }

    /// In this checkout, so that what is prepared is found by its name, and with more tables in its example.toml.
    pub(crate) fn here(name: &str, script: &str, timeout_seconds: u64, more: &str) -> Self {
        let tests = root().join("target/milvus-otel/tests");
        std::fs::create_dir_all(&tests).expect("it can be made");
        let folder = tempfile::tempdir_in(tests).expect("a temporary folder");
        Self::written(folder, name, script, timeout_seconds, more)
    }

    fn written(
        folder: tempfile::TempDir,
        name: &str,
        script: &str,
        timeout_seconds: u64,
        more: &str,
    ) -> Self {
        let text = format!(
            "name = {name:?}\n[run]\ncommand = [\"sh\", \"-c\", {script:?}]\ntimeout_seconds = {timeout_seconds}\n{more}"
        );
        std::fs::write(folder.path().join("example.toml"), text).expect("it can be written");
        Self {
            name: name.to_owned(),
            folder,
        }
    }

    /// Runs only this example, with further arguments.
    pub(crate) fn run_all(&self, more: &[&str]) -> Xtask {
        let alone = [
            "run-all",
            "--examples",
            self.path(),
            "--example",
            &self.name,
        ];
        xtask(&[&alone[..], more].concat())
    }

    pub(crate) fn path(&self) -> &str {
        self.folder.path().to_str().expect("a UTF-8 path")
    }
}

/// Another checkout, with only the files that the stack needs and without examples.
pub(crate) struct Checkout {
    pub(crate) folder: PathBuf,
}

impl Checkout {
    pub(crate) fn at(folder: &Path) -> Self {
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            // Unchanged files aren't written, so that the prepared stack stays valid.
            if std::fs::read(&path).ok().as_deref() != Some(content) {
                std::fs::write(&path, content).expect("it can be written");
            }
        };
        write(
            "Cargo.toml",
            b"[workspace.metadata.milvus-otel]\nexamples = []\n",
        );
        write("xtask/Cargo.toml", b"");
        for file in ["requirements.txt", "launch.py"] {
            let name = format!("crates/harness/milvus/{file}");
            write(
                &name,
                &std::fs::read(root().join(&name)).expect("it is there"),
            );
        }
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A checkout that is kept between tests, so that its stack is prepared once.
    pub(crate) fn kept() -> Self {
        Self::at(&root().join("target/milvus-otel/tests/other-checkout"))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("target/milvus-otel")
    }

    pub(crate) fn xtask(&self, arguments: &[&str]) -> Xtask {
        xtask(arguments).folder(&self.folder)
    }
}

/// The tutorial's ports that tests need.
const TUTORIAL_PORTS: [u16; 4] = [19530, 9091, 4317, 4318];

/// Prints the reason and returns `true` if another stack has the tutorial's ports.
pub(crate) fn skipped_without_tutorial_ports() -> bool {
    let taken: Vec<_> = TUTORIAL_PORTS
        .into_iter()
        .filter(|port| std::net::TcpListener::bind(("0.0.0.0", *port)).is_err())
        .collect();
    if !taken.is_empty() {
        skip(&format!("ports of the tutorial are taken: {taken:?}"));
    }
    !taken.is_empty()
}

/// The examples and rules of all findings at warning or worse, sorted.
pub(crate) fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["severity"] != "info")
        .map(|finding| (text(&finding["example"]), text(&finding["rule"])))
        .collect();
    found.sort();
    found
}

/// Severity, rule and a part of the message of a finding that is to be there.
pub(crate) type Expected = (&'static str, &'static str, &'static str);

/// Severity, rule and message of all findings at warning or worse, in the report's order.
pub(crate) fn told(report: &Value) -> Vec<[String; 3]> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().into_iter().flatten();
    findings
        .map(|finding| ["severity", "rule", "message"].map(|key| text(finding, key)))
        .filter(|[severity, ..]| severity != "info")
        .collect()
}

/// Whether these are the expected findings, in order, and no others.
pub(crate) fn are_expected(told: &[[String; 3]], expected: &[Expected]) -> bool {
    told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|([severity, rule, message], (wanted, by, part))| {
                severity == wanted && rule == by && message.contains(part)
            })
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address")
}

/// Builds a Go module of the folder `tools`, which takes minutes the first time; `None` without Go.
pub(crate) fn built_with_go(module: &str, arguments: &[&str]) -> Option<PathBuf> {
    if Command::new("go").arg("version").output().is_err() {
        skip(&format!("tools/{module}: `go` is not on PATH"));
        return None;
    }
    let executable = root().join("target/milvus-otel/tests").join(module);
    let built = Command::new("go")
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            "-s -w",
            "-o",
        ])
        .arg(&executable)
        .args(arguments)
        .current_dir(root().join("tools").join(module))
        .output()
        .expect("go runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "tools/{module}: {said}");
    Some(executable)
}

/// The folder of the newest run.
pub(crate) fn latest_run() -> PathBuf {
    root()
        .join("target/milvus-otel/runs/latest")
        .canonicalize()
        .expect("a run")
}
