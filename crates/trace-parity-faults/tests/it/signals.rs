//! Each fault in metrics and logs is found by its rule in each language that has the signal, and the clean run raises nothing.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use trace_parity::{
    Contract, Delivery, ExampleFacts, Exit, Finding, Input, Problem, Rule, RunFacts, Severity,
    Signals, TraceLogs, Traces, Verdict, judge, read,
};
use trace_parity_faults::{SIGNAL_FAULTS, SignalFiles, SignalPlace};

/// A run of the five examples: `scripts/fixtures` makes it anew.
struct RealRun {
    traces: Traces,
    problems: Vec<Problem>,
    facts: RunFacts,
    files: SignalFiles,
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/signals")
        .join(format!("{name}.gz"));
    let file =
        std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip");
    text
}

fn requests(text: &str) -> Vec<Value> {
    let parsed = text.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().expect("JSON")
}

impl RealRun {
    fn read() -> Self {
        Self::of(&file("capture.jsonl"))
    }

    fn of(capture: &str) -> Self {
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: capture.as_bytes(),
        }]);
        let alone = judge(&traces, &problems, Some(&Contract::builtin()), None);
        let examples = alone.examples.iter().map(|example| ExampleFacts {
            name: example.name.clone(),
            exit: Exit::Code(0),
            trace_id: example.trace_id,
        });
        let facts = RunFacts {
            run: Some("fixture".to_owned()),
            examples: examples.collect(),
            server_is_own: true,
            server_version: Some("2.3.5".to_owned()),
            delivery: Some(Delivery::default()),
            ..RunFacts::default()
        };
        Self {
            traces,
            problems,
            facts,
            files: SignalFiles {
                metrics: requests(&file("metrics.jsonl")),
                logs: requests(&file("logs.jsonl")),
                server_log: file("milvus.log"),
                pages: ["before.prom", "after.prom"].map(file),
            },
        }
    }

    fn signals(&self, files: &SignalFiles) -> Signals {
        let lines = |requests: &[Value]| {
            let lines = requests.iter().map(|request| format!("{request}\n"));
            lines.collect::<String>()
        };
        let mut reader = otlp_signals::Reader::default();
        reader
            .metrics("metrics.jsonl", lines(&files.metrics).as_bytes())
            .unwrap();
        reader
            .logs("logs.jsonl", lines(&files.logs).as_bytes())
            .unwrap();
        reader
            .server_log("milvus.log", files.server_log.as_bytes())
            .unwrap();
        reader.server_pages(&files.pages[0], &files.pages[1]);
        reader.finish()
    }

    fn judged(&self, files: &SignalFiles) -> Verdict {
        let facts = RunFacts {
            signals: Some(Arc::new(self.signals(files))),
            ..self.facts.clone()
        };
        judge(
            &self.traces,
            &self.problems,
            Some(&Contract::builtin()),
            Some(&facts),
        )
    }
}

fn loud(verdict: &Verdict) -> Vec<&Finding> {
    let findings = verdict.findings.iter();
    findings
        .filter(|finding| finding.severity > Severity::Info)
        .collect()
}

#[test]
fn a_clean_run_raises_nothing() {
    let run = RealRun::read();
    let verdict = run.judged(&run.files);
    assert!(loud(&verdict).is_empty(), "{:#?}", loud(&verdict));
    assert_eq!(verdict.examples.len(), 5);
}

/// Milvus logs each failed attempt of a call between its parts as an error, and then makes it again.
#[test]
fn an_attempt_that_the_server_makes_again_is_no_error_of_the_call() {
    let run = RealRun::read();
    let example = &run.judged(&run.files).examples[0];
    let named = format!("[traceID={}]", example.trace_id.expect("a trace"));
    let mut lines = run.files.server_log.lines();
    let line = lines.find(|line| line.contains(&named)).expect("a line");
    let (head, _) = line.split_once(" [\"").expect("a message");
    let head = head.replacen("[INFO]", "[ERROR]", 1);
    for (message, found) in [("retry func failed", 0), ("something else failed", 1)] {
        let line = format!("{head} [\"{message}\"] {named} [\"retry time\"=0]\n");
        let mut files = run.files.clone();
        files.server_log.push_str(&line);
        assert_eq!(loud(&run.judged(&files)).len(), found, "{line}");
    }
}

/// Milvus counts requests of its REST API and makes no span of them.
#[test]
fn requests_of_the_rest_api_explain_a_count_beyond_the_spans() {
    let run = RealRun::read();
    let trace = run.judged(&run.files).examples[0].trace_id;
    let trace = trace.expect("a trace").to_string();
    let counted = SIGNAL_FAULTS
        .iter()
        .find(|fault| fault.name == "server's count");
    let mut files = run.files.clone();
    let place = SignalPlace {
        example: "",
        trace_id: &trace,
    };
    assert!((counted.expect("the fault").apply)(&mut files, &place));
    assert_eq!(loud(&run.judged(&files)).len(), 1);

    let capture = file("capture.jsonl");
    let requests = requests(&capture);
    let own = requests.iter().find(|request| {
        let spans = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
        spans.as_array().is_some_and(|spans| {
            spans
                .iter()
                .any(|span| span["traceId"] == *trace && span["kind"] == 3)
        }) && !request["resourceSpans"][0]["resource"]
            .to_string()
            .contains("\"standalone\"")
    });
    let own = own.expect("a request of the example");
    let mut post = own["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    post["name"] = "POST".into();
    post["spanId"] = "00000000000000aa".into();
    post["kind"] = 3.into();
    post["attributes"] = json!([{"key": "url.full", "value": {"stringValue": "http://127.0.0.1:19530/v2/vectordb/entities/search"}}]);
    let line = json!({"resourceSpans": [{
        "resource": own["resourceSpans"][0]["resource"],
        "scopeSpans": [{"scope": {"name": "http"}, "spans": [post]}],
    }]});
    let with_rest = RealRun::of(&format!("{capture}{line}\n"));
    let found = with_rest.judged(&files);
    let of_server = |finding: &&&Finding| finding.rule == Rule::MetricDisagrees;
    assert_eq!(
        loud(&found).iter().filter(of_server).count(),
        0,
        "{:#?}",
        loud(&found)
    );
}

#[test]
fn every_line_lies_under_a_span_that_was_open() {
    const MILLISECOND: u64 = 1_000_000;
    let run = RealRun::read();
    let signals = run.signals(&run.files);
    let all = TraceLogs::new(&signals);
    for example in run.judged(&run.files).examples {
        let id = example.trace_id.expect("a trace");
        let trace = run
            .traces
            .iter()
            .find(|trace| trace.id() == id)
            .expect("it");
        let logs = all.of(&trace);
        let named = signals
            .server_lines
            .iter()
            .filter(|line| line.trace_id == id.0);
        let lines = logs.values().flatten().filter(|line| line.is_server);
        assert_eq!(lines.count(), named.count());
        for span in trace.spans() {
            for line in logs.get(&span.id()).into_iter().flatten() {
                assert_eq!(
                    line.is_server,
                    span.service_name() == Some("standalone"),
                    "{line:?}"
                );
                let is_open = span.start_ns() < line.time_ns + MILLISECOND
                    && line.time_ns <= span.end_ns() + MILLISECOND;
                assert!(is_open, "{line:?} {}", span.name());
            }
        }
    }
}

#[test]
fn every_fault_is_found_by_its_rule() {
    let run = RealRun::read();
    let examples = run.judged(&run.files).examples;
    let mut tried: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for fault in SIGNAL_FAULTS {
        for example in &examples {
            let mut files = run.files.clone();
            let place = SignalPlace {
                example: &example.name,
                trace_id: &example.trace_id.expect("a trace").to_string(),
            };
            if !(fault.apply)(&mut files, &place) {
                continue;
            }
            assert_ne!(
                files, run.files,
                "{} changed nothing in {}",
                fault.name, example.name
            );
            let verdict = run.judged(&files);
            let found = loud(&verdict);
            let is_right = !found.is_empty()
                && found.iter().all(|finding| {
                    let whose = finding.example.as_deref();
                    finding.rule == fault.rule && whose.is_none_or(|whose| whose == example.name)
                });
            assert!(is_right, "{} in {}: {found:#?}", fault.name, example.name);
            tried.entry(fault.name).or_default().push(&example.name);
        }
    }
    insta::assert_debug_snapshot!(tried);
}
