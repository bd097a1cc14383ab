//! Who a span waits for: its time, cut into pieces that belong to one span each.

use std::cmp::Reverse;
use std::ops::Range;

/// A span's time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interval {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Spans in time, and whose work each asked for. It is filled anew for each call, so that a million of them allocate little.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) intervals: Vec<Interval>,
    /// Those of one span side by side, the one that ends last first.
    children: Vec<usize>,
    /// Where each span's children begin, and their end.
    starts: Vec<usize>,
    /// Spans that are still to be cut, each with the time in which it was waited for.
    open: Vec<(usize, Range<u64>)>,
}

/// A stretch of the whole call's time in which it waited for one span's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) span: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Interval {
    pub(crate) fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn window(self) -> Range<u64> {
        self.start..self.end.max(self.start)
    }
}

impl Timeline {
    /// Puts all intervals but the first below their parents.
    pub(crate) fn link(&mut self, parent: impl Fn(usize) -> usize) {
        let count = self.intervals.len();
        self.starts.clear();
        self.starts.resize(count + 2, 0);
        for span in 1..count {
            self.starts[parent(span) + 2] += 1;
        }
        for span in 2..self.starts.len() {
            self.starts[span] += self.starts[span - 1];
        }
        self.children.clear();
        self.children.resize(count.saturating_sub(1), 0);
        for span in 1..count {
            let next = &mut self.starts[parent(span) + 1];
            self.children[*next] = span;
            *next += 1;
        }
        let intervals = &self.intervals;
        for bounds in self.starts.windows(2).take(count) {
            self.children[bounds[0]..bounds[1]]
                .sort_by_key(|&child| (Reverse(intervals[child].end), intervals[child].start));
        }
    }

    /// The one that ends last first.
    pub(crate) fn children(&self, span: usize) -> &[usize] {
        &self.children[self.starts[span]..self.starts[span + 1]]
    }

    /// Fills `pieces` with the critical path through the first span: in order of time, without a gap or an overlap.
    ///
    /// Seen from the end of a span, it waited for the child that ended last, before that for the one that ended last before that child
    /// began, and so on; the rest is its own. Work that ran beside the child that was waited for is no piece.
    pub(crate) fn critical(&mut self, pieces: &mut Vec<Piece>) {
        pieces.clear();
        let mut open = std::mem::take(&mut self.open);
        open.push((0, self.intervals[0].window()));
        while let Some((span, window)) = open.pop() {
            self.own_pieces(span, window, pieces, |child, within| {
                open.push((child, within));
            });
        }
        self.open = open;
        pieces.sort_unstable_by_key(|piece| piece.from);
    }

    /// Fills `pieces` with the parts of a span's time in which none of its children worked, the last first.
    pub(crate) fn self_times(&self, span: usize, pieces: &mut Vec<Piece>) {
        pieces.clear();
        self.own_pieces(span, self.intervals[span].window(), pieces, |_, _| {});
    }

    /// Adds the parts of a window in which a span waited for no child, the last first; `child` gets the others, each with the child that
    /// was waited for in it.
    fn own_pieces(
        &self,
        span: usize,
        window: Range<u64>,
        pieces: &mut Vec<Piece>,
        mut child: impl FnMut(usize, Range<u64>),
    ) {
        let mut own = |from: u64, to: u64| {
            if from < to {
                pieces.push(Piece { span, from, to });
            }
        };
        let mut cursor = window.end;
        for &next in self.children(span) {
            let start = self.intervals[next].start.max(window.start);
            let end = self.intervals[next].end.min(cursor);
            if start < end {
                own(end, cursor);
                cursor = start;
                child(next, start..end);
            }
        }
        own(window.start, cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Spans as `(start, end, parent)`; the first has no parent.
    fn spans(given: &[(u64, u64, usize)]) -> Timeline {
        let intervals = given.iter().map(|&(start, end, _)| Interval { start, end });
        let mut timeline = Timeline {
            intervals: intervals.collect(),
            ..Timeline::default()
        };
        timeline.link(|span| given[span].2);
        timeline
    }

    fn critical(timeline: &mut Timeline) -> Vec<Piece> {
        let mut pieces = Vec::new();
        timeline.critical(&mut pieces);
        pieces
    }

    #[test]
    fn time_belongs_to_whom_the_call_waited_for() {
        let check = |given: &[(u64, u64, usize)], expected: &[(usize, u64, u64)]| {
            let pieces = critical(&mut spans(given));
            let told: Vec<_> = pieces.iter().map(|p| (p.span, p.from, p.to)).collect();
            assert_eq!(told, expected, "{given:?}");
        };
        check(&[(0, 10, 0)], &[(0, 0, 10)]);
        check(&[(5, 5, 0)], &[]);
        // One after the other, with the span's own time before, between and after.
        check(
            &[(0, 10, 0), (1, 3, 0), (4, 9, 0)],
            &[(0, 0, 1), (1, 1, 3), (0, 3, 4), (2, 4, 9), (0, 9, 10)],
        );
        // Side by side: the one that ends last is waited for, and before it begins, the other.
        check(
            &[(0, 10, 0), (2, 8, 0), (4, 9, 0), (5, 6, 0)],
            &[(0, 0, 2), (1, 2, 4), (2, 4, 9), (0, 9, 10)],
        );
        // A child that outlives its parent, begins before it, or ends before it begins.
        check(
            &[(5, 10, 0), (0, 6, 0), (8, 20, 0)],
            &[(1, 5, 6), (0, 6, 8), (2, 8, 10)],
        );
        check(&[(0, 10, 0), (9, 3, 0)], &[(0, 0, 10)]);
        check(&[(10, 3, 0), (4, 5, 0)], &[]);
        // A grandchild that outlives the child is cut where the child ends.
        check(
            &[(0, 10, 0), (2, 6, 0), (4, 9, 1)],
            &[(0, 0, 2), (1, 2, 4), (2, 4, 6), (0, 6, 10)],
        );
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_whole(
            given in prop::collection::vec((0_u64..50, 0_u64..50, any::<prop::sample::Index>()), 1..30)
        ) {
            let given: Vec<_> = given
                .iter()
                .enumerate()
                .map(|(number, (start, end, parent))| (*start, *end, parent.index(number.max(1))))
                .collect();
            let mut timeline = spans(&given);
            let pieces = critical(&mut timeline);
            let intervals = &timeline.intervals;
            let mut at = intervals[0].start;
            for piece in &pieces {
                prop_assert_eq!(piece.from, at);
                at = piece.to;
                let span = &intervals[piece.span];
                prop_assert!(span.start <= piece.from && piece.to <= span.end);
            }
            prop_assert_eq!(at, intervals[0].end.max(intervals[0].start));
        }
    }

    /// A chain as deep as a hostile trace makes it.
    #[test]
    fn depth_costs_no_stack() {
        const DEPTH: usize = 200_000;
        let given: Vec<_> = (0..DEPTH)
            .map(|n| (n as u64, (2 * DEPTH - n) as u64, n.saturating_sub(1)))
            .collect();
        let pieces = critical(&mut spans(&given));
        let total: u64 = pieces.iter().map(|piece| piece.to - piece.from).sum();
        assert_eq!(total, 2 * DEPTH as u64);
    }
}
