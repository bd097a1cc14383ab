//! One direction of a connection: read bytes, follow them, forward them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::clock::now;
use crate::connection::Connection;
use crate::record::{Line, OutOfSight, Party};
use crate::writer::Queue;

/// The most bytes of one read.
const CHUNK: usize = 64 << 10;

thread_local! {
    /// Shared by all connections of a thread. It is empty whenever a connection waits.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Why a direction ended before its sender closed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("reading from the {0:?}: {1}")]
    Read(Party, io::Error),
    #[error("writing what the {0:?} sent: {1}")]
    Write(Party, io::Error),
    #[error("its headers can't be rewritten: {0:?}")]
    Unmendable(OutOfSight),
    #[error("{0}")]
    Before(String),
    #[error("cut by a fault")]
    Fault,
    #[error("the records can't be written any more")]
    NoWriter,
}

/// One direction.
pub(crate) struct Pipe<'a> {
    pub(crate) by: Party,
    pub(crate) from: ReadHalf<'a>,
    pub(crate) to: WriteHalf<'a>,
    pub(crate) connection: &'a Mutex<Connection>,
    pub(crate) records: &'a Queue,
    /// Bytes that the receiver had no room for. Nothing more is read until they are sent, so that a slow reader slows its sender.
    pub(crate) left: Vec<u8>,
}

impl Pipe<'_> {
    /// Forwards until the sender closes this direction, then closes it to the receiver.
    pub(crate) async fn run(mut self) -> Result<(), Broken> {
        loop {
            let (read, ended) = poll_fn(|context| self.pass(context)).await?;
            for _ in 0..ended {
                // A record stays in its connection until the queue has room, so that it survives when this future is dropped.
                let room = self.records.reserve().await;
                let room = room.map_err(|_| Broken::NoWriter)?;
                if let Some(record) = self.connection().ended.pop_front() {
                    room.send(Line::Call(record));
                }
            }
            if !self.left.is_empty() {
                let written = self.to.write_all(&self.left).await;
                written.map_err(|error| Broken::Write(self.by, error))?;
                self.left = Vec::new();
            }
            if read == 0 {
                let closed = self.to.shutdown().await;
                return closed.map_err(|error| Broken::Write(self.by, error));
            }
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads once and forwards as much as the receiver takes at once. Returns the number of bytes read and of calls that ended.
    fn pass(&mut self, context: &mut Context<'_>) -> Poll<Result<(usize, usize), Broken>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut chunk = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut self.from).poll_read(context, &mut chunk));
            read.map_err(|error| Broken::Read(self.by, error))?;
            let bytes = chunk.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok((0, 0)));
            }
            let mut connection = self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let passed = connection.pass(self.by, bytes, now());
            let passed = passed.map_err(Broken::Unmendable)?;
            let taken = match Pin::new(&mut self.to).poll_write(context, passed) {
                Poll::Pending => 0,
                Poll::Ready(written) => written.map_err(|error| Broken::Write(self.by, error))?,
            };
            self.left.extend_from_slice(&passed[taken..]);
            Poll::Ready(Ok((bytes.len(), connection.ended.len())))
        })
    }
}
