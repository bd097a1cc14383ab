//! What else went on in a call's time: other calls, and the server's spans as signs of life.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use trace_parity::{JoinedCall, JoinedCalls, TraceId, Traces};

/// Everything in the input that has a time, for questions about one call's time. Each answer is prepared when it is first asked for.
pub(crate) struct Activity<'t> {
    traces: &'t Traces,
    pub(crate) joined: JoinedCalls<'t>,
    /// When calls begin and when they end, each in order.
    starts_and_ends: OnceCell<(Vec<u64>, Vec<u64>)>,
    /// When spans of the server's own traces begin or end, in order: its timers, which no client asks for.
    edges: OnceCell<Vec<u64>>,
    /// Spans of segments in order of start, and the longest of them.
    segments: OnceCell<(Vec<(u64, u64)>, u64)>,
    /// Nanoseconds that calls spend outside of the server: of a trace, and of an example; sorted.
    outside: OnceCell<HashMap<OutsideOf, Vec<u64>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum OutsideOf {
    Trace(TraceId),
    Example(usize),
}

/// How long calls beside one were outside of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbors {
    pub(crate) count: usize,
    pub(crate) least_ns: u64,
    pub(crate) median_ns: u64,
}

/// A time in which no span of the server's own work began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) ns: u64,
    /// As many begins and ends would be usual in it, by those before it and after it.
    pub(crate) usual: u64,
}

/// Milvus's own timers make a span every 100 ms.
const SILENCE_NS: u64 = 120_000_000;
/// Begins and ends before and after a silence are counted so far.
const AROUND_NS: u64 = 1_000_000_000;
const USUAL: u64 = 5;
/// Others of a trace that say something about its connection.
const ENOUGH: usize = 2;

impl<'t> Activity<'t> {
    pub(crate) fn of(traces: &'t Traces, joined: JoinedCalls<'t>) -> Self {
        Self {
            traces,
            joined,
            starts_and_ends: OnceCell::new(),
            edges: OnceCell::new(),
            segments: OnceCell::new(),
            outside: OnceCell::new(),
        }
    }

    /// How many other calls were under way at some moment of this one.
    pub(crate) fn at_once(&self, call: &JoinedCall<'_>) -> usize {
        let (starts, ends) = self.starts_and_ends.get_or_init(|| self.starts_and_ends());
        let (start, end) = (call.span.start_ns(), call.span.end_ns());
        let begun = starts.partition_point(|&time| time < end);
        let over = ends.partition_point(|&time| time <= start);
        begun.saturating_sub(over + 1)
    }

    /// The longest time within a call in which the server showed no sign of life, where it shows some before and after it. A capture
    /// without the server's own traces, as a sampler leaves it, has none.
    pub(crate) fn silence(&self, call: &JoinedCall<'_>) -> Option<Silence> {
        let edges = self.edges.get_or_init(|| self.edges());
        let (start, end) = (call.span.start_ns(), call.span.end_ns());
        let first = edges.partition_point(|&time| time < start);
        let last = edges.partition_point(|&time| time <= end);
        let within = &edges[first.saturating_sub(1)..(last + 1).min(edges.len())];
        let gaps = within
            .windows(2)
            .map(|pair| (pair[0].max(start), pair[1].min(end)));
        let (from, to) = gaps.max_by_key(|(from, to)| to.saturating_sub(*from))?;
        let ns = to.saturating_sub(from);
        if ns < SILENCE_NS {
            return None;
        }
        let count = |from: u64, to: u64| {
            let first = edges.partition_point(|&time| time < from);
            edges.partition_point(|&time| time <= to) - first
        };
        let before = count(from.saturating_sub(AROUND_NS), from);
        let after = count(to, to.saturating_add(AROUND_NS));
        let usual = before.min(after) as u128 * u128::from(ns) / u128::from(AROUND_NS);
        let usual = u64::try_from(usual).unwrap_or(u64::MAX);
        (usual >= USUAL).then_some(Silence { ns, usual })
    }

    /// Whether a segment was searched for some trace within the time.
    pub(crate) fn searched_within(&self, from: u64, to: u64) -> bool {
        let (segments, longest) = self.segments.get_or_init(|| self.segments());
        let first = segments.partition_point(|(start, _)| start.saturating_add(*longest) < from);
        let begun = segments[first..]
            .iter()
            .take_while(|(start, _)| *start < to);
        begun.into_iter().any(|(_, end)| *end > from)
    }

    /// The other calls of the trace, where they are enough, else those of the example.
    pub(crate) fn neighbors(&self, call: &JoinedCall<'_>) -> Option<(Neighbors, bool)> {
        let outside = self.outside.get_or_init(|| self.outside());
        let own = outside_ns(call)?;
        let others = |of: OutsideOf| {
            let times = outside.get(&of)?;
            let place = times.binary_search(&own).ok()?;
            let other = |index: usize| times.get(index + usize::from(index >= place)).copied();
            Some(Neighbors {
                count: times.len() - 1,
                least_ns: other(0)?,
                median_ns: other((times.len() - 1) / 2)?,
            })
        };
        let trace = others(OutsideOf::Trace(call.span.trace_id()));
        match trace.filter(|others| others.count >= ENOUGH) {
            Some(others) => Some((others, true)),
            None => Some((others(OutsideOf::Example(call.example))?, false)),
        }
    }

    fn starts_and_ends(&self) -> (Vec<u64>, Vec<u64>) {
        let sorted = |time: fn(&JoinedCall<'t>) -> u64| {
            let mut times: Vec<u64> = self.joined.calls.iter().map(time).collect();
            times.sort_unstable();
            times
        };
        (
            sorted(|call| call.span.start_ns()),
            sorted(|call| call.span.end_ns().max(call.span.start_ns())),
        )
    }

    fn edges(&self) -> Vec<u64> {
        let calls = self.joined.calls.iter();
        let called: HashSet<TraceId> = calls.map(|call| call.span.trace_id()).collect();
        let own = self
            .traces
            .iter()
            .filter(|trace| !called.contains(&trace.id()));
        let spans = own.flat_map(|trace| trace.spans());
        let mut edges: Vec<u64> = spans
            .filter(|span| self.joined.is_server(*span))
            .flat_map(|span| [span.start_ns(), span.end_ns()])
            .collect();
        edges.sort_unstable();
        edges
    }

    fn segments(&self) -> (Vec<(u64, u64)>, u64) {
        let spans = self.traces.iter().flat_map(|trace| trace.spans());
        let searched = spans.filter(|span| crate::call::is_segment_span(span.name()));
        let mut times: Vec<(u64, u64)> = searched
            .map(|span| (span.start_ns(), span.end_ns()))
            .collect();
        times.sort_unstable();
        let lengths = times.iter().map(|(start, end)| end.saturating_sub(*start));
        let longest = lengths.max().unwrap_or(0);
        (times, longest)
    }

    fn outside(&self) -> HashMap<OutsideOf, Vec<u64>> {
        let mut outside: HashMap<OutsideOf, Vec<u64>> = HashMap::new();
        for call in &self.joined.calls {
            let Some(ns) = outside_ns(call) else { continue };
            let keys = [
                OutsideOf::Trace(call.span.trace_id()),
                OutsideOf::Example(call.example),
            ];
            for key in keys {
                outside.entry(key).or_default().push(ns);
            }
        }
        outside.values_mut().for_each(|times| times.sort_unstable());
        outside
    }
}

/// Nanoseconds of a call in which its server span doesn't work.
fn outside_ns(call: &JoinedCall<'_>) -> Option<u64> {
    let server = call.server?;
    call.span.duration_ns().checked_sub(server.duration_ns())
}
