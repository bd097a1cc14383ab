//! Where the time of one call goes.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use trace_parity::{Event, JoinedCall, JoinedCalls, Span};

use crate::elsewhere::Elsewhere;
use crate::model::{Model, Part, Pattern, Side, StageId};
use crate::path;
use crate::tree::{self, CallTree, Node};

/// One call's time, by stages.
///
/// `stages` and `unexplained_ns` add up to `total_ns`.
#[derive(Clone, Debug)]
pub struct CallTime<'t> {
    pub call: JoinedCall<'t>,
    /// Of the client's span.
    pub total_ns: u64,
    /// Those that have time or spans, in the model's order.
    pub stages: Vec<StageTime>,
    /// Of no stage.
    pub unexplained_ns: u64,
    /// Time of the program's own span around this call alone, before the call and after it.
    pub program: Option<ProgramTime<'t>>,
    pub segments: Segments,
    /// What it sets off in a trace of the server's own.
    pub elsewhere: Option<Elsewhere<'t>>,
    /// By how many nanoseconds the server's spans were moved, because its clock differs from the client's.
    pub moved_ns: i64,
    /// A stage is from a row of the model that was read in the sources of these versions, and not measured.
    pub read: Option<&'static str>,
}

/// A call's time in one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTime {
    pub stage: StageId,
    /// In which the call waited for this stage.
    pub ns: u64,
    /// Of all spans together, whether or not the call waited for each: more than `ns` where they worked side by side.
    pub all_ns: u64,
    /// How many stretches `all_ns` is the sum of.
    pub count: u32,
}

/// A stretch of the critical path.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'t> {
    pub span: Span<'t>,
    /// `None`: unexplained.
    pub stage: Option<StageId>,
    /// Nanoseconds since the call's start.
    pub from_ns: u64,
    pub to_ns: u64,
}

/// A span of the program that has this call as its only one.
#[derive(Clone, Copy, Debug)]
pub struct ProgramTime<'t> {
    pub span: Span<'t>,
    pub before_ns: u64,
    pub after_ns: u64,
}

/// What is known of the C++ half of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// The operation has none.
    NotExpected,
    /// So many spans of segments.
    Seen(u32),
    /// None in this trace, and in the time of its search a segment was searched for another call's trace: the query node joins searches that
    /// wait together.
    Merged,
    /// None, and nothing explains it.
    Absent,
}

/// Operations that search segments, and the name of the C++ span.
const SEGMENT_SPANS: [(&str, &str); 3] = [
    ("Search", "SegCoreSearch"),
    ("HybridSearch", "SegCoreSearch"),
    ("Query", "SegCoreRetrieve"),
];

/// The C++ span that a call of `method` has one of for each segment.
fn segment_span(method: &str) -> Option<&'static str> {
    let mut known = SEGMENT_SPANS.iter();
    known.find_map(|(name, span)| (*name == method).then_some(*span))
}

/// Whether a span is the search of one segment, by its name.
pub(crate) fn is_segment_span(name: &str) -> bool {
    SEGMENT_SPANS.iter().any(|(_, span)| *span == name)
}

/// Takes calls apart; remembers which parts of the model are of which span's name.
pub(crate) struct Clock<'t> {
    model: &'static Model,
    parts: HashMap<&'t str, Vec<usize>>,
}

impl<'t> Clock<'t> {
    pub(crate) fn new(model: &'static Model) -> Self {
        Self {
            model,
            parts: HashMap::new(),
        }
    }

    pub(crate) fn time(&mut self, joined: &JoinedCalls<'t>, call: &JoinedCall<'t>) -> CallTime<'t> {
        let tree = CallTree::of(joined, call, self.model);
        let staging = Staging::of(self, &tree, call.method);
        let mut times: Vec<StageTime> = Vec::new();
        let mut cuts = Vec::new();
        let mut time = CallTime {
            call: *call,
            total_ns: call.span.duration_ns(),
            stages: Vec::new(),
            unexplained_ns: 0,
            program: program(joined, call),
            segments: segments(&tree, call.method),
            elsewhere: None,
            moved_ns: tree.moved_ns,
            read: staging.read(),
        };
        for piece in path::critical(&tree.intervals, 0) {
            staging.cut(piece.span, piece.from, piece.to, &mut cuts);
            for (from, to, stage) in cuts.drain(..) {
                match stage {
                    Some(stage) => entry(&mut times, stage).ns += to - from,
                    None => time.unexplained_ns += to - from,
                }
            }
        }
        for node in 0..tree.nodes.len() {
            for own in path::self_times(&tree.intervals, node) {
                staging.cut(node, own.start, own.end, &mut cuts);
                for (from, to, stage) in cuts.drain(..) {
                    if let Some(stage) = stage {
                        let entry = entry(&mut times, stage);
                        entry.all_ns += to - from;
                        entry.count += 1;
                    }
                }
            }
        }
        times.sort_unstable_by_key(|time| time.stage);
        time.stages = times;
        time
    }

    /// The critical path of a call, in order of time; neighbors of one stage and span are one.
    pub(crate) fn path(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
    ) -> Vec<Stretch<'t>> {
        let tree = CallTree::of(joined, call, self.model);
        let staging = Staging::of(self, &tree, call.method);
        let start = tree.intervals[0].start;
        let mut path: Vec<Stretch<'t>> = Vec::new();
        let mut cuts = Vec::new();
        for piece in path::critical(&tree.intervals, 0) {
            let span = tree.nodes[piece.span].span;
            staging.cut(piece.span, piece.from, piece.to, &mut cuts);
            for (from, to, stage) in cuts.drain(..) {
                let is_same = |last: &&mut Stretch<'t>| last.stage == stage && last.span.is(&span);
                match path.last_mut().filter(is_same) {
                    Some(last) => last.to_ns = to - start,
                    None => path.push(Stretch {
                        span,
                        stage,
                        from_ns: from - start,
                        to_ns: to - start,
                    }),
                }
            }
        }
        path
    }

    fn parts_of(&mut self, name: &'t str) -> &[usize] {
        let model = self.model;
        let parts = self.parts.entry(name);
        parts.or_insert_with(|| model.parts_of(name))
    }
}

impl<'t> CallTime<'t> {
    /// Nanoseconds in which the call waited for `stage`.
    #[must_use]
    pub fn ns(&self, stage: StageId) -> u64 {
        let mut stages = self.stages.iter();
        stages
            .find(|time| time.stage == stage)
            .map_or(0, |time| time.ns)
    }

    /// Nanoseconds of all stages on one side.
    #[must_use]
    pub fn ns_on(&self, model: &Model, side: Side) -> u64 {
        let own = self.stages.iter();
        own.filter(|time| model.stage(time.stage).side == side)
            .map(|time| time.ns)
            .sum()
    }
}

fn entry(times: &mut Vec<StageTime>, stage: StageId) -> &mut StageTime {
    let place = times.iter().position(|time| time.stage == stage);
    let place = place.unwrap_or_else(|| {
        times.push(StageTime {
            stage,
            ns: 0,
            all_ns: 0,
            count: 0,
        });
        times.len() - 1
    });
    &mut times[place]
}

/// Which stage each moment of each span belongs to.
struct Staging<'s, 't> {
    tree: &'s CallTree<'t>,
    /// Per node, the parts of the model that may fit.
    parts: Vec<Vec<&'static Part>>,
    /// Per node, the stage of its time that no part fits.
    inherited: Vec<Option<StageId>>,
    /// Per node and part, the time in which the part fits; empty where the node has nothing that the part needs.
    bounds: Vec<OnceCell<Vec<Range<u64>>>>,
}

impl<'s, 't> Staging<'s, 't> {
    fn of(clock: &mut Clock<'t>, tree: &'s CallTree<'t>, method: &str) -> Self {
        let model = clock.model;
        let mut staging = Staging {
            tree,
            parts: Vec::with_capacity(tree.nodes.len()),
            inherited: vec![None; tree.nodes.len()],
            bounds: vec![OnceCell::new(); tree.nodes.len()],
        };
        for node in &tree.nodes {
            let own = clock.parts_of(node.name).iter();
            let own = own.map(|part| model.part(*part));
            staging
                .parts
                .push(own.filter(|part| part.is_of(method)).collect());
        }
        staging.inherit();
        staging
    }

    /// From the top downwards, what spans get from those above.
    fn inherit(&mut self) {
        let mut owned: Vec<bool> = vec![false; self.tree.nodes.len()];
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            let parent = self.tree.nodes[node].parent;
            if node != parent {
                self.inherited[node] = self.inherited[parent];
                owned[node] = owned[parent];
            }
            if owned[node] {
                self.parts[node].retain(|part| part.always);
            }
            let deep = self.parts[node]
                .iter()
                .find(|part| part.deep && part.is_unconditional());
            if let Some(part) = deep {
                self.inherited[node] = Some(part.stage);
                owned[node] |= part.whole;
            }
            open.extend_from_slice(&self.tree.intervals[node].children);
        }
    }

    /// Adds a stretch of a span's own time to `pieces`, cut where its stage changes.
    fn cut(&self, node: usize, from: u64, to: u64, pieces: &mut Vec<(u64, u64, Option<StageId>)>) {
        let parts = &self.parts[node];
        if parts.first().is_none_or(|part| part.is_unconditional()) {
            let stage = parts.first().map(|part| part.stage);
            pieces.push((from, to, stage.or(self.inherited[node])));
            return;
        }
        let bounds = self.bounds[node].get_or_init(|| {
            let bounds = parts.iter().map(|part| bounds(self.tree, node, part));
            bounds.collect()
        });
        let mut at = from;
        while at < to {
            let edges = bounds.iter().flat_map(|bounds| [bounds.start, bounds.end]);
            let cut = edges.filter(|&time| time > at).min().unwrap_or(to).min(to);
            let fits = |bounds: &Range<u64>| bounds.start <= at && cut <= bounds.end;
            let fitting = bounds.iter().position(fits);
            let stage = fitting.map(|part| parts[part].stage);
            let stage = stage.or(self.inherited[node]);
            match pieces.last_mut().filter(|last| last.2 == stage) {
                Some(last) => last.1 = cut,
                None => pieces.push((at, cut, stage)),
            }
            at = cut;
        }
    }

    fn read(&self) -> Option<&'static str> {
        let parts = self.parts.iter().filter_map(|parts| parts.first());
        parts.filter_map(|part| part.read.as_deref()).next()
    }
}

/// From the first moment after what the part must follow, to the last before what must follow it.
fn bounds(tree: &CallTree<'_>, node: usize, part: &Part) -> Range<u64> {
    let own = &tree.nodes[node];
    let moved = if own.is_server { tree.moved_ns } else { 0 };
    let named = |patterns: &[Pattern]| {
        let children = tree.intervals[node].children.iter();
        let named = children.filter(|&&child| {
            let name = tree.nodes[child].name;
            patterns.iter().any(|pattern| pattern.is(name))
        });
        named
            .map(|&child| &tree.intervals[child])
            .collect::<Vec<_>>()
    };
    let marks = |wanted: &str| {
        let marks = own.span.events().filter(|event| is_event(event, wanted));
        let times = marks.map(|event| event.time_ns.saturating_add_signed(moved));
        times.collect::<Vec<u64>>()
    };
    let mut bounds = 0..u64::MAX;
    if !part.after.is_empty() {
        let ends = named(&part.after).into_iter().map(|child| child.end);
        bounds.start = ends.min().unwrap_or(u64::MAX);
    }
    if !part.before.is_empty() {
        let starts = named(&part.before).into_iter().map(|child| child.start);
        bounds.end = starts.max().unwrap_or(0);
    }
    if let Some(wanted) = &part.after_event {
        let first = marks(wanted).into_iter().min();
        bounds.start = bounds.start.max(first.unwrap_or(u64::MAX));
    }
    if let Some(wanted) = &part.before_event {
        let last = marks(wanted).into_iter().max();
        bounds.end = bounds.end.min(last.unwrap_or(0));
    }
    bounds
}

/// By the beginning of its name; `message SENT` is a gRPC message that was sent.
fn is_event(event: &Event<'_>, wanted: &str) -> bool {
    let Some(kind) = wanted.strip_prefix("message ") else {
        return event.name.starts_with(wanted);
    };
    let mut attributes = event.attributes.clone();
    event.name == "message"
        && attributes.any(|(key, value)| key == "message.type" && value.as_str() == Some(kind))
}

/// The span around a call: the nearest one above it on the client's side that isn't the whole program, where it has no other call.
fn program<'t>(joined: &JoinedCalls<'t>, call: &JoinedCall<'t>) -> Option<ProgramTime<'t>> {
    let around = call.span.parent()?;
    around.parent()?;
    let mut calls = around.children().filter(|child| joined.is_call(*child));
    let is_only = calls.next().is_some() && calls.next().is_none();
    let lies_within =
        around.start_ns() <= call.span.start_ns() && call.span.end_ns() <= around.end_ns();
    (is_only && lies_within && !joined.is_server(around)).then(|| ProgramTime {
        span: around,
        before_ns: call.span.start_ns() - around.start_ns(),
        after_ns: around.end_ns() - call.span.end_ns(),
    })
}

fn segments(tree: &CallTree<'_>, method: &str) -> Segments {
    let Some(wanted) = segment_span(method) else {
        return Segments::NotExpected;
    };
    let is_answered = tree.nodes.iter().any(|node| node.name == tree::SERVER);
    match tree.nodes.iter().filter(|node| node.name == wanted).count() {
        0 if !is_answered => Segments::NotExpected,
        0 => Segments::Absent,
        count => Segments::Seen(u32::try_from(count).unwrap_or(u32::MAX)),
    }
}

/// What a client's span calls a collection.
const COLLECTION_KEYS: [&str; 3] = [
    "db.collection.name",
    "db.milvus.collection",
    "milvus.collection",
];

/// The collection's name where the client says it, else its id where an event has it.
pub(crate) fn collection<'t>(tree: &CallTree<'t>) -> Option<&'t str> {
    let call = tree.nodes.first()?.span;
    let mut said = call.attributes();
    let said = said.find(|(key, _)| COLLECTION_KEYS.contains(key));
    let said = said.and_then(|(_, value)| value.as_str());
    said.or_else(|| tree.nodes.iter().find_map(collection_id))
}

/// The collection's id, from the name of a virtual channel in an event: `by-dev-rootcoord-dml_0_470720216660443191v0`.
fn collection_id<'t>(node: &Node<'t>) -> Option<&'t str> {
    node.span.events().find_map(|event| {
        let (_, channel) = event.name.split_once("hannel = ")?;
        let channel = channel.split(',').next()?;
        let (_, last) = channel.rsplit_once('_')?;
        let (id, shard) = last.split_once('v')?;
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(id) && is_number(shard)).then_some(id)
    })
}
