//! Jaeger without Docker, built from its Go module the first time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use supervise::{Failure, Output, Process, Program, Result, Supervisor, log};
use versions::Range;

use crate::prepare::example::{Need, Prepare};
use crate::prepare::task::Task;
use crate::spans::http::{self, Url};
use crate::stack::embedded;
use crate::stack::ports;
use crate::stack::session::Session;
use crate::workspace::Workspace;

/// As required in `tools/jaeger/go.mod`.
const VERSION: &str = "1.76.0";

const BOOT_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// The newest traces that stay in memory.
const MAX_TRACES: usize = 20_000;
/// Where Go's collector begins to work harder.
const MEMORY: &str = "512MiB";

/// Every port of it, by the flag that sets it.
const FLAGS: [&str; 7] = [
    "--collector.otlp.grpc.host-port",
    "--collector.otlp.http.host-port",
    "--query.http-server.host-port",
    "--query.grpc-server.host-port",
    "--admin.http.host-port",
    "--collector.grpc-server.host-port",
    "--collector.http-server.host-port",
];

/// Where the spans of the embedded stack go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The built-in capture alone.
    #[default]
    Capture,
    /// The capture, and from there to a Jaeger, whose spans are read back and judged as well.
    Jaeger,
}

/// A Jaeger that runs for us, with its traces in memory.
#[derive(Debug)]
pub struct Jaeger {
    process: Process,
    otlp: u16,
    query: u16,
    log: PathBuf,
}

pub fn needs() -> Vec<Need> {
    vec![Need {
        command: "go".to_owned(),
        version: Some(Range::at_least("1.24.6")),
        version_args: vec!["version".to_owned()],
        get: "https://go.dev/dl/".to_owned(),
    }]
}

/// Builds it: some minutes the first time.
pub fn preparation(workspace: &Workspace) -> Task {
    let state = workspace.state().join("jaeger");
    let executable = state.join("all-in-one").to_string_lossy().into_owned();
    let build = [
        "go",
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        "-s -w",
        "-o",
        &executable,
        "tool",
    ];
    Task {
        name: "jaeger".to_owned(),
        folder: workspace.root().join("tools").join("jaeger"),
        prepare: Prepare {
            inputs: vec!["go.mod".to_owned(), "go.sum".to_owned()],
            outputs: vec![executable.clone()],
            commands: vec![build.map(str::to_owned).to_vec()],
            versions: Vec::new(),
        },
        state,
    }
}

/// The embedded stack's name with `backend`, as people read it.
pub fn stack_name(backend: Backend) -> String {
    match backend {
        Backend::Capture => embedded::stack_name(),
        Backend::Jaeger => format!("{} + Jaeger {VERSION}", embedded::stack_name()),
    }
}

impl Jaeger {
    /// Starts one where spans are to go to one.
    pub async fn start_for(
        backend: Backend,
        workspace: &Workspace,
        session: &Session,
    ) -> Result<Option<Self>> {
        let log = session.folder.logs().join("jaeger.log");
        match backend {
            Backend::Capture => Ok(None),
            Backend::Jaeger => Self::start(workspace, session.supervisor(), &log)
                .await
                .map(Some),
        }
    }

    /// Starts it on free ports of loopback, and returns once it is ready.
    async fn start(workspace: &Workspace, supervisor: &Supervisor, log: &Path) -> Result<Self> {
        let ports = ports::free(FLAGS.len())?;
        let executable = workspace.state().join("jaeger").join("all-in-one");
        let mut command = vec![executable.to_string_lossy().into_owned()];
        for (flag, port) in FLAGS.iter().zip(&ports) {
            command.push(format!("{flag}=127.0.0.1:{port}"));
        }
        command.push(format!("--memory.max-traces={MAX_TRACES}"));
        let environment = [
            ("COLLECTOR_OTLP_ENABLED", "true"),
            ("SPAN_STORAGE_TYPE", "memory"),
            ("GOMEMLIMIT", MEMORY),
        ];
        let process = supervisor.start(&Program {
            command,
            folder: workspace.root().to_owned(),
            env: BTreeMap::from(
                environment.map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            without_env: &["OTEL_", "JAEGER_", "COLLECTOR_"],
            output: Output::File(log.to_owned()),
        })?;
        let jaeger = Self {
            process,
            otlp: ports[0],
            query: ports[2],
            log: log.to_owned(),
        };
        jaeger.ready(ports[4]).await?;
        Ok(jaeger)
    }

    /// Where it takes OTLP over gRPC.
    pub fn otlp(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp)
    }

    /// Its query API, as people are told.
    pub fn address(&self) -> String {
        format!("http://{}", self.query().authority)
    }

    /// Its query API.
    pub fn query(&self) -> Url {
        Url {
            secure: false,
            authority: format!("127.0.0.1:{}", self.query),
            path: "/".to_owned(),
        }
    }

    /// Returns when it ends of its own accord, which it never should.
    pub async fn failed(&self) -> Failure {
        let exit = self.process.wait().await;
        self.with_log(format!("Jaeger ended in the middle of the run: it {exit}"))
    }

    async fn ready(&self, admin: u16) -> Result<()> {
        let health = Url {
            secure: false,
            authority: format!("127.0.0.1:{admin}"),
            path: "/".to_owned(),
        };
        let healthy = async {
            while !matches!(http::get(&health).await, Ok(answer) if answer.status == 200) {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            exit = self.process.wait() => Err(self.with_log(format!("Jaeger ended before it was ready: it {exit}"))),
            booted = tokio::time::timeout(BOOT_LIMIT, healthy) => booted.map_err(|_| {
                self.with_log(format!("Jaeger was not ready within {} s", BOOT_LIMIT.as_secs()))
            }),
        }
    }

    fn with_log(&self, message: String) -> Failure {
        Failure::new(message)
            .detail(log::tail(&self.log, 12))
            .hint(format!("its whole log is in `{}`", self.log.display()))
    }
}
