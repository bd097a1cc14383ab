//! The capture in a separate process: under heavy load, and killed.

use crate::lab::*;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::SendRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use otlp_capture::{Capture, Config, RefusedAs, Signal, Stats, Who};
use prost::Message as _;
use std::collections::BTreeSet;
use std::io::{BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Set in the process that captures: the directory to write to.
const DIR: &str = "OTLP_CAPTURE_TEST_DIR";
const READY: &str = "ready: ";
const STATS: &str = "stats: ";

/// The body of a [`Served`] process. Without [`DIR`] it does nothing.
#[test]
#[ignore = "the process that other tests start"]
fn serve() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut config = Config::new(PathBuf::from(dir));
    config.limits.received_bytes = 64 << 10;
    let capture = runtime.block_on(Capture::start(config)).expect("started");
    println!("{READY}{} {}", capture.grpc_addr(), capture.http_addr());
    let read = std::io::stdin().read_to_end(&mut Vec::new());
    read.expect("standard input ends");
    let stats = runtime.block_on(capture.stop()).expect("stopped");
    let stats = serde_json::to_string(&stats).expect("JSON");
    println!("{STATS}{stats}");
}

/// A capture in a separate process.
struct Served {
    process: Child,
    output: BufReader<ChildStdout>,
    dir: TempDir,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["process::serve", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let ready = after(&mut output, READY);
        let (grpc, http) = ready.split_once(' ').expect("two addresses");
        Self {
            process,
            output,
            dir,
            grpc: grpc.parse().expect("an address"),
            http: http.parse().expect("an address"),
        }
    }

    /// The peak memory so far, in KiB.
    #[cfg(target_os = "linux")]
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.split_whitespace().next());
        peak.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    fn stop(mut self) -> (Stats, TempDir) {
        drop(self.process.stdin.take());
        let stats = after(&mut self.output, STATS);
        assert!(self.process.wait().expect("it ends").success());
        (serde_json::from_str(&stats).expect("JSON"), self.dir)
    }

    fn kill(mut self) -> TempDir {
        self.process.kill().expect("it ran");
        self.process.wait().expect("it ends");
        self.dir
    }
}

/// The text after `mark` in the first line that contains it.
fn after(output: &mut impl std::io::BufRead, mark: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(output.read_line(&mut line).expect("text") > 0, "no {mark}");
        if let Some((_, rest)) = line.split_once(mark) {
            return rest.trim_end().to_owned();
        }
    }
}

/// A request with one span with this id, from the program of this name.
fn span_of(program: &str, id: u64) -> ExportTraceServiceRequest {
    let mut request = spans("x", 1);
    let text = |value: &str| AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    };
    let attribute = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    let telemetry = &mut request.resource_spans[0];
    telemetry.resource = Some(Resource {
        attributes: vec![
            attribute("service.name", "storm"),
            attribute("service.instance.id", program),
            attribute("milvus_otel.run", "r1"),
        ],
        ..Resource::default()
    });
    telemetry.scope_spans[0].spans[0].span_id = id.to_be_bytes().to_vec();
    request
}

/// The ids of the spans in a file, in order. The last line may be incomplete.
fn span_ids(dir: &Path) -> Vec<u64> {
    let text = std::fs::read(dir.join("capture.jsonl")).expect("a file");
    let whole = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let lines = text[..whole].split(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line: serde_json::Value = serde_json::from_slice(line).expect("a whole line");
            let id = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"];
            u64::from_str_radix(id.as_str().expect("an id"), 16).expect("hexadecimal")
        })
        .collect()
}

/// A reused HTTP/1.1 connection.
struct Http1 {
    addr: SocketAddr,
    stream: TcpStream,
}

impl Http1 {
    async fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("connected");
        stream.set_nodelay(true).expect("a socket");
        Self { addr, stream }
    }

    /// The response's status; `None` if the connection was closed before it.
    async fn send(&mut self, head: &str, body: &[u8]) -> Option<u16> {
        let head = format!(
            "{head}\r\nHost: capture\r\nUser-Agent: storm/1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.stream.write_all(&request).await.ok()?;
        let mut answer = Vec::new();
        loop {
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
                if answer.len() >= end + 4 + length.unwrap_or(0_usize) {
                    return head.split(' ').nth(1)?.parse().ok();
                }
            }
            if self.stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Begins a request on a new connection, and disconnects before its end.
    async fn break_off(&self) {
        let mut stream = TcpStream::connect(self.addr).await.expect("connected");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: capture\r\nUser-Agent: storm/1\r\n{PROTOBUF}\r\nContent-Length: 100\r\n\r\nhalf"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("sent");
        stream.read_to_end(&mut Vec::new()).await.expect("closed");
    }
}

/// Exports over a reused gRPC connection. Returns whether the request was acknowledged.
async fn export(
    sender: &mut SendRequest<Full<Bytes>>,
    addr: SocketAddr,
    request: &ExportTraceServiceRequest,
) -> bool {
    let path = Signal::Traces.grpc_path();
    let body = Full::new(Bytes::from(framed(0, &request.encode_to_vec())));
    let request = Request::post(format!("http://{addr}{path}"))
        .header("content-type", "application/grpc")
        .header("user-agent", "storm/2")
        .body(body)
        .expect("a request");
    let Ok(response) = sender.send_request(request).await else {
        return false;
    };
    let Ok(collected) = response.into_body().collect().await else {
        return false;
    };
    let status = collected
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"));
    status.is_some_and(|status| status == "0")
}

const SENDERS: u64 = 50;
const WAYS: [RefusedAs; 10] = [
    RefusedAs::Malformed,
    RefusedAs::Malformed,
    RefusedAs::TooLarge,
    RefusedAs::UnknownEncoding,
    RefusedAs::UnknownContentType,
    RefusedAs::UnknownPath,
    RefusedAs::UnknownMethod,
    RefusedAs::HttpOnGrpcPort,
    RefusedAs::GrpcOnHttpPort,
    RefusedAs::BrokenOff,
];

/// Sends `requests` requests. Every tenth is bad, in each way in turn.
async fn storm_of(sender: u64, requests: u64, grpc: SocketAddr, http: SocketAddr) -> Vec<u64> {
    let program = format!("sender-{sender}");
    let mut one = Http1::to(http).await;
    let mut two = http2::<Full<Bytes>>(grpc).await.0;
    let mut acknowledged = Vec::new();
    for number in 0..requests {
        let id = sender << 32 | number;
        let request = span_of(&program, id);
        if number % 10 < 9 {
            let is_stored = if sender.is_multiple_of(2) {
                export(&mut two, grpc, &request).await
            } else {
                let head = format!("POST /v1/traces HTTP/1.1\r\n{PROTOBUF}");
                one.send(&head, &request.encode_to_vec()).await == Some(200)
            };
            assert!(is_stored, "{program}: request {number}");
            acknowledged.push(id);
            continue;
        }
        let good = request.encode_to_vec();
        let post = |header: &str| format!("POST /v1/traces HTTP/1.1\r\n{header}");
        let plain = post(PROTOBUF);
        let way = usize::try_from(number / 10).expect("a small number") % WAYS.len();
        let type_of = |content_type: &str| post(&format!("Content-Type: {content_type}"));
        let (head, body) = match way {
            0 => (plain, b"hello".to_vec()),
            1 => (post(JSON), b"{\"resourceSpans\":5}".to_vec()),
            2 => (plain, vec![0; 65 << 10]),
            3 => (format!("{plain}\r\nContent-Encoding: br"), good),
            4 => (type_of("text/plain"), good),
            5 => (plain.replace("traces", "profiles"), good),
            6 => (plain.replace("POST", "PUT"), good),
            7 => (plain, good),
            8 => (type_of("application/grpc"), good),
            _ => {
                one.break_off().await;
                continue;
            }
        };
        // A connection that is rarely used would be closed as idle.
        let port = if way == 7 { grpc } else { http };
        let status = Http1::to(port).await.send(&head, &body).await;
        // In gRPC, the error is in a header.
        let expected = [400, 400, 413, 415, 415, 404, 405, 415, 200][way];
        assert_eq!(status, Some(expected), "{program}: {:?}", WAYS[way]);
    }
    acknowledged
}

fn storm(requests: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let served = Served::start();
    let (grpc, http) = (served.grpc, served.http);
    let each = requests / SENDERS;
    let acknowledged = runtime.block_on(async {
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(storm_of(sender, each, grpc, http));
        }
        senders.join_all().await.concat()
    });
    #[cfg(target_os = "linux")]
    {
        let peak = served.peak_kib();
        println!(
            "{requests} requests, {} spans, peak of memory {peak} KiB",
            acknowledged.len()
        );
        assert!(peak < 100 << 10, "{peak} KiB");
    }
    let (stats, dir) = served.stop();

    let mut stored = span_ids(dir.path());
    stored.sort_unstable();
    let mut expected = acknowledged;
    expected.sort_unstable();
    assert_eq!(stored.len(), expected.len());
    assert!(
        stored == expected,
        "another span is in the file than was acknowledged"
    );

    let total = stats.total();
    assert_eq!(total.requests, requests);
    assert_eq!(total.traces.requests, requests / 10 * 9);
    assert_eq!(total.traces.records, requests / 10 * 9);
    assert_eq!((total.asked_again, total.unwritten_records), (0, 0));
    for kind in WAYS {
        let ways = WAYS.iter().filter(|way| **way == kind).count() as u64;
        assert_eq!(total.refused_as(kind), requests / 100 * ways, "{kind:?}");
    }
    let programs = stats.senders.iter().filter_map(|sender| match &sender.who {
        Who::Program(program) => program
            .instance
            .as_deref()
            .map(|name| (name, &sender.account)),
        Who::Peer { .. } | Who::Others => None,
    });
    let mut seen = BTreeSet::new();
    for (name, account) in programs {
        assert_eq!(account.traces.requests, each / 10 * 9, "{name}");
        seen.insert(name);
    }
    assert_eq!(seen.len() as u64, SENDERS);
}

#[test]
fn every_request_of_a_storm_is_accounted_for() {
    storm(5_000);
}

#[test]
#[ignore = "takes about half a minute"]
fn slow_every_request_of_a_storm_of_a_hundred_thousand_is_accounted_for() {
    storm(100_000);
}

#[test]
fn acknowledged_requests_survive_sigkill() {
    const ROUNDS: usize = 20;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    for round in 0..ROUNDS {
        let served = Served::start();
        let grpc = served.grpc;
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let dir = runtime.block_on(async {
            let mut load = JoinSet::new();
            for sender in 0..8 {
                let acknowledged = Arc::clone(&acknowledged);
                load.spawn(async move {
                    let mut connection = http2::<Full<Bytes>>(grpc).await.0;
                    for number in 0.. {
                        let id = sender << 32 | number;
                        if !export(&mut connection, grpc, &span_of("load", id)).await {
                            return number;
                        }
                        acknowledged.lock().expect("no panic").push(id);
                    }
                    0
                });
            }
            // In the middle of the load, at another point in each round.
            while acknowledged.lock().expect("no panic").len() < 100 + 17 * round {
                sleep(Duration::from_millis(1)).await;
            }
            let dir = served.kill();
            load.join_all().await;
            dir
        });

        let stored: BTreeSet<u64> = span_ids(dir.path()).into_iter().collect();
        let acknowledged = acknowledged.lock().expect("no panic");
        assert!(acknowledged.len() >= 100 + 17 * round);
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|id| !stored.contains(id))
            .collect();
        assert!(
            lost.is_empty(),
            "round {round}: {lost:?} of {}",
            acknowledged.len()
        );

        // The next capture continues after an incomplete line.
        runtime.block_on(async {
            let capture = Capture::start(Config::new(dir.path()))
                .await
                .expect("started");
            let mut client = traces_client(capture.grpc_addr()).await;
            client
                .export(span_of("next", u64::MAX))
                .await
                .expect("accepted");
            capture.stop().await.expect("stopped");
        });
        let text = std::fs::read_to_string(dir.path().join("capture.jsonl")).expect("text");
        let unreadable = text
            .lines()
            .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
        assert!(
            unreadable.count() <= 1,
            "only the last line may have been cut off"
        );
        assert!(text.trim_end().ends_with('}') && text.contains("ffffffffffffffff"));
    }
}
