//! A client from outside: telemetrygen, the Collector's load generator. It is built with Go, which
//! takes a minute or two the first time:
//!
//!     cargo test -p otlp-capture --test slow -- --ignored

use otlp_capture::{Account, Capture, Config, Signal};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULE: &str =
    "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0";

/// The path of telemetrygen, which is built in the workspace's `target` if it isn't there yet.
fn telemetrygen() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/milvus-otel/tools");
    let program = tools.join("telemetrygen");
    if !program.exists() {
        std::fs::create_dir_all(&tools).expect("a directory for tools");
        let tools = tools.canonicalize().expect("a directory for tools");
        let status = Command::new("go")
            .args(["install", MODULE])
            .env("GOBIN", tools)
            .status();
        assert!(
            status.expect("Go is installed").success(),
            "telemetrygen can't be built"
        );
    }
    program
}

fn generate(arguments: &[&str]) {
    let output = Command::new(telemetrygen())
        .args(arguments)
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !log.contains("ERROR"),
        "telemetrygen {arguments:?}: {log}"
    );
}

/// The number of objects under this name in all lines.
fn count(dir: &Path, signal: Signal, name: &str) -> u64 {
    fn count_in(value: &Value, name: &str) -> u64 {
        match value {
            Value::Array(elements) => elements.iter().map(|element| count_in(element, name)).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| match value {
                    Value::Array(elements) if key == name => elements.len() as u64,
                    _ => count_in(value, name),
                })
                .sum(),
            _ => 0,
        }
    }
    let text = std::fs::read_to_string(dir.join(signal.file_name(0))).expect("a file");
    text.lines()
        .map(|line| count_in(&serde_json::from_str(line).expect("JSON"), name))
        .sum()
}

#[test]
#[ignore = "builds telemetrygen with Go"]
fn slow_everything_that_telemetrygen_sends_is_counted_and_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let capture = runtime
        .block_on(Capture::start(Config::new(dir.path())))
        .expect("started");
    let ports = [
        (capture.grpc_addr().to_string(), None),
        (capture.http_addr().to_string(), Some("--otlp-http")),
    ];
    for (endpoint, protocol) in &ports {
        let send = |arguments: &[&str]| {
            let common = [
                "--otlp-insecure",
                "--otlp-endpoint",
                endpoint,
                "--rate",
                "0",
            ];
            let all: Vec<&str> = arguments
                .iter()
                .copied()
                .chain(common)
                .chain(*protocol)
                .collect();
            generate(&all);
        };
        // A parent and three children each; few enough that the client's queue drops none.
        send(&["traces", "--traces", "100", "--child-spans", "3"]);
        send(&[
            "traces",
            "--traces",
            "500",
            "--child-spans",
            "3",
            "--workers",
            "2",
            "--batch=false",
        ]);
        // A parent and a child of 6 MB each, which is more than gRPC's default limit.
        send(&[
            "traces",
            "--traces",
            "1",
            "--child-spans",
            "1",
            "--size",
            "6",
            "--span-links",
            "1",
        ]);
        for kind in ["Gauge", "Sum", "Histogram", "ExponentialHistogram"] {
            send(&["metrics", "--metrics", "500", "--metric-type", kind]);
        }
        send(&["logs", "--workers", "2", "--logs", "1000"]);
    }
    let stats = runtime.block_on(capture.stop()).expect("stopped");

    let account = stats.total();
    let kept = |signal, name| {
        (
            account.signal(signal).records,
            count(dir.path(), signal, name),
        )
    };
    assert_eq!(kept(Signal::Traces, "spans"), (2 * 4_402, 2 * 4_402));
    assert_eq!(kept(Signal::Metrics, "dataPoints"), (2 * 2_000, 2 * 2_000));
    assert_eq!(kept(Signal::Logs, "logRecords"), (2 * 2_000, 2 * 2_000));
    let good = Account {
        requests: account.requests,
        traces: account.traces,
        metrics: account.metrics,
        logs: account.logs,
        ..Account::default()
    };
    assert_eq!(account, good, "nothing went wrong");
}
