//! The spans of one call, as they work: parents by time where the ids say otherwise, the server's clock moved into the client's.

use std::collections::HashMap;

use trace_parity::{JoinedCall, JoinedCalls, Span};

use crate::model::Model;
use crate::path::Interval;

/// A span below a call, or the call's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span<'t>,
    /// The name by which the model knows it.
    pub(crate) name: &'t str,
    pub(crate) is_server: bool,
    /// The index of [`CallTree::intervals`] that it is below of; of the call itself, its own.
    pub(crate) parent: usize,
}

/// A call's spans; the call is the first, and parents come before their children.
#[derive(Debug, Default)]
pub(crate) struct CallTree<'t> {
    pub(crate) nodes: Vec<Node<'t>>,
    /// One per node, in nanoseconds of the client's clock.
    pub(crate) intervals: Vec<Interval>,
    /// By how many nanoseconds the server's spans were moved, to lie within the call.
    pub(crate) moved_ns: i64,
}

pub(crate) const CALL: &str = "@call";
pub(crate) const SERVER: &str = "@server";
pub(crate) const BETWEEN: &str = "@between";

/// Of many spans that one could work in the time of, so many are looked at.
const LOOKED_AT: usize = 64;

impl<'t> CallTree<'t> {
    pub(crate) fn of(joined: &JoinedCalls<'t>, call: &JoinedCall<'t>, model: &Model) -> Self {
        let mut tree = CallTree {
            moved_ns: call.server.map_or(0, |server| offset(call.span, server)),
            ..CallTree::default()
        };
        tree.collect(joined, call);
        tree.place(model);
        for node in 1..tree.nodes.len() {
            let parent = tree.nodes[node].parent;
            tree.intervals[parent].children.push(node);
        }
        tree
    }

    fn collect(&mut self, joined: &JoinedCalls<'t>, call: &JoinedCall<'t>) {
        let is_answer = |span: &Span<'t>| {
            let answer = call.server.as_ref();
            answer.is_some_and(|answer| answer.is(span))
        };
        let mut open = vec![(call.span, 0)];
        let mut answered = false;
        loop {
            while let Some((span, parent)) = open.pop() {
                let index = self.nodes.len();
                let is_server = index > 0 && joined.is_server(span);
                let name = match (index, is_server) {
                    (0, _) => CALL,
                    _ if is_answer(&span) => SERVER,
                    (_, true) => span.name(),
                    (_, false) => BETWEEN,
                };
                answered |= name == SERVER;
                self.push(
                    Node {
                        span,
                        name,
                        is_server,
                        parent,
                    },
                    is_server,
                );
                let children = span.children().rev();
                let own = children.filter(|child| !joined.is_call(*child));
                open.extend(own.map(|child| (child, index)));
            }
            // One that lost its way hangs elsewhere.
            match call.server.filter(|_| !answered) {
                Some(server) => open.push((server, 0)),
                None => return,
            }
        }
    }

    fn push(&mut self, node: Node<'t>, is_moved: bool) {
        let moved = |time: u64| {
            let by = if is_moved { self.moved_ns } else { 0 };
            time.saturating_add_signed(by)
        };
        self.intervals.push(Interval {
            start: moved(node.span.start_ns()),
            end: moved(node.span.end_ns()),
            children: Vec::new(),
        });
        self.nodes.push(node);
    }

    /// Puts spans below the ones in whose time they work.
    fn place(&mut self, model: &Model) {
        let mut candidates: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut placed = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let around = model.insides_of(node.name).find_map(|(row, inside)| {
                let candidates = candidates.entry(row).or_insert_with(|| {
                    let nodes = self.nodes.iter().enumerate();
                    let fitting = nodes.filter(|(_, other)| inside.of.is(other.name));
                    fitting.map(|(other, _)| other).take(LOOKED_AT).collect()
                });
                let fitting = candidates
                    .iter()
                    .filter(|&&other| self.is_within(index, other));
                fitting
                    .min_by_key(|&&other| (self.length(other), other))
                    .copied()
            });
            placed.extend(around.map(|around| (index, around)));
        }
        for (index, around) in placed {
            if !self.is_above(index, around) {
                self.nodes[index].parent = around;
            }
        }
    }

    fn length(&self, node: usize) -> u64 {
        let interval = &self.intervals[node];
        interval.end.saturating_sub(interval.start)
    }

    fn is_within(&self, node: usize, other: usize) -> bool {
        let (inner, outer) = (&self.intervals[node], &self.intervals[other]);
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
