//! Is each trace one tree, in one piece and in order of time?

mod current;
mod ids;
mod kinds;
mod parents;
mod reach;
mod roots;
mod times;

pub(super) use ids::{duplicate_span_id, parent_cycle};
pub(super) use kinds::{wrong_kind, wrong_root_kind};
pub(super) use parents::{orphan_span, wrong_parent};
pub(super) use roots::{several_roots, several_traces, spans_never_current};
pub(super) use times::{bad_time, late_events, mended_times};
