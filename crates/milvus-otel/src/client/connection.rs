//! One connection to a server: makes calls, retries them and reads their answers.

use super::error::{Error, ErrorKind, LEGACY_RATE_LIMIT, RATE_LIMIT, Reach, Result};
use super::rpc::{Answer, Rpc, SERVICE};
use super::unary::Unary;
use crate::layer::{CallHandle, Code, GrpcTrace, PREVIOUS_ATTEMPTS, causes, chain, code_of};
use crate::proto::common::Status;
use crate::proto::milvus::AnyAnswer;
use crate::semconv;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry::trace::{Status as SpanStatus, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use prost::Message;
use std::hash::{BuildHasher, RandomState};
use std::task::{self, Poll};
use std::time::{Duration, Instant};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tower_service::Service;

/// The largest answer that Milvus sends by default.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// A traced channel, and the settings of every call over it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) service: GrpcTrace<Unary<RequestId<Channel>>>,
    pub(super) metadata: MetadataMap,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Retry,
    pub(super) max_request_bytes: usize,
}

/// The answer to a call: its message, or Milvus's refusal.
type Answered<M> = std::result::Result<M, ErrorKind>;

type Read<M> = fn(Bytes) -> std::result::Result<Answered<M>, prost::DecodeError>;

impl Connection {
    /// Makes the call of `request`, and makes it again after a failure where that is safe.
    pub(super) async fn call<R: Rpc>(&self, request: &R) -> Result<R::Response> {
        self.call_method(R::METHOD, R::IDEMPOTENT, request, read_answer)
            .await
    }

    /// Makes a call that [`Rpc`] doesn't know.
    pub(super) async fn raw_call<M>(&self, method: &str, request: &impl Message) -> Result<M>
    where
        M: Message + Default + 'static,
    {
        self.call_method(method, false, request, read_any).await
    }

    async fn call_method<M>(
        &self,
        method: &str,
        idempotent: bool,
        request: &impl Message,
        read: Read<M>,
    ) -> Result<M>
    where
        M: Send + Sync + 'static,
    {
        let message = self.encode(method, request)?;
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut pauses = self.retry.pauses();
        let mut was_refused = false;
        let mut attempts = 0;
        loop {
            let turn = Turn { attempts, deadline };
            let error = match self.try_once(method, message.clone(), read, turn).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            attempts += 1;
            // As in every other gRPC library, the first refusal to process a call isn't a failure of it.
            let is_first_refusal = error.was_unprocessed() && !was_refused;
            was_refused |= is_first_refusal;
            let pause = if is_first_refusal {
                Duration::ZERO
            } else {
                match pauses.next() {
                    Some(pause) if error.is_worth_another_try(idempotent) => pause,
                    _ => return Err(error),
                }
            };
            if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The request's bytes, unless the server would refuse that many of them.
    fn encode(&self, method: &str, request: &impl Message) -> Result<Bytes> {
        let (length, most) = (request.encoded_len(), self.max_request_bytes);
        if length > most {
            return Err(Error::invalid(format!(
                "the message of `{method}` has {length} bytes, and the server takes {most} at most\n\n\
                 hint: send fewer rows at once, for instance with `insert_batches`; if the server takes more, \
                 tell the builder by `max_request_bytes`"
            )));
        }
        Ok(Bytes::from(request.encode_to_vec()))
    }

    async fn try_once<M: Send + Sync + 'static>(
        &self,
        method: &str,
        message: Bytes,
        read: Read<M>,
        turn: Turn,
    ) -> Result<M> {
        let handle = CallHandle::new();
        let failure = match self.send(&handle, method, message, read, turn).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(refusal)) => Error::new(refusal),
            Err(status) => of_grpc(&status),
        };
        if let ErrorKind::Rpc { code, message } = failure.kind() {
            handle.end(*code, message);
        }
        let trace_id = handle.context().map_or(TraceId::INVALID, |context| {
            context.span().span_context().trace_id()
        });
        Err(failure.in_call(method, trace_id))
    }

    async fn send<M: Send + Sync + 'static>(
        &self,
        handle: &CallHandle,
        method: &str,
        message: Bytes,
        read: Read<M>,
        turn: Turn,
    ) -> std::result::Result<Answered<M>, tonic::Status> {
        let path = PathAndQuery::try_from(format!("/{SERVICE}/{method}"))
            .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.extensions_mut().insert(handle.clone());
        let codec = MilvusCodec {
            handle: handle.clone(),
            read,
        };
        let mut grpc = tonic::client::Grpc::new(self.service.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
            .max_encoding_message_size(self.max_request_bytes);
        if turn.attempts > 0 {
            let attempts = turn.attempts.into();
            request.metadata_mut().insert(PREVIOUS_ATTEMPTS, attempts);
        }
        let timeout = turn
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let call = async {
            grpc.ready().await.map_err(tonic::Status::from_error)?;
            Ok(grpc.unary(request, path, codec).await?.into_inner())
        };
        match timeout {
            None => call.await,
            // Tonic itself waits for an answer's headers no longer than that, and for the rest of it forever.
            Some(timeout) => tokio::time::timeout(timeout, call)
                .await
                .unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("Timeout expired"))),
        }
    }
}

/// Which of the attempts at a call it is, and when the call must be over.
#[derive(Clone, Copy, Debug)]
struct Turn {
    attempts: u32,
    deadline: Option<Instant>,
}

/// How often a failed call is made again, and after which pauses.
///
/// Every call is made again where Milvus limits the rate of calls, where there was no connection, and where the server
/// refused the stream unprocessed. A call that can be made twice without harm, so every call but
/// [`insert`](super::MilvusClient::insert) and [`raw_call`](super::MilvusClient::raw_call), is made again as well where
/// the server is out of reach or overloaded, or where Milvus marks its error as retriable.
///
/// Every attempt is a span; from the second on, its attribute
/// `rpc.grpc.request.metadata.grpc-previous-rpc-attempts` (`rpc.request.metadata.…` in the new conventions) counts the
/// attempts before it. All attempts together take no longer than the call's deadline.
///
/// ```
/// use milvus_otel::client::Retry;
/// use std::time::{Duration, Instant};
///
/// let mut retry = Retry::attempts(3);
/// retry.longest_pause = Duration::from_secs(1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often a call is made at most, the first time included.
    pub attempts: u32,
    /// The first pause, give or take a quarter; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(3),
        }
    }
}

impl Retry {
    /// At most `attempts` of a call; one means that none is made again.
    pub fn attempts(attempts: u32) -> Self {
        Self {
            attempts,
            ..Self::default()
        }
    }

    fn pauses(self) -> impl Iterator<Item = Duration> {
        let first = self.first_pause.min(self.longest_pause);
        let pause = move |turn: u32| {
            // Clients that failed together shouldn't come back together. A hasher's random seed is random enough.
            let random = RandomState::new().hash_one(turn) as u32;
            let jitter = 0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX);
            first
                .mul_f64(jitter)
                .saturating_mul(2u32.saturating_pow(turn))
                .min(self.longest_pause)
        };
        (0..self.attempts.saturating_sub(1)).map(pause)
    }
}

fn read_answer<M: Answer>(bytes: Bytes) -> std::result::Result<Answered<M>, prost::DecodeError> {
    let answer = M::decode(bytes)?;
    Ok(match failure_in(answer.status()) {
        None => Ok(answer),
        Some(refusal) => Err(refusal),
    })
}

/// Reads an answer of which nothing is known but that it is a status or begins with one.
fn read_any<M: Message + Default>(
    bytes: Bytes,
) -> std::result::Result<Answered<M>, prost::DecodeError> {
    let begins_with = AnyAnswer::decode(bytes.clone())
        .ok()
        .and_then(|answer| answer.status);
    let status = begins_with.or_else(|| Status::decode(bytes.clone()).ok());
    match failure_in(status.as_ref()) {
        None => M::decode(bytes).map(Ok),
        Some(refusal) => Ok(Err(refusal)),
    }
}

/// The failure in Milvus's own status, if there is one.
fn failure_in(status: Option<&Status>) -> Option<ErrorKind> {
    let status = status?;
    let code = if status.code != 0 {
        status.code
    } else {
        status.legacy_code
    };
    let reason = if status.reason.is_empty() {
        "Milvus gave no reason".to_owned()
    } else {
        status.reason.clone()
    };
    let is_rate_limit = status.code == RATE_LIMIT || status.legacy_code == LEGACY_RATE_LIMIT;
    (code != 0).then_some(ErrorKind::Milvus {
        code,
        reason,
        retriable: status.retriable || is_rate_limit,
    })
}

fn of_grpc(status: &tonic::Status) -> Error {
    // Where the transport failed, tonic's own code and message are the least telling of them: it calls a deadline
    // that has passed CANCELLED, and a connection that was lost anything from CANCELLED to UNKNOWN.
    let source = std::error::Error::source(status);
    let code = source.map_or_else(
        || Code::from_number(i32::from(status.code()).into()),
        code_of,
    );
    let message = source.map_or_else(|| status.message().to_owned(), causes);
    let is_any = |is: fn(&(dyn std::error::Error + 'static)) -> bool| {
        source.is_some_and(|source| chain(source).any(is))
    };
    let reach = if is_any(<dyn std::error::Error>::is::<tonic::ConnectError>) {
        Reach::Unsent
    } else if is_any(is_refusal) {
        Reach::Unprocessed
    } else {
        Reach::Unknown
    };
    Error::new(ErrorKind::Rpc { code, message }).reached(reach)
}

/// Whether the server says by HTTP/2 that it won't process the request: it refuses the stream, or goes away and names a
/// last stream before it. A stream up to the last one ends otherwise.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (is_refused || error.is_go_away())
    })
}

/// Sends messages that are encoded already, and marks the call's span when the answer it reads is a refusal: gRPC
/// itself calls such a call OK.
struct MilvusCodec<M> {
    handle: CallHandle,
    read: Read<M>,
}

struct Encoded;

impl<M: Send + 'static> Codec for MilvusCodec<M> {
    type Encode = Bytes;
    type Decode = Answered<M>;
    type Encoder = Encoded;
    type Decoder = Self;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Self {
        Self {
            handle: self.handle.clone(),
            read: self.read,
        }
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Bytes,
        buffer: &mut EncodeBuf<'_>,
    ) -> std::result::Result<(), tonic::Status> {
        buffer.put(item);
        Ok(())
    }
}

impl<M: Send + 'static> Decoder for MilvusCodec<M> {
    type Item = Answered<M>;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        buffer: &mut DecodeBuf<'_>,
    ) -> std::result::Result<Option<Self::Item>, tonic::Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let answered =
            (self.read)(bytes).map_err(|error| tonic::Status::internal(error.to_string()))?;
        if let Err(refusal) = &answered
            && let Some(context) = self.handle.context()
        {
            mark(&context, refusal);
        }
        Ok(Some(answered))
    }
}

/// Sets the error status of a span whose call Milvus refused.
pub(super) fn mark(context: &Context, failure: &ErrorKind) {
    let span = context.span();
    span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, failure.name()));
    span.set_status(SpanStatus::error(failure.to_string()));
}

/// Sends the id of the current trace as Milvus's request id, so that the server's log carries it too.
#[derive(Clone, Debug)]
pub(super) struct RequestId<S>(pub(super) S);

impl<S, B> Service<http::Request<B>> for RequestId<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut task::Context<'_>,
    ) -> Poll<std::result::Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> S::Future {
        let trace_id = Context::map_current(|context| context.span().span_context().trace_id());
        if trace_id != TraceId::INVALID
            && let Ok(value) = http::HeaderValue::try_from(trace_id.to_string())
        {
            request.headers_mut().insert("client_request_id", value);
        }
        self.0.call(request)
    }
}
