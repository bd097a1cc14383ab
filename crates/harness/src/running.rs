//! A stack that programs can be pointed at, whoever started it, and the way to its spans.

use std::path::Path;
use std::time::{Duration, SystemTime};

use trace_parity::Settlement;

use crate::embedded::{self, Embedded};
use crate::external::External;
use crate::failure::{Failure, Result};
use crate::fetch::{CLOCK_MARGIN, Fetch};
use crate::follow::Follow;
use crate::jaeger::{self, Jaeger};
use crate::ports::Ports;
use crate::prepare::Versions;
use crate::session::{Live, Session};
use crate::stack::StackState;
use crate::workspace::Workspace;

/// Where the spans of the embedded stack go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The built-in capture alone.
    #[default]
    Capture,
    /// The capture, and from there to a Jaeger, whose spans are read back and judged as well.
    Jaeger,
}

/// Where programs connect and export to.
#[derive(Debug)]
pub(crate) struct RunningStack {
    /// As people read it, such as `Milvus 2.3.5 embedded`.
    pub name: String,
    pub milvus_uri: String,
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
    /// How soon its servers send their spans.
    pub schedule_delay: Duration,
    /// The longest that a span is waited for after the last program has ended.
    pub settle_limit: Duration,
    /// How often it is asked for what has come.
    pub poll: Duration,
    /// `None` where somebody else runs it.
    server: Option<Embedded>,
    /// Where the capture sends on to.
    pub jaeger: Option<Jaeger>,
}

/// Where its spans are read.
#[derive(Debug)]
pub(crate) enum Spans {
    /// They come to the run's own capture, which passes them on as it writes them.
    Captured,
    /// They come to the capture of a stack that stays.
    Followed(Follow),
    /// They come to a store that is asked for them.
    Fetched(Fetch),
}

/// How long spans may be on their way to a capture of ours, and to somebody else's store.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
const EXTERNAL_SETTLE_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const EXTERNAL_POLL: Duration = Duration::from_millis(500);
/// Of a server that nobody told otherwise, as the specification has it.
const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_secs(5);

impl RunningStack {
    /// Starts the capture and Milvus for this run alone. Port 0 for the capture is a free one.
    pub(crate) async fn embedded(
        workspace: &Workspace,
        session: &mut Session,
        ports: Ports,
        otlp: (u16, u16),
        live: &Live,
        versions: Versions,
    ) -> Result<(Self, Spans)> {
        let backend = Backend::Capture;
        Self::embedded_with(backend, workspace, session, ports, otlp, live, versions).await
    }

    /// The same, with the capture sending on to `backend`.
    pub(crate) async fn embedded_with(
        backend: Backend,
        workspace: &Workspace,
        session: &mut Session,
        ports: Ports,
        otlp: (u16, u16),
        live: &Live,
        versions: Versions,
    ) -> Result<(Self, Spans)> {
        let jaeger = match backend {
            Backend::Capture => None,
            Backend::Jaeger => {
                let log = session.folder.logs().join("jaeger.log");
                Some(Jaeger::start(workspace, session.supervisor(), &log).await?)
            }
        };
        let forward = jaeger.as_ref().map(Jaeger::otlp);
        let endpoints = session
            .capture(otlp, None, Some(live.clone()), forward)
            .await?;
        let server = session
            .milvus(workspace, ports, endpoints.grpc, versions)
            .await?;
        let stack = Self {
            name: match backend {
                Backend::Capture => embedded::stack_name(),
                Backend::Jaeger => format!(
                    "{} + Jaeger {}",
                    embedded::stack_name(),
                    jaeger::JAEGER_VERSION
                ),
            },
            milvus_uri: format!("http://{}", server.address()),
            otlp_grpc: format!("http://{}", endpoints.grpc),
            otlp_http: format!("http://{}", endpoints.http),
            schedule_delay: embedded::SCHEDULE_DELAY,
            settle_limit: SETTLE_LIMIT,
            poll: POLL,
            server: Some(server),
            jaeger,
        };
        Ok((stack, Spans::Captured))
    }

    /// The stack that `up` left; what it captured before now is not this run's.
    pub(crate) fn kept(state: &StackState) -> Result<(Self, Spans)> {
        let follow = Follow::from_end(state.folder.join("capture.jsonl"))?;
        let stack = Self {
            name: state.stack.clone(),
            milvus_uri: state.milvus_uri.clone(),
            otlp_grpc: state.otlp_grpc.clone(),
            otlp_http: state.otlp_http.clone(),
            schedule_delay: embedded::SCHEDULE_DELAY,
            settle_limit: SETTLE_LIMIT,
            poll: POLL,
            server: None,
            jaeger: None,
        };
        Ok((stack, Spans::Followed(follow)))
    }

    /// One that somebody else runs; its spans are fetched until the traces are complete.
    pub(crate) async fn external(
        external: &External,
        fresh: impl Fn() -> Settlement + Send + 'static,
    ) -> Result<(Self, Spans)> {
        let began = SystemTime::now() - CLOCK_MARGIN;
        let fetch = Fetch::since(began, external.api()?, external.headers()?, fresh);
        fetch.check().await?;
        let stack = Self {
            name: format!("Milvus at {}", external.milvus_uri),
            milvus_uri: external.milvus_uri.clone(),
            otlp_grpc: external.otlp_endpoint.clone(),
            otlp_http: external.otlp_endpoint.clone(),
            schedule_delay: DEFAULT_SCHEDULE_DELAY,
            settle_limit: EXTERNAL_SETTLE_LIMIT,
            poll: EXTERNAL_POLL,
            server: None,
            jaeger: None,
        };
        Ok((stack, Spans::Fetched(fetch)))
    }

    /// Returns when a server of ours ends of its own accord, which it never should.
    pub(crate) async fn failed(&self) -> Failure {
        let milvus = async {
            match &self.server {
                Some(server) => server.failed().await,
                None => std::future::pending().await,
            }
        };
        let jaeger = async {
            match &self.jaeger {
                Some(jaeger) => jaeger.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            failure = milvus => failure,
            failure = jaeger => failure,
        }
    }
}

impl Spans {
    /// Brings what has come since the last time into the run's folder and to `live`.
    pub(crate) async fn take_in(&mut self, folder: &Path, live: &Live) -> Result<()> {
        let file = folder.join("capture.jsonl");
        match self {
            Self::Captured => Ok(()),
            Self::Followed(follow) => follow.take_in(&file, live),
            Self::Fetched(fetch) => fetch.take_in(&file, live).await,
        }
    }
}
