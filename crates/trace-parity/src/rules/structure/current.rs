//! Spans that are around calls in time and never became their parents.

use crate::traces::{Kind, NONE};
use crate::view::View;
use crate::view::examples::Example;
use crate::view::links::Side;

/// Calls that begin traces of their own in the time of another span of their program.
pub(super) struct NeverCurrent {
    /// The first span that is around a call.
    pub(super) around: u32,
    pub(super) calls: usize,
}

/// Whether spans of traces without a call are around most calls that have no parent.
pub(super) fn never_current(view: &View<'_>, example: &Example<'_>) -> Option<NeverCurrent> {
    /// Spans that are around one moment are few.
    const LOOKED_AT: usize = 32;
    if example.traces.len() < 2 {
        return None;
    }
    let calls = view.calls_of(example);
    let mut called: Vec<u32> = calls
        .iter()
        .map(|call| view.traces.record(call.span).trace)
        .collect();
    called.sort_unstable();
    let idle = example
        .traces
        .iter()
        .filter(|trace| called.binary_search(trace).is_err());
    let mut covers: Vec<u32> = idle
        .flat_map(|&trace| view.traces.traces[trace as usize].spans())
        .filter(|&span| {
            view.links.side(span) == Side::Client && view.traces.record(span).kind != Kind::Client
        })
        .collect();
    covers.sort_by_key(|&span| view.traces.record(span).start);
    let alone: Vec<u32> = calls
        .iter()
        .map(|call| call.span)
        .filter(|&span| view.traces.parents[span as usize] == NONE)
        .collect();
    let around = |call: u32| {
        let call = view.traces.record(call);
        let begun = covers.partition_point(|&span| view.traces.record(span).start <= call.start);
        let mut near = covers[..begun].iter().rev().take(LOOKED_AT).copied();
        near.find(|&span| {
            let cover = view.traces.record(span);
            cover.end >= call.end && cover.resource == call.resource
        })
    };
    let covered: Vec<u32> = alone.iter().filter_map(|&call| around(call)).collect();
    let around = *covered.first()?;
    (covered.len() > 1 && 2 * covered.len() > alone.len()).then_some(NeverCurrent {
        around,
        calls: covered.len(),
    })
}
