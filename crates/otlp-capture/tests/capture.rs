//! A running capture and its clients: a real OTLP/gRPC client, plain sockets for what such a client never sends.

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use otlp_capture::{Capture, Config, Limits, Signal, Stats};
use prost::Message;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

fn spans(name: &str, count: usize) -> ExportTraceServiceRequest {
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

fn points(count: usize) -> ExportMetricsServiceRequest {
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

fn logs(count: usize) -> ExportLogsServiceRequest {
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

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}

async fn traces_client(addr: SocketAddr) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{addr}"))
        .await
        .expect("connected")
}

/// A capture in a directory of its own.
struct Lab {
    capture: Capture,
    dir: TempDir,
}

impl Lab {
    async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::new(dir.path());
        adjust(&mut config);
        Self {
            capture: Capture::start(config).await.expect("started"),
            dir,
        }
    }

    fn lines(&self, file: &str) -> Vec<serde_json::Value> {
        lines(self.dir.path(), file)
    }

    /// Sends one good request, which has to be kept whatever came before.
    async fn still_keeps(&self, name: &str) {
        let mut client = traces_client(self.capture.grpc_addr()).await;
        client.export(spans(name, 1)).await.expect(name);
        let lines = self.lines("capture.jsonl");
        assert_eq!(
            lines.last().expect("a line")["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"],
            name
        );
    }

    async fn stop(self) -> Stats {
        let started = Instant::now();
        let stats = self.capture.stop().await.expect("stopped");
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "stopping took {:?}",
            started.elapsed()
        );
        stats
    }
}

fn lines(dir: &Path, file: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(dir.join(file)).expect(file);
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "{file} ends in half a line"
    );
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// An answer as it stands on the wire: status, head in lower case, body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends one HTTP request over a connection of its own.
async fn http(addr: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    let head = format!(
        "{head}\r\nHost: capture\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A body that is too large is refused before it was sent.
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

async fn post(addr: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    http(addr, &format!("POST {path} HTTP/1.1\r\n{headers}"), body).await
}

const PROTOBUF: &str = "Content-Type: application/x-protobuf";
const JSON: &str = "Content-Type: application/json; charset=utf-8";

#[tokio::test]
async fn three_signals_over_two_protocols_are_kept_and_counted() {
    let (seen, sees) = mpsc::channel();
    let lab = Lab::start(|config| {
        config.observer = Some(Box::new(move |signal, line| {
            let json: serde_json::Value = serde_json::from_slice(line).expect("a whole line");
            seen.send((signal, json)).expect("the test listens");
        }));
    })
    .await;
    let (grpc, http) = (lab.capture.grpc_addr(), lab.capture.http_addr());
    let url = format!("http://{grpc}");

    for compression in [None, Some(CompressionEncoding::Gzip)] {
        let mut traces = traces_client(grpc).await;
        let mut metrics = MetricsServiceClient::connect(url.clone())
            .await
            .expect("connected");
        let mut logs_client = LogsServiceClient::connect(url.clone())
            .await
            .expect("connected");
        if let Some(gzip) = compression {
            traces = traces.send_compressed(gzip);
            metrics = metrics.send_compressed(gzip);
            logs_client = logs_client.send_compressed(gzip);
        }
        let response = traces
            .export(spans("grpc", 3))
            .await
            .expect("accepted")
            .into_inner();
        assert_eq!(response.partial_success, None);
        metrics.export(points(4)).await.expect("accepted");
        logs_client.export(logs(5)).await.expect("accepted");
    }
    for (path, protobuf) in [
        ("/v1/traces", spans("http", 3).encode_to_vec()),
        ("/v1/metrics", points(4).encode_to_vec()),
        ("/v1/logs", logs(5).encode_to_vec()),
    ] {
        let signal = Signal::ALL
            .into_iter()
            .find(|signal| signal.http_path() == path)
            .expect("a signal");
        let mut json = Vec::new();
        otlp_capture::transcode::protobuf_to_json(signal, &protobuf, &mut json).expect("a request");
        for (content_type, body, answer) in
            [(PROTOBUF, &protobuf, &b""[..]), (JSON, &json, &b"{}"[..])]
        {
            let plain = post(http, path, content_type, body).await;
            assert_eq!(
                (plain.status, &plain.body[..]),
                (200, answer),
                "{path} {content_type}"
            );
            let expected = content_type
                .split(';')
                .next()
                .expect("a type")
                .to_lowercase();
            assert!(plain.head.contains(&expected), "{}", plain.head);
            let headers = format!("{content_type}\r\nContent-Encoding: gzip");
            let compressed = post(http, path, &headers, &gzip(body)).await;
            assert_eq!(compressed.status, 200, "{path} {content_type}");
        }
    }

    lab.capture.flush().await;
    let seen: Vec<_> = sees.try_iter().collect();
    for (signal, file) in [
        (Signal::Traces, "capture.jsonl"),
        (Signal::Metrics, "metrics.jsonl"),
        (Signal::Logs, "logs.jsonl"),
    ] {
        let observed: Vec<_> = seen
            .iter()
            .filter(|(of, _)| *of == signal)
            .map(|(_, line)| line.clone())
            .collect();
        assert_eq!(lab.lines(file), observed, "{file}");
        assert_eq!(observed.len(), 6, "{file}");
    }
    let dir = lab.dir.path().to_owned();
    let sizes = ["capture", "metrics", "logs"].map(|stem| {
        std::fs::metadata(dir.join(format!("{stem}.jsonl")))
            .expect(stem)
            .len()
    });
    let stats = lab.stop().await;
    let counts = |signal| {
        let of = stats.signal(signal);
        (of.requests, of.records, of.bytes)
    };
    assert_eq!(counts(Signal::Traces), (6, 18, sizes[0]));
    assert_eq!(counts(Signal::Metrics), (6, 24, sizes[1]));
    assert_eq!(counts(Signal::Logs), (6, 30, sizes[2]));
    let bad = Stats {
        traces: stats.traces,
        metrics: stats.metrics,
        logs: stats.logs,
        ..Stats::default()
    };
    assert_eq!(stats, bad, "nothing went wrong");
}

#[tokio::test]
async fn an_empty_request_is_accepted_and_leaves_no_line() {
    let lab = Lab::start(|_| {}).await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    client
        .export(ExportTraceServiceRequest::default())
        .await
        .expect("accepted");
    assert_eq!(
        post(lab.capture.http_addr(), "/v1/logs", PROTOBUF, b"")
            .await
            .status,
        200
    );
    assert_eq!(
        lab.lines("capture.jsonl").len() + lab.lines("logs.jsonl").len(),
        0
    );
    let stats = lab.stop().await;
    assert_eq!((stats.traces.requests, stats.logs.requests), (1, 1));
}

#[tokio::test]
async fn what_http_clients_get_wrong_is_answered_and_harms_nothing() {
    let lab = Lab::start(|config| {
        config.limits = Limits {
            received_bytes: 100_000,
            decompressed_bytes: 1_000_000,
            ..Limits::default()
        };
    })
    .await;
    let addr = lab.capture.http_addr();
    let good = spans("x", 1).encode_to_vec();
    let bomb = gzip(&vec![0; 50_000_000]);
    assert!(bomb.len() > 100_000, "over both limits");
    let small_bomb = gzip(&vec![0; 10_000_000]);
    assert!(
        small_bomb.len() < 100_000,
        "{} bytes pass the first limit",
        small_bomb.len()
    );
    let zipped = |content_type: &str| format!("{content_type}\r\nContent-Encoding: gzip");

    #[rustfmt::skip]
    let cases: Vec<(&str, &str, String, Vec<u8>, u16)> = vec![
        ("malformed protobuf",   "POST /v1/traces", PROTOBUF.into(), b"hello".to_vec(), 400),
        ("malformed JSON",       "POST /v1/traces", JSON.into(), b"{\"resourceSpans\":5}".to_vec(), 400),
        ("damaged gzip",         "POST /v1/traces", zipped(PROTOBUF), gzip(&good)[..20].to_vec(), 400),
        ("no gzip at all",       "POST /v1/traces", zipped(PROTOBUF), good.clone(), 400),
        ("over the limit",       "POST /v1/traces", PROTOBUF.into(), vec![0; 2_000_000], 413),
        ("gzip over the limit",  "POST /v1/traces", zipped(PROTOBUF), bomb, 413),
        ("gzip bomb",            "POST /v1/traces", zipped(JSON), small_bomb, 413),
        ("unknown type",         "POST /v1/traces", "Content-Type: text/plain".into(), good.clone(), 415),
        ("no type",              "POST /v1/traces", "X-Nothing: 1".into(), good.clone(), 415),
        ("unknown encoding",     "POST /v1/traces", format!("{PROTOBUF}\r\nContent-Encoding: br"), good.clone(), 415),
        ("another path",         "POST /v1/profiles", PROTOBUF.into(), good.clone(), 404),
        ("the wrong signal",     "POST /v1/metrics", PROTOBUF.into(), b"\x08\x01".to_vec(), 400),
        ("another method",       "GET /v1/traces", PROTOBUF.into(), Vec::new(), 405),
    ];
    for (what, request, headers, body, status) in cases {
        let answer = http(addr, &format!("{request} HTTP/1.1\r\n{headers}"), &body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.head);
        let is_json = !headers.contains("x-protobuf");
        let message = if is_json {
            let status: serde_json::Value = serde_json::from_slice(&answer.body).expect(what);
            status["message"].as_str().expect(what).to_owned()
        } else {
            // A `google.rpc.Status` has its message in field 2.
            let at = answer
                .body
                .iter()
                .position(|byte| *byte == 0x12)
                .expect(what);
            String::from_utf8(answer.body[at + 1..].to_vec()).expect(what)
        };
        assert!(message.len() > 10, "{what}: {message}");
        assert_eq!(
            answer.head.contains("application/json"),
            is_json,
            "{what}: {}",
            answer.head
        );
        lab.still_keeps(what).await;
    }
    let allowed = http(addr, "PUT /v1/logs HTTP/1.1\r\nX-Nothing: 1", b"").await;
    assert!(allowed.head.contains("allow: post"), "{}", allowed.head);

    let stats = lab.stop().await;
    assert_eq!((stats.malformed_requests, stats.rejected_requests), (5, 9));
    assert_eq!((stats.traces.records, stats.dropped_records), (13, 0));
}
