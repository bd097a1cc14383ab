//! Runs with their spans, for the page.

use std::sync::Arc;

use otlp_signals::{Attributes, LogRecord, Resource, Scope};
use serde_json::{Value, json};
use trace_parity::{CellCall, Signals, SpanId, TraceId, Traces, WireTime};
use trace_report::Run;

use crate::build;
use crate::spans::{self, CLIENT, INTERNAL, SERVER, SpanSpec, span, span_id};

/// A run and its capture.
pub(crate) struct Story {
    pub(crate) run: Run,
    pub(crate) raw: Vec<u8>,
}

impl Story {
    pub(crate) fn traces(&self) -> Traces {
        spans::traces_of(&self.raw)
    }

    pub(crate) fn page(&self) -> Vec<u8> {
        let mut page = Vec::new();
        trace_report::html(&self.run, &self.traces(), &self.raw, &mut page).unwrap();
        page
    }

    /// The same without metrics and logs.
    pub(crate) fn without_signals(mut self) -> Self {
        self.run.signals = None;
        self
    }

    /// The first example's root logs `text` as information, and the server logs it as a warning in the example's first call.
    pub(crate) fn logging(mut self, text: &str) -> Self {
        let trace = self.run.verdict.examples[0].trace_id;
        let trace = trace.expect("it has a trace");
        let mut signals = spans::logged(trace, &[(10, "proxy/task.go:1", text)]);
        signals.server_lines[0].level = "WARN".to_owned();
        signals.logs.push(record(trace, span_id(1 << 32), text));
        self.run.signals = Some(Arc::new(signals));
        self
    }
}

fn record(trace: TraceId, span: SpanId, text: &str) -> LogRecord {
    LogRecord {
        resource: Arc::new(Resource {
            attributes: Attributes::default(),
        }),
        scope: Arc::new(Scope {
            name: "quick_setup".to_owned(),
            version: String::new(),
        }),
        time: spans::BEGAN + 8_000_000,
        severity: 9,
        severity_text: "".into(),
        body: text.to_owned(),
        attributes: Attributes::default(),
        trace_id: trace.0,
        span_id: span.0,
        flags: 1,
        line: 1,
    }
}

/// The run with a trace for each of its examples, which contains the calls of its table.
///
/// The server span of a call that isn't joined is in a separate trace.
pub(crate) fn of(mut run: Run) -> Story {
    let mut all = Vec::new();
    let mut signals = Signals::default();
    for column in 0..run.verdict.examples.len() {
        let mut example = Telling::new(column, &run.verdict.examples[column].name);
        for row in &mut run.verdict.steps {
            let Some(cell) = &mut row.cells[column] else {
                continue;
            };
            cell.calls = (0..cell.count)
                .map(|n| {
                    let method = &cell.rpcs[n as usize % cell.rpcs.len()];
                    example.call(method, n < cell.joined, cell.polling)
                })
                .collect();
            example.now += 120;
        }
        let verdict = &mut run.verdict.examples[column];
        verdict.trace_id = Some(example.trace);
        verdict.traces = vec![example.trace];
        let lost = run
            .verdict
            .findings
            .iter_mut()
            .find(|f| f.example.as_ref() == Some(&verdict.name));
        if let Some(finding) = lost {
            finding.trace_id = Some(example.trace);
            finding.span_id = Some(span_id(example.first_call()));
        }
        let line = (example.searched, "proxy/impl.go:2500", "search received");
        let lines = spans::logged(example.trace, &[line]).server_lines;
        signals.server_lines.extend(lines);
        all.extend(example.finish());
    }
    run.signals = Some(Arc::new(signals));
    Story {
        run,
        raw: spans::raw(&all).into_bytes(),
    }
}

/// A run with a witness, which saw each call half a millisecond after it began, for nine milliseconds.
pub(crate) fn witnessed(run: Run) -> Story {
    let mut story = of(run);
    let rows = story.run.verdict.steps.iter_mut();
    for cell in rows.flat_map(|row| row.cells.iter_mut().flatten()) {
        for call in &mut cell.calls {
            call.wire = Some(WireTime {
                after_ns: 500_000,
                took_ns: 9_000_000,
                sent: 1,
            });
        }
        cell.wire_ns = cell.count * 9_000_000;
    }
    story
}

/// Builds the spans of one example.
struct Telling {
    trace: TraceId,
    /// The instrumentation's prefix of method names.
    prefix: &'static str,
    /// Whether the instrumentation uses the conventions' newer names.
    new_names: bool,
    root: u64,
    next: u64,
    now: u64,
    lost: u8,
    /// When the server works on the search.
    searched: u64,
    spans: Vec<SpanSpec>,
}

impl Telling {
    fn new(column: usize, name: &str) -> Self {
        let root = (column as u64 + 1) << 32;
        Self {
            trace: build::trace_id(column as u8),
            prefix: match name {
                "py" => "/",
                "node" => "grpc.",
                _ => "",
            },
            new_names: name == "rust",
            root,
            next: root + 1,
            now: 7 * (column as u64 + 1),
            lost: 0,
            searched: 0,
            spans: Vec::new(),
        }
    }

    fn first_call(&self) -> u64 {
        self.root + 1
    }

    fn call(&mut self, method: &str, joined: bool, polling: bool) -> CellCall {
        let name = format!("milvus.proto.milvus.MilvusService/{method}");
        let (client, server, start) = (self.next, self.next + 1, self.now);
        let (start_inside, end_inside, end) = (start + 1, start + 8, start + 11);
        self.next += 3;
        if method == "Search" {
            self.searched = start_inside + 3;
        }
        self.now = if polling { end + 100 } else { end + 2 };
        let trace = if joined {
            self.trace
        } else {
            self.lost += 1;
            TraceId(
                [&self.trace.0[..14], &[0xff, self.lost]]
                    .concat()
                    .try_into()
                    .expect("16 bytes"),
            )
        };
        let work = SpanSpec {
            trace,
            service: "standalone".to_owned(),
            ..span(
                server + 1,
                server,
                &format!("Proxy-{method}"),
                INTERNAL,
                start_inside + 1,
                end_inside,
            )
        };
        let parent = if joined { client } else { 0 };
        let server_span = SpanSpec {
            trace,
            ..span(server, parent, &name, SERVER, start_inside, end_inside)
        };
        let prefixed = format!("{}{name}", self.prefix);
        let client_span = SpanSpec {
            trace: self.trace,
            attributes: self.attributes(method),
            ..span(client, self.root, &prefixed, CLIENT, start, end)
        };
        self.spans.extend([client_span, server_span, work]);
        CellCall {
            client: (self.trace, span_id(client)),
            server: joined.then(|| (trace, span_id(server))),
            elsewhere: (!joined).then(|| (trace, span_id(server))),
            wire: None,
        }
    }

    fn attributes(&self, method: &str) -> Vec<(String, Value)> {
        let service = "milvus.proto.milvus.MilvusService";
        let attributes = if self.new_names {
            vec![
                ("rpc.system.name", json!("grpc")),
                ("rpc.method", json!(format!("{service}/{method}"))),
                ("rpc.response.status_code", json!("OK")),
            ]
        } else {
            vec![
                ("rpc.system", json!("grpc")),
                ("rpc.service", json!(service)),
                ("rpc.method", json!(method)),
                ("rpc.grpc.status_code", json!(0)),
            ]
        };
        attributes
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn finish(mut self) -> Vec<SpanSpec> {
        let root = span(self.root, 0, "test_milvus_otel", INTERNAL, 0, self.now);
        self.spans.push(SpanSpec {
            trace: self.trace,
            ..root
        });
        self.spans
    }
}

/// A trace with `count` spans: polls, each with its server spans.
pub(crate) fn large(count: u64) -> Story {
    let mut run = build::consistent();
    run.verdict.examples.truncate(1);
    run.verdict
        .steps
        .iter_mut()
        .for_each(|row| row.cells.truncate(1));
    run.examples.truncate(1);
    let polls = (count - 1) / 30;
    let cell = run.verdict.steps[4].cells[0]
        .as_mut()
        .expect("it waits for the load");
    (cell.count, cell.joined) = (polls, polls);
    let Story { mut run, raw } = of(run);
    let trace = run.verdict.examples[0].trace_id.expect("it has a trace");
    let mut spans = String::from_utf8(raw).expect("it is JSON");
    let mut next = 1 << 48;
    let calls = run.verdict.steps[4].cells[0]
        .iter()
        .flat_map(|cell| &cell.calls);
    for (number, call) in calls.enumerate() {
        let server = u64::from_be_bytes(call.server.expect("it is joined").1.0);
        let start = 1_000 + number as u64 * 111;
        let work: Vec<SpanSpec> = (0..27)
            .map(|n| {
                next += 1;
                let parent = if n % 3 == 0 { server } else { next - 1 };
                let name = format!("ShowCollections-{}", n % 9);
                let attributes = vec![
                    ("poll".to_owned(), json!(number)),
                    ("note".to_owned(), json!(format!("note {next}"))),
                ];
                let service = "standalone".to_owned();
                SpanSpec {
                    trace,
                    service,
                    attributes,
                    ..span(next, parent, &name, INTERNAL, start + 2, start + 7)
                }
            })
            .collect();
        spans.push_str(&spans::raw(&work));
    }
    run.verdict.examples[0].spans = count;
    Story {
        run,
        raw: spans.into_bytes(),
    }
}

/// `text` in every string of a run and its traces.
pub(crate) fn hostile(text: &str) -> Story {
    let Story { run, .. } = of(build::context_lost());
    let mut told = run.clone();
    let texts = build::hostile(text);
    told.stack = texts.stack;
    told.arguments = texts.arguments;
    told.notes = texts.notes;
    told.verdict.examples[0].name = texts.verdict.examples[0].name.clone();
    told.verdict.examples[0].language = texts.verdict.examples[0].language.clone();
    told.verdict.steps[1].name = texts.verdict.steps[1].name.clone();
    told.verdict
        .findings
        .extend(texts.verdict.findings.into_iter().skip(1));
    told.verdict.expected_divergences = texts.verdict.expected_divergences;
    told.phases = texts.phases;
    told.examples = texts.examples;
    let trace = told.verdict.examples[0].trace_id.expect("it has a trace");
    let root = SpanSpec {
        trace,
        service: text.to_owned(),
        attributes: vec![(text.to_owned(), json!(text))],
        error: Some(text.to_owned()),
        ..span(1 << 32, 0, text, CLIENT, 0, 100)
    };
    const METHOD: &str = "milvus.proto.milvus.MilvusService/Search";
    let own = |spec: SpanSpec| SpanSpec { trace, ..spec };
    let spans = [
        root,
        own(span(2, 1 << 32, METHOD, CLIENT, 10, 90)),
        own(span(3, 2, METHOD, SERVER, 20, 80)),
        own(SpanSpec {
            service: "standalone".to_owned(),
            ..span(4, 3, text, INTERNAL, 30, 70)
        }),
    ];
    told.signals = Some(Arc::new(spans::logged(trace, &[(50, text, text)])));
    Story {
        run: told,
        raw: spans::raw(&spans).into_bytes(),
    }
}
