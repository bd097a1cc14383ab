//! Faults on the wire: failures made on purpose, by a plan.

mod before;
mod plan;
mod play;
mod stage;

pub use plan::{
    Action, Fault, GoAwayKind, Hold, Often, Plan, PlanError, Replacement, ResetCode, Span, Status,
    is_call_of,
};
pub(crate) use play::Playing;
pub(crate) use stage::Stage;
