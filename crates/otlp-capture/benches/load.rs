//! Sends the same load to the capture and to other OTLP/gRPC receivers, in turn: 200,000 spans in
//! ready-made requests of 500. Measures the receiver's CPU time and peak memory, as Linux counts
//! them.
//!
//!     cargo bench -p otlp-capture --bench load -- [--rounds N] [--json] [NAME=ENDPOINT@PID]…
//!
//! For example `jaeger=127.0.0.1:4317@4711`. Start such a receiver just before the benchmark: its
//! peak is that of its whole life.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use otlp_capture::{Capture, Config, Signal};
use prost::Message as _;
use std::error::Error;
use std::io::{BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SPANS: usize = 200_000;
const SPANS_PER_REQUEST: usize = 500;
/// Concurrent calls on one connection, as from an exporter that doesn't wait for each response.
const CONCURRENCY: usize = 4;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve_flag, dir] = &arguments[..]
        && serve_flag == "--serve"
    {
        return serve(dir);
    }
    // `cargo test --benches` runs this only to see whether it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut arguments = arguments
        .into_iter()
        .filter(|argument| argument != "--bench");
    let (mut rounds, mut is_json, mut others) = (3, false, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                let number = arguments.next().ok_or("`--rounds` needs a number")?;
                rounds = number.parse()?;
            }
            "--json" => is_json = true,
            other => others.push(Receiver::parse(other)?),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = Arc::new(requests());
    eprintln!(
        "{} requests, {} MB",
        load.len(),
        load.iter().map(Bytes::len).sum::<usize>() / 1_000_000
    );
    let mut measured = Vec::new();
    for round in 1..=rounds {
        let dir = tempfile::tempdir()?;
        let own = OwnCapture::start(dir.path())?;
        measured.push(runtime.block_on(own.receiver.measure(round, &load))?);
        own.stop()?;
        for other in &others {
            measured.push(runtime.block_on(other.measure(round, &load))?);
        }
    }
    print(&measured, is_json);
    Ok(())
}

/// Runs the capture's own process: receives until its standard input ends.
fn serve(dir: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let capture = runtime.block_on(Capture::start(Config::new(dir)))?;
    println!("{}", capture.grpc_addr());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let stats = runtime.block_on(capture.stop())?;
    println!("{}", stats.total().traces.records);
    Ok(())
}

/// The capture in a separate process, so that its CPU time and memory can be told from the
/// client's.
struct OwnCapture {
    receiver: Receiver,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl OwnCapture {
    fn start(dir: &std::path::Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let endpoint = line(&mut output)?;
        let receiver = Receiver {
            name: "capture".to_owned(),
            endpoint,
            pid: child.id(),
        };
        Ok(Self {
            receiver,
            child,
            output,
        })
    }

    /// Ends the capture, and checks that it stored everything.
    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let kept = line(&mut self.output)?;
        self.child.wait()?;
        if kept == SPANS.to_string() {
            Ok(())
        } else {
            Err(format!("{kept} of {SPANS} spans were kept").into())
        }
    }
}

fn line(output: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

struct Receiver {
    name: String,
    endpoint: String,
    pid: u32,
}

struct Measured {
    name: String,
    round: u32,
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
}

impl Receiver {
    fn parse(argument: &str) -> Result<Self> {
        let parts = argument
            .split_once('=')
            .and_then(|(name, rest)| Some((name, rest.rsplit_once('@')?)));
        let (name, (endpoint, pid)) =
            parts.ok_or_else(|| format!("`{argument}` isn't NAME=ENDPOINT@PID"))?;
        Ok(Self {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            pid: pid.parse()?,
        })
    }

    async fn measure(&self, round: u32, load: &Arc<Vec<Bytes>>) -> Result<Measured> {
        let cpu_before = self.cpu_seconds()?;
        let started = Instant::now();
        self.send(load).await?;
        let seconds = started.elapsed().as_secs_f64();
        let cpu_seconds = self.cpu_seconds_at_rest().await? - cpu_before;
        Ok(Measured {
            name: self.name.clone(),
            round,
            seconds,
            cpu_seconds,
            peak_bytes: self.peak_bytes()?,
        })
    }

    async fn send(&self, load: &Arc<Vec<Bytes>>) -> Result<()> {
        let stream = TcpStream::connect(&self.endpoint).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let next = Arc::new(AtomicUsize::new(0));
        let url = format!("http://{}{}", self.endpoint, Signal::Traces.grpc_path());
        let mut calls = JoinSet::new();
        for _ in 0..CONCURRENCY {
            let (load, next, url, mut sender) = (
                Arc::clone(load),
                Arc::clone(&next),
                url.clone(),
                sender.clone(),
            );
            calls.spawn(async move {
                while let Some(request) = load.get(next.fetch_add(1, Relaxed)) {
                    call(&mut sender, &url, request.clone()).await?;
                }
                Ok(())
            });
        }
        while let Some(result) = calls.join_next().await {
            let result: Result<()> = result?;
            result?;
        }
        Ok(())
    }

    /// User and system time so far. Linux counts it in hundredths of a second.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The name is in brackets and may contain anything.
        let fields = stat
            .rsplit_once(')')
            .ok_or("no name in `stat`")?
            .1
            .split_ascii_whitespace();
        let ticks = fields
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<std::result::Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }

    /// Waits until the work after the last response is done too.
    async fn cpu_seconds_at_rest(&self) -> Result<f64> {
        let mut before = self.cpu_seconds()?;
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = self.cpu_seconds()?;
            if now - before < 0.02 {
                return Ok(now);
            }
            before = now;
        }
    }

    fn peak_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .ok_or("no peak in `status`")?;
        Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

async fn call(sender: &mut SendRequest<Full<Bytes>>, url: &str, request: Bytes) -> Result<()> {
    let request = Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(request))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let trailers = body
        .collect()
        .await?
        .trailers()
        .cloned()
        .unwrap_or_default();
    match head
        .headers
        .get("grpc-status")
        .or(trailers.get("grpc-status"))
    {
        Some(status) if status == "0" => Ok(()),
        status => Err(format!(
            "a request was refused: {status:?}, {:?}",
            head.headers.get("grpc-message")
        )
        .into()),
    }
}

/// Spans as a traced client sends them: four per trace, eight attributes each.
fn requests() -> Vec<Bytes> {
    (0..SPANS / SPANS_PER_REQUEST)
        .map(|number| framed(&request(number as u64)))
        .collect()
}

fn framed(request: &ExportTraceServiceRequest) -> Bytes {
    let mut bytes = vec![0; 5];
    request.encode(&mut bytes).expect("written to memory");
    let length = u32::try_from(bytes.len() - 5).expect("far below the limit");
    bytes[1..5].copy_from_slice(&length.to_be_bytes());
    bytes.into()
}

fn request(number: u64) -> ExportTraceServiceRequest {
    let first = number * SPANS_PER_REQUEST as u64;
    let resource = Resource {
        attributes: vec![
            text("service.name", "milvus-client"),
            text("telemetry.sdk.language", "rust"),
            text("service.instance.id", &format!("load-{}", number % 8)),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "load".to_owned(),
        version: "1.0".to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = (first..first + SPANS_PER_REQUEST as u64)
        .map(span)
        .collect();
    let scope_spans = vec![ScopeSpans {
        scope: Some(scope),
        spans,
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

fn span(number: u64) -> Span {
    const METHODS: [&str; 4] = ["CreateCollection", "Insert", "Search", "DropCollection"];
    const DAY: u64 = 1_795_305_600_000_000_000;
    let method = METHODS[(number % 4) as usize];
    let start = DAY + number * 1_000_000;
    let parent = number - number % 4;
    Span {
        trace_id: u128::from(parent + 1).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        parent_span_id: if number == parent {
            Vec::new()
        } else {
            (parent + 1).to_be_bytes().to_vec()
        },
        name: format!("milvus.proto.milvus.MilvusService/{method}"),
        kind: 3,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_234_567,
        attributes: vec![
            text("rpc.system", "grpc"),
            text("rpc.service", "milvus.proto.milvus.MilvusService"),
            text("rpc.method", method),
            integer("rpc.grpc.status_code", 0),
            text("server.address", "milvus.example.internal"),
            integer("server.port", 19_530),
            text("thread.name", "worker-3"),
            integer(
                "milvus_otel.number",
                i64::try_from(number).expect("a small number"),
            ),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn print(measured: &[Measured], is_json: bool) {
    let spans = SPANS as f64;
    if is_json {
        let rows = measured.iter().map(|row| {
            serde_json::json!({
                "receiver": row.name,
                "round": row.round,
                "spans": SPANS,
                "seconds": row.seconds,
                "cpu_seconds": row.cpu_seconds,
                "peak_bytes": row.peak_bytes,
            })
        });
        println!("{}", serde_json::Value::Array(rows.collect()));
        return;
    }
    println!("receiver     round     spans/s    CPU s   spans/CPU s   peak MB");
    for row in measured {
        let Measured {
            name,
            round,
            seconds,
            cpu_seconds,
            peak_bytes,
        } = row;
        println!(
            "{name:12} {round:5} {:11.0} {cpu_seconds:8.2} {:13.0} {:9.1}",
            spans / seconds,
            spans / cpu_seconds,
            *peak_bytes as f64 / 1e6
        );
    }
}
