//! The way of a request after its protocol: received in bounds, decompressed, transcoded, queued,
//! acknowledged.

use crate::Limits;
use crate::budget::{Budget, Reservation};
use crate::schema::Signal;
use crate::stats::{Counters, add};
use crate::transcode::{Malformed, json_to_protobuf, protobuf_to_json};
use crate::writer::{Job, Line, Queue};
use flate2::bufread::MultiGzDecoder;
use hyper::body::{Body, Bytes, Incoming};
use std::future::poll_fn;
use std::io::Read as _;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("not an OTLP request: {0}")]
    Malformed(#[from] Malformed),
    #[error("not an OTLP request: {0}")]
    Framing(&'static str),
    #[error("the gzip data is damaged: {0}")]
    Gzip(std::io::Error),
    #[error("the request is larger than {limit} bytes{when}")]
    TooLarge { limit: usize, when: &'static str },
    #[error("the queue is full, send again later")]
    Full,
    #[error("the request could not be stored, send again later: {0}")]
    NotStored(String),
    #[error("the capture is stopping, send again later")]
    Stopping,
    #[error("the request broke off while it was sent")]
    Broken,
    #[error("the request took longer than {} s to be sent", .0.as_secs())]
    Slow(std::time::Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    budget: Budget,
    queue: Queue,
    is_forwarding: bool,
}

/// A request's bytes, with the memory that is reserved for them.
#[derive(Debug)]
pub(crate) struct Received {
    buffer: Vec<u8>,
    /// Where the request begins in the buffer.
    start: usize,
    reservation: Reservation,
}

/// Counts a request as broken off, unless it is forgotten. It is dropped with the call when a
/// client resets its stream.
struct Unfinished<'a>(&'a Counters);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        add(&self.0.broken_requests, 1);
    }
}

/// Even an empty request costs something while it waits.
const OVERHEAD: usize = 512;
const MAX_MESSAGE: usize = 400;
const INFLATE_STEP: usize = 64 << 10;

impl Intake {
    pub(crate) fn new(
        limits: Limits,
        budget: Budget,
        counters: Arc<Counters>,
        queue: Queue,
        is_forwarding: bool,
    ) -> Self {
        Self {
            limits,
            counters,
            budget,
            queue,
            is_forwarding,
        }
    }

    /// Reads a body to its end, or until it is larger than a request may be with `framing` before
    /// it.
    pub(crate) async fn receive(
        &self,
        body: &mut Incoming,
        framing: usize,
    ) -> Result<Received, Refusal> {
        let limit = self.limits.received_bytes.saturating_add(framing);
        let too_large = Refusal::TooLarge {
            limit: self.limits.received_bytes,
            when: "",
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large);
        }
        let mut received = Received {
            buffer: Vec::new(),
            start: 0,
            reservation: self.budget.reserve(),
        };
        let unfinished = Unfinished(&self.counters);
        let reading = async {
            while let Some(chunk) = next_chunk(body).await? {
                let length = received.buffer.len() + chunk.len();
                if length > limit {
                    return Err(too_large);
                }
                received.reserve(length)?;
                received.buffer.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let allowed = self.limits.receive_timeout;
        let read = timeout(allowed, reading)
            .await
            .unwrap_or(Err(Refusal::Slow(allowed)));
        if !matches!(read, Err(Refusal::Broken | Refusal::Slow(_))) {
            mem::forget(unfinished);
        }
        read.map(|()| received)
    }

    /// Decompresses what was received, and stops where the limit is passed.
    pub(crate) fn inflate(&self, received: Received) -> Result<Received, Refusal> {
        let limit = self.limits.decompressed_bytes;
        let mut inflated = Vec::new();
        let Received {
            buffer: compressed,
            start,
            mut reservation,
        } = received;
        let mut decoder = MultiGzDecoder::new(&compressed[start..]);
        loop {
            if !reservation.resize(OVERHEAD + compressed.len() + inflated.len() + INFLATE_STEP) {
                return Err(Refusal::Full);
            }
            let mut step = decoder.by_ref().take(INFLATE_STEP as u64);
            let length = step.read_to_end(&mut inflated).map_err(Refusal::Gzip)?;
            if inflated.len() > limit {
                return Err(Refusal::TooLarge {
                    limit,
                    when: " after decompression",
                });
            }
            if length == 0 {
                return Ok(Received {
                    buffer: inflated,
                    start: 0,
                    reservation,
                });
            }
        }
    }

    /// Stores a request, and returns once it is written.
    pub(crate) async fn accept(
        &self,
        signal: Signal,
        encoding: Encoding,
        request: Received,
    ) -> Result<(), Refusal> {
        let Some(line) = self.line(signal, encoding, request)? else {
            self.counters.kept(signal, 0, 0);
            return Ok(());
        };
        let (done, written) = oneshot::channel();
        self.queue
            .send(Job::Write { line, done })
            .map_err(|_| Refusal::Stopping)?;
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Refusal::NotStored(error)),
            Err(_) => Err(Refusal::Stopping),
        }
    }

    /// Waits until everything that was queued before is written.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Job::Flush { done }).is_ok() {
            // An error means that the writer has ended, and then there is nothing to wait for.
            let _ = flushed.await;
        }
    }

    pub(crate) fn count(&self, refusal: &Refusal) {
        let counters = &self.counters;
        let counter = match refusal {
            Refusal::Malformed(_) | Refusal::Framing(_) | Refusal::Gzip(_) => {
                &counters.malformed_requests
            }
            Refusal::TooLarge { .. } => &counters.rejected_requests,
            Refusal::Full | Refusal::Stopping => &counters.refused_requests,
            // The receiving has counted the former, the writer the records of the latter.
            Refusal::Broken | Refusal::Slow(_) | Refusal::NotStored(_) => return,
        };
        add(counter, 1);
    }

    /// The line to store; `None` for a request without any record.
    fn line(
        &self,
        signal: Signal,
        encoding: Encoding,
        request: Received,
    ) -> Result<Option<Line>, Refusal> {
        let Received {
            buffer,
            start,
            mut reservation,
        } = request;
        let protobuf = match encoding {
            Encoding::Protobuf => Bytes::from(buffer).slice(start..),
            Encoding::Json => {
                let mut protobuf = Vec::new();
                json_to_protobuf(signal, &buffer[start..], &mut protobuf)?;
                Bytes::from(protobuf)
            }
        };
        // Names, quotes and digits make about three times as much of what SDKs send.
        let mut json = Vec::with_capacity(protobuf.len() * 3);
        let records = protobuf_to_json(signal, &protobuf, &mut json)?;
        if records == 0 {
            return Ok(None);
        }
        json.push(b'\n');
        let message = self.is_forwarding.then_some(protobuf);
        let held = OVERHEAD + json.len() + message.as_ref().map_or(0, Bytes::len);
        if !reservation.resize(held) {
            return Err(Refusal::Full);
        }
        Ok(Some(Line {
            signal,
            json,
            records,
            message,
            reservation,
        }))
    }
}

impl Refusal {
    /// What the client is told. It may quote the request, which may be long.
    pub(crate) fn message(&self) -> String {
        let mut message = self.to_string();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        message
    }
}

impl Received {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Leaves out what stands before the request.
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length;
    }

    fn reserve(&mut self, length: usize) -> Result<(), Refusal> {
        if self.reservation.resize(OVERHEAD + length) {
            Ok(())
        } else {
            Err(Refusal::Full)
        }
    }
}

/// The next piece of a body's data; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
