//! The verdict as the page reads it. Every text is made harmless here; spans are named by their places in the traces.

use std::collections::BTreeMap;

use serde::Serialize;
use trace_parity::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Exit, Finding, ObservedDivergence, Outcome,
    Severity, SpanId, Spread, StepRow, StepTiming, TraceId, Verdict, timing,
};

use super::shown;
use super::spans::{Place, SpanBlock};
use crate::escape::{self, Charset};
use crate::run::{ExampleRun, Run};
use crate::words;

/// Columns of a name, and of a sentence.
const NAME: usize = 200;
const SENTENCE: usize = 4_000;
/// Columns and lines of a program's output.
const LOG_LINE: usize = 500;
const LOG_LINES: usize = 200;
/// Findings that are on the page.
const FINDINGS: usize = 1_000;
/// Calls of one cell that are on the page.
const CALLS: usize = 1_000;

#[derive(Serialize)]
pub(super) struct Page {
    verdict: Outcome,
    run: Option<String>,
    stack: Option<String>,
    wall_seconds: Option<f64>,
    phases: Vec<Phase>,
    examples: Vec<Example>,
    steps: Vec<Step>,
    timing: Vec<Timing>,
    findings: Vec<FindingView>,
    /// How many there are in all.
    finding_count: usize,
    expected: Vec<Divergence>,
    /// What the rules mean that something was found by, in Markdown.
    rules: BTreeMap<&'static str, &'static str>,
    /// Bytes of the raw spans in the page.
    raw_bytes: usize,
}

#[derive(Serialize)]
struct Phase {
    name: String,
    seconds: f64,
}

#[derive(Serialize)]
struct Example {
    name: String,
    language: Option<String>,
    outcome: ExampleOutcome,
    /// Such as "exited with code 0"; `None` where only its traces are known.
    exit: Option<String>,
    failed: bool,
    seconds: Option<f64>,
    /// The root's first.
    traces: Vec<usize>,
    trace_id: Option<String>,
    spans: u64,
    client_rpcs: u64,
    joined: u64,
    versions: BTreeMap<String, String>,
    log: Vec<String>,
}

#[derive(Serialize)]
struct Step {
    name: String,
    /// The words of each cell, as the terminal has them.
    words: Vec<String>,
    cells: Vec<Option<CellView>>,
    /// The worst that is found in each cell.
    worst: Vec<Option<Severity>>,
}

/// How long a step takes each example, its repeats taken together.
#[derive(Serialize)]
struct Timing {
    step: String,
    per_poll: bool,
    examples: Vec<ExampleTimes>,
}

#[derive(Serialize)]
struct ExampleTimes {
    example: String,
    runs: u64,
    client: Times,
    server: Option<Times>,
    gap: Option<Times>,
    outlier: bool,
}

/// In nanoseconds.
#[derive(Serialize)]
struct Times {
    median: u64,
    worst: u64,
}

#[derive(Serialize)]
struct CellView {
    rpcs: Vec<String>,
    count: u64,
    polling: bool,
    joined: u64,
    client_ns: u64,
    server_ns: u64,
    differs: bool,
    calls: Vec<Call>,
}

/// Places of the client's span and of the server's that answers it, or should have.
#[derive(Serialize)]
struct Call {
    client: Option<Place>,
    server: Option<Place>,
    elsewhere: Option<Place>,
}

#[derive(Serialize)]
struct FindingView {
    rule: &'static str,
    severity: Severity,
    /// Its column, where it has one.
    example: Option<usize>,
    example_name: Option<String>,
    step: Option<String>,
    trace: Option<usize>,
    trace_id: Option<String>,
    span: Option<Place>,
    span_id: Option<String>,
    subject: Option<String>,
    message: String,
    hint: Option<String>,
    count: u64,
    input_line: Option<u64>,
}

#[derive(Serialize)]
struct Divergence {
    scope: String,
    rule: &'static str,
    subject: String,
    reason: String,
    examples: Vec<String>,
}

impl Page {
    pub(super) fn of(run: &Run, spans: &SpanBlock, raw_bytes: usize) -> Self {
        let verdict = &run.verdict;
        let phase = |phase: &crate::run::Phase| Phase {
            name: shown(&phase.name, NAME),
            seconds: phase.seconds,
        };
        Self {
            verdict: verdict.outcome,
            run: run.id.as_deref().map(|id| shown(id, NAME)),
            stack: run.stack.as_deref().map(|stack| shown(stack, NAME)),
            wall_seconds: run.wall_seconds,
            phases: run.phases.iter().map(phase).collect(),
            examples: examples(run, spans),
            steps: verdict
                .steps
                .iter()
                .map(|row| step(verdict, row, spans))
                .collect(),
            timing: timing(verdict).into_iter().map(self::times_of).collect(),
            findings: verdict
                .findings
                .iter()
                .take(FINDINGS)
                .map(|f| finding(verdict, f, spans))
                .collect(),
            finding_count: verdict.findings.len(),
            expected: verdict
                .expected_divergences
                .iter()
                .map(divergence)
                .collect(),
            rules: verdict
                .findings
                .iter()
                .map(|f| (f.rule.name(), f.rule.page()))
                .collect(),
            raw_bytes,
        }
    }
}

/// The columns of the table: those of the verdict, then examples that it knows nothing of.
fn examples(run: &Run, spans: &SpanBlock) -> Vec<Example> {
    let judged = &run.verdict.examples;
    let process = |name: &str| run.examples.iter().find(|example| example.name == name);
    let unknown = run
        .examples
        .iter()
        .filter(|example| judged.iter().all(|known| known.name != example.name));
    let known = judged
        .iter()
        .map(|verdict| example(&verdict.name, Some(verdict), process(&verdict.name), spans));
    known
        .chain(unknown.map(|run| example(&run.name, None, Some(run), spans)))
        .collect()
}

fn example(
    name: &str,
    verdict: Option<&ExampleVerdict>,
    run: Option<&ExampleRun>,
    spans: &SpanBlock,
) -> Example {
    let trace_id = verdict.and_then(|verdict| verdict.trace_id);
    let lines = run.map_or(&[][..], |run| &run.log_tail);
    let skipped = lines.len().saturating_sub(LOG_LINES);
    Example {
        name: shown(name, NAME),
        language: verdict
            .and_then(|verdict| verdict.language.as_deref())
            .map(|language| shown(language, NAME)),
        outcome: verdict.map_or(ExampleOutcome::CouldNotRun, |verdict| verdict.outcome),
        exit: run.map(|run| run.exit.to_string()),
        failed: run.is_some_and(|run| run.exit != Exit::Code(0)),
        seconds: run.map(|run| run.seconds),
        traces: verdict.map_or_else(Vec::new, |v| {
            v.traces.iter().filter_map(|id| spans.trace(*id)).collect()
        }),
        trace_id: trace_id.map(|id| id.to_string()),
        spans: verdict.map_or(0, |verdict| verdict.spans),
        client_rpcs: verdict.map_or(0, |verdict| verdict.client_rpcs),
        joined: verdict.map_or(0, |verdict| verdict.joined),
        versions: run.map_or_else(BTreeMap::new, |run| {
            run.versions
                .iter()
                .map(|(name, version)| (shown(name, NAME), shown(version, NAME)))
                .collect()
        }),
        log: lines[skipped..]
            .iter()
            .map(|line| escape::log_line(line, LOG_LINE, Charset::Unicode))
            .collect(),
    }
}

fn step(verdict: &Verdict, row: &StepRow, spans: &SpanBlock) -> Step {
    let worst = verdict
        .examples
        .iter()
        .map(|example| words::worst_at(verdict, &example.name, &row.name));
    Step {
        name: shown(&row.name, NAME),
        words: words::cells(row)
            .iter()
            .map(|text| shown(text, NAME))
            .collect(),
        cells: row
            .cells
            .iter()
            .map(|cell| cell.as_ref().map(|cell| cell_view(cell, spans)))
            .collect(),
        worst: worst.collect(),
    }
}

fn times_of(step: StepTiming) -> Timing {
    let times = |spread: Spread| Times {
        median: spread.median,
        worst: spread.worst,
    };
    let examples = step.examples.iter().map(|timing| ExampleTimes {
        example: shown(&timing.example, NAME),
        runs: timing.runs,
        client: times(timing.client),
        server: timing.server.map(times),
        gap: timing.gap.map(times),
        outlier: timing.outlier,
    });
    Timing {
        step: shown(&step.step, NAME),
        per_poll: step.per_poll,
        examples: examples.collect(),
    }
}

fn cell_view(cell: &Cell, spans: &SpanBlock) -> CellView {
    CellView {
        rpcs: cell.rpcs.iter().map(|rpc| shown(rpc, NAME)).collect(),
        count: cell.count,
        polling: cell.polling,
        joined: cell.joined,
        client_ns: cell.client_ns,
        server_ns: cell.server_ns,
        differs: cell.differs,
        calls: cell
            .calls
            .iter()
            .take(CALLS)
            .map(|call| self::call(call, spans))
            .collect(),
    }
}

fn call(call: &CellCall, spans: &SpanBlock) -> Call {
    let place = |span: Option<(TraceId, SpanId)>| {
        span.and_then(|(trace, span)| spans.place(Some(trace), Some(span)))
    };
    Call {
        client: place(Some(call.client)),
        server: place(call.server),
        elsewhere: place(call.elsewhere),
    }
}

fn finding(verdict: &Verdict, finding: &Finding, spans: &SpanBlock) -> FindingView {
    let sentence = |text: &Option<String>| text.as_deref().map(|text| shown(text, SENTENCE));
    FindingView {
        rule: finding.rule.name(),
        severity: finding.severity,
        example: verdict
            .examples
            .iter()
            .position(|example| Some(&example.name) == finding.example.as_ref()),
        example_name: sentence(&finding.example),
        step: finding.step.as_deref().map(|step| shown(step, NAME)),
        trace: finding.trace_id.and_then(|id| spans.trace(id)),
        trace_id: finding.trace_id.map(|id| id.to_string()),
        span: spans.place(finding.trace_id, finding.span_id),
        span_id: finding.span_id.map(|id| id.to_string()),
        subject: sentence(&finding.subject),
        message: shown(&finding.message, SENTENCE),
        hint: sentence(&finding.hint),
        count: finding.count,
        input_line: finding.input_line,
    }
}

fn divergence(divergence: &ObservedDivergence) -> Divergence {
    Divergence {
        scope: shown(&divergence.scope, NAME),
        rule: divergence.rule.name(),
        subject: shown(&divergence.subject, SENTENCE),
        reason: shown(&divergence.reason, SENTENCE),
        examples: divergence
            .examples
            .iter()
            .map(|example| shown(example, NAME))
            .collect(),
    }
}
