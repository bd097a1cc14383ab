//! One connection to a server: making a call over it, and reading what came of it.

use super::error::{Error, ErrorKind, Result};
use super::rpc::{Answer, Rpc, SERVICE};
use crate::layer::{Code, GrpcTrace, SpanSlot, causes};
use crate::semconv;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry::trace::{Status as SpanStatus, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use std::marker::PhantomData;
use std::task::{self, Poll};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tower_service::Service;

/// What Milvus itself lets a message have by default, at most.
const MAX_MESSAGE_BYTES: usize = 512 << 20;

/// A traced channel, and what goes along with every call over it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) service: GrpcTrace<RequestId<Channel>>,
    pub(super) metadata: MetadataMap,
    pub(super) timeout: Option<Duration>,
}

impl Connection {
    /// Makes the call of `request`, once.
    pub(super) async fn call<R: Rpc>(&self, request: &R) -> Result<R::Response> {
        self.send(
            R::METHOD,
            Bytes::from(request.encode_to_vec()),
            |answer: &R::Response| failure_in(answer.status()),
        )
        .await
    }

    async fn send<M>(
        &self,
        method: &str,
        message: Bytes,
        failure: fn(&M) -> Option<ErrorKind>,
    ) -> Result<M>
    where
        M: prost::Message + Default + 'static,
    {
        let slot = SpanSlot::default();
        let trace_id = || {
            slot.context().map_or(TraceId::INVALID, |context| {
                context.span().span_context().trace_id()
            })
        };
        let sent = self.send_in(&slot, method, message, failure).await;
        let answer = sent.map_err(|status| of_grpc(status).in_call(method, trace_id()))?;
        match failure(&answer) {
            Some(kind) => Err(Error::new(kind).in_call(method, trace_id())),
            None => Ok(answer),
        }
    }

    async fn send_in<M>(
        &self,
        slot: &SpanSlot,
        method: &str,
        message: Bytes,
        failure: fn(&M) -> Option<ErrorKind>,
    ) -> std::result::Result<M, tonic::Status>
    where
        M: prost::Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/{SERVICE}/{method}"))
            .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.extensions_mut().insert(slot.clone());
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        let mut grpc = tonic::client::Grpc::new(self.service.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready().await.map_err(tonic::Status::from_error)?;
        let codec = MilvusCodec {
            slot: slot.clone(),
            failure,
            answer: PhantomData,
        };
        Ok(grpc.unary(request, path, codec).await?.into_inner())
    }
}

/// What Milvus's own status says went wrong.
fn failure_in(status: Option<&crate::proto::common::Status>) -> Option<ErrorKind> {
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
    (code != 0).then_some(ErrorKind::Milvus {
        code,
        reason,
        retriable: status.retriable,
    })
}

fn of_grpc(status: tonic::Status) -> Error {
    let own = Code::from_number(i32::from(status.code()).into());
    let code = std::error::Error::source(&status)
        .and_then(classify)
        .unwrap_or(own);
    let message = match std::error::Error::source(&status) {
        // Where the transport failed, tonic's own message is the outermost of its words, which are of little use.
        Some(source) => causes(source),
        None => status.message().to_owned(),
    };
    Error::new(ErrorKind::Rpc { code, message })
}

/// What tonic's own errors amount to; a deadline that has passed, tonic itself calls CANCELLED.
pub(super) fn classify(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| {
        if error.is::<tonic::TimeoutExpired>() {
            Some(Code::DeadlineExceeded)
        } else if error.is::<tonic::ConnectError>() {
            Some(Code::Unavailable)
        } else {
            error
                .downcast_ref::<tonic::Status>()
                .map(|status| Code::from_number(i32::from(status.code()).into()))
        }
    })
}

/// Sends messages that are encoded already, and marks the call's span when the answer it reads is a failure: gRPC
/// itself calls such a call OK.
struct MilvusCodec<M> {
    slot: SpanSlot,
    failure: fn(&M) -> Option<ErrorKind>,
    answer: PhantomData<fn() -> M>,
}

struct Encoded;

impl<M: prost::Message + Default + 'static> Codec for MilvusCodec<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = Encoded;
    type Decoder = Self;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Self {
        Self {
            slot: self.slot.clone(),
            failure: self.failure,
            answer: PhantomData,
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

impl<M: prost::Message + Default + 'static> Decoder for MilvusCodec<M> {
    type Item = M;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        buffer: &mut DecodeBuf<'_>,
    ) -> std::result::Result<Option<M>, tonic::Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let answer =
            M::decode(bytes).map_err(|error| tonic::Status::internal(error.to_string()))?;
        if let Some(failure) = (self.failure)(&answer)
            && let Some(context) = self.slot.context()
        {
            mark(context, &failure);
        }
        Ok(Some(answer))
    }
}

fn mark(context: &Context, failure: &ErrorKind) {
    if let ErrorKind::Milvus { code, reason, .. } = failure {
        let span = context.span();
        span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, code.to_string()));
        span.set_status(SpanStatus::error(reason.clone()));
    }
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
