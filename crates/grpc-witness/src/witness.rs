//! The proxy: listens and connects each client to the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle as Task, JoinSet};

use crate::clock::now;
use crate::connection::{Connection, Room};
use crate::pipe::Pipe;
use crate::record::{
    ConnectionRecord, EndRecord, Ending, Line, Party, SCHEMA, Stats, WitnessRecord,
};
use crate::writer::{self, Queue, Tally};

/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Time for connections that are being closed when the witness stops.
const CLOSING: Duration = Duration::from_millis(200);

/// Settings of a witness.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; a free port on loopback by default.
    pub listen: SocketAddr,
    /// `host:port` of the server.
    pub upstream: String,
    /// The file of records. An existing one is overwritten.
    pub records: PathBuf,
    /// Rewrites contexts that old servers drop.
    pub mends: bool,
    pub limits: Limits,
}

/// Limits of a witness's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at a time. Others wait in the listener's backlog.
    pub connections: usize,
    /// The most calls at a time. Others are forwarded without a record, and counted.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            calls: 100_000,
        }
    }
}

impl Config {
    pub fn new(upstream: impl Into<String>, records: impl Into<PathBuf>) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            upstream: upstream.into(),
            records: records.into(),
            mends: false,
            limits: Limits::default(),
        }
    }
}

/// Why a witness can't start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen at {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot write `{path}`: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the thread that writes the records panicked")]
    WriterPanicked,
}

/// A running witness. If it is dropped without [`Witness::stop`], it stops too, but its file has no `end` line.
#[derive(Debug)]
pub struct Witness {
    address: SocketAddr,
    stop: watch::Sender<()>,
    listener: Task<()>,
    records: Queue,
    tally: Tally,
    writer: JoinHandle<()>,
}

impl Witness {
    /// Starts on the current tokio runtime.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let address = config.listen;
        let unheard = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let tally = Tally::default();
        let (records, writer) = writer::start(&config.records, tally.clone())
            .map_err(|source| unwritable(&config.records, source))?;
        let first = Line::Witness(WitnessRecord {
            schema: SCHEMA.to_owned(),
            address: address.to_string(),
            upstream: config.upstream.clone(),
            began_unix_nano: now(),
            mends: config.mends,
        });
        records
            .send(first)
            .await
            .map_err(|_| Error::WriterPanicked)?;
        let (stop, stopped) = watch::channel(());
        let shared = Arc::new(Shared {
            upstream: config.upstream,
            mends: config.mends,
            room: Room {
                taken: Arc::default(),
                limit: config.limits.calls,
            },
            places: Arc::new(Semaphore::new(config.limits.connections)),
            records: records.clone(),
            tally: tally.clone(),
            stopped,
        });
        Ok(Self {
            address,
            stop,
            listener: tokio::spawn(listen(listener, shared)),
            records,
            tally,
            writer,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        self.tally.stats()
    }

    /// Ends all connections, records the calls that are still open, and returns when the file is complete.
    pub async fn stop(self) -> Result<Stats, Error> {
        drop(self.stop);
        // A panic of the listener leaves the records that were written.
        let _ = self.listener.await;
        let last = Line::End(EndRecord {
            ended_unix_nano: now(),
            stats: self.tally.stats(),
        });
        // The writer's end is reported below.
        let _ = self.records.send(last).await;
        drop(self.records);
        let joined = tokio::task::spawn_blocking(|| self.writer.join()).await;
        joined
            .map_err(|_| Error::WriterPanicked)?
            .map_err(|_| Error::WriterPanicked)?;
        Ok(self.tally.stats())
    }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

/// Shared by all connections.
#[derive(Debug)]
struct Shared {
    upstream: String,
    mends: bool,
    room: Room,
    places: Arc<Semaphore>,
    records: Queue,
    tally: Tally,
    stopped: watch::Receiver<()>,
}

impl Shared {
    /// Waits until the witness stops.
    async fn stopped(&self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = self.stopped.clone().changed().await;
    }

    /// Waits until a connection has to end that hasn't ended by itself.
    async fn closed(&self) {
        self.stopped().await;
        tokio::time::sleep(CLOSING).await;
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            () = shared.stopped() => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = next(&listener, &shared.places) => match accepted {
                Ok((client, peer)) => {
                    number += 1;
                    let shared = shared.clone();
                    connections.spawn(async move {
                        connect(number, client, peer, &shared).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Accepts the next connection, once the limit allows it.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (
    Option<OwnedSemaphorePermit>,
    io::Result<(TcpStream, SocketAddr)>,
) {
    // The semaphore is never closed.
    let place = places.clone().acquire_owned().await.ok();
    (place, listener.accept().await)
}

/// Connects one client to the server until both have closed, and records it.
async fn connect(number: u64, client: TcpStream, peer: SocketAddr, shared: &Shared) {
    shared.tally.add(|stats| stats.connections += 1);
    let record = ConnectionRecord {
        connection: number,
        peer: peer.to_string(),
        opened_unix_nano: now(),
        ..ConnectionRecord::default()
    };
    let connection = Mutex::new(Connection::new(record, shared.room.clone(), shared.mends));
    let (ending, error) = tokio::select! {
        () = shared.closed() => (Ending::Open, None),
        error = relay(client, &connection, shared) => (Ending::Cut, error),
    };
    let mut connection = connection
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    connection.end_all(ending, now());
    let mut record = connection.record;
    record.closed_unix_nano = now();
    record.error = error;
    shared.tally.add(|stats| {
        stats.calls += record.calls;
        stats.unrecorded_calls += record.unrecorded_calls;
        stats.out_of_sight += u64::from(record.out_of_sight.is_some());
    });
    let calls = connection.ended.into_iter().map(Line::Call);
    for line in calls.chain([Line::Connection(record)]) {
        if shared.records.send(line).await.is_err() {
            shared.tally.add(|stats| stats.unwritten += 1);
        }
    }
}

/// Forwards bytes both ways. Returns the error that broke the connection, if any.
async fn relay(
    mut client: TcpStream,
    connection: &Mutex<Connection>,
    shared: &Shared,
) -> Option<String> {
    let mut server = match TcpStream::connect(&shared.upstream).await {
        Ok(server) => server,
        Err(error) => {
            reset_when_dropped(&client);
            return Some(format!("connecting to {}: {error}", shared.upstream));
        }
    };
    for side in [&client, &server] {
        // Avoids delays of small frames. A closed connection is noticed when it is read.
        let _ = side.set_nodelay(true);
    }
    let broken = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let pipe = |by, from, to| Pipe {
            by,
            from,
            to,
            connection,
            records: &shared.records,
            left: Vec::new(),
        };
        tokio::try_join!(
            pipe(Party::Client, from_client, to_server).run(),
            pipe(Party::Server, from_server, to_client).run(),
        )
    };
    let broken = broken.err()?;
    for side in [&client, &server] {
        reset_when_dropped(side);
    }
    Some(broken.to_string())
}

/// Forwards a broken connection as a reset.
fn reset_when_dropped(side: &TcpStream) {
    // Fails for a closed connection, which has no use for it.
    let _ = side.set_zero_linger();
}
