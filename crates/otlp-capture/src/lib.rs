//! An OpenTelemetry receiver that writes what it is sent to files, as OTLP JSON, one request a
//! line.
//!
//! It takes traces, metrics and logs over OTLP/gRPC and OTLP/HTTP (protobuf and JSON; plain, gzip,
//! deflate or zstd) and judges nothing about them. `capture.jsonl`, `metrics.jsonl` and `logs.jsonl` can be
//! read by anything that reads what the Collector's file exporter writes.
//!
//! **Acknowledgement.** A request is answered with success once its line was handed to the
//! operating system whole; so what a client was told is kept survives the end of this process,
//! though not of the machine. Until then it is held in memory, of which there is a fixed amount
//! ([`Limits::queue_bytes`]); what doesn't fit is refused with the error that OTLP calls retryable.
//! A line that can't be written is cut off the file again, its client is told to retry, and its
//! records are counted as [unwritten](Account::unwritten_records). A client that gives up waiting and
//! sends again may be stored twice.

mod budget;
mod cors;
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

pub use forward::Forward;
pub use ledger::{
    Account, ForwardStats, Program, Refused, RefusedAs, Sender, SignalStats, Stats, Who,
};
pub use schema::Signal;
pub use secrets::{Redacting, Secrets};

use cors::Origins;
use forward::Peer;
use intake::Intake;
use ledger::{Advice, Ledger};
use server::{Desk, Door, Doors};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use writer::Writer;

/// Called with every line, without its line feed, after it was written.
pub type Observer = Box<dyn FnMut(Signal, &[u8]) + Send>;

/// What to listen on, where to write, and how much to take.
pub struct Config {
    /// Where OTLP/gRPC is received; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where OTLP/HTTP is received; port 0 takes a free one.
    pub http: SocketAddr,
    /// The directory of the files; it is made if it isn't there. Files that are there are appended
    /// to.
    pub dir: PathBuf,
    /// How much is taken at once.
    pub limits: Limits,
    /// When a new file is begun; `None`: never.
    pub rotation: Option<Rotation>,
    /// Where what was stored is sent on to; `None`: nowhere.
    pub forward: Option<Forward>,
    /// What is starred out wherever it stands in a request, before that is stored, sent on, or quoted.
    pub secrets: Secrets,
    /// Origins whose pages may send from a browser (CORS), as `http://localhost:3000`; `*` is any. Default: none.
    pub allowed_origins: Vec<String>,
    /// Sees every line, on the writer's thread: what it takes long for delays the writing.
    pub observer: Option<Observer>,
}

impl Config {
    /// Free ports on loopback, the default limits, no rotation.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let limits = Limits::default();
        Self {
            grpc: loopback,
            http: loopback,
            dir: dir.into(),
            limits,
            rotation: None,
            forward: None,
            secrets: Secrets::default(),
            allowed_origins: Vec::new(),
            observer: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("grpc", &self.grpc)
            .field("http", &self.http)
            .field("dir", &self.dir)
            .field("limits", &self.limits)
            .field("rotation", &self.rotation)
            .field("forward", &self.forward)
            .field("secrets", &self.secrets)
            .field("allowed_origins", &self.allowed_origins)
            .field("observer", &self.observer.as_ref().map(|_| ".."))
            .finish()
    }
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request as it is received. Default: 64 MiB, as OTLP recommends.
    pub received_bytes: usize,
    /// Bytes of a request after decompression. Default: 64 MiB, as OTLP recommends.
    pub decompressed_bytes: usize,
    /// Bytes of all requests that are being received or waiting to be written. A single request may
    /// exceed it, when it is alone. Default: 32 MiB.
    pub queue_bytes: usize,
    /// Connections at a time, over gRPC and HTTP each; another is closed at once. Default: 256.
    pub connections: usize,
    /// Senders whose accounts are kept apart; those of all others are summed up. Default: 256.
    pub senders: usize,
    /// How long the sending of one request may take. Default: 30 s.
    pub receive_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            received_bytes: 64 * MIB,
            decompressed_bytes: 64 * MIB,
            queue_bytes: 32 * MIB,
            connections: 256,
            senders: 256,
            receive_timeout: Duration::from_secs(30),
        }
    }
}

/// When a new file is begun: `capture.jsonl` becomes `capture-1.jsonl`, that `capture-2.jsonl`, and
/// so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size that a file doesn't exceed, unless a single line does.
    pub max_bytes: u64,
    /// How many older files are kept for each signal, besides the current one.
    pub keep: u32,
}

/// Why a capture could not start, or not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken, or may not be used.
    #[error("cannot listen on `{address}` for OTLP over {protocol}: {source}")]
    Listen {
        /// As it was asked for.
        address: SocketAddr,
        /// `gRPC` or `HTTP`.
        protocol: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file can't be made.
    #[error("cannot write `{path}`: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What was stored can't be sent on to there.
    #[error("cannot forward to `{endpoint}`: {reason}")]
    Forward {
        /// As it was asked for.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The observer panicked, and nothing was written after that.
    #[error("the writer of the captured requests panicked")]
    WriterPanicked,
}

/// A running receiver. Dropping it closes its ports too, without waiting for what is under way.
#[derive(Debug)]
pub struct Capture {
    grpc_addr: SocketAddr,
    http_addr: SocketAddr,
    ledger: Arc<Ledger>,
    desk: Arc<Desk>,
    doors: Doors,
    writer: Writer,
    forwarding: Option<forward::Queue>,
    forwarder: JoinSet<()>,
}

/// How long what waits to be sent on is sent after the capture was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

impl Capture {
    /// Opens the files and both ports.
    ///
    /// # Errors
    /// A port that can't be listened on, a file that can't be opened, an address that can't be
    /// forwarded to.
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
                let queue =
                    forward::Queue::start(peer, forward.queue_bytes, &ledger, &mut forwarder);
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

    /// Where OTLP/gRPC is received.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where OTLP/HTTP is received.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The path on the HTTP port where another process has the [`Stats`], as JSON.
    pub const STATS_PATH: &'static str = http::STATS;

    /// What was received so far, from whom, and what became of it.
    pub fn stats(&self) -> Stats {
        self.ledger.snapshot()
    }

    /// Waits until everything that was accepted before is written and the observer has seen it.
    pub async fn flush(&self) {
        self.desk.intake.flush().await;
    }

    /// Waits until everything that was accepted before was also sent on, or is lost; for as long as
    /// the receiver makes it wait.
    pub async fn flush_forward(&self) {
        self.flush().await;
        if let Some(forwarding) = &self.forwarding {
            forwarding.flush().await;
        }
    }

    /// Takes no more, finishes the requests under way (for two seconds at most, whatever their
    /// clients do), writes what was accepted, and sends on what waits to be (for five seconds at
    /// most; the rest is counted as lost).
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
