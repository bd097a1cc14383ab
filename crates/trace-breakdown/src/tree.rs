//! The spans of one call, as they work: parents by time where the ids say otherwise, the server's clock moved into the client's.

use trace_parity::{JoinedCall, JoinedCalls, Span};

use crate::names::{self, Names};
use crate::path::{Interval, Timeline};

/// A span below a call, or the call's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span<'t>,
    /// The name by which the model knows it.
    pub(crate) name: &'t str,
    /// What the model says of it, as a place in [`Names`].
    pub(crate) named: usize,
    pub(crate) is_server: bool,
    /// The index of [`CallTree::nodes`] that it is below of; of the call itself, its own.
    pub(crate) parent: usize,
}

/// A call's spans; the call is the first. It is filled anew for each call.
#[derive(Debug, Default)]
pub(crate) struct CallTree<'t> {
    pub(crate) nodes: Vec<Node<'t>>,
    /// One interval per node, in nanoseconds of the client's clock.
    pub(crate) timeline: Timeline,
    /// By how many nanoseconds the server's spans were moved, to lie within the call.
    pub(crate) moved_ns: i64,
    pub(crate) is_answered: bool,
    /// Spans that are still to be collected, each with its parent.
    open: Vec<(Span<'t>, usize)>,
    /// The nodes that others may work in the time of, by row of the model.
    around: Vec<Vec<usize>>,
    /// Nodes that work in the time of another than their parent.
    placed: Vec<(usize, usize)>,
}

/// Of many spans that one could work in the time of, so many are looked at.
const LOOKED_AT: usize = 64;

impl<'t> CallTree<'t> {
    pub(crate) fn fill(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
        names: &mut Names,
    ) {
        self.nodes.clear();
        self.timeline.intervals.clear();
        self.around.iter_mut().for_each(Vec::clear);
        self.moved_ns = call.server.map_or(0, |server| offset(call.span, server));
        self.is_answered = false;
        self.open.push((call.span, 0));
        self.collect(joined, call, names);
        if let Some(server) = call.server.filter(|_| !self.is_answered) {
            // One that lost its way hangs elsewhere.
            self.open.push((server, 0));
            self.collect(joined, call, names);
        }
        self.place(names);
        let nodes = &self.nodes;
        self.timeline.link(|node| nodes[node].parent);
    }

    /// Adds what is open and the spans below, but for other calls.
    fn collect(&mut self, joined: &JoinedCalls<'t>, call: &JoinedCall<'t>, names: &mut Names) {
        while let Some((span, parent)) = self.open.pop() {
            let index = self.nodes.len();
            let is_server = index > 0 && joined.is_server(span);
            let is_answer = call.server.as_ref().is_some_and(|answer| answer.is(&span));
            let named = match (index, is_server) {
                (0, _) => names::CALL,
                _ if is_answer => names::SERVER,
                (_, true) => names.place(span),
                (_, false) => names::BETWEEN,
            };
            self.is_answered |= named == names::SERVER;
            self.nodes.push(Node {
                span,
                name: names::ROLES.get(named).copied().unwrap_or(span.name()),
                named,
                is_server,
                parent,
            });
            let moved = if is_server { self.moved_ns } else { 0 };
            self.timeline.intervals.push(Interval {
                start: span.start_ns().saturating_add_signed(moved),
                end: span.end_ns().saturating_add_signed(moved),
            });
            for &row in &names.get(named).around {
                if self.around.len() <= row {
                    self.around.resize_with(row + 1, Vec::new);
                }
                if self.around[row].len() < LOOKED_AT {
                    self.around[row].push(index);
                }
            }
            let children = span.children().rev();
            let own = children.filter(|child| !joined.is_call(*child));
            self.open.extend(own.map(|child| (child, index)));
        }
    }

    /// Puts spans below the ones in whose time they work.
    fn place(&mut self, names: &Names) {
        self.placed.clear();
        for (index, node) in self.nodes.iter().enumerate() {
            let mut rows = names.get(node.named).inside.iter();
            let around = rows.find_map(|&row| {
                let candidates = self.around.get(row)?.iter();
                candidates
                    .filter(|&&other| self.is_within(index, other))
                    .min_by_key(|&&other| (self.timeline.intervals[other].length(), other))
                    .copied()
            });
            self.placed.extend(around.map(|around| (index, around)));
        }
        for place in 0..self.placed.len() {
            let (index, around) = self.placed[place];
            if !self.is_above(index, around) {
                self.nodes[index].parent = around;
            }
        }
    }

    fn is_within(&self, node: usize, other: usize) -> bool {
        let intervals = &self.timeline.intervals;
        let (inner, outer) = (&intervals[node], &intervals[other]);
        node != other && outer.start <= inner.start && inner.end <= outer.end
    }

    /// Whether `above` is `node` or one of those that it is below of.
    fn is_above(&self, above: usize, node: usize) -> bool {
        let mut at = node;
        while at != above && at != 0 {
            at = self.nodes[at].parent;
        }
        at == above
    }
}

/// What to add to the server's times: where its span doesn't lie within the call and would fit, the clocks differ, and the way there is
/// taken to be as long as the way back.
fn offset(call: Span<'_>, server: Span<'_>) -> i64 {
    let lies_within = call.start_ns() <= server.start_ns() && server.end_ns() <= call.end_ns();
    let room = call.duration_ns().checked_sub(server.duration_ns());
    match room {
        Some(room) if !lies_within => {
            let start = i128::from(call.start_ns()) + i128::from(room / 2);
            i64::try_from(start - i128::from(server.start_ns())).unwrap_or(0)
        }
        _ => 0,
    }
}
