//! Compares traces: bytes and run facts in, a verdict out.
//!
//! Pure: no clock, no network, no files, no processes. A malformed trace is a finding, never an `Err`.

mod facts;
mod rules;
mod verdict;

pub use facts::{Drops, ExampleFacts, Exit, RunFacts};
pub use rules::Rule;
pub use verdict::{
    Cell, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, Outcome, Severity, SpanId,
    StepRow, TraceId, Verdict,
};
