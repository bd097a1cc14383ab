//! Where the time of one call goes.

use std::cell::OnceCell;
use std::collections::HashMap;

use trace_parity::{JoinedCall, JoinedCalls, Span};

use crate::elsewhere::Elsewhere;
use crate::model::{Model, Part, Side, StageId};
use crate::path::{self, Interval};
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
            for (from, to, stage) in staging.cut(piece.span, piece.from, piece.to) {
                match stage {
                    Some(stage) => entry(&mut times, stage).ns += to - from,
                    None => time.unexplained_ns += to - from,
                }
            }
        }
        for node in 0..tree.nodes.len() {
            for own in path::self_times(&tree.intervals, node) {
                for (from, to, stage) in staging.cut(node, own.start, own.end) {
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
        for piece in path::critical(&tree.intervals, 0) {
            let span = tree.nodes[piece.span].span;
            for (from, to, stage) in staging.cut(piece.span, piece.from, piece.to) {
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
    /// Per node, its events that a part names.
    events: Vec<OnceCell<Vec<Mark<'t>>>>,
}

/// An event, in the client's time.
#[derive(Clone, Copy)]
struct Mark<'t> {
    time: u64,
    name: &'t str,
    /// Of a gRPC message: SENT or RECEIVED.
    message: Option<&'t str>,
}

impl Mark<'_> {
    /// By the beginning of its name; `message SENT` is a message that was sent.
    fn is(&self, wanted: &str) -> bool {
        match wanted.strip_prefix("message ") {
            Some(kind) => self.name == "message" && self.message == Some(kind),
            None => self.name.starts_with(wanted),
        }
    }
}

impl<'s, 't> Staging<'s, 't> {
    fn of(clock: &mut Clock<'t>, tree: &'s CallTree<'t>, method: &str) -> Self {
        let model = clock.model;
        let mut staging = Staging {
            tree,
            parts: Vec::with_capacity(tree.nodes.len()),
            inherited: vec![None; tree.nodes.len()],
            events: vec![OnceCell::new(); tree.nodes.len()],
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

    /// A stretch of a span's own time, cut where its stage changes.
    fn cut(&self, node: usize, from: u64, to: u64) -> Vec<(u64, u64, Option<StageId>)> {
        let parts = &self.parts[node];
        if parts.first().is_none_or(|part| part.is_unconditional()) {
            let stage = parts.first().map(|part| part.stage);
            return vec![(from, to, stage.or(self.inherited[node]))];
        }
        let marks = Marks {
            events: self.events[node].get_or_init(|| events(self.tree, node, parts)),
            tree: self.tree,
            children: &self.tree.intervals[node].children,
        };
        let within = marks.events.iter().map(|mark| mark.time);
        let mut cuts: Vec<u64> = within.filter(|&time| from < time && time < to).collect();
        cuts.push(to);
        cuts.sort_unstable();
        let mut pieces: Vec<(u64, u64, Option<StageId>)> = Vec::new();
        let mut at = from;
        for cut in cuts.into_iter().filter(|&cut| cut > from) {
            if cut == at {
                continue;
            }
            let fitting = parts.iter().find(|part| marks.fit(part, at, cut));
            let stage = fitting.map(|part| part.stage).or(self.inherited[node]);
            match pieces.last_mut().filter(|last| last.2 == stage) {
                Some(last) => last.1 = cut,
                None => pieces.push((at, cut, stage)),
            }
            at = cut;
        }
        pieces
    }

    fn read(&self) -> Option<&'static str> {
        let parts = self.parts.iter().filter_map(|parts| parts.first());
        parts.filter_map(|part| part.read.as_deref()).next()
    }
}

/// What divides a span's time: its events that some part names, and its children.
struct Marks<'a, 't> {
    events: &'a [Mark<'t>],
    tree: &'a CallTree<'t>,
    children: &'a [usize],
}

fn events<'t>(tree: &CallTree<'t>, node: usize, parts: &[&Part]) -> Vec<Mark<'t>> {
    let own = &tree.nodes[node];
    let moved = if own.is_server { tree.moved_ns } else { 0 };
    let marks = own.span.events().map(|event| {
        let mut kinds = event.attributes;
        let kind = kinds.find(|(key, _)| event.name == "message" && *key == "message.type");
        Mark {
            time: event.time_ns.saturating_add_signed(moved),
            name: event.name,
            message: kind.and_then(|(_, kind)| kind.as_str()),
        }
    });
    let is_named = |mark: &Mark<'_>| {
        let mut wanted = parts
            .iter()
            .flat_map(|part| part.after_event.iter().chain(&part.before_event));
        wanted.any(|wanted| mark.is(wanted))
    };
    marks.filter(is_named).collect()
}

impl Marks<'_, '_> {
    /// Whether the time from `from` to `to` lies where the part says.
    fn fit(&self, part: &Part, from: u64, to: u64) -> bool {
        let child = |patterns: &[crate::model::Pattern], holds: &dyn Fn(&Interval) -> bool| {
            patterns.is_empty()
                || self.children.iter().any(|&child| {
                    let name = self.tree.nodes[child].name;
                    patterns.iter().any(|pattern| pattern.is(name))
                        && holds(&self.tree.intervals[child])
                })
        };
        let event = |wanted: &Option<String>, holds: &dyn Fn(u64) -> bool| {
            wanted.as_deref().is_none_or(|wanted| {
                let mut events = self.events.iter();
                events.any(|mark| mark.is(wanted) && holds(mark.time))
            })
        };
        child(&part.after, &|child| child.end <= from)
            && child(&part.before, &|child| child.start >= to)
            && event(&part.after_event, &|time| time <= from)
            && event(&part.before_event, &|time| time >= to)
    }
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
