//! The proxy: listens and connects each client to the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle as Task, JoinSet};

use crate::clock::now;
use crate::connection::{Connection, Room};
use crate::door::Door;
use crate::fault::{Action, Plan, Playing};
use crate::faulty::Faulty;
use crate::pipe::Pipe;
use crate::record::{
    ConnectionRecord, EndRecord, Ending, FaultCount, Line, Party, SCHEMA, Stats, WitnessRecord,
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
    /// Clients by name, each of which gets a port of its own: the first that of `listen`, the others free ones. Records name them, and
    /// faults are counted for each. If it is empty, there is one port for all.
    pub clients: Vec<String>,
    /// `host:port` of the server.
    pub upstream: String,
    /// The file of records. An existing one is overwritten.
    pub records: PathBuf,
    /// Rewrites contexts that old servers drop.
    pub mends: bool,
    /// The faults that are played.
    pub faults: Option<Plan>,
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
            clients: Vec::new(),
            upstream: upstream.into(),
            records: records.into(),
            mends: false,
            faults: None,
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
    ports: Vec<Arc<Port>>,
    stop: watch::Sender<()>,
    listeners: Vec<Task<()>>,
    records: Queue,
    tally: Tally,
    writer: JoinHandle<()>,
}

/// Where clients connect, and what is played on their calls.
#[derive(Debug)]
struct Port {
    address: SocketAddr,
    client: Option<String>,
    playing: Option<Arc<Playing>>,
}

impl Witness {
    /// Starts on the current tokio runtime.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let plan = config.faults.unwrap_or_default();
        let mut doors = Vec::new();
        let mut ports = Vec::new();
        let names = config.clients.iter().map(Some);
        let all = config.clients.is_empty().then_some(None);
        for client in all.into_iter().chain(names) {
            let mut listen = config.listen;
            if !doors.is_empty() {
                listen.set_port(0);
            }
            let door = door(listen, &plan).await?;
            ports.push(Arc::new(Port {
                address: door.address(),
                client: client.cloned(),
                playing: (plan != Plan::default()).then(|| Arc::new(Playing::new(plan.clone()))),
            }));
            doors.push(door);
        }
        let tally = Tally::default();
        let (records, writer) = writer::start(&config.records, tally.clone())
            .map_err(|source| unwritable(&config.records, source))?;
        let first = Line::Witness(WitnessRecord {
            schema: SCHEMA.to_owned(),
            address: ports[0].address.to_string(),
            upstream: config.upstream.clone(),
            began_unix_nano: now(),
            mends: config.mends,
            faults: plan.faults.iter().map(|fault| fault.name.clone()).collect(),
            link_delay_nanos: plan.link_delay.as_nanos().try_into().unwrap_or(u64::MAX),
        });
        records
            .send(first)
            .await
            .map_err(|_| Error::WriterPanicked)?;
        let (stop, stopped) = watch::channel(());
        let shared = Arc::new(Shared {
            upstream: config.upstream,
            mends: config.mends,
            number: AtomicU64::new(0),
            room: Room {
                taken: Arc::default(),
                limit: config.limits.calls,
            },
            places: Arc::new(Semaphore::new(config.limits.connections)),
            records: records.clone(),
            tally: tally.clone(),
            stopped,
        });
        let listeners = doors.into_iter().zip(&ports);
        let listeners =
            listeners.map(|(door, port)| tokio::spawn(listen(door, port.clone(), shared.clone())));
        Ok(Self {
            listeners: listeners.collect(),
            ports,
            stop,
            records,
            tally,
            writer,
        })
    }

    /// Where clients connect; the first client, if they have names.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ports[0].address
    }

    /// The named clients and where they connect.
    pub fn clients(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let named = |port: &Arc<Port>| port.client.is_some();
        let ports = self.ports.iter().filter(move |port| named(port));
        ports.map(|port| (port.client.as_deref().unwrap_or_default(), port.address))
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        stats(&self.tally, &self.ports)
    }

    /// Ends all connections, records the calls that are still open, and returns when the file is complete.
    pub async fn stop(self) -> Result<Stats, Error> {
        drop(self.stop);
        for listener in self.listeners {
            // A panic of a listener leaves the records that were written.
            let _ = listener.await;
        }
        let last = Line::End(EndRecord {
            ended_unix_nano: now(),
            stats: stats(&self.tally, &self.ports),
        });
        // The writer's end is reported below.
        let _ = self.records.send(last).await;
        drop(self.records);
        let joined = tokio::task::spawn_blocking(|| self.writer.join()).await;
        joined
            .map_err(|_| Error::WriterPanicked)?
            .map_err(|_| Error::WriterPanicked)?;
        Ok(stats(&self.tally, &self.ports))
    }
}

async fn door(address: SocketAddr, plan: &Plan) -> Result<Door, Error> {
    let mut faults = plan.faults.iter();
    let door = match faults.any(|fault| matches!(fault.action, Action::Refuse(_))) {
        true => Door::closable(address),
        false => Door::open(address).await,
    };
    door.map_err(|source| Error::Listen { address, source })
}

fn stats(tally: &Tally, ports: &[Arc<Port>]) -> Stats {
    let played = ports.iter().flat_map(|port| {
        let counts = port.playing.as_ref().map(|playing| playing.told());
        let named = |count| FaultCount {
            client: port.client.clone(),
            ..count
        };
        counts.into_iter().flatten().map(named)
    });
    Stats {
        faults: played.collect(),
        ..tally.stats()
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
    /// Of the latest connection.
    number: AtomicU64,
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

async fn listen(mut door: Door, port: Arc<Port>, shared: Arc<Shared>) {
    let mut outages = port.playing.as_ref().map(|playing| playing.outages());
    let mut outage = outages.as_mut().and_then(|told| *told.borrow_and_update());
    let mut connections = JoinSet::new();
    loop {
        match outage {
            Some(_) => door.close(),
            // The port is kept meanwhile, so this fails for want of file descriptors alone.
            None if door.reopen().is_err() => tokio::time::sleep(ACCEPT_PAUSE).await,
            None => {}
        }
        tokio::select! {
            () = shared.stopped() => break,
            Some(_) = connections.join_next() => {}
            begun = next_outage(&mut outages) => outage = begun,
            () = end_of(outage) => outage = None,
            (place, accepted) = next(&door, &shared.places) => match accepted {
                Ok((client, peer)) => {
                    let (port, shared) = (port.clone(), shared.clone());
                    connections.spawn(async move {
                        connect(client, peer, &port, &shared).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

/// The end of the next outage that a fault begins.
async fn next_outage(outages: &mut Option<watch::Receiver<Option<Instant>>>) -> Option<Instant> {
    if let Some(outages) = outages
        && outages.changed().await.is_ok()
    {
        return *outages.borrow_and_update();
    }
    std::future::pending().await
}

async fn end_of(outage: Option<Instant>) {
    match outage {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// Accepts the next connection, once the limit allows it.
async fn next(
    door: &Door,
    places: &Arc<Semaphore>,
) -> (
    Option<OwnedSemaphorePermit>,
    io::Result<(TcpStream, SocketAddr)>,
) {
    // The semaphore is never closed.
    let place = places.clone().acquire_owned().await.ok();
    (place, door.accept().await)
}

/// Connects one client to the server until both have closed, and records it.
async fn connect(client: TcpStream, peer: SocketAddr, port: &Port, shared: &Shared) {
    shared.tally.add(|stats| stats.connections += 1);
    let record = ConnectionRecord {
        connection: 1 + shared.number.fetch_add(1, Ordering::Relaxed),
        client: port.client.clone(),
        peer: peer.to_string(),
        opened_unix_nano: now(),
        ..ConnectionRecord::default()
    };
    let connection = Mutex::new(Connection::new(record, shared.room.clone(), shared.mends));
    let (ending, error) = tokio::select! {
        () = shared.closed() => (Ending::Open, None),
        error = relay(client, &connection, port, shared) => (Ending::Cut, error),
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
    port: &Port,
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
    let broken = if let Some(playing) = &port.playing {
        let faulty = Faulty::new(
            connection,
            &shared.records,
            playing.clone(),
            &shared.upstream,
        );
        faulty.run(&mut client, &mut server).await.err()
    } else {
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
        .err()
    };
    let broken = broken?;
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
