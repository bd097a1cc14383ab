//! The reason why a request isn't accepted, and whether it may be retried.

use crate::ledger::RefusedAs;
use crate::transcode::Malformed;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("not an OTLP request: {0}")]
    Malformed(#[from] Malformed),
    #[error("not an OTLP request: {0}")]
    Framing(&'static str),
    #[error("the {compression} data is damaged: {source}")]
    Damaged {
        compression: &'static str,
        source: std::io::Error,
    },
    #[error("the request is larger than {limit} bytes{when}")]
    TooLarge { limit: usize, when: &'static str },
    #[error("no decompressor for `{0}`")]
    Encoding(String),
    #[error("the content type is {0}, and has to be application/x-protobuf or application/json")]
    ContentType(String),
    #[error("nothing at `{0}`: OTLP goes to /v1/traces, /v1/metrics and /v1/logs")]
    Path(String),
    #[error("no method `{0}` here")]
    Service(String),
    #[error("`{0}` where only POST is possible")]
    Method(String),
    #[error("a page of `{0}` may not send here")]
    CrossOrigin(String),
    #[error(
        "a request in OTLP over HTTP came to {grpc}, the port of OTLP over gRPC; OTLP over HTTP goes to http://{http}"
    )]
    HttpOnGrpcPort {
        grpc: std::net::SocketAddr,
        http: std::net::SocketAddr,
    },
    #[error(
        "a request in OTLP over gRPC came to {http}, the port of OTLP over HTTP; OTLP over gRPC goes to http://{grpc}"
    )]
    GrpcOnHttpPort {
        grpc: std::net::SocketAddr,
        http: std::net::SocketAddr,
    },
    #[error("the sender speaks {0}, and the port plain HTTP/1 and HTTP/2")]
    NotHttp(&'static str),
    #[error("the request broke off while it was sent")]
    Broken,
    #[error("the request took longer than {} s to be sent", .0.as_secs())]
    Slow(Duration),
    #[error("the queue is full, send again later")]
    Full,
    #[error("the request could not be stored, send again later: {0}")]
    NotStored(String),
    #[error("the capture is stopping, send again later")]
    Stopping,
}

impl Refusal {
    /// The kind of a permanent refusal; `None`: the request may be retried.
    pub(crate) fn kind(&self) -> Option<RefusedAs> {
        Some(match self {
            Self::Malformed(_) | Self::Framing(_) | Self::Damaged { .. } => RefusedAs::Malformed,
            Self::TooLarge { .. } => RefusedAs::TooLarge,
            Self::Encoding(_) => RefusedAs::UnknownEncoding,
            Self::ContentType(_) => RefusedAs::UnknownContentType,
            Self::Path(_) | Self::Service(_) => RefusedAs::UnknownPath,
            Self::Method(_) => RefusedAs::UnknownMethod,
            Self::CrossOrigin(_) => RefusedAs::CrossOrigin,
            Self::HttpOnGrpcPort { .. } => RefusedAs::HttpOnGrpcPort,
            Self::GrpcOnHttpPort { .. } => RefusedAs::GrpcOnHttpPort,
            Self::NotHttp(_) => RefusedAs::NotHttp,
            Self::Broken | Self::Slow(_) => RefusedAs::BrokenOff,
            Self::Full | Self::NotStored(_) | Self::Stopping => return None,
        })
    }
}
