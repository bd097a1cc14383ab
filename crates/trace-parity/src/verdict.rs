//! The last stage: the one value that every reporter renders.

mod assemble;
mod model;
mod operations;
mod signals;

pub(crate) use assemble::assemble;
pub use model::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, OperationCell,
    OperationRow, Outcome, SignalCell, SignalRow, SignalState, StepRow, Verdict,
};
