//! A capture in a temporary directory, requests, and clients that send them.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use otlp_capture::{Capture, Config, Stats};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

pub(crate) fn spans(name: &str, count: usize) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span; count],
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn points(count: usize) -> ExportMetricsServiceRequest {
    let data_points = vec![
        NumberDataPoint {
            time_unix_nano: 1,
            ..NumberDataPoint::default()
        };
        count
    ];
    let metric = Metric {
        data: Some(metric::Data::Gauge(Gauge { data_points })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics,
            ..ResourceMetrics::default()
        }],
    }
}

pub(crate) fn logs(count: usize) -> ExportLogsServiceRequest {
    let log_records = vec![
        LogRecord {
            severity_text: "INFO".to_owned(),
            ..LogRecord::default()
        };
        count
    ];
    let scope_logs = vec![ScopeLogs {
        log_records,
        ..ScopeLogs::default()
    }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs,
            ..ResourceLogs::default()
        }],
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(crate) async fn traces_client(addr: SocketAddr) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{addr}"))
        .await
        .expect("connected")
}

/// A capture in a temporary directory.
pub(crate) struct Lab {
    pub(crate) capture: Capture,
    pub(crate) dir: TempDir,
}

impl Lab {
    pub(crate) async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::new(dir.path());
        adjust(&mut config);
        Self {
            capture: Capture::start(config).await.expect("started"),
            dir,
        }
    }

    pub(crate) fn lines(&self, file: &str) -> Vec<serde_json::Value> {
        lines(self.dir.path(), file)
    }

    /// Checks that a good request is still stored.
    pub(crate) async fn still_keeps(&self, name: &str) {
        let mut client = traces_client(self.capture.grpc_addr()).await;
        client.export(spans(name, 1)).await.expect(name);
        let lines = self.lines("capture.jsonl");
        assert_eq!(
            lines.last().expect("a line")["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"],
            name
        );
    }

    pub(crate) async fn stop(self) -> Stats {
        stop(self.capture).await
    }
}

pub(crate) fn lines(dir: &Path, file: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join(file)).expect(file);
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "{file} ends in half a line"
    );
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// An HTTP response: status, head in lower case, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends one HTTP request over a new connection.
pub(crate) async fn http(addr: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    let head = format!(
        "{head}\r\nHost: capture\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The capture can refuse a body that is too large before all of it is sent.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("answered");
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec())
        .expect("text")
        .to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

pub(crate) async fn post(addr: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    http(addr, &format!("POST {path} HTTP/1.1\r\n{headers}"), body).await
}

/// A gRPC response: the status and its message, from the trailers or the headers.
#[derive(Debug)]
pub(crate) struct GrpcAnswer {
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) headers: HeaderMap,
}

/// An HTTP/2 connection without the additions and checks of a gRPC client, and its socket.
pub(crate) async fn http2<B>(addr: SocketAddr) -> (SendRequest<B>, std::net::TcpStream)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(addr).await.expect("connected");
    stream.set_nodelay(true).expect("a socket");
    let stream = stream.into_std().expect("a socket");
    let to_cut = stream.try_clone().expect("the same socket");
    let stream = TcpStream::from_std(stream).expect("a socket");
    let connected = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = connected.expect("HTTP/2");
    tokio::spawn(connection);
    (sender, to_cut)
}

/// Sends one gRPC call with these bytes, including the framing, as its body.
pub(crate) async fn grpc(
    addr: SocketAddr,
    path: &str,
    encoding: &str,
    body: Vec<u8>,
) -> GrpcAnswer {
    let request = Request::post(format!("http://{addr}{path}"))
        .header("content-type", "application/grpc")
        .header("grpc-encoding", encoding)
        .header("te", "trailers");
    let request = request
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let response = http2(addr)
        .await
        .0
        .send_request(request)
        .await
        .expect("answered");
    let (head, body) = response.into_parts();
    let collected = body.collect().await.expect("a whole answer");
    let mut headers = head.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    let text = |name: &str| {
        headers.get(name).map_or_else(String::new, |value| {
            value.to_str().expect("text").to_owned()
        })
    };
    GrpcAnswer {
        status: text("grpc-status"),
        message: text("grpc-message"),
        headers,
    }
}

/// Adds gRPC's prefix to a message.
/// Stops a capture, and fails if it never ends.
pub(crate) async fn stop(capture: Capture) -> Stats {
    let stopped = timeout(PATIENCE, capture.stop()).await;
    stopped.expect("it ends").expect("stopped")
}

pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a length of 32 bits");
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

/// The time after which a test gives up. Whatever takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `holds` returns `true`.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) const PROTOBUF: &str = "Content-Type: application/x-protobuf";
pub(crate) const JSON: &str = "Content-Type: application/json; charset=utf-8";
