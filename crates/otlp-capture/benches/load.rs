//! Sends the same load to the capture and to other OTLP/gRPC receivers, in turn: 200,000 spans, data
//! points or log records in ready-made requests of 500. Measures the receiver's CPU time and peak
//! memory, as Linux counts them.
//!
//!     cargo bench -p otlp-capture --bench load -- [--signal traces|metrics|logs]… [--rounds N] [--json] [NAME=ENDPOINT@PID]…
//!
//! For example `jaeger=127.0.0.1:4317@4711`; `tools/collector` is a Collector that stores nothing. Start such a receiver just before the benchmark: its
//! peak is that of its whole life.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use otlp_capture::{Capture, Config, Signal};
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

const RECORDS: usize = 200_000;
const RECORDS_PER_REQUEST: usize = 500;
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
    let (mut rounds, mut is_json) = (3, false);
    let (mut signals, mut others) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                let number = arguments.next().ok_or("`--rounds` needs a number")?;
                rounds = number.parse()?;
            }
            "--signal" => {
                let name = arguments.next().ok_or("`--signal` needs a name")?;
                signals.push(signal(&name)?);
            }
            "--json" => is_json = true,
            other => others.push(Receiver::parse(other)?),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if signals.is_empty() {
        signals.push(Signal::Traces);
    }
    let mut measured = Vec::new();
    for signal in signals {
        let load = Arc::new(Load::new(signal));
        eprintln!(
            "{signal:?}: {} requests, {} MB",
            load.requests.len(),
            load.requests.iter().map(Bytes::len).sum::<usize>() / 1_000_000
        );
        for round in 1..=rounds {
            let dir = tempfile::tempdir()?;
            let own = OwnCapture::start(dir.path())?;
            measured.push(runtime.block_on(own.receiver.measure(round, &load))?);
            own.stop()?;
            for other in &others {
                measured.push(runtime.block_on(other.measure(round, &load))?);
            }
        }
    }
    print(&measured, is_json);
    Ok(())
}

fn signal(name: &str) -> Result<Signal> {
    let path = format!("/v1/{name}");
    let named = |signal: &Signal| signal.http_path() == path;
    let found = Signal::ALL.into_iter().find(named);
    found.ok_or_else(|| format!("`{name}` is none of `traces`, `metrics`, `logs`").into())
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
    let total = stats.total();
    let records = Signal::ALL.map(|signal| total.signal(signal).records);
    println!("{}", records.iter().sum::<u64>());
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
        if kept == RECORDS.to_string() {
            Ok(())
        } else {
            Err(format!("{kept} of {RECORDS} records were kept").into())
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
    signal: Signal,
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

    async fn measure(&self, round: u32, load: &Arc<Load>) -> Result<Measured> {
        let cpu_before = self.cpu_seconds()?;
        let started = Instant::now();
        self.send(load).await?;
        let seconds = started.elapsed().as_secs_f64();
        let cpu_seconds = self.cpu_seconds_at_rest().await? - cpu_before;
        Ok(Measured {
            name: self.name.clone(),
            signal: load.signal,
            round,
            seconds,
            cpu_seconds,
            peak_bytes: self.peak_bytes()?,
        })
    }

    async fn send(&self, load: &Arc<Load>) -> Result<()> {
        let stream = TcpStream::connect(&self.endpoint).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let next = Arc::new(AtomicUsize::new(0));
        let url = format!("http://{}{}", self.endpoint, load.signal.grpc_path());
        let mut calls = JoinSet::new();
        for _ in 0..CONCURRENCY {
            let (load, next, url, mut sender) = (
                Arc::clone(load),
                Arc::clone(&next),
                url.clone(),
                sender.clone(),
            );
            calls.spawn(async move {
                while let Some(request) = load.requests.get(next.fetch_add(1, Relaxed)) {
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

/// The ready-made requests of one signal.
struct Load {
    signal: Signal,
    requests: Vec<Bytes>,
}

impl Load {
    fn new(signal: Signal) -> Self {
        let requests = (0..RECORDS / RECORDS_PER_REQUEST).map(|number| {
            let number = number as u64;
            match signal {
                Signal::Traces => framed(&traces(number)),
                Signal::Metrics => framed(&metrics(number)),
                Signal::Logs => framed(&logs(number)),
            }
        });
        Self {
            signal,
            requests: requests.collect(),
        }
    }
}

fn framed(request: &impl prost::Message) -> Bytes {
    let mut bytes = vec![0; 5];
    request.encode(&mut bytes).expect("written to memory");
    let length = u32::try_from(bytes.len() - 5).expect("far below the limit");
    bytes[1..5].copy_from_slice(&length.to_be_bytes());
    bytes.into()
}

fn numbers(request: u64) -> std::ops::Range<u64> {
    let first = request * RECORDS_PER_REQUEST as u64;
    first..first + RECORDS_PER_REQUEST as u64
}

fn resource(request: u64) -> Option<Resource> {
    Some(Resource {
        attributes: vec![
            text("service.name", "milvus-client"),
            text("telemetry.sdk.language", "rust"),
            text("service.instance.id", &format!("load-{}", request % 8)),
        ],
        ..Resource::default()
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "load".to_owned(),
        version: "1.0".to_owned(),
        ..InstrumentationScope::default()
    })
}

fn traces(number: u64) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(number),
            scope_spans: vec![ScopeSpans {
                scope: scope(),
                spans: numbers(number).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn metrics(number: u64) -> ExportMetricsServiceRequest {
    let durations = Metric {
        name: "rpc.client.duration".to_owned(),
        unit: "ms".to_owned(),
        data: Some(Data::Histogram(Histogram {
            data_points: numbers(number).map(point).collect(),
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(number),
            scope_metrics: vec![ScopeMetrics {
                scope: scope(),
                metrics: vec![durations],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn logs(number: u64) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(number),
            scope_logs: vec![ScopeLogs {
                scope: scope(),
                log_records: numbers(number).map(log_record).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}

const METHODS: [&str; 4] = ["CreateCollection", "Insert", "Search", "DropCollection"];
const DAY: u64 = 1_795_305_600_000_000_000;

/// A call's duration: five attributes, 14 bounds.
fn point(number: u64) -> HistogramDataPoint {
    const BOUNDS: [f64; 14] = [
        5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
        10000.0,
    ];
    let mut counts = vec![0; BOUNDS.len() + 1];
    counts[(number % 15) as usize] = number;
    HistogramDataPoint {
        attributes: vec![
            text("rpc.system", "grpc"),
            text("rpc.service", "milvus.proto.milvus.MilvusService"),
            text("rpc.method", METHODS[(number % 4) as usize]),
            integer("rpc.grpc.status_code", 0),
            text("server.address", "milvus.example.internal"),
        ],
        start_time_unix_nano: DAY,
        time_unix_nano: DAY + number * 1_000_000,
        count: number,
        sum: Some(number as f64 * 1.25),
        bucket_counts: counts,
        explicit_bounds: BOUNDS.to_vec(),
        min: Some(0.5),
        max: Some(12.75),
        ..HistogramDataPoint::default()
    }
}

/// A line with its place in a trace and four attributes.
fn log_record(number: u64) -> LogRecord {
    let time = DAY + number * 1_000_000;
    let line = format!("inserted {number} rows into the collection `quick_setup`");
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue {
            value: Some(Value::StringValue(line)),
        }),
        attributes: vec![
            text("code.function.name", "quick_setup"),
            text("code.file.path", "/srv/shop/quick_setup.py"),
            integer("code.line.number", 73),
            text("thread.name", "worker-3"),
        ],
        flags: 1,
        trace_id: u128::from(number / 4 + 1).to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        ..LogRecord::default()
    }
}

/// A call as a traced client sends it: four per trace, eight attributes each.
fn span(number: u64) -> Span {
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
    let records = RECORDS as f64;
    if is_json {
        let rows = measured.iter().map(|row| {
            serde_json::json!({
                "receiver": row.name,
                "signal": format!("{:?}", row.signal).to_lowercase(),
                "round": row.round,
                "records": RECORDS,
                "seconds": row.seconds,
                "cpu_seconds": row.cpu_seconds,
                "peak_bytes": row.peak_bytes,
            })
        });
        println!("{}", serde_json::Value::Array(rows.collect()));
        return;
    }
    println!("receiver     signal   round   records/s    CPU s   records/CPU s   peak MB");
    for row in measured {
        let Measured {
            name,
            signal,
            round,
            seconds,
            cpu_seconds,
            peak_bytes,
        } = row;
        println!(
            "{name:12} {:8} {round:5} {:11.0} {cpu_seconds:8.2} {:15.0} {:9.1}",
            format!("{signal:?}").to_lowercase(),
            records / seconds,
            records / cpu_seconds,
            *peak_bytes as f64 / 1e6
        );
    }
}
