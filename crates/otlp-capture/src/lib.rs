//! Receives OpenTelemetry data and writes it to files as OTLP JSON, one request per line.
//!
//! It accepts traces, metrics and logs over OTLP/gRPC and OTLP/HTTP (protobuf and JSON;
//! uncompressed, gzip, deflate or zstd), and doesn't interpret them. Every program that reads the
//! Collector's file exporter can read `capture.jsonl`, `metrics.jsonl` and `logs.jsonl`.
//!
//! **Acknowledgement.** A request is acknowledged after its whole line was passed to the operating
//! system. An acknowledged request survives the end of this process, but not a crash of the
//! machine. Until then it is in memory, which is limited ([`Limits::queue_bytes`]); a request that
//! doesn't fit is refused with an error that OTLP calls retryable. If a line can't be written, it
//! is removed from the file, its client is asked to retry, and its records are counted as
//! [unwritten](Account::unwritten_records). If a client times out and retries, its request may be
//! stored twice.

mod budget;
mod config;
mod cors;
mod error;
mod forward;
mod grpc;
mod http;
mod identity;
mod inflate;
mod intake;
mod ledger;
mod refusal;
mod reply;
mod schema;
mod secrets;
mod server;
pub mod transcode;
mod visit;
mod writer;

pub use config::{Config, Limits, Observer, Rotation};
pub use error::Error;
pub use forward::Forward;
pub use ledger::{
    Account, ForwardStats, Program, Refused, RefusedAs, Sender, SignalStats, Stats, Who,
};
pub use schema::Signal;
pub use secrets::{Redacting, Secrets};

use cors::Origins;
use forward::{ForwardQueue, Peer};
use intake::Intake;
use ledger::{Advice, Ledger};
use server::{Desk, Door, Doors};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use writer::Writer;

/// A running receiver. Dropping it closes its ports without waiting for requests in progress.
#[derive(Debug)]
pub struct Capture {
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    ledger: Arc<Ledger>,
    desk: Arc<Desk>,
    doors: Doors,
    writer: Writer,
    forwarding: Option<ForwardQueue>,
    forwarder: JoinSet<()>,
}

/// The time for which queued requests are still forwarded after the capture was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

impl Capture {
    /// Opens the files and both ports.
    ///
    /// # Errors
    /// A port that can't be opened, a file that can't be opened, or an invalid address for
    /// forwarding.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let Config {
            grpc,
            http,
            dir,
            limits,
            rotation,
            forward,
            secrets,
            allowed_origins,
            observer,
        } = config;
        let (grpc_listener, grpc_addr) = listen(grpc, "gRPC").await?;
        let (http_listener, http_addr) = listen(http, "HTTP").await?;
        let advice = Advice {
            grpc: grpc_addr,
            http: http_addr,
        };
        let ledger = Arc::new(Ledger::new(limits.senders, secrets.clone(), advice));

        let mut forwarder = JoinSet::new();
        let forwarding = match forward {
            None => None,
            Some(forward) => {
                let peer = peer(&forward, grpc_addr).await?;
                let queue = ForwardQueue::start(peer, forward.queue_bytes, &ledger, &mut forwarder);
                Some(queue)
            }
        };
        let (writer, queue) = Writer::start(
            dir,
            rotation,
            observer,
            forwarding.clone(),
            Arc::clone(&ledger),
        )?;
        let is_forwarding = forwarding.is_some();
        let desk = Arc::new(Desk {
            intake: Intake::new(limits, Arc::clone(&ledger), queue, secrets, is_forwarding),
            origins: Origins(allowed_origins),
            grpc: grpc_addr,
            http: http_addr,
        });
        let mut doors = Doors::new(Arc::clone(&desk));
        doors.open(grpc_listener, Door::Grpc);
        doors.open(http_listener, Door::Http);
        Ok(Self {
            grpc_addr,
            http_addr,
            ledger,
            desk,
            doors,
            writer,
            forwarding,
            forwarder,
        })
    }

    /// The address for OTLP/gRPC.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// The address for OTLP/HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The path on the HTTP port that returns the [`Stats`] as JSON, for other processes.
    pub const STATS_PATH: &'static str = http::STATS;

    /// The stats so far.
    pub fn stats(&self) -> Stats {
        self.ledger.snapshot()
    }

    /// Waits until every request accepted before is written, and the observer has seen it.
    pub async fn flush(&self) {
        self.desk.intake.flush().await;
    }

    /// Waits until every request accepted before was also forwarded or is lost, as long as the
    /// receiver takes.
    pub async fn flush_forward(&self) {
        self.flush().await;
        if let Some(forwarding) = &self.forwarding {
            forwarding.flush().await;
        }
    }

    /// Ends forwarding at once. Requests that weren't forwarded, and those that still come, are counted as lost.
    pub async fn stop_forwarding(&mut self) {
        self.forwarding = None;
        self.forwarder.shutdown().await;
    }

    /// Accepts no more requests, finishes those in progress (for at most two seconds), writes all
    /// accepted requests, and forwards those in the queue (for at most five seconds; the rest is
    /// counted as lost).
    ///
    /// # Errors
    /// A panic of the observer.
    pub async fn stop(mut self) -> Result<Stats, Error> {
        self.doors.close().await;
        drop(self.desk);
        self.writer.finish().await?;
        drop(self.forwarding);
        let _ = timeout(DRAIN, async {
            while self.forwarder.join_next().await.is_some() {}
        })
        .await;
        self.forwarder.shutdown().await;
        self.ledger.abandon_forwarding();
        Ok(self.ledger.snapshot())
    }
}

async fn peer(forward: &Forward, own: SocketAddr) -> Result<Peer, Error> {
    let error = |reason| Error::Forward {
        endpoint: forward.endpoint.clone(),
        reason,
    };
    let peer = Peer::at(&forward.endpoint).map_err(error)?;
    if peer.is(own).await {
        return Err(error("that is this capture itself"));
    }
    Ok(peer)
}

async fn listen(
    address: SocketAddr,
    protocol: &'static str,
) -> Result<(TcpListener, SocketAddr), Error> {
    let error = |source| Error::Listen {
        address,
        protocol,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let local = listener.local_addr().map_err(error)?;
    Ok((listener, local))
}
