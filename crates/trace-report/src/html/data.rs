//! The verdict as the page reads it. Every text is made harmless here; spans are named by their places in the traces.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trace_parity::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, Kind, ObservedDivergence,
    OperationCell, OperationRow, Outcome, Severity, SignalCell, SignalRow, SignalState, SpanId,
    Spread, StepRow, StepTiming, TraceId, Traces, Verdict, timing,
};

use super::spans::{SpanBlock, SpanPlace, shown};
use super::stages::StagesView;
use crate::escape::{self, Charset};
use crate::run::{ExampleRun, Note, Run, Subject};
use crate::words;

/// Columns of a name, and of a sentence.
const NAME: usize = 200;
const SENTENCE: usize = 4_000;
/// Columns and lines of a program's output.
const LOG_LINE: usize = 500;
const LOG_LINES: usize = 200;
/// Findings that are on the page.
const FINDINGS: usize = 1_000;
/// Actions of one finding.
const ACTIONS: usize = 20;
/// Instrumentation scopes of one example.
const SCOPES: usize = 8;
/// Calls of one cell that are on the page.
const CALLS: usize = 1_000;

#[derive(Serialize)]
pub(super) struct PageData {
    verdict: Outcome,
    run: Option<String>,
    program: String,
    /// The command that repeats the run.
    command: Option<String>,
    subject: &'static str,
    notes: Vec<NoteView>,
    stack: Option<String>,
    wall_seconds: Option<f64>,
    phases: Vec<PhaseView>,
    examples: Vec<ExampleView>,
    steps: Vec<StepView>,
    operations: Vec<OperationView>,
    timing: Vec<TimingView>,
    signals: Vec<SignalView>,
    stages: StagesView,
    findings: Vec<FindingView>,
    /// How many there are in all.
    finding_count: usize,
    expected: Vec<DivergenceView>,
    /// The pages of the rules that have findings, in Markdown.
    rules: BTreeMap<&'static str, &'static str>,
    /// Bytes of the raw spans in the page.
    raw_bytes: usize,
}

#[derive(Serialize)]
struct NoteView {
    example: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct PhaseView {
    name: String,
    seconds: f64,
}

#[derive(Serialize)]
struct ExampleView {
    name: String,
    command: Option<String>,
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
    /// The SDK and the instrumentation with their versions, as the client's spans name them.
    telemetry: Vec<(String, String)>,
    /// Calls that are in no step.
    calls: Vec<CallView>,
    log: Vec<String>,
}

#[derive(Serialize)]
struct StepView {
    name: String,
    /// The words of each cell, as the terminal has them.
    words: Vec<String>,
    cells: Vec<Option<CellView>>,
    /// The worst that is found in each cell.
    worst: Vec<Option<Severity>>,
}

/// What programs did with the vector store.
#[derive(Serialize)]
struct OperationView {
    name: String,
    cells: Vec<Option<OperationCellView>>,
}

#[derive(Serialize)]
struct OperationCellView {
    text: String,
    told: String,
    bad: bool,
}

/// A row of the table of signals.
#[derive(Serialize)]
struct SignalView {
    name: String,
    cells: Vec<SignalCellView>,
}

#[derive(Serialize)]
struct SignalCellView {
    state: SignalState,
    text: String,
    takes: Option<String>,
}

/// How long a step takes each example, its repeats taken together.
#[derive(Serialize)]
struct TimingView {
    step: String,
    per_poll: bool,
    examples: Vec<ExampleTimesView>,
}

#[derive(Serialize)]
struct ExampleTimesView {
    example: String,
    runs: u64,
    client: TimesView,
    server: Option<TimesView>,
    gap: Option<TimesView>,
    outlier: bool,
}

/// In nanoseconds.
#[derive(Serialize)]
struct TimesView {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    wire_ns: Option<u64>,
    differs: bool,
    calls: Vec<CallView>,
}

/// Places of the client's span and of the server's that answers it, or should have.
#[derive(Serialize)]
struct CallView {
    client: Option<SpanPlace>,
    server: Option<SpanPlace>,
    elsewhere: Option<SpanPlace>,
    /// On the wire: nanoseconds after the call began, how many, and how often it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<(u64, u64, u32)>,
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
    span: Option<SpanPlace>,
    span_id: Option<String>,
    subject: Option<String>,
    message: String,
    /// Actions, the likeliest first.
    actions: Vec<String>,
    count: u64,
    input_line: Option<u64>,
}

#[derive(Serialize)]
struct DivergenceView {
    scope: String,
    rule: &'static str,
    subject: String,
    reason: String,
    examples: Vec<String>,
}

impl PageData {
    pub(super) fn of(run: &Run, traces: &Traces, spans: &SpanBlock, raw_bytes: usize) -> Self {
        let run = &failing_first(run);
        let verdict = &run.verdict;
        let phase = |phase: &crate::run::Phase| PhaseView {
            name: shown(&phase.name, NAME),
            seconds: phase.seconds,
        };
        Self {
            verdict: verdict.outcome,
            run: run.id.as_deref().map(|id| shown(id, NAME)),
            program: shown(&run.program, NAME),
            command: command(&run.program, &run.arguments),
            subject: match run.subject {
                Subject::Examples => "examples",
                Subject::Programs => "programs",
            },
            notes: run.notes.iter().map(note).collect(),
            stack: run.stack.as_deref().map(|stack| shown(stack, NAME)),
            wall_seconds: run.wall_seconds,
            phases: run.phases.iter().map(phase).collect(),
            examples: examples(run, traces, spans),
            steps: verdict
                .steps
                .iter()
                .map(|row| step(verdict, row, spans))
                .collect(),
            operations: verdict.operations.iter().map(operation).collect(),
            timing: timing(verdict).into_iter().map(self::times_of).collect(),
            signals: verdict.signals.iter().map(signal).collect(),
            stages: StagesView::of(run, traces, spans),
            findings: verdict
                .findings
                .iter()
                .take(FINDINGS)
                .map(|f| finding(run, f, spans))
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

fn operation(row: &OperationRow) -> OperationView {
    let cell = |cell: &OperationCell| OperationCellView {
        text: words::operation(cell),
        told: shown(&words::told_as(cell), SENTENCE),
        bad: cell.joined < cell.calls,
    };
    OperationView {
        name: shown(&row.name, NAME),
        cells: row.cells.iter().map(|of| of.as_ref().map(cell)).collect(),
    }
}

fn signal(row: &SignalRow) -> SignalView {
    let cell = |cell: &SignalCell| SignalCellView {
        state: cell.state,
        text: shown(&words::signal(cell), NAME),
        takes: cell.takes.as_deref().map(|takes| shown(takes, SENTENCE)),
    };
    SignalView {
        name: shown(&row.name, NAME),
        cells: row.cells.iter().map(cell).collect(),
    }
}

/// The run with its failing examples in front, in every row of the table too.
fn failing_first(run: &Run) -> Run {
    let mut run = run.clone();
    let verdict = &mut run.verdict;
    let mut order: Vec<usize> = (0..verdict.examples.len()).collect();
    order.sort_by_key(|&index| match verdict.examples[index].outcome {
        ExampleOutcome::Fail => 0,
        ExampleOutcome::CouldNotRun => 1,
        ExampleOutcome::Pass | ExampleOutcome::ExpectedDivergence => 2,
    });
    reorder(&mut verdict.examples, &order);
    for row in &mut verdict.steps {
        reorder(&mut row.cells, &order);
    }
    for row in &mut verdict.operations {
        reorder(&mut row.cells, &order);
    }
    for row in &mut verdict.signals {
        reorder(&mut row.cells, &order);
    }
    run
}

/// Puts what there is one of per example in the examples' order.
fn reorder<T: Clone>(all: &mut Vec<T>, order: &[usize]) {
    let places = order.iter();
    *all = places
        .filter_map(|&place| all.get(place).cloned())
        .collect();
}

fn note(note: &Note) -> NoteView {
    NoteView {
        example: note.example.as_deref().map(|name| shown(name, NAME)),
        text: shown(&note.text, SENTENCE),
    }
}

/// The words as one line for a shell; `None` without arguments.
fn command(program: &str, arguments: &[String]) -> Option<String> {
    let arguments = arguments.iter().map(|argument| quoted(argument));
    let words: Vec<String> = std::iter::once(program.to_owned())
        .chain(arguments)
        .collect();
    (words.len() > 1).then(|| shown(&words.join(" "), SENTENCE))
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The columns of the table: those of the verdict, then started examples that it doesn't know.
fn examples(run: &Run, traces: &Traces, spans: &SpanBlock) -> Vec<ExampleView> {
    let judged = &run.verdict.examples;
    let process = |name: &str| run.examples.iter().find(|example| example.name == name);
    let unknown = run
        .examples
        .iter()
        .filter(|example| judged.iter().all(|known| known.name != example.name));
    let known = judged.iter().map(|verdict| {
        let mut example = example(&verdict.name, Some(verdict), process(&verdict.name), spans);
        example.telemetry = telemetry(verdict, traces);
        example
    });
    known
        .chain(unknown.map(|run| example(&run.name, None, Some(run), spans)))
        .collect()
}

fn example(
    name: &str,
    verdict: Option<&ExampleVerdict>,
    run: Option<&ExampleRun>,
    spans: &SpanBlock,
) -> ExampleView {
    let trace_id = verdict.and_then(|verdict| verdict.trace_id);
    let lines = run.map_or(&[][..], |run| &run.log_tail);
    let skipped = lines.len().saturating_sub(LOG_LINES);
    ExampleView {
        name: shown(name, NAME),
        command: run.and_then(|run| {
            let (program, arguments) = run.command.split_first()?;
            let words = command(&quoted(program), arguments);
            Some(words.unwrap_or_else(|| shown(&quoted(program), NAME)))
        }),
        language: verdict
            .and_then(|verdict| verdict.language.as_deref())
            .map(|language| shown(language, NAME)),
        outcome: verdict.map_or(ExampleOutcome::CouldNotRun, |verdict| verdict.outcome),
        exit: run.map(|run| run.exit.to_string()),
        failed: run.is_some_and(|run| !run.exit.is_success()),
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
        telemetry: Vec::new(),
        calls: verdict.map_or_else(Vec::new, |verdict| {
            let calls = verdict.other_calls.iter().take(CALLS);
            calls.map(|one| call(one, spans)).collect()
        }),
        log: lines[skipped..]
            .iter()
            .map(|line| escape::log_line(line, LOG_LINE, Charset::Unicode))
            .collect(),
    }
}

/// The SDK, the agent and the instrumentation of the example's own spans.
fn telemetry(verdict: &ExampleVerdict, traces: &Traces) -> Vec<(String, String)> {
    let own = traces
        .iter()
        .find(|trace| Some(trace.id()) == verdict.trace_id);
    let rows = own.map_or_else(Vec::new, |trace| trace.tree());
    let Some((_, root)) = rows.first() else {
        return Vec::new();
    };
    let attribute = |wanted: &str| {
        let mut attributes = root.resource_attributes();
        attributes.find_map(|(key, value)| (key == wanted).then(|| value.to_string()))
    };
    let known = [
        ("SDK", attribute("telemetry.sdk.version")),
        ("agent", attribute("telemetry.distro.version")),
    ];
    let known = known
        .into_iter()
        .filter_map(|(name, version)| Some((name.to_owned(), version?)));
    let scopes: BTreeSet<(&str, &str)> = rows
        .iter()
        .map(|(_, span)| span)
        .filter(|span| span.kind() == Kind::Client && span.service_name() == root.service_name())
        .map(|span| (span.scope_name(), span.scope_version()))
        .filter(|(_, version)| !version.is_empty())
        .collect();
    let scopes = scopes
        .into_iter()
        .take(SCOPES)
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
    known
        .chain(scopes)
        .map(|(name, version)| (shown(&name, NAME), shown(&version, NAME)))
        .collect()
}

fn step(verdict: &Verdict, row: &StepRow, spans: &SpanBlock) -> StepView {
    let worst = verdict
        .examples
        .iter()
        .map(|example| words::worst_at(verdict, &example.name, &row.name));
    StepView {
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

fn times_of(step: StepTiming) -> TimingView {
    let times = |spread: Spread| TimesView {
        median: spread.median,
        worst: spread.worst,
    };
    let examples = step.examples.iter().map(|timing| ExampleTimesView {
        example: shown(&timing.example, NAME),
        runs: timing.runs,
        client: times(timing.client),
        server: timing.server.map(times),
        gap: timing.gap.map(times),
        outlier: timing.outlier,
    });
    TimingView {
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
        wire_ns: (cell.wire_ns > 0).then_some(cell.wire_ns),
        differs: cell.differs,
        calls: cell
            .calls
            .iter()
            .take(CALLS)
            .map(|call| self::call(call, spans))
            .collect(),
    }
}

fn call(call: &CellCall, spans: &SpanBlock) -> CallView {
    let place = |span: Option<(TraceId, SpanId)>| {
        span.and_then(|(trace, span)| spans.place(Some(trace), Some(span)))
    };
    CallView {
        client: place(Some(call.client)),
        server: place(call.server),
        elsewhere: place(call.elsewhere),
        wire: call
            .wire
            .map(|wire| (wire.after_ns, wire.took_ns, wire.sent)),
    }
}

fn finding(run: &Run, finding: &Finding, spans: &SpanBlock) -> FindingView {
    let sentence = |text: &Option<String>| text.as_deref().map(|text| shown(text, SENTENCE));
    FindingView {
        rule: finding.rule.name(),
        severity: finding.severity,
        example: run
            .verdict
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
        actions: words::actions(run, finding)
            .iter()
            .take(ACTIONS)
            .map(|action| shown(action, SENTENCE))
            .collect(),
        count: finding.count,
        input_line: finding.input_line,
    }
}

fn divergence(divergence: &ObservedDivergence) -> DivergenceView {
    DivergenceView {
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
