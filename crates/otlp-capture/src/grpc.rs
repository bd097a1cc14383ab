//! OTLP/gRPC: unary calls with one message each, and the statuses that have a meaning in OTLP.
//!
//! A unary call needs only five bytes of framing and a trailer, so hyper is enough. gRPC libraries
//! also don't fit two requirements of OTLP: a message over the limit must be `RESOURCE_EXHAUSTED`
//! (tonic sends `OUT_OF_RANGE`, which clients retry forever), and memory must be bounded while a
//! message arrives.

use crate::inflate::{self, Compression};
use crate::intake::{Encoding, Intake, Received};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::schema::Signal;
use crate::visit::Visit;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use protobuf_wire::{put_bytes_field, put_varint_field};

/// The gRPC codes used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// The time that a client must wait before it retries.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 1;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The flag for compression and the length.
const PREFIX: usize = 5;

/// Handles one gRPC request.
pub(crate) async fn answer(
    intake: &Intake,
    visit: &mut Visit<'_>,
    request: Request<Incoming>,
) -> Response<Reply> {
    match export(intake, visit, request).await {
        Ok(()) => success(),
        Err(refusal) => refused(&refusal, &visit.refuse(&refusal)),
    }
}

/// Whether a request is gRPC with protobuf messages.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    matches!(
        content_type,
        Some(b"application/grpc" | b"application/grpc+proto")
    )
}

/// A response with only a status.
fn failure(code: Code, message: &str) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(STATUS, HeaderValue::from(code as u16));
    headers.insert(MESSAGE, percent_encoded(message));
    response
}

/// `google.rpc.Status`, which contains details in both protocols.
pub(crate) fn status(code: Code, message: &str) -> Vec<u8> {
    let mut status = Vec::new();
    put_varint_field(&mut status, 1, code as u64);
    put_bytes_field(&mut status, 2, message.as_bytes());
    status
}

impl Refusal {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::Framing(_) | Self::Damaged { .. } => Code::InvalidArgument,
            Self::TooLarge { .. } => Code::ResourceExhausted,
            Self::Full | Self::NotStored(_) | Self::Stopping => Code::Unavailable,
            Self::Broken => Code::Cancelled,
            Self::Slow(_) => Code::DeadlineExceeded,
            Self::Encoding(_)
            | Self::ContentType(_)
            | Self::Path(_)
            | Self::Service(_)
            | Self::Method(_)
            | Self::CrossOrigin(_)
            | Self::HttpOnGrpcPort { .. }
            | Self::GrpcOnHttpPort { .. }
            | Self::NotHttp(_) => Code::Unimplemented,
        }
    }
}

async fn export(
    intake: &Intake,
    visit: &mut Visit<'_>,
    request: Request<Incoming>,
) -> Result<(), Refusal> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path();
    let signal = Signal::ALL
        .into_iter()
        .find(|signal| signal.grpc_path() == path)
        .ok_or_else(|| Refusal::Service(path.to_owned()))?;
    let compression = Compression::named(head.headers.get(ENCODING)).map_err(Refusal::Encoding)?;
    let received = intake.receive(visit, &mut body, PREFIX).await?;
    let (is_compressed, message) = unframe(received)?;
    let message = match (is_compressed, compression) {
        (false, _) => message,
        (true, Some(compression)) => intake.inflate(message, compression)?,
        (true, None) => {
            return Err(Refusal::Framing(
                "a compressed message, and no `grpc-encoding`",
            ));
        }
    };
    intake
        .accept(visit, signal, Encoding::Protobuf, message)
        .await
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

/// The response to a refused call.
pub(crate) fn refused(refusal: &Refusal, message: &str) -> Response<Reply> {
    let code = refusal.code();
    let mut response = failure(code, message);
    let headers = response.headers_mut();
    if code == Code::Unavailable {
        let mut status = status(code, message);
        put_bytes_field(&mut status, 3, &retry_info());
        let details =
            HeaderValue::try_from(BASE64_STANDARD_NO_PAD.encode(status)).expect("base64 is ASCII");
        headers.insert(DETAILS, details);
    }
    if let Refusal::Encoding(_) = refusal {
        headers.insert(ACCEPT_ENCODING, inflate::ACCEPTED);
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
