//! Both directions of a connection on which faults may be played.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

use crate::clock::now;
use crate::connection::Connection;
use crate::fault::{Playing, Stage};
use crate::pipe::Broken;
use crate::record::{Line, Party};
use crate::writer::Queue;

/// The most bytes of one read.
const CHUNK: usize = 16 << 10;

/// While more bytes than this wait for one side, nothing more is read from the other.
const ROOM: usize = 256 << 10;

pub(crate) struct Faulty<'a> {
    connection: &'a Mutex<Connection>,
    records: &'a Queue,
    playing: Arc<Playing>,
    stage: Stage,
    upstream: &'a str,
}

/// Bytes that wait for their time, and for the receiver.
struct Outbox<'a> {
    /// Whose bytes they are.
    by: Party,
    to: WriteHalf<'a>,
    delay: Duration,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes of the first that are sent.
    sent: usize,
    is_last: bool,
    is_closed: bool,
}

impl<'a> Faulty<'a> {
    pub(crate) fn new(
        connection: &'a Mutex<Connection>,
        records: &'a Queue,
        playing: Arc<Playing>,
        upstream: &'a str,
    ) -> Self {
        let stage = Stage::new(playing.clone());
        Self {
            connection,
            records,
            playing,
            stage,
            upstream,
        }
    }

    /// Forwards both ways until both sides have closed.
    pub(crate) async fn run(
        mut self,
        client: &mut TcpStream,
        server: &mut TcpStream,
    ) -> Result<(), Broken> {
        let mut outages = self.playing.outages();
        let outage = *outages.borrow_and_update();
        if outage.is_some_and(|end| end > Instant::now()) {
            return Err(Broken::Fault);
        }
        let delay = self.playing.plan().link_delay;
        let (mut from_client, to_client) = client.split();
        let (mut from_server, to_server) = server.split();
        let mut to_client = Outbox::new(Party::Server, to_client, delay);
        let mut to_server = Outbox::new(Party::Client, to_server, delay);
        let (mut clients, mut servers) = (vec![0; CHUNK], vec![0; CHUNK]);
        while !(to_client.is_closed && to_server.is_closed) {
            let due = self.stage.due();
            tokio::select! {
                read = from_client.read(&mut clients), if to_server.takes() => {
                    let read = read.map_err(|error| Broken::Read(Party::Client, error))?;
                    to_server.is_last = read == 0;
                    self.read_client(&clients[..read])?;
                }
                read = from_server.read(&mut servers), if to_client.takes() && !self.stage.is_full() => {
                    let read = read.map_err(|error| Broken::Read(Party::Server, error))?;
                    to_client.is_last = read == 0;
                    self.stage.read_server(&servers[..read]).map_err(Broken::Unmendable)?;
                }
                written = to_server.write(), if to_server.has_work() => written?,
                written = to_client.write(), if to_client.has_work() => written?,
                () = until(due), if due.is_some() => {}
                _ = outages.changed() => return Err(Broken::Fault),
            }
            self.stage.release(Instant::now());
            while let Some(before) = self.stage.take_before() {
                let stream = before.stream;
                before.send(self.upstream).await.map_err(Broken::Before)?;
                self.stage.proceed(stream);
            }
            to_server.push(self.stage.take_to_server());
            to_client.push(self.take_to_client());
            self.write_records().await?;
            if self.stage.is_cut() {
                return Err(Broken::Fault);
            }
        }
        Ok(())
    }

    fn connection(&self) -> std::sync::MutexGuard<'a, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn read_client(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut connection = self.connection();
        let passed = connection.pass(Party::Client, bytes, now());
        let passed = passed.map_err(Broken::Unmendable)?;
        let followed = self.stage.read_client(passed, Instant::now());
        followed.map_err(Broken::Unmendable)?;
        for played in self.stage.take_played() {
            let name = &self.playing.fault(played.fault).name;
            connection.faulted(played.stream, name, played.stripped);
        }
        Ok(())
    }

    /// The bytes that the client gets, which its record shows.
    fn take_to_client(&mut self) -> Vec<u8> {
        let bytes = self.stage.take_to_client();
        // Only bytes of the client can be unmendable.
        let _ = self.connection().pass(Party::Server, &bytes, now());
        bytes
    }

    async fn write_records(&self) -> Result<(), Broken> {
        let ended = self.connection().ended.len();
        for _ in 0..ended {
            let room = self.records.reserve().await;
            let room = room.map_err(|_| Broken::NoWriter)?;
            if let Some(record) = self.connection().ended.pop_front() {
                room.send(Line::Call(record));
            }
        }
        Ok(())
    }
}

impl<'a> Outbox<'a> {
    fn new(by: Party, to: WriteHalf<'a>, delay: Duration) -> Self {
        Self {
            by,
            to,
            delay,
            waiting: VecDeque::new(),
            sent: 0,
            is_last: false,
            is_closed: false,
        }
    }

    fn push(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.waiting.push_back((Instant::now() + self.delay, bytes));
        }
    }

    /// Whether its sender may be read.
    fn takes(&self) -> bool {
        let waiting = self.waiting.iter().map(|(_, bytes)| bytes.len());
        !self.is_last && waiting.sum::<usize>() < ROOM
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.is_last && !self.is_closed
    }

    /// Writes some bytes that are due, or closes this direction after the last ones.
    async fn write(&mut self) -> Result<(), Broken> {
        let Some((due, bytes)) = self.waiting.front() else {
            let closed = self.to.shutdown().await;
            self.is_closed = true;
            return closed.map_err(|error| Broken::Write(self.by, error));
        };
        until(Some(*due)).await;
        let written = self.to.write(&bytes[self.sent..]).await;
        self.sent += written.map_err(|error| Broken::Write(self.by, error))?;
        if self.sent == bytes.len() {
            self.waiting.pop_front();
            self.sent = 0;
        }
        Ok(())
    }
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due.filter(|due| *due > Instant::now()) {
        tokio::time::sleep_until(due.into()).await;
    }
}
