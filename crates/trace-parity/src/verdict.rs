//! The last stage: the one value that every reporter renders.

mod assemble;
mod model;

pub(crate) use assemble::assemble;
pub use model::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, Outcome, StepRow,
    Verdict,
};
