//! Handles a request independently of its protocol: receives it within limits, decompresses,
//! transcodes, queues and acknowledges it.

use crate::budget::{Budget, Reservation};
use crate::config::Limits;
use crate::identity;
use crate::inflate::Compression;
use crate::ledger::{Ledger, Who};
use crate::refusal::Refusal;
use crate::schema::Signal;
use crate::secrets::Secrets;
use crate::transcode::{json_to_protobuf, protobuf_to_json};
use crate::visit::Visit;
use crate::writer::{Job, JobQueue, Line};
use hyper::body::{Body, Bytes, Incoming};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) limits: Limits,
    pub(crate) ledger: Arc<Ledger>,
    budget: Budget,
    queue: JobQueue,
    secrets: Secrets,
    is_forwarding: bool,
}

/// A request's bytes, with their reserved memory.
#[derive(Debug)]
pub(crate) struct Received {
    buffer: Vec<u8>,
    /// The offset of the request in the buffer.
    start: usize,
    reservation: Reservation,
}

/// The cost of an empty request while it waits.
const OVERHEAD: usize = 512;
const INFLATE_STEP: usize = 64 << 10;
/// The bytes of a request that identify it when it is retried, together with its length. They
/// include the ids of its first spans.
const DIGESTED: usize = 16 << 10;
/// The time for which the rest of a refused request is read, so that its client reads the response.
const LINGER: Duration = Duration::from_secs(1);

impl Intake {
    pub(crate) fn new(
        limits: Limits,
        ledger: Arc<Ledger>,
        queue: JobQueue,
        secrets: Secrets,
        is_forwarding: bool,
    ) -> Self {
        Self {
            limits,
            ledger,
            budget: Budget::new(limits.queue_bytes),
            queue,
            secrets,
            is_forwarding,
        }
    }

    /// Reads a body to its end, or until it is larger than a request may be with `framing` before
    /// it.
    pub(crate) async fn receive(
        &self,
        visit: &mut Visit<'_>,
        body: &mut Incoming,
        framing: usize,
    ) -> Result<Received, Refusal> {
        let allowed = self.limits.receive_timeout;
        let mut received = Received {
            buffer: Vec::new(),
            start: 0,
            reservation: self.budget.reserve(),
        };
        let limit = self.limits.received_bytes;
        let reading = received.read(body, limit.saturating_add(framing), limit);
        let read = timeout(allowed, reading)
            .await
            .unwrap_or(Err(Refusal::Slow(allowed)));
        match &read {
            Ok(()) => visit.recognize(digest(&received.buffer, received.buffer.len())),
            Err(Refusal::Full) => {
                if let Some(digest) = received.digest_to_the_end(body).await {
                    visit.recognize(digest);
                }
            }
            Err(_) => {}
        }
        read.map(|()| received)
    }

    /// Decompresses a received request, and stops at the limit.
    pub(crate) fn inflate(
        &self,
        received: Received,
        compression: Compression,
    ) -> Result<Received, Refusal> {
        let limit = self.limits.decompressed_bytes;
        let mut inflated = Vec::new();
        let Received {
            buffer: compressed,
            start,
            mut reservation,
        } = received;
        let mut reader = compression.reader(&compressed[start..]);
        loop {
            let inflating = inflated.len() + INFLATE_STEP;
            let held = compressed.len() + inflating + compression.window(inflating);
            if !reservation.resize(OVERHEAD + held) {
                return Err(Refusal::Full);
            }
            let mut step = reader.by_ref().take(INFLATE_STEP as u64);
            let length = step
                .read_to_end(&mut inflated)
                .map_err(|source| Refusal::Damaged {
                    compression: compression.name(),
                    source,
                })?;
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

    /// Stores a request, and returns after it is written.
    pub(crate) async fn accept(
        &self,
        visit: &mut Visit<'_>,
        signal: Signal,
        encoding: Encoding,
        request: Received,
    ) -> Result<(), Refusal> {
        let (protobuf, reservation) = self.protobuf(visit, signal, encoding, request)?;
        if let Some(program) = identity::of_protobuf(&protobuf) {
            visit.identify(Who::Program(program));
        }
        let Some(line) = self.line(visit, signal, protobuf, reservation)? else {
            self.ledger.stored(visit.hand_over(), signal, 0, 0);
            return Ok(());
        };
        let (done, written) = oneshot::channel();
        self.queue
            .send(Job::Write { line, done })
            .map_err(|_| Refusal::Stopping)?;
        // The writer counts the request, even if nothing waits for the result.
        visit.hand_over();
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Refusal::NotStored(error)),
            Err(_) => Err(Refusal::Stopping),
        }
    }

    /// Waits until everything queued before is written.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Job::Flush { done }).is_ok() {
            // An error means that the writer has ended, so there is nothing to wait for.
            let _ = flushed.await;
        }
    }

    /// Returns the protobuf request without secrets, and drops the original.
    fn protobuf(
        &self,
        visit: &mut Visit<'_>,
        signal: Signal,
        encoding: Encoding,
        request: Received,
    ) -> Result<(Bytes, Reservation), Refusal> {
        let Received {
            buffer: mut request_bytes,
            start,
            reservation,
        } = request;
        let (mut protobuf, start) = match encoding {
            Encoding::Protobuf => (request_bytes, start),
            Encoding::Json => {
                let mut protobuf = Vec::new();
                let json = &mut request_bytes[start..];
                json_to_protobuf(signal, json, &mut protobuf).inspect_err(|_| {
                    if let Some(program) = identity::of_json(json) {
                        visit.identify(Who::Program(program));
                    }
                })?;
                (protobuf, 0)
            }
        };
        if !self.secrets.is_empty() {
            self.secrets.redact(&mut protobuf[start..]);
        }
        Ok((Bytes::from(protobuf).slice(start..), reservation))
    }

    /// The line to store; `None` for a request without records.
    fn line(
        &self,
        visit: &Visit<'_>,
        signal: Signal,
        protobuf: Bytes,
        mut reservation: Reservation,
    ) -> Result<Option<Line>, Refusal> {
        // JSON is about three times as large as protobuf for the data that SDKs send.
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
            sender: visit.sender(),
            digest: visit.digest(),
        }))
    }
}

impl Received {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Skips the bytes before the request.
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length;
    }

    /// Reads a body to its end, or until it is larger than `most`. The error names `limit`.
    async fn read(
        &mut self,
        body: &mut Incoming,
        most: usize,
        limit: usize,
    ) -> Result<(), Refusal> {
        let too_large = Refusal::TooLarge { limit, when: "" };
        if body.size_hint().lower() > most as u64 {
            return Err(too_large);
        }
        while let Some(chunk) = next_chunk(body).await? {
            let length = self.buffer.len() + chunk.len();
            if length > most {
                return Err(too_large);
            }
            if let Err(full) = self.reserve(length) {
                self.buffer.extend_from_slice(&chunk);
                return Err(full);
            }
            self.buffer.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Reads the rest of a body for which there is no memory, to recognize the request when it is
    /// retried. Its memory is free immediately.
    async fn digest_to_the_end(&mut self, body: &mut Incoming) -> Option<u64> {
        let mut length = self.buffer.len();
        self.buffer.truncate(DIGESTED);
        self.buffer.shrink_to_fit();
        // Reducing the reserved memory always succeeds.
        let _ = self.reservation.resize(OVERHEAD);
        let read = timeout(LINGER, async {
            while let Some(chunk) = next_chunk(body).await? {
                length += chunk.len();
                let room = DIGESTED - self.buffer.len();
                self.buffer
                    .extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok::<_, Refusal>(())
        });
        matches!(read.await, Ok(Ok(()))).then(|| digest(&self.buffer, length))
    }

    fn reserve(&mut self, length: usize) -> Result<(), Refusal> {
        if self.reservation.resize(OVERHEAD + length) {
            Ok(())
        } else {
            Err(Refusal::Full)
        }
    }
}

/// The digest that identifies a request of this length when it is retried.
fn digest(received: &[u8], length: usize) -> u64 {
    const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
    /// The position of the time in a gzip header, which differs between attempts.
    const TIME: std::ops::Range<usize> = 4..8;
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(length);
    let mut head = &received[..received.len().min(DIGESTED)];
    // The gzip header is at the beginning, or after gRPC's prefix.
    if let Some(gzip) = [0, 5].into_iter().find(|&at| {
        let header = head.get(at..at + TIME.end);
        header.is_some_and(|header| header.starts_with(&GZIP))
    }) {
        hasher.write(&head[..gzip + TIME.start]);
        head = &head[gzip + TIME.end..];
    }
    hasher.write(head);
    hasher.finish()
}

/// Reads the rest of a refused request. If the client is gone or never ends, that is its own loss.
pub(crate) async fn linger(body: &mut Incoming) {
    let _ = timeout(LINGER, async {
        while let Ok(Some(_)) = next_chunk(body).await {}
    })
    .await;
}

/// The next chunk of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
