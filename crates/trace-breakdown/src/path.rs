//! Who a span waits for: its time, cut into pieces that belong to one span each.

use std::ops::Range;

/// A span's time, and the spans whose work it asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interval {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) children: Vec<usize>,
}

/// A stretch of the whole call's time in which it waited for one span's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) span: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The critical path through `intervals[top]`: pieces in order of time that cover its time without a gap or an overlap.
///
/// Seen from the end of a span, it waited for the child that ended last, before that for the one that ended last before that child began,
/// and so on; the rest is its own. Work that ran beside the child that was waited for is no piece.
pub(crate) fn critical(intervals: &[Interval], top: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let whole = &intervals[top];
    let mut open = vec![(top, whole.start..whole.end.max(whole.start))];
    while let Some((span, window)) = open.pop() {
        own_pieces(intervals, span, window, &mut pieces, |child, within| {
            open.push((child, within));
        });
    }
    pieces.sort_unstable_by_key(|piece| piece.from);
    pieces
}

/// The parts of a span's time in which none of its children worked, in order.
pub(crate) fn self_times(intervals: &[Interval], span: usize) -> Vec<Range<u64>> {
    let whole = &intervals[span];
    let window = whole.start..whole.end.max(whole.start);
    let mut pieces = Vec::new();
    own_pieces(intervals, span, window, &mut pieces, |_, _| {});
    pieces
        .iter()
        .rev()
        .map(|piece| piece.from..piece.to)
        .collect()
}

/// Adds the parts of a window in which a span waited for no child, the last first; `child` gets the others.
fn own_pieces(
    intervals: &[Interval],
    span: usize,
    window: Range<u64>,
    pieces: &mut Vec<Piece>,
    mut child: impl FnMut(usize, Range<u64>),
) {
    let mut own = |time: Range<u64>| {
        if !time.is_empty() {
            pieces.push(Piece {
                span,
                from: time.start,
                to: time.end,
            });
        }
    };
    let mut cursor = window.end;
    for (waited_for, within) in waited_for(intervals, span, &window) {
        own(within.end..cursor);
        cursor = within.start;
        child(waited_for, within);
    }
    own(window.start..cursor);
}

/// The children that a span waited for within a window, the last first, each with its part of the time. The parts don't overlap.
fn waited_for<'i>(
    intervals: &'i [Interval],
    span: usize,
    window: &Range<u64>,
) -> impl Iterator<Item = (usize, Range<u64>)> + use<'i> {
    let window = window.clone();
    let mut children = intervals[span].children.clone();
    children.sort_by_key(|&child| {
        let child = &intervals[child];
        (std::cmp::Reverse(child.end), child.start)
    });
    let mut cursor = window.end;
    children.into_iter().filter_map(move |child| {
        let start = intervals[child].start.max(window.start);
        let end = intervals[child].end.min(cursor);
        (start < end).then(|| {
            cursor = start;
            (child, start..end)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Spans as `(start, end, parent)`; the first has no parent.
    fn spans(given: &[(u64, u64, usize)]) -> Vec<Interval> {
        let mut intervals: Vec<Interval> = given
            .iter()
            .map(|&(start, end, _)| Interval {
                start,
                end,
                children: Vec::new(),
            })
            .collect();
        for (child, &(.., parent)) in given.iter().enumerate().skip(1) {
            intervals[parent].children.push(child);
        }
        intervals
    }

    #[test]
    fn time_belongs_to_whom_the_call_waited_for() {
        let check = |given: &[(u64, u64, usize)], expected: &[(usize, u64, u64)]| {
            let pieces = critical(&spans(given), 0);
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
            let intervals = spans(&given);
            let pieces = critical(&intervals, 0);
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
        let pieces = critical(&spans(&given), 0);
        let total: u64 = pieces.iter().map(|piece| piece.to - piece.from).sum();
        assert_eq!(total, 2 * DEPTH as u64);
    }
}
