//! Forwards stored requests over OTLP/gRPC, unchanged, from a separate queue, and retries where
//! OTLP says so.
//!
//! Forwarding never delays the capture. Requests that don't fit the queue or can't be delivered are
//! counted as lost; they are still in the files.

use crate::budget::{Budget, Reservation};
use crate::ledger::{Ledger, SenderId};
use crate::schema::Signal;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use protobuf_wire::{Reader, Value};
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::future::poll_fn;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The receiver of stored requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The receiver's OTLP/gRPC address, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// Bytes of requests that can wait in the queue. Default: 32 MiB.
    pub queue_bytes: usize,
}

impl Forward {
    /// Forwards to this address, with the default queue.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            queue_bytes: 32 << 20,
        }
    }
}

/// The requests to send. The queue is bounded by the budget, of which each request holds a part.
#[derive(Clone, Debug)]
pub(crate) struct ForwardQueue {
    items: mpsc::UnboundedSender<Item>,
    budget: Budget,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
enum Item {
    Send(Outgoing),
    Flush { done: oneshot::Sender<()> },
}

#[derive(Debug)]
struct Outgoing {
    signal: Signal,
    message: Bytes,
    records: u64,
    sender: SenderId,
    _reservation: Reservation,
}

/// The timeout of one attempt: OTLP's default for exporters.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The time after which a request isn't retried any more.
const GIVE_UP: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl ForwardQueue {
    /// Starts the task that sends. It ends when every queue is dropped and every request was sent
    /// or lost.
    pub(crate) fn start(
        peer: Peer,
        queue_bytes: usize,
        ledger: &Arc<Ledger>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (items, waiting) = mpsc::unbounded_channel();
        tasks.spawn(send_all(peer, waiting, Arc::clone(ledger)));
        Self {
            items,
            budget: Budget::new(queue_bytes),
            ledger: Arc::clone(ledger),
        }
    }

    /// Queues a request, or counts it as lost.
    pub(crate) fn offer(&self, signal: Signal, message: Bytes, records: u64, sender: SenderId) {
        self.ledger.forwarding(sender, records);
        let mut reservation = self.budget.reserve();
        let fits = reservation.resize(message.len());
        let item = Item::Send(Outgoing {
            signal,
            message,
            records,
            sender,
            _reservation: reservation,
        });
        if !fits {
            self.ledger
                .not_forwarded(sender, records, "the queue is full".to_owned());
        } else if self.items.send(item).is_err() {
            self.ledger
                .not_forwarded(sender, records, "forwarding has ended".to_owned());
        }
    }

    /// Waits until every request queued before was sent or lost.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.items.send(Item::Flush { done }).is_ok() {
            // An error means that the task has ended, so there is nothing to wait for.
            let _ = flushed.await;
        }
    }
}

async fn send_all(mut peer: Peer, mut items: mpsc::UnboundedReceiver<Item>, ledger: Arc<Ledger>) {
    while let Some(item) = items.recv().await {
        match item {
            Item::Flush { done } => drop(done.send(())),
            Item::Send(outgoing) => peer.deliver(&outgoing, &ledger).await,
        }
    }
}

/// The connection to the receiver.
#[derive(Debug)]
pub(crate) struct Peer {
    host: String,
    port: u16,
    connection: Option<SendRequest<GrpcBody>>,
    /// Signals for which the receiver has no method, as Jaeger for metrics.
    unsupported: Vec<Signal>,
}

/// The outcome of an attempt.
enum Outcome {
    Sent {
        rejected: u64,
        message: String,
    },
    Unsupported,
    Refused {
        message: String,
    },
    Later {
        message: String,
        after: Option<Duration>,
    },
}

impl Peer {
    /// Parses an address, without connecting.
    pub(crate) fn at(endpoint: &str) -> Result<Self, &'static str> {
        let uri: Uri = endpoint.parse().map_err(|_| "not a URL")?;
        match (uri.scheme_str(), uri.path(), uri.host(), uri.port_u16()) {
            (Some("http"), "" | "/", Some(host), Some(port)) => {
                let host = host.trim_matches(['[', ']']).to_owned();
                Ok(Self {
                    host,
                    port,
                    connection: None,
                    unsupported: Vec::new(),
                })
            }
            (Some("https"), ..) => Err("TLS is not possible; let a Collector stand in between"),
            (Some("http"), _, Some(_), Some(_)) => Err("OTLP over gRPC has no path"),
            _ => Err("it has to be like `http://127.0.0.1:4317`"),
        }
    }

    /// Whether this capture itself listens on the address.
    pub(crate) async fn is(&self, address: SocketAddr) -> bool {
        let is_same = |found: SocketAddr| {
            found == address
                || (address.ip().is_unspecified()
                    && found.ip().is_loopback()
                    && found.port() == address.port())
        };
        let resolved = lookup_host((self.host.as_str(), self.port)).await;
        resolved.is_ok_and(|mut addresses| addresses.any(is_same))
    }

    async fn deliver(&mut self, outgoing: &Outgoing, ledger: &Ledger) {
        let Outgoing {
            signal,
            records,
            sender,
            ..
        } = *outgoing;
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if self.unsupported.contains(&signal) {
                return ledger.not_supported(sender, records);
            }
            match self.attempt(outgoing).await {
                Outcome::Sent { rejected, message } => {
                    let rejected = rejected.min(records);
                    ledger.forwarded(sender, records - rejected);
                    if rejected > 0 {
                        ledger.not_forwarded(sender, rejected, message);
                    }
                    return;
                }
                Outcome::Unsupported => self.unsupported.push(signal),
                Outcome::Refused { message } => {
                    return ledger.not_forwarded(sender, records, message);
                }
                Outcome::Later { message, .. } if started.elapsed() > GIVE_UP => {
                    return ledger.not_forwarded(sender, records, message);
                }
                Outcome::Later { message, after } => {
                    tracing::debug!(message, ?signal, "can't forward yet");
                    ledger.forward_failed(message);
                    sleep(after.unwrap_or_else(|| jittered(pause))).await;
                    pause = (pause * 3 / 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn attempt(&mut self, outgoing: &Outgoing) -> Outcome {
        let result = match timeout(ATTEMPT, self.export(outgoing)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
        };
        result.unwrap_or_else(|message| {
            self.connection = None;
            Outcome::Later {
                message: format!("`{}:{}`: {message}", self.host, self.port),
                after: None,
            }
        })
    }

    /// Makes one call. An error concerns the connection, which isn't used again.
    async fn export(&mut self, outgoing: &Outgoing) -> Result<Outcome, String> {
        if self.connection.as_ref().is_none_or(SendRequest::is_closed) {
            self.connection = Some(self.connect().await?);
        }
        let connection = self.connection.as_mut().expect("it was just made");
        let request = Request::post(format!(
            "http://{}:{}{}",
            self.host,
            self.port,
            outgoing.signal.grpc_path()
        ))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(GrpcBody::framed(outgoing.message.clone()))
        .map_err(|error| chain(&error))?;
        let response = connection
            .send_request(request)
            .await
            .map_err(|error| chain(&error))?;
        Outcome::of(response).await
    }

    async fn connect(&self) -> Result<SendRequest<GrpcBody>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| chain(&error))?;
        // A failure only delays small requests.
        let _ = stream.set_nodelay(true);
        let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = connected.map_err(|error| chain(&error))?;
        // Its errors also appear in the calls on the connection.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Outcome {
    async fn of(response: Response<Incoming>) -> Result<Self, String> {
        let http = response.status();
        let (head, mut body) = response.into_parts();
        let mut headers = head.headers;
        let mut message = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| chain(&error))?;
            match frame.into_data() {
                Ok(data) if message.len() + data.len() <= MAX_RESPONSE => {
                    message.extend_from_slice(&data);
                }
                Ok(_) => return Err("an answer of more than 4 MiB".to_owned()),
                Err(frame) => headers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        match text(&headers, "grpc-status").and_then(|status| status.parse().ok()) {
            Some(0_u16) => {
                let (rejected, message) = partial_success(&message);
                Ok(Self::Sent { rejected, message })
            }
            Some(status) => Ok(Self::failed(status, &headers)),
            None if matches!(http.as_u16(), 429 | 502..=504) => Ok(Self::Later {
                message: format!("HTTP status {http}"),
                after: None,
            }),
            None => Ok(Self::Refused {
                message: format!("HTTP status {http}, and no gRPC status"),
            }),
        }
    }

    /// The meaning of a gRPC status in OTLP.
    fn failed(status: u16, headers: &HeaderMap) -> Self {
        let message = format!(
            "gRPC status {status}: {}",
            text(headers, "grpc-message").unwrap_or_default()
        );
        let after = text(headers, "grpc-status-details-bin").and_then(retry_delay);
        match status {
            1 | 4 | 10 | 11 | 14 | 15 => Self::Later { message, after },
            8 if after.is_some() => Self::Later { message, after },
            12 => Self::Unsupported,
            _ => Self::Refused { message },
        }
    }
}

/// The largest response to read: OTLP's limit.
const MAX_RESPONSE: usize = 4 << 20;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The number of rejected records in a framed `Export*ServiceResponse`.
fn partial_success(response: &[u8]) -> (u64, String) {
    let partial = response
        .get(5..)
        .and_then(|response| bytes_in(response, 1))
        .unwrap_or_default();
    let message = bytes_in(partial, 2).unwrap_or_default();
    (
        varint_in(partial, 1).unwrap_or(0),
        String::from_utf8_lossy(message).into_owned(),
    )
}

/// The delay in a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(details: &str) -> Option<Duration> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let status = BASE64.decode(details).ok()?;
    let mut reader = Reader::new(&status);
    while let Some(entry) = reader.entry().ok()? {
        let (3, Value::Bytes(any)) = (entry.number, entry.value) else {
            continue;
        };
        if bytes_in(any, 1)?.ends_with(b"/google.rpc.RetryInfo") {
            let delay = bytes_in(bytes_in(any, 2)?, 1)?;
            let nanos = u32::try_from(varint_in(delay, 2).unwrap_or(0))
                .ok()
                .filter(|nanos| *nanos < 1_000_000_000)?;
            let delay = Duration::new(varint_in(delay, 1).unwrap_or(0), nanos);
            return Some(delay.min(GIVE_UP));
        }
    }
    None
}

fn bytes_in(message: &[u8], number: u32) -> Option<&[u8]> {
    match value_in(message, number)? {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn varint_in(message: &[u8], number: u32) -> Option<u64> {
    match value_in(message, number)? {
        Value::Varint(n) => Some(n),
        _ => None,
    }
}

fn value_in(message: &[u8], number: u32) -> Option<Value<'_>> {
    let mut reader = Reader::new(message);
    while let Ok(Some(entry)) = reader.entry() {
        if entry.number == number {
            return Some(entry.value);
        }
    }
    None
}

/// A random time between half the pause and the whole, so that clients don't all return at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as u32;
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX)) / 2
}

/// The body of a gRPC call: the prefix, and the message, which isn't copied.
#[derive(Debug)]
pub(crate) struct GrpcBody(Option<Chain<Bytes, Bytes>>);

impl GrpcBody {
    fn framed(message: Bytes) -> Self {
        // The limit on received requests is far below 32 bits.
        let length = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let prefix = Bytes::copy_from_slice(&[&[0], &length[..]].concat());
        Self(Some(prefix.chain(message)))
    }
}

impl Body for GrpcBody {
    type Data = Chain<Bytes, Bytes>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, bytes::Buf::remaining) as u64)
    }
}

/// The error and its sources: an error of hyper's alone says no more than "connection error".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = sources.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::{Code, retry_info, status};
    use base64::prelude::BASE64_STANDARD;
    use protobuf_wire::put_bytes_field;
    use protobuf_wire::put_varint_field;

    #[test]
    fn the_delay_that_a_receiver_asks_for_is_read() {
        fn check(details: &[u8], expected: Option<Duration>) {
            let padded = BASE64_STANDARD.encode(details);
            assert_eq!(retry_delay(&padded), expected);
            assert_eq!(retry_delay(padded.trim_end_matches('=')), expected);
        }
        let mut busy = status(Code::Unavailable, "busy");
        check(&busy, None);
        put_bytes_field(&mut busy, 3, b"\x0a\x03x/y");
        check(&busy, None);
        put_bytes_field(&mut busy, 3, &retry_info());
        check(&busy, Some(Duration::from_secs(1)));
        check(b"\xff\xff", None);
        assert_eq!(retry_delay("no base64"), None);
    }

    #[test]
    fn a_partial_success_is_read() {
        let mut partial = Vec::new();
        put_varint_field(&mut partial, 1, 3);
        put_bytes_field(&mut partial, 2, b"too old");
        let mut response = vec![0; 5];
        assert_eq!(partial_success(&response), (0, String::new()));
        put_bytes_field(&mut response, 1, &partial);
        assert_eq!(partial_success(&response), (3, "too old".to_owned()));
        assert_eq!(partial_success(b""), (0, String::new()));
    }

    #[test]
    fn pauses_differ_and_stay_in_bounds() {
        let pauses: Vec<_> = (0..20).map(|_| jittered(FIRST_PAUSE)).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (FIRST_PAUSE / 2..=FIRST_PAUSE).contains(pause)),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
