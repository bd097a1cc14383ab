//! A server of ours that runs: polled until it answers, then watched until it is stopped.

use std::path::PathBuf;
use std::task::Poll;
use std::time::{Duration, Instant};

use supervise::{Failure, Process, Result, log};

use crate::spans::http::{self, Url};

const POLL: Duration = Duration::from_millis(20);
/// A server that boots may take a connection and say nothing.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Lines at the end of a log that are looked at, and of those that a failure quotes.
const TAIL: usize = 400;
const QUOTED: usize = 12;

/// A program under guard that others connect to, with its log.
#[derive(Debug)]
pub struct Server {
    /// As people call it.
    pub name: &'static str,
    pub process: Process,
    pub log: PathBuf,
    /// A failure quotes the lines of the log that have this in them.
    pub telling: &'static str,
    /// A cure for a server that ends before it is ready.
    pub remedy: Option<String>,
}

/// A page that is answered with status 200 once a part of a server is ready.
#[derive(Clone, Debug)]
pub struct Probe {
    pub part: &'static str,
    pub url: Url,
    /// The JSON body of a POST request; `None` for GET.
    pub body: Option<&'static str>,
}

impl Probe {
    pub fn get(part: &'static str, port: u16, path: &str) -> Self {
        Self {
            part,
            url: Url::local(port, path),
            body: None,
        }
    }

    async fn answers(&self) -> bool {
        let asked = async {
            match self.body {
                None => http::get(&self.url).await,
                Some(body) => http::post_json(&self.url, body.into()).await,
            }
        };
        let answer = tokio::time::timeout(PROBE_LIMIT, asked).await;
        matches!(answer, Ok(Ok(answer)) if answer.status == 200)
    }
}

impl Server {
    /// Returns once all probes were answered; fails where the server ends before, or takes longer than `limit`.
    pub async fn ready(&self, probes: &[Probe], limit: Duration) -> Result<()> {
        let began = Instant::now();
        let answered = async {
            for probe in probes {
                while !probe.answers().await {
                    tokio::time::sleep(POLL).await;
                }
                tracing::debug!(server = self.name, part = probe.part, url = ?probe.url, waited = ?began.elapsed(), "ready");
            }
        };
        tokio::select! {
            exit = self.process.wait() => {
                let failure = self.failure(format!("{} ended before it was ready: it {exit}", self.name));
                Err(match (&failure.hint, &self.remedy) {
                    (Some(hint), Some(remedy)) => {
                        let hint = format!("{hint}; {remedy}");
                        failure.hint(hint)
                    }
                    _ => failure,
                })
            }
            ready = tokio::time::timeout(limit, answered) => match ready {
                Ok(()) => Ok(()),
                Err(_) => Err(self.late(probes, limit).await),
            },
        }
    }

    async fn late(&self, probes: &[Probe], limit: Duration) -> Failure {
        let mut late = self.name;
        for probe in probes {
            if !probe.answers().await {
                late = probe.part;
                break;
            }
        }
        self.failure(format!("{late} was not ready within {} s", limit.as_secs()))
    }

    /// Returns when the server ends unexpectedly.
    async fn failed(&self) -> Failure {
        let exit = self.process.wait().await;
        self.failure(format!("{} ended during the run: it {exit}", self.name))
    }

    fn failure(&self, message: String) -> Failure {
        let mut lines = log::tail(&self.log, TAIL);
        lines.retain(|line| line.contains(self.telling));
        let last = lines.split_off(lines.len().saturating_sub(QUOTED));
        Failure::new(message)
            .detail(last)
            .hint(format!("its log is in `{}`", self.log.display()))
    }
}

/// Returns when the first of the servers ends unexpectedly; never if there are no servers.
pub async fn any_failed(servers: &[Server]) -> Failure {
    let mut ends: Vec<_> = servers
        .iter()
        .map(|server| Box::pin(server.failed()))
        .collect();
    std::future::poll_fn(|context| {
        let mut polled = ends.iter_mut().map(|end| end.as_mut().poll(context));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}
