//! The verdict and its parts.

use serde::Serialize;

use crate::ids::{SpanId, TraceId};
use crate::rule::{Rule, Severity};
use crate::wire::WireTime;

/// The result over all examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No finding is an error.
    Consistent,
    /// At least one finding is an error.
    Inconsistent,
    /// There was nothing to judge.
    CouldNotRun,
}

/// The result of one example, or of one rule for one example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExampleOutcome {
    /// Nothing at warning or worse.
    #[default]
    Pass,
    /// Only differences that the contract expects.
    ExpectedDivergence,
    /// At least one finding of severity error.
    Fail,
    /// It never ran, so nothing can be said.
    CouldNotRun,
}

/// The whole judgement of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// In the order of the run facts, else in order of appearance.
    pub examples: Vec<ExampleVerdict>,
    /// In the contract's order. Empty without a contract.
    pub steps: Vec<StepRow>,
    /// In the order of a store's life, from `create` to `drop`. Empty with a contract.
    pub operations: Vec<OperationRow>,
    /// Worst first, then by example and by position in the trace.
    pub findings: Vec<Finding>,
    /// What the examples sent beside spans; empty where that is nothing.
    pub signals: Vec<SignalRow>,
    /// The differences that the contract expects and that did occur.
    pub expected_divergences: Vec<ObservedDivergence>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleVerdict {
    pub name: String,
    pub outcome: ExampleOutcome,
    /// `telemetry.sdk.language` of the trace's root, where it has one.
    pub language: Option<String>,
    /// The trace of the root span.
    pub trace_id: Option<TraceId>,
    /// All of the example's traces, the root's first.
    pub traces: Vec<TraceId>,
    /// Spans of the example's traces, the server's included.
    pub spans: u64,
    /// Client RPC spans.
    pub client_rpcs: u64,
    /// Client RPC spans that have their server span.
    pub joined: u64,
    /// The client RPC spans that are in no cell of [`Verdict::steps`], in order of start.
    pub other_calls: Vec<CellCall>,
    /// The rules that say something about this example, and what; a rule that isn't listed passed.
    pub rules: Vec<(Rule, ExampleOutcome)>,
}

/// One row of the aligned table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    pub name: String,
    /// One per example, in the order of [`Verdict::examples`]; `None` where the example has no such step.
    pub cells: Vec<Option<Cell>>,
}

/// One operation on the vector store, whatever programs and frameworks call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    pub name: String,
    /// One per example, in the order of [`Verdict::examples`]; `None` where the example does no such operation.
    pub cells: Vec<Option<OperationCell>>,
}

/// What one example did in one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationCell {
    /// Client RPC spans that do it: those below a span that tells of it, else those whose method is one of its own.
    pub calls: u64,
    /// How many of them have their server span.
    pub joined: u64,
    /// Spans of the program that tell of it.
    pub spans: u64,
    /// How many of these have no call below.
    pub without_calls: u64,
    /// The names of these spans, each once.
    pub names: Vec<String>,
    /// The conventions that these spans follow, such as `OpenInference`.
    pub forms: Vec<String>,
}

/// One signal of every example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRow {
    /// `rpc duration`, `logs` and the like.
    pub name: String,
    /// One per example, in the order of [`Verdict::examples`].
    pub cells: Vec<SignalCell>,
}

/// What one example sends of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalCell {
    pub state: SignalState,
    /// The name that it has, where that is the question.
    pub name: Option<String>,
    /// Numbers, such as `9 of 9`; empty where nothing came.
    pub text: String,
    /// What it takes to get it, where nothing came and that is known.
    pub takes: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalState {
    There,
    /// It has the name of another generation of the conventions than most examples use.
    Renamed,
    Missing,
    /// A finding is about it.
    Differs,
}

/// What one example did in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The methods of the step's client RPCs, each once, in order of first appearance.
    pub rpcs: Vec<String>,
    /// Client RPC spans in this step; a polling step shows it.
    pub count: u64,
    /// The step is one that polls.
    pub polling: bool,
    /// How many of them have their server span.
    pub joined: u64,
    /// What lies between the calls and their server spans: a proxy's service, or the scope of another layer of the program.
    pub through: Vec<String>,
    /// How often the calls were sent, by spans of theirs that say so; 0 where none do.
    pub attempts: u64,
    /// Nanoseconds in the step's client RPC spans together.
    pub client_ns: u64,
    /// Nanoseconds in the server spans joined to them together.
    pub server_ns: u64,
    /// Nanoseconds on the wire together, where a witness saw them; else 0.
    pub wire_ns: u64,
    /// A finding of warning or worse points at this cell, or its RPCs differ from most others'.
    pub differs: bool,
    /// The step's client RPCs, in order of start.
    pub calls: Vec<CellCall>,
}

/// A client RPC span and what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellCall {
    pub client: (TraceId, SpanId),
    /// The server span that it is joined to.
    pub server: Option<(TraceId, SpanId)>,
    /// The server span that it should have been joined to, or that stands in its place.
    pub elsewhere: Option<(TraceId, SpanId)>,
    /// When a witness saw it.
    pub wire: Option<WireTime>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    pub severity: Severity,
    pub example: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<TraceId>,
    pub span_id: Option<SpanId>,
    /// What exactly it is about, such as `prefix "/"` or `service.name`.
    pub subject: Option<String>,
    /// The facts that were seen. May quote telemetry: escape it.
    pub message: String,
    /// What to do: an action a line, the likeliest first. A guess is marked as one. `{program}` stands for the command's
    /// name, which the reporter knows.
    pub hint: Option<String>,
    /// How many places one cause shows in; at least 1.
    pub count: u64,
    /// 1-based line of the input, for what could not be read.
    pub input_line: Option<u64>,
}

/// A difference that the contract expects, and the examples that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDivergence {
    /// Instrumentation scope name.
    pub scope: String,
    pub rule: Rule,
    pub subject: String,
    pub reason: String,
    pub examples: Vec<String>,
}

/// Adds a name that isn't there yet.
pub(super) fn note(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}
