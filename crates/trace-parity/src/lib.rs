//! Compares traces: bytes and run facts in, a verdict out.
//!
//! Pure: no clock, no network, no files, no processes. A malformed trace is a finding, never an `Err`.

mod advice;
mod baseline;
mod contract;
mod diff;
mod divergence;
mod draft;
mod facts;
mod fold;
mod hints;
mod ids;
mod intern;
mod joined;
mod judge;
mod logs;
mod operations;
mod precedence;
mod read;
mod rule;
mod rules;
mod semconv;
mod settlement;
mod signals;
mod summary;
mod timing;
mod traces;
mod verdict;
mod view;
mod wire;

pub use advice::{Advice, Certainty};
pub use baseline::{against_baseline, baseline};
pub use contract::{Contract, ContractError};
pub use diff::{Aspect, Change, ChangeKind, diff};
pub use facts::{Delivery, ExampleFacts, Exit, RefusedFacts, RunFacts, SenderFacts};
pub use ids::{SpanId, TraceId};
pub use joined::{JoinedCall, JoinedCalls, joined_calls};
pub use judge::judge;
pub use logs::{LogLine, LogsBySpan, NamedLine, TraceLogs};
pub use otlp_signals::Signals;
pub use read::{Input, Problem, ProblemKind, read};
pub use rule::{Family, Rule, Severity, UnknownRule};
pub use semconv::names_of;
pub use settlement::{Progress, Settlement};
pub use timing::{ExampleTiming, Spread, StepTiming, base_of, timing};
pub use traces::{Attributes, Event, Kind, Link, Nested, Span, Status, Trace, Traces, Value};
pub use verdict::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, OperationCell,
    OperationRow, Outcome, SignalCell, SignalRow, SignalState, StepRow, Verdict,
};
pub use view::examples::{ExampleTrace, example_traces};
pub use wire::{Wire, WireCall, WireError, WireTime, wire_times};
