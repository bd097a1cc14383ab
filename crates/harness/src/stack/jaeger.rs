//! Jaeger without Docker, built from its Go module the first time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use supervise::{Output, Program, Result, Supervisor};
use versions::Range;

use crate::assets::JAEGER;
use crate::prepare::example::{Need, Prepare};
use crate::prepare::task::Task;
use crate::spans::http::Url;
use crate::stack::embedded;
use crate::stack::ports;
use crate::stack::server::{Probe, Server};
use crate::stack::session::Session;
use crate::workspace::Workspace;

/// As required in `tools/jaeger/go.mod`.
const VERSION: &str = "1.76.0";

const BOOT_LIMIT: Duration = Duration::from_secs(30);
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub server: Server,
    /// Where it takes OTLP over gRPC.
    pub otlp: String,
    /// Its query API.
    pub query: Url,
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
pub fn preparation(workspace: &Workspace) -> Result<Task> {
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
    Ok(Task {
        name: "jaeger".to_owned(),
        folder: JAEGER.write(workspace)?,
        prepare: Prepare {
            inputs: vec!["go.mod".to_owned(), "go.sum".to_owned()],
            outputs: vec![executable.clone()],
            commands: vec![build.map(str::to_owned).to_vec()],
            versions: Vec::new(),
        },
        state,
    })
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
        let program = Program {
            command,
            folder: workspace.root().to_owned(),
            env: BTreeMap::from(
                environment.map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            without_env: &["OTEL_", "JAEGER_", "COLLECTOR_"],
            output: Output::File(log.to_owned()),
        };
        let jaeger = Self {
            server: Server {
                name: "Jaeger",
                process: supervisor.start_server(&program)?,
                log: log.to_owned(),
                telling: "",
                remedy: None,
            },
            otlp: format!("http://127.0.0.1:{}", ports[0]),
            query: Url::local(ports[2], "/"),
        };
        let admin = Probe::get("Jaeger", ports[4], "/");
        jaeger.server.ready(&[admin], BOOT_LIMIT).await?;
        Ok(jaeger)
    }
}
