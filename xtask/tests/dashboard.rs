//! Grafana's dashboard of `compose/grafana`: read by Grafana's own types, and each of its queries run by a Prometheus that has the metrics
//! of a real Milvus and of a real client.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use support::{alone, latest_run, root, xtask};

const DASHBOARD: &str = "compose/grafana/dashboards/milvus.json";
/// Where the tutorial's stack has Milvus's metrics.
const MILVUS: &str = "127.0.0.1:9091";
/// Service discovery of clouds is most of Prometheus's build, and nothing here uses it.
const TAGS: &str = "remove_all_sd,netgo";

/// A Prometheus with the options and the configuration of `compose`.
struct Prometheus {
    address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(executable: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = read("compose/prometheus.yaml").replace("milvus:9091", MILVUS);
        let config = config.replace("scrape_interval: 5s", "scrape_interval: 1s");
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, config).expect("it can be written");
        let address = support::free_address().to_string();
        let compose = read("compose/docker-compose.yaml");
        let options = compose.lines().map(str::trim);
        let options = options.filter_map(|line| line.strip_prefix("- "));
        let options = options.filter(|option| {
            option.starts_with("--web.enable-otlp") || option.starts_with("--enable-feature")
        });
        let process = Command::new(executable)
            .args(options)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus starts");
        let prometheus = Self {
            address,
            process,
            _folder: folder,
        };
        support::until("Prometheus is ready", || {
            let answer = prometheus.ask("GET", "/-/ready", "")?;
            answer.starts_with("HTTP/1.0 200").then_some(())
        });
        prometheus
    }

    /// The whole answer; `None` while nobody listens.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(&[head, body.to_owned()].concat().into_bytes())
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = parameters.iter();
        let parameters = parameters.map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = parameters.collect::<Vec<_>>().join("&");
        let answer = self.ask("GET", &format!("/api/v1/{path}?{query}"), "");
        let answer = answer.expect("Prometheus answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["status"], "success", "{body}");
        body["data"].clone()
    }

    /// The values of a query's series.
    fn values(&self, query: &str) -> Vec<f64> {
        let found = self.api("query", &[("query", query)]);
        let series = found["result"].as_array().expect("series").iter();
        let value = |one: &Value| one["value"][1].as_str()?.parse().ok();
        series.filter_map(value).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        support::signal(self.process.id(), "-TERM");
        let _ = self.process.wait();
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("it can be read")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
#[ignore = "slow: compiles Grafana's types"]
fn slow_the_dashboard_is_one_that_grafana_reads() {
    let Some(reader) = support::built_with_go("grafana", &["."]) else {
        return;
    };
    let check = |text: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("dashboard.json");
        std::fs::write(&file, text).expect("it can be written");
        let output = Command::new(&reader).arg(&file).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let dashboard = read(DASHBOARD);
    assert_eq!(check(&dashboard), (true, String::new()));
    let (read, said) = check(&dashboard.replacen("\"expr\"", "\"expression\"", 1));
    assert!(
        !read && said.contains("unexpected field 'expression'"),
        "{said}"
    );
}

/// Puts the metrics that a client sent to the run's capture into Prometheus, as the Collector does.
fn forward(prometheus: &Prometheus, run: &Path) {
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    assert!(metrics.contains("rpc.client.duration"));
    for request in metrics.lines() {
        let answer = prometheus.ask("POST", "/api/v1/otlp/v1/metrics", request);
        let answer = answer.expect("Prometheus answers");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}

#[test]
#[ignore = "slow: builds Prometheus, and runs Milvus"]
fn slow_each_panel_shows_what_milvus_and_a_client_measured() {
    let _turn = alone();
    if support::skipped_without_tutorial_ports() {
        return;
    }
    let Some(executable) = support::built_with_go("prometheus", &["-tags", TAGS, "tool"]) else {
        return;
    };
    let done = |arguments: &[&str]| {
        let run = xtask(arguments).finish();
        assert_eq!(run.code(), Some(0), "{arguments:?}: {}", run.stderr);
    };
    done(&["prepare", "go"]);
    done(&["up"]);
    let prometheus = Prometheus::start(&executable);
    let client = root().join("target/milvus-otel/examples/go/quick_setup");
    let client = client.display().to_string();
    let latest = || prometheus.values("sum(milvus_proxy_req_count{status=\"total\"})");
    // Milvus has no counter of a method before its first call, so that a rate needs a second run.
    for run in 1..=2 {
        let before = latest();
        done(&["exec", "--", &client]);
        forward(&prometheus, &latest_run());
        support::until(&format!("run {run} was scraped"), || {
            (latest() > before).then_some(())
        });
    }
    for panel in panels() {
        let values = prometheus.values(&panel.query);
        let finite = || values.iter().filter(|value| value.is_finite());
        assert!(finite().next().is_some(), "{panel:?}: {values:?}");
        let is_seen = finite().any(|value| *value > 0.0) || panel.may_be_zero;
        assert!(is_seen, "{panel:?}: {values:?}");
    }
    let exemplars = prometheus.api(
        "query_exemplars",
        &[
            ("query", "rpc_client_duration_milliseconds_bucket"),
            ("start", "0"),
            ("end", "99999999999"),
        ],
    );
    let first = &exemplars[0]["exemplars"][0]["labels"]["trace_id"];
    assert_eq!(first.as_str().map(str::len), Some(32), "{exemplars}");
    drop(prometheus);
    done(&["down"]);
}

/// A query of the dashboard.
#[derive(Debug)]
struct Panel {
    #[expect(dead_code, reason = "shown when a query fails")]
    title: String,
    /// With the variables filled in.
    query: String,
    /// Failures.
    may_be_zero: bool,
}

fn panels() -> Vec<Panel> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(move |target| Panel {
            title: title.to_owned(),
            query: target["expr"]
                .as_str()
                .expect("a query")
                .replace("$__rate_interval", "5m")
                .replace("$job", ".+"),
            may_be_zero: title == "Calls without success",
        })
    });
    let queries: Vec<Panel> = queries.collect();
    assert_eq!(queries.len(), 11);
    queries
}
