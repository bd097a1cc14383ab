//! The resources of a run, which are released in every case.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grpc_witness::{Plan, Witness};
use otlp_capture::{Capture, Forward, Rotation, Secrets, Signal, Stats};
use supervise::{Failure, Filter, Result, Supervisor, chain, locks};
use trace_parity::Contract;

use crate::diagnostics;
use crate::folder::RunFolder;
use crate::manifest::{Manifest, read_wire};
use crate::prepare::task::Versions;
use crate::spans::http::{self, Url};
use crate::spans::live::{Live, feed};
use crate::stack::authorization::{self, Token};
use crate::stack::compose::Claim;
use crate::stack::embedded::{self, DataFolder};
use crate::stack::faults;
use crate::stack::ports::Ports;
use crate::stack::server::Server;
use crate::time;
use crate::workspace::Workspace;

/// The time that captured spans may take to reach Jaeger.
const FORWARD_LIMIT: Duration = Duration::from_secs(10);

/// A run's folder, capture and processes.
#[derive(Debug)]
pub struct Session {
    pub folder: RunFolder,
    pub manifest: Manifest,
    /// The stack stays after the verdict, and so does the capture.
    pub kept_up: bool,
    /// The witness that stands between the programs and Milvus, if any.
    pub witnessing: Option<Witnessing>,
    /// The clients' token, if the server requires one.
    pub token: Option<Token>,
    /// Further settings of an embedded Milvus, by their names in `milvus.yaml`.
    pub settings: BTreeMap<String, String>,
    /// The origins whose web pages may send spans to the capture.
    pub allowed_origins: Vec<String>,
    supervisor: Supervisor,
    capture: Option<Capture>,
    /// The capture sends on what it stores.
    forwards: bool,
    witness: Option<Witness>,
    /// That of the stack which was up before.
    others: Option<OthersCapture>,
    data: Option<DataFolder>,
    containers: Option<Claim>,
    /// Held until the run ends.
    lock: Option<File>,
}

/// What is asked of a witness on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireOptions {
    pub witness: bool,
    /// Contexts that old servers drop are mended.
    pub mend: bool,
    /// Names of built-in faults, and files of plans.
    pub faults: Vec<String>,
}

/// A witness that records what each call carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witnessing {
    /// Contexts that old servers drop are mended.
    pub mends: bool,
    pub faults: Option<Plan>,
    /// Programs that get an address of their own, so that faults are counted for each.
    pub clients: Vec<String>,
}

/// The URI that leads through a witness, and those of its named clients.
pub type WitnessUris = (String, BTreeMap<String, String>);

impl WireOptions {
    /// The witness that is asked for; steps in plans stand for the contract's methods.
    pub fn witnessing(&self, contract: &Contract) -> Result<Option<Witnessing>> {
        let faults = faults::plan(&self.faults, contract)?;
        let is_wanted = self.witness || self.mend || faults.is_some();
        Ok(is_wanted.then_some(Witnessing {
            mends: self.mend,
            faults,
            clients: Vec::new(),
        }))
    }
}

impl Witnessing {
    /// Starts a witness before the Milvus at `milvus_uri`, with its records in that file. Port 0 is a free one.
    pub async fn start(
        &self,
        milvus_uri: &str,
        records: PathBuf,
        port: u16,
    ) -> Result<(Witness, WitnessUris)> {
        let upstream = milvus_uri.strip_prefix("http://").unwrap_or(milvus_uri);
        if upstream.contains("://") {
            return Err(Failure::new(format!(
                "`--witness` can't be used with `{milvus_uri}`: the witness can't read TLS"
            ))
            .hint("leave `--witness` out, or give Milvus's address without TLS"));
        }
        let upstream = upstream.trim_end_matches('/');
        let mut config = grpc_witness::Config::new(upstream, records);
        config.listen.set_port(port);
        config.mends = self.mends;
        config.faults.clone_from(&self.faults);
        config.clients.clone_from(&self.clients);
        let witness = Witness::start(config).await.map_err(|error| {
            Failure::new(format!("the witness can't start: {error}"))
                .hint("`ss -ltnp` names the holder of the port")
        })?;
        let uri = |address| format!("http://{address}");
        let clients = witness.clients();
        let clients = clients.map(|(name, address)| (name.to_owned(), uri(address)));
        let uris = (uri(witness.address()), clients.collect());
        Ok((witness, uris))
    }
}

/// A capture in another process, and its statistics before this run.
#[derive(Debug)]
struct OthersCapture {
    stats: Url,
    before: Stats,
}

/// Where the capture listens.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Session {
    pub fn open(workspace: &Workspace, supervisor: Supervisor, stack: &str) -> Result<Self> {
        let folder = RunFolder::make(workspace)?;
        let lock = locks::hold(&folder.lock())?;
        Ok(Self {
            lock: Some(lock),
            ..Self::open_in(folder, supervisor, stack)
        })
    }

    /// A session in a folder that is no run's.
    pub fn open_in(folder: RunFolder, supervisor: Supervisor, stack: &str) -> Self {
        let manifest = Manifest::new(&folder.id, time::now_in_millis(), stack);
        Self {
            folder,
            manifest,
            kept_up: false,
            witnessing: None,
            token: None,
            settings: BTreeMap::new(),
            allowed_origins: Vec::new(),
            supervisor,
            capture: None,
            forwards: false,
            witness: None,
            others: None,
            data: None,
            containers: None,
            lock: None,
        }
    }

    /// Takes what clients authorize with, and keeps it and `patterns` out of all that is written from now on.
    pub fn authorize(&mut self, token: Option<Token>, patterns: &[String]) -> Result<()> {
        let own = token.as_ref().map(Token::text);
        let users = std::env::var(authorization::VARIABLE).ok();
        let tokens = own.iter().chain(&users);
        let texts = tokens.flat_map(|token| Secrets::token(token));
        let secrets = Secrets::new(texts.chain(patterns.iter().map(String::as_str)));
        if !secrets.is_empty() {
            let secrets = secrets.clone();
            let filter =
                move |file| -> Box<dyn std::io::Write + Send> { Box::new(secrets.writer(file)) };
            self.supervisor.filter_files(Filter(Arc::new(filter)));
        }
        self.manifest.secrets = secrets;
        self.token = token;
        diagnostics::keep_in(&self.folder.diagnostics(), &self.manifest.secrets)
    }

    /// Takes the account of a capture that listens at `otlp_http` for this run's, from now on. One that doesn't tell
    /// leaves it unknown.
    pub async fn follow_capture(&mut self, otlp_http: &str) {
        let Ok(address) = Url::parse(otlp_http) else {
            return;
        };
        let stats = address.at(Capture::STATS_PATH);
        self.others = stats_at(&stats)
            .await
            .map(|before| OthersCapture { stats, before });
    }

    /// Starts the capture; port 0 is a free one.
    pub async fn capture(
        &mut self,
        ports: (u16, u16),
        rotation: Option<Rotation>,
        live: Option<Live>,
        forward: Option<String>,
    ) -> Result<Endpoints> {
        let mut config = otlp_capture::Config::new(&self.folder.path);
        config.grpc = (Ipv4Addr::LOCALHOST, ports.0).into();
        config.http = (Ipv4Addr::LOCALHOST, ports.1).into();
        config.rotation = rotation;
        self.forwards = forward.is_some();
        config.forward = forward.map(Forward::to);
        config.secrets = self.manifest.secrets.clone();
        config.allowed_origins.clone_from(&self.allowed_origins);
        if let Some(live) = live {
            config.observer = Some(Box::new(move |signal, line| {
                if signal == Signal::Traces {
                    feed(&live, line);
                }
            }));
        }
        let capture = Capture::start(config).await.map_err(|error| {
            Failure::new(format!("the capture can't start: {}", chain(&error)))
                .hint("`{program} status` shows whether a stack of ours is running; `ss -ltnp` shows any other process that uses the port")
        })?;
        let endpoints = Endpoints {
            grpc: capture.grpc_addr(),
            http: capture.http_addr(),
        };
        tracing::debug!(?endpoints, folder = ?self.folder.path, "the capture listens");
        self.capture = Some(capture);
        Ok(endpoints)
    }

    /// Puts a witness before the Milvus at `milvus_uri`. Port 0 is a free one.
    pub async fn witness(
        &mut self,
        witnessing: &Witnessing,
        milvus_uri: &str,
        port: u16,
    ) -> Result<WitnessUris> {
        let (witness, uris) = witnessing
            .start(milvus_uri, self.folder.wire(), port)
            .await?;
        self.witness = Some(witness);
        Ok(uris)
    }

    /// Ends the witness and takes in what it saw. Returns what it couldn't record, as a sentence.
    pub async fn settle_witness(&mut self) -> Result<Option<String>> {
        let Some(witness) = self.witness.take() else {
            return Ok(None);
        };
        let stats = witness
            .stop()
            .await
            .map_err(|error| Failure::new(format!("the witness could not be ended: {error}")))?;
        self.manifest.wire = read_wire(&self.folder.wire())?;
        self.manifest.faults.clone_from(&stats.faults);
        let (unread, unwritten) = (stats.out_of_sight, stats.unwritten);
        let without = stats.unrecorded_calls;
        Ok((unread + unwritten + without > 0).then(|| {
            format!(
                "the witness couldn't read {unread} of {} connections (such as TLS), had no room for {without} calls, and couldn't write \
                 {unwritten} records: `{}`",
                stats.connections,
                self.folder.wire().display()
            )
        }))
    }

    /// Starts Milvus with its spans going to `otlp`.
    pub async fn milvus(
        &mut self,
        workspace: &Workspace,
        ports: Ports,
        otlp: SocketAddr,
        versions: Versions,
    ) -> Result<Server> {
        self.manifest.stack.versions = versions;
        let data = self
            .data
            .insert(DataFolder::make(workspace, &self.folder.id).await?);
        let log = self.folder.logs().join("milvus.log");
        embedded::start(
            workspace,
            data,
            &self.supervisor,
            ports,
            embedded::Settings {
                otlp,
                token: self.token.as_ref(),
                further: &self.settings,
            },
            &log,
        )
        .await
    }

    /// Takes this run's containers for its own, by the name that is returned.
    pub fn claim_containers(&mut self, workspace: &Workspace) -> Result<String> {
        self.containers = Some(Claim::make(workspace, &self.folder.id)?);
        Ok(self.folder.id.clone())
    }

    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Brings what has come so far to the file, and notes in the manifest what came and what became of it; the capture
    /// goes on.
    pub async fn flush_capture(&mut self) -> Result<()> {
        if let Some(capture) = &self.capture {
            capture.flush().await;
            let sent = tokio::time::timeout(FORWARD_LIMIT, capture.flush_forward()).await;
            self.manifest.forwarded = self.forwards.then_some(sent.is_ok());
            self.manifest.capture = Some(capture.stats());
        }
        if let Some(others) = &self.others {
            let now = stats_at(&others.stats).await;
            self.manifest.capture = now.map(|now| now.since(&others.before));
        }
        self.manifest.write(&self.folder.manifest())
    }

    /// The same, and ends the capture, so that what is judged now is what the file holds for good.
    ///
    /// The capture of a stack that is kept up goes on: what comes later is there to be looked at, and was not judged.
    pub async fn settle_capture(&mut self) -> Result<()> {
        self.flush_capture().await?;
        if !self.kept_up {
            let last = self.end_capture().await?;
            // Spans that arrived while it ended are in the file, and thus judged.
            self.manifest.capture = last.or(self.manifest.capture.take());
            self.manifest.write(&self.folder.manifest())?;
        }
        Ok(())
    }

    async fn end_capture(&mut self) -> Result<Option<otlp_capture::Stats>> {
        let Some(capture) = self.capture.take() else {
            return Ok(None);
        };
        let stats = capture.stop().await.map_err(|error| {
            Failure::new(format!(
                "the capture could not be written to its end: {}",
                chain(&error)
            ))
        })?;
        tracing::debug!(?stats, "the capture ended");
        Ok(Some(stats))
    }

    /// Stops everything; returns when nothing is left. `failure` is why there is no verdict, if there is none.
    pub async fn close(mut self, failure: Option<&Failure>) -> Result<()> {
        self.supervisor.shut_down().await;
        if let Some(capture) = &mut self.capture {
            // Whatever it forwards to has just been stopped.
            capture.stop_forwarding().await;
        }
        let witnessed = self.settle_witness().await;
        let captured = self.end_capture().await;
        if let Ok(Some(stats)) = &captured {
            // Spans that arrived after the verdict weren't judged.
            self.manifest.capture.get_or_insert_with(|| stats.clone());
        }
        self.manifest.failure = failure.map(|failure| failure.message.clone());
        let written = self.manifest.write(&self.folder.manifest());
        let cleared = match &self.containers {
            Some(claim) => claim.check_nothing_left().await,
            None => Ok(()),
        };
        if self.lock.take().is_some() {
            let _ = std::fs::remove_file(self.folder.lock());
        }
        witnessed.and(captured).and(written).and(cleared)
    }
}

/// The statistics of a capture in another process; `None` if it doesn't report them.
async fn stats_at(url: &Url) -> Option<Stats> {
    let answer = http::get(url).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}
