//! The last stage: the one value that every reporter renders.

mod assemble;
mod model;
mod signals;

pub(crate) use assemble::assemble;
pub use model::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, Outcome,
    SignalCell, SignalRow, SignalState, StepRow, Verdict,
};
