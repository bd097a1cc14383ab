//! Is each trace one tree, in one piece and in order of time?

mod ids;
mod kinds;
mod parents;
mod roots;
mod times;

pub(super) use ids::{duplicate_span_id, parent_cycle};
pub(super) use kinds::{wrong_kind, wrong_root_kind};
pub(super) use parents::{orphan_span, wrong_parent};
pub(super) use roots::{several_roots, several_traces};
pub(super) use times::bad_time;

use crate::view::View;
use crate::view::links::Side;

/// Spans of one process share a clock; instrumentation rounds it to a millisecond at worst, and a span's end may be written late.
const SLACK_NS: u64 = 10_000_000;

/// The spans themselves, the calls that some of them answer, and the calls in whose time the server's ones lie.
fn explained(view: &View<'_>, example: u32, broken: &[u32]) -> Vec<u32> {
    let mut all = broken.to_vec();
    for &span in broken {
        all.extend(view.astray_call(span));
        if view.links.side(span) != Side::Client {
            all.extend(view.call_around(example, span).map(|call| call.span));
        }
    }
    all
}

/// `server span of standalone`, as a message names the author of a span.
fn who(view: &View<'_>, span: u32) -> String {
    match view.links.side(span) {
        Side::Client => "the client's".to_owned(),
        Side::Server | Side::Undeclared => format!("`{}`'s", view.service(span)),
    }
}
