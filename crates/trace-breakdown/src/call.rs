//! Where the time of one call goes.

use std::collections::{BTreeMap, HashMap};

use trace_parity::{JoinedCall, JoinedCalls, NamedLine, Span};

use crate::elsewhere::Elsewhere;
use crate::logged::LoggedLine;
use crate::model::{Model, Side, StageId};
use crate::names::Names;
use crate::path::Piece;
use crate::staging::{Cut, Staging};
use crate::tree::{CallTree, Node};

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

/// A span of a call in its flame graph.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'t> {
    pub span: Span<'t>,
    /// Frames that it is below of.
    pub depth: usize,
    /// Nanoseconds since the call's start.
    pub from_ns: u64,
    pub to_ns: u64,
    /// The one that its own time is longest in; `None`: unexplained, or it has no own time.
    pub stage: Option<StageId>,
    /// In which the call waited for the span's own work.
    pub waited_ns: u64,
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

/// Takes calls apart, one after the other; what it fills for one is filled anew for the next.
pub(crate) struct Clock<'t> {
    model: &'static Model,
    names: HashMap<&'t str, Names>,
    tree: CallTree<'t>,
    path: Vec<Piece>,
    own: Vec<Piece>,
    cuts: Vec<Cut>,
    staging: Staging,
    /// By stage.
    times: Vec<StageTime>,
}

impl<'t> Clock<'t> {
    pub(crate) fn new(model: &'static Model) -> Self {
        Self {
            model,
            names: HashMap::new(),
            tree: CallTree::default(),
            path: Vec::new(),
            own: Vec::new(),
            cuts: Vec::new(),
            staging: Staging::default(),
            times: Vec::new(),
        }
    }

    pub(crate) fn time(&mut self, joined: &JoinedCalls<'t>, call: &JoinedCall<'t>) -> CallTime<'t> {
        self.fill(joined, call);
        let (tree, names) = (&self.tree, &self.names[call.method]);
        let times = &mut self.times;
        times.clear();
        times.extend(self.model.stages().map(|(stage, _)| StageTime {
            stage,
            ns: 0,
            all_ns: 0,
            count: 0,
        }));
        let mut unexplained_ns = 0;
        for piece in &self.path {
            self.staging.cut(tree, names, *piece, &mut self.cuts);
            for cut in self.cuts.drain(..) {
                match cut.stage {
                    Some(stage) => times[stage.index()].ns += cut.to - cut.from,
                    None => unexplained_ns += cut.to - cut.from,
                }
            }
        }
        for node in 0..tree.nodes.len() {
            tree.timeline.self_times(node, &mut self.own);
            for piece in &self.own {
                self.staging.cut(tree, names, *piece, &mut self.cuts);
                for cut in self.cuts.drain(..) {
                    if let Some(stage) = cut.stage {
                        let time = &mut times[stage.index()];
                        time.all_ns += cut.to - cut.from;
                        time.count += 1;
                    }
                }
            }
        }
        let has_time = |time: &&StageTime| time.ns > 0 || time.count > 0;
        CallTime {
            call: *call,
            total_ns: call.span.duration_ns(),
            stages: times.iter().filter(has_time).copied().collect(),
            unexplained_ns,
            program: program(joined, call),
            segments: segments(tree, call.method),
            elsewhere: None,
            moved_ns: tree.moved_ns,
            read: self.staging.read(tree, names),
        }
    }

    /// The critical path of a call, in order of time; neighbors of one stage and span are one.
    pub(crate) fn path(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
    ) -> Vec<Stretch<'t>> {
        self.fill(joined, call);
        let (tree, names) = (&self.tree, &self.names[call.method]);
        let start = call.span.start_ns();
        let mut path: Vec<Stretch<'t>> = Vec::new();
        for piece in &self.path {
            let span = tree.nodes[piece.span].span;
            self.staging.cut(tree, names, *piece, &mut self.cuts);
            for Cut { from, to, stage } in self.cuts.drain(..) {
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

    /// The call's spans, each below the one in whose time it works: parents before children, and children in order of end.
    pub(crate) fn frames(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
    ) -> Vec<Frame<'t>> {
        self.fill(joined, call);
        let (tree, names) = (&self.tree, &self.names[call.method]);
        let mut waited_ns = vec![0; tree.nodes.len()];
        for piece in &self.path {
            waited_ns[piece.span] += piece.to - piece.from;
        }
        let whole = tree.timeline.intervals[0];
        let within = |time: u64| time.clamp(whole.start, whole.end.max(whole.start)) - whole.start;
        let mut frames = Vec::with_capacity(tree.nodes.len());
        let mut open = vec![(0, 0)];
        while let Some((node, depth)) = open.pop() {
            tree.timeline.self_times(node, &mut self.own);
            for piece in &self.own {
                self.staging.cut(tree, names, *piece, &mut self.cuts);
            }
            let mut stages: BTreeMap<Option<StageId>, u64> = BTreeMap::new();
            for cut in self.cuts.drain(..) {
                *stages.entry(cut.stage).or_default() += cut.to - cut.from;
            }
            let longest = stages.into_iter().max_by_key(|(_, ns)| *ns);
            let interval = tree.timeline.intervals[node];
            frames.push(Frame {
                span: tree.nodes[node].span,
                depth,
                from_ns: within(interval.start),
                to_ns: within(interval.end.max(interval.start)),
                stage: longest.and_then(|(stage, _)| stage),
                waited_ns: waited_ns[node],
            });
            let children = tree.timeline.children(node).iter();
            open.extend(children.map(|&child| (child, depth + 1)));
        }
        frames
    }

    /// The call's collection: its name where the client says it, else its id where an event has it.
    pub(crate) fn collection(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
    ) -> Option<&'t str> {
        let mut said = call.span.attributes();
        let said = said.find(|(key, _)| COLLECTION_KEYS.contains(key));
        said.and_then(|(_, value)| value.as_str()).or_else(|| {
            self.fill(joined, call);
            self.tree.nodes.iter().find_map(collection_id)
        })
    }

    /// Those of the lines that were logged in the call's time, each with its stage.
    ///
    /// A line that names a span of the call belongs to that span's time. Of a line of the server's log the millisecond and the source are
    /// known: it belongs to the span that may write it and that works longest in that millisecond.
    pub(crate) fn logged<'s>(
        &mut self,
        joined: &JoinedCalls<'t>,
        call: &JoinedCall<'t>,
        lines: &[NamedLine<'s>],
    ) -> Vec<LoggedLine<'s>> {
        self.fill(joined, call);
        let (tree, names) = (&self.tree, &self.names[call.method]);
        let mut cuts: Vec<(&Node<'t>, Cut)> = Vec::new();
        for (index, node) in tree.nodes.iter().enumerate() {
            tree.timeline.self_times(index, &mut self.own);
            for piece in &self.own {
                self.staging.cut(tree, names, *piece, &mut self.cuts);
                cuts.extend(self.cuts.drain(..).map(|cut| (node, cut)));
            }
        }
        let start = call.span.start_ns();
        let place = |(named, line): &NamedLine<'s>| {
            let moved = if line.is_server { tree.moved_ns } else { 0 };
            let from = line.time_ns.saturating_add_signed(moved);
            let until = line.until_ns().saturating_add_signed(moved);
            let is_named = |node: &Node<'t>| match named {
                Some(id) => node.span.id() == *id,
                None => node.is_server,
            };
            let is_writer =
                |node: &Node<'t>| !line.is_server || self.model.may_log(line.source, node.name);
            let overlap = |cut: &Cut| cut.to.min(until).saturating_sub(cut.from.max(from));
            let fitting = cuts
                .iter()
                .filter(|(node, cut)| is_named(node) && overlap(cut) > 0);
            let (_, cut) = fitting.max_by_key(|(node, cut)| (is_writer(node), overlap(cut)))?;
            Some(LoggedLine {
                line: *line,
                at_ns: from.saturating_sub(start),
                stage: cut.stage,
                may_be_of_another: false,
            })
        };
        lines.iter().filter_map(place).collect()
    }

    fn fill(&mut self, joined: &JoinedCalls<'t>, call: &JoinedCall<'t>) {
        let names = self.names.entry(call.method);
        let names = names.or_insert_with(|| Names::new(self.model, call.method));
        self.tree.fill(joined, call, names);
        self.tree.timeline.critical(&mut self.path);
        self.staging.fill(&self.tree, names);
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
    match tree.nodes.iter().filter(|node| node.name == wanted).count() {
        0 if !tree.is_answered => Segments::NotExpected,
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
