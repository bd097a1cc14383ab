//! Work that calls cause in traces of the server's own, found by time: no id ties it to the call.

use std::collections::{HashMap, HashSet};

use trace_parity::{JoinedCalls, Span, TraceId, Traces};

use crate::model::{ElsewhereRow, Model};

/// Work in another trace, of which a call is the likely cause.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'t> {
    /// The root of that trace.
    pub span: Span<'t>,
    /// What it is: `the load itself`.
    pub about: &'static str,
    /// Nanoseconds from the call's start to the root's.
    pub after_ns: u64,
}

/// By the place of the call in `joined`. Each root belongs to one call: the first that it fits.
pub(crate) fn find<'t>(
    traces: &'t Traces,
    joined: &JoinedCalls<'t>,
) -> HashMap<usize, Elsewhere<'t>> {
    let roots = roots(traces, joined);
    let mut taken: HashSet<(TraceId, usize)> = HashSet::new();
    let mut order: Vec<usize> = (0..joined.calls.len()).collect();
    order.sort_by_key(|&place| joined.calls[place].span.start_ns());
    let mut found = HashMap::new();
    for place in order {
        let call = &joined.calls[place];
        let rows = Model::builtin().elsewhere().iter().enumerate();
        let own = rows.filter(|(_, row)| row.methods.iter().any(|method| method == call.method));
        for (number, row) in own {
            let (start, end) = (call.span.start_ns(), call.span.end_ns());
            let latest = end.saturating_add(row.within_ms * 1_000_000);
            let named = &roots[number];
            let first = named.partition_point(|root| root.start_ns() < start);
            let within = named[first..]
                .iter()
                .take_while(|root| root.start_ns() <= latest);
            let root = within
                .take(LOOKED_AT)
                .find(|root| taken.insert((root.trace_id(), number)));
            if let Some(root) = root {
                found.insert(
                    place,
                    Elsewhere {
                        span: *root,
                        about: &row.about,
                        after_ns: root.start_ns() - start,
                    },
                );
            }
        }
    }
    found
}

/// Roots that could be one call's.
const LOOKED_AT: usize = 32;

/// The roots of the server's own traces, by row of the model, in order of start.
fn roots<'t>(traces: &'t Traces, joined: &JoinedCalls<'t>) -> Vec<Vec<Span<'t>>> {
    let rows: &[ElsewhereRow] = Model::builtin().elsewhere();
    let mut roots: Vec<Vec<Span<'t>>> = rows.iter().map(|_| Vec::new()).collect();
    let spans = traces.iter().flat_map(|trace| trace.spans().take(1));
    for root in spans.filter(|span| span.parent_id().is_none() && joined.is_server(*span)) {
        for (row, own) in rows.iter().zip(&mut roots) {
            if row.root.is(root.name()) {
                own.push(root);
            }
        }
    }
    for own in &mut roots {
        own.sort_by_key(Span::start_ns);
    }
    roots
}
