//! OTLP/gRPC: unary calls with one message each, and the statuses that OTLP gives a meaning.
//!
//! A unary call is five bytes of framing and a trailer, so this stands on hyper alone. It also
//! keeps the two things in our hands that OTLP is particular about and that gRPC libraries decide
//! otherwise: a message over the limit is `RESOURCE_EXHAUSTED` (tonic says `OUT_OF_RANGE`, upon
//! which a client sends it again, for ever), and memory is bounded while a message arrives.

use crate::intake::{Encoding, Intake, Received, Refusal};
use crate::reply::Reply;
use crate::schema::Signal;
use crate::stats::add;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use protobuf_wire::{put_bytes_field, put_varint_field};
use std::net::SocketAddr;

/// The codes of gRPC's that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// What a client is told to wait before it sends again.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 1;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// A compressed flag and the length.
const PREFIX: usize = 5;

/// Answers one request to the gRPC port.
pub(crate) async fn answer(
    intake: &Intake,
    request: Request<Incoming>,
    http: SocketAddr,
) -> Response<Reply> {
    if !is_grpc(request.headers()) {
        add(&intake.counters.rejected_requests, 1);
        let hint =
            format!("this port takes OTLP over gRPC; OTLP over HTTP goes to http://{http}\n");
        let mut response = Response::new(Reply::new(hint));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let path = request.uri().path();
    let Some(signal) = Signal::ALL
        .into_iter()
        .find(|signal| signal.grpc_path() == path)
    else {
        add(&intake.counters.rejected_requests, 1);
        return failure(Code::Unimplemented, &format!("no method `{path}` here"));
    };
    let encoding = request
        .headers()
        .get(ENCODING)
        .map_or(b"identity".as_slice(), HeaderValue::as_bytes);
    let is_gzip = match encoding {
        b"identity" => false,
        b"gzip" => true,
        other => {
            add(&intake.counters.rejected_requests, 1);
            let message = format!("no decompressor for `{}`", String::from_utf8_lossy(other));
            let mut response = failure(Code::Unimplemented, &message);
            response
                .headers_mut()
                .insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip,identity"));
            return response;
        }
    };
    match export(intake, signal, request.into_body(), is_gzip).await {
        Ok(()) => success(),
        Err(refusal) => {
            intake.count(&refusal);
            refused(&refusal)
        }
    }
}

/// Whether a request is gRPC's, with messages in protobuf.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    matches!(
        content_type,
        Some(b"application/grpc" | b"application/grpc+proto")
    )
}

/// A response that carries a status and nothing else.
pub(crate) fn failure(code: Code, message: &str) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(STATUS, HeaderValue::from(code as u16));
    headers.insert(MESSAGE, percent_encoded(message));
    response
}

/// `google.rpc.Status`, which both protocols show details in.
pub(crate) fn status(code: Code, message: &str) -> Vec<u8> {
    let mut status = Vec::new();
    put_varint_field(&mut status, 1, code as u64);
    put_bytes_field(&mut status, 2, message.as_bytes());
    status
}

impl Refusal {
    pub(crate) fn code(&self) -> Code {
        match self {
            Refusal::Malformed(_) | Refusal::Framing(_) | Refusal::Gzip(_) => Code::InvalidArgument,
            Refusal::TooLarge { .. } => Code::ResourceExhausted,
            Refusal::Full | Refusal::NotStored(_) | Refusal::Stopping => Code::Unavailable,
            Refusal::Broken => Code::Cancelled,
            Refusal::Slow(_) => Code::DeadlineExceeded,
        }
    }
}

async fn export(
    intake: &Intake,
    signal: Signal,
    mut body: Incoming,
    is_gzip: bool,
) -> Result<(), Refusal> {
    let received = intake.receive(&mut body, PREFIX).await?;
    let (is_compressed, message) = unframe(received)?;
    let message = match (is_compressed, is_gzip) {
        (false, _) => message,
        (true, true) => intake.inflate(message)?,
        (true, false) => {
            return Err(Refusal::Framing(
                "a compressed message, and no `grpc-encoding`",
            ));
        }
    };
    intake.accept(signal, Encoding::Protobuf, message).await
}

fn unframe(mut received: Received) -> Result<(bool, Received), Refusal> {
    let Some((&[flag, length @ ..], message)) = received.bytes().split_first_chunk::<PREFIX>()
    else {
        return Err(Refusal::Framing("a gRPC message shorter than its prefix"));
    };
    if flag > 1 {
        return Err(Refusal::Framing("a gRPC message with an unknown flag"));
    }
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err(Refusal::Framing(
            "a gRPC message of another length than its prefix says",
        ));
    }
    received.skip(PREFIX);
    Ok((flag == 1, received))
}

fn success() -> Response<Reply> {
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let mut response = Response::new(Reply::new(&[0; PREFIX][..]).with_trailers(trailers));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn refused(refusal: &Refusal) -> Response<Reply> {
    let (code, message) = (refusal.code(), refusal.message());
    let mut response = failure(code, &message);
    if code == Code::Unavailable {
        let mut status = status(code, &message);
        put_bytes_field(&mut status, 3, &retry_info());
        let details =
            HeaderValue::try_from(BASE64_STANDARD_NO_PAD.encode(status)).expect("base64 is ASCII");
        response.headers_mut().insert(DETAILS, details);
    }
    response
}

/// A `google.rpc.RetryInfo` in a `google.protobuf.Any`.
pub(crate) fn retry_info() -> Vec<u8> {
    let mut delay = Vec::new();
    put_varint_field(&mut delay, 1, RETRY_AFTER_SECONDS);
    let mut info = Vec::new();
    put_bytes_field(&mut info, 1, &delay);
    let mut any = Vec::new();
    put_bytes_field(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    put_bytes_field(&mut any, 2, &info);
    any
}

fn percent_encoded(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(encoded).expect("printable ASCII")
}
