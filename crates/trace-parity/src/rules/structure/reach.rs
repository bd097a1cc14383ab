//! How far a broken link reaches, in time and in spans.

use crate::view::View;
use crate::view::links::Side;

/// Spans of one process share a clock; instrumentation rounds it to a millisecond at worst, and a span's end may be written late.
pub(super) const SLACK_NS: u64 = 10_000_000;

/// The spans themselves, the calls that some of them answer, and the calls in whose time the server's ones lie.
pub(super) fn explained(view: &View<'_>, example: u32, broken: &[u32]) -> Vec<u32> {
    let mut all = broken.to_vec();
    for &span in broken {
        all.extend(view.astray_call(span));
        if view.links.side(span) != Side::Client {
            all.extend(view.call_around(example, span).map(|call| call.span));
        }
    }
    all
}
