//! A run as JSON, for programs: `report.json`, schema `milvus-otel.report/1`.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use trace_parity::{
    Cell, ExampleOutcome, ExampleVerdict, Exit, Finding, ObservedDivergence, OperationCell,
    OperationRow, Outcome, Severity, SignalCell, SignalRow, SignalState, SpanId, Spread,
    StepTiming, TraceId, timing,
};

use crate::run::{ExampleRun, Note, Run};
use crate::words;

/// The value of `schema`. Its number changes with a form that older readers can't read.
pub const SCHEMA_ID: &str = "milvus-otel.report/1";

/// The JSON Schema that every report satisfies.
pub const SCHEMA: &str = include_str!("../report.schema.json");

/// The run as one JSON document, indented, with a line end. Strings are whole and escaped for JSON alone.
pub fn json(run: &Run) -> String {
    let mut text = serde_json::to_string_pretty(&Report::of(run))
        .expect("a report has string keys and finite numbers");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    run: Option<&'a str>,
    arguments: &'a [String],
    stack: Option<&'a str>,
    verdict: Outcome,
    notes: Vec<ReportNote<'a>>,
    wall_seconds: Option<f64>,
    phases: Vec<ReportPhase<'a>>,
    examples: Vec<ReportExample<'a>>,
    steps: Vec<ReportStep<'a>>,
    operations: Vec<ReportOperation<'a>>,
    timing: Vec<ReportTiming>,
    findings: Vec<ReportFinding<'a>>,
    signals: Vec<ReportSignal<'a>>,
    expected_divergences: Vec<ReportDivergence<'a>>,
}

#[derive(Serialize)]
struct ReportNote<'a> {
    kind: &'static str,
    example: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct ReportPhase<'a> {
    name: &'a str,
    seconds: f64,
}

#[derive(Serialize)]
struct ReportExample<'a> {
    name: &'a str,
    command: Option<&'a [String]>,
    outcome: ExampleOutcome,
    exit_code: Option<i32>,
    seconds: Option<f64>,
    trace_id: Option<TraceId>,
    versions: Option<&'a BTreeMap<String, String>>,
    client_rpcs: u64,
    joined: u64,
}

#[derive(Serialize)]
struct ReportStep<'a> {
    name: &'a str,
    cells: Cells<'a>,
}

/// The cells under their examples' names.
struct Cells<'a>(Vec<(&'a str, Option<ReportCell<'a>>)>);

#[derive(Serialize)]
struct ReportCell<'a> {
    rpcs: &'a [String],
    count: u64,
    joined: u64,
    through: &'a [String],
    attempts: u64,
    client_ms: f64,
    server_ms: f64,
    wire_ms: Option<f64>,
    differs: bool,
}

#[derive(Serialize)]
struct ReportTiming {
    step: String,
    per_poll: bool,
    examples: BTreeMap<String, ReportExampleTimes>,
}

#[derive(Serialize)]
struct ReportExampleTimes {
    runs: u64,
    client_ms: ReportTimes,
    server_ms: Option<ReportTimes>,
    gap_ms: Option<ReportTimes>,
    outlier: bool,
}

#[derive(Serialize)]
struct ReportTimes {
    median: f64,
    worst: f64,
}

#[derive(Serialize)]
struct ReportOperation<'a> {
    name: &'a str,
    examples: BTreeMap<&'a str, Option<ReportOperationCell<'a>>>,
}

#[derive(Serialize)]
struct ReportOperationCell<'a> {
    calls: u64,
    joined: u64,
    spans: u64,
    without_calls: u64,
    names: &'a [String],
    conventions: &'a [String],
}

#[derive(Serialize)]
struct ReportSignal<'a> {
    name: &'a str,
    examples: BTreeMap<&'a str, ReportSignalCell<'a>>,
}

#[derive(Serialize)]
struct ReportSignalCell<'a> {
    state: SignalState,
    name: Option<&'a str>,
    text: &'a str,
    takes: Option<&'a str>,
}

#[derive(Serialize)]
struct ReportFinding<'a> {
    rule: &'static str,
    severity: Severity,
    example: Option<&'a str>,
    step: Option<&'a str>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    subject: Option<&'a str>,
    message: &'a str,
    hint: Option<String>,
    count: u64,
    input_line: Option<u64>,
}

#[derive(Serialize)]
struct ReportDivergence<'a> {
    scope: &'a str,
    rule: &'static str,
    subject: &'a str,
    reason: &'a str,
    examples: &'a [String],
}

impl<'a> Report<'a> {
    fn of(run: &'a Run) -> Self {
        let verdict = &run.verdict;
        let names: Vec<&str> = verdict.examples.iter().map(|e| e.name.as_str()).collect();
        Self {
            schema: SCHEMA_ID,
            run: run.id.as_deref(),
            arguments: &run.arguments,
            stack: run.stack.as_deref(),
            verdict: verdict.outcome,
            notes: run.notes.iter().map(ReportNote::of).collect(),
            wall_seconds: run.wall_seconds.map(finite),
            phases: run
                .phases
                .iter()
                .map(|p| ReportPhase {
                    name: &p.name,
                    seconds: finite(p.seconds),
                })
                .collect(),
            examples: examples(run),
            steps: verdict
                .steps
                .iter()
                .map(|row| {
                    let cells = row
                        .cells
                        .iter()
                        .map(|cell| cell.as_ref().map(ReportCell::of));
                    ReportStep {
                        name: &row.name,
                        cells: Cells(names.iter().copied().zip(cells).collect()),
                    }
                })
                .collect(),
            operations: verdict
                .operations
                .iter()
                .map(|row| ReportOperation::of(row, &names))
                .collect(),
            timing: timing(verdict).into_iter().map(ReportTiming::of).collect(),
            findings: verdict
                .findings
                .iter()
                .map(|finding| ReportFinding::of(run, finding))
                .collect(),
            signals: verdict
                .signals
                .iter()
                .map(|row| ReportSignal::of(row, &names))
                .collect(),
            expected_divergences: verdict
                .expected_divergences
                .iter()
                .map(ReportDivergence::of)
                .collect(),
        }
    }
}

/// The judged examples, then those that were started and of which the verdict knows nothing.
fn examples(run: &Run) -> Vec<ReportExample<'_>> {
    let started = |name: &str| run.examples.iter().find(|e| e.name == name);
    let judged = |name: &str| run.verdict.examples.iter().any(|e| e.name == name);
    let known = run
        .verdict
        .examples
        .iter()
        .map(|v| ReportExample::of(&v.name, Some(v), started(&v.name)));
    let unknown = run
        .examples
        .iter()
        .filter(|e| !judged(&e.name))
        .map(|e| ReportExample::of(&e.name, None, Some(e)));
    known.chain(unknown).collect()
}

impl<'a> ReportExample<'a> {
    fn of(name: &'a str, verdict: Option<&'a ExampleVerdict>, run: Option<&'a ExampleRun>) -> Self {
        Self {
            name,
            command: run.map(|r| r.command.as_slice()).filter(|c| !c.is_empty()),
            outcome: verdict.map_or(ExampleOutcome::CouldNotRun, |v| v.outcome),
            exit_code: run.and_then(|r| match r.exit {
                Exit::Code(code) => Some(code),
                Exit::Signal(_) | Exit::TimedOut | Exit::NotStarted | Exit::Stopped => None,
            }),
            seconds: run.map(|r| finite(r.seconds)),
            trace_id: verdict.and_then(|v| v.trace_id),
            versions: run.map(|r| &r.versions),
            client_rpcs: verdict.map_or(0, |v| v.client_rpcs),
            joined: verdict.map_or(0, |v| v.joined),
        }
    }
}

impl<'a> ReportNote<'a> {
    fn of(note: &'a Note) -> Self {
        Self {
            kind: note.kind.name(),
            example: note.example.as_deref(),
            text: &note.text,
        }
    }
}

impl<'a> ReportCell<'a> {
    fn of(cell: &'a Cell) -> Self {
        Self {
            rpcs: &cell.rpcs,
            count: cell.count,
            joined: cell.joined,
            through: &cell.through,
            attempts: cell.attempts,
            client_ms: milliseconds(cell.client_ns),
            server_ms: milliseconds(cell.server_ns),
            wire_ms: (cell.wire_ns > 0).then(|| milliseconds(cell.wire_ns)),
            differs: cell.differs,
        }
    }
}

impl ReportTiming {
    fn of(step: StepTiming) -> Self {
        let times = |spread: Spread| ReportTimes {
            median: milliseconds(spread.median),
            worst: milliseconds(spread.worst),
        };
        let examples = step.examples.into_iter().map(|timing| {
            let view = ReportExampleTimes {
                runs: timing.runs,
                client_ms: times(timing.client),
                server_ms: timing.server.map(times),
                gap_ms: timing.gap.map(times),
                outlier: timing.outlier,
            };
            (timing.example, view)
        });
        Self {
            step: step.step,
            per_poll: step.per_poll,
            examples: examples.collect(),
        }
    }
}

impl<'a> ReportOperation<'a> {
    fn of(row: &'a OperationRow, names: &[&'a str]) -> Self {
        let cell = |cell: &'a OperationCell| ReportOperationCell {
            calls: cell.calls,
            joined: cell.joined,
            spans: cell.spans,
            without_calls: cell.without_calls,
            names: &cell.names,
            conventions: &cell.forms,
        };
        let cells = row.cells.iter().map(|of| of.as_ref().map(cell));
        Self {
            name: &row.name,
            examples: names.iter().copied().zip(cells).collect(),
        }
    }
}

impl<'a> ReportSignal<'a> {
    fn of(row: &'a SignalRow, names: &[&'a str]) -> Self {
        let cell = |cell: &'a SignalCell| ReportSignalCell {
            state: cell.state,
            name: cell.name.as_deref(),
            text: &cell.text,
            takes: cell.takes.as_deref(),
        };
        let cells = row.cells.iter().map(cell);
        Self {
            name: &row.name,
            examples: names.iter().copied().zip(cells).collect(),
        }
    }
}

impl<'a> ReportFinding<'a> {
    fn of(run: &Run, finding: &'a Finding) -> Self {
        let actions = words::actions(run, finding).join("\n");
        Self {
            rule: finding.rule.name(),
            severity: finding.severity,
            example: finding.example.as_deref(),
            step: finding.step.as_deref(),
            trace_id: finding.trace_id,
            span_id: finding.span_id,
            subject: finding.subject.as_deref(),
            message: &finding.message,
            hint: (!actions.is_empty()).then_some(actions),
            count: finding.count,
            input_line: finding.input_line,
        }
    }
}

impl<'a> ReportDivergence<'a> {
    fn of(divergence: &'a ObservedDivergence) -> Self {
        Self {
            scope: &divergence.scope,
            rule: divergence.rule.name(),
            subject: &divergence.subject,
            reason: &divergence.reason,
            examples: &divergence.examples,
        }
    }
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (example, cell) in &self.0 {
            map.serialize_entry(example, cell)?;
        }
        map.end()
    }
}

fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Replaces infinity and NaN, which JSON doesn't have, with 0.
fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds } else { 0.0 }
}
