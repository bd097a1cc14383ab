//! A stack that programs can be pointed at, whoever started it, and the way to its spans.

use std::path::Path;
use std::time::Duration;

use crate::embedded::{self, Embedded};
use crate::failure::{Failure, Result};
use crate::follow::Follow;
use crate::ports::Ports;
use crate::prepare::Versions;
use crate::session::{Live, Session};
use crate::stack::StackState;
use crate::workspace::Workspace;

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
    /// `None` where somebody else runs it.
    server: Option<Embedded>,
}

/// Where its spans are read.
#[derive(Debug)]
pub(crate) enum Spans {
    /// They come to the run's own capture, which passes them on as it writes them.
    Captured,
    /// They come to the capture of a stack that stays.
    Followed(Follow),
}

/// How long spans may be on their way to a capture of ours.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

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
        let endpoints = session.capture(otlp, None, Some(live.clone())).await?;
        let server = session
            .milvus(workspace, ports, endpoints.grpc, versions)
            .await?;
        let stack = Self {
            name: embedded::stack_name(),
            milvus_uri: format!("http://{}", server.address()),
            otlp_grpc: format!("http://{}", endpoints.grpc),
            otlp_http: format!("http://{}", endpoints.http),
            schedule_delay: embedded::SCHEDULE_DELAY,
            settle_limit: SETTLE_LIMIT,
            server: Some(server),
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
            server: None,
        };
        Ok((stack, Spans::Followed(follow)))
    }

    /// Returns when a server of ours ends of its own accord, which it never should.
    pub(crate) async fn failed(&self) -> Failure {
        match &self.server {
            Some(server) => server.failed().await,
            None => std::future::pending().await,
        }
    }
}

impl Spans {
    /// Brings what has come since the last time into the run's folder and to `live`.
    pub(crate) fn take_in(&mut self, folder: &Path, live: &Live) -> Result<()> {
        match self {
            Self::Captured => Ok(()),
            Self::Followed(follow) => follow.take_in(&folder.join("capture.jsonl"), live),
        }
    }
}
