//! Which stage each moment of a call belongs to.

use std::ops::Range;

use trace_parity::Event;

use crate::model::{Part, Pattern, StageId};
use crate::names::Names;
use crate::path::Piece;
use crate::tree::CallTree;

/// A stretch of a span's own time that belongs to one stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) stage: Option<StageId>,
}

/// Which stage each moment of each span of a call belongs to.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    nodes: Vec<NodeStaging>,
    /// Per part of a node with conditions, the time in which the part fits; empty where the node has nothing that the part needs.
    bounds: Vec<Range<u64>>,
    open: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct NodeStaging {
    /// A span above has all of its time, but for parts that are always told.
    is_owned: bool,
    /// The stage of its time that no part fits.
    inherited: Option<StageId>,
    /// Where its bounds begin, once they are known.
    bounds: Option<usize>,
}

impl Staging {
    /// From the top downwards, what spans get from those above.
    pub(crate) fn fill(&mut self, tree: &CallTree<'_>, names: &Names) {
        self.bounds.clear();
        self.nodes.clear();
        self.nodes.resize(tree.nodes.len(), NodeStaging::default());
        self.open.push(0);
        while let Some(node) = self.open.pop() {
            let named = names.get(tree.nodes[node].named);
            let own = &mut self.nodes[node];
            let mut deep = named.parts(own.is_owned).iter();
            let deep = deep.find(|part| part.deep && part.is_unconditional());
            own.inherited = deep.map(|part| part.stage).or(own.inherited);
            let below = NodeStaging {
                is_owned: own.is_owned || deep.is_some_and(|part| part.whole),
                ..*own
            };
            for &child in tree.timeline.children(node) {
                self.nodes[child] = below;
                self.open.push(child);
            }
        }
    }

    /// Adds a piece of a span's own time to `cuts`, cut where its stage changes.
    pub(crate) fn cut(
        &mut self,
        tree: &CallTree<'_>,
        names: &Names,
        piece: Piece,
        cuts: &mut Vec<Cut>,
    ) {
        let Piece { span, from, to } = piece;
        let own = self.nodes[span];
        let parts = names.get(tree.nodes[span].named).parts(own.is_owned);
        if parts.first().is_none_or(|part| part.is_unconditional()) {
            let stage = parts.first().map(|part| part.stage).or(own.inherited);
            cuts.push(Cut { from, to, stage });
            return;
        }
        let first = own.bounds.unwrap_or_else(|| {
            let bounds = parts.iter().map(|part| bounds(tree, span, part));
            self.bounds.extend(bounds);
            self.bounds.len() - parts.len()
        });
        self.nodes[span].bounds = Some(first);
        let bounds = &self.bounds[first..first + parts.len()];
        let mut at = from;
        while at < to {
            let edges = bounds.iter().flat_map(|bounds| [bounds.start, bounds.end]);
            let until = edges.filter(|&time| time > at).min().unwrap_or(to).min(to);
            let fits = |bounds: &Range<u64>| bounds.start <= at && until <= bounds.end;
            let fitting = bounds.iter().position(fits);
            let stage = fitting.map(|part| parts[part].stage).or(own.inherited);
            match cuts
                .last_mut()
                .filter(|last| (last.to, last.stage) == (at, stage))
            {
                Some(last) => last.to = until,
                None => cuts.push(Cut {
                    from: at,
                    to: until,
                    stage,
                }),
            }
            at = until;
        }
    }

    /// The versions of the first stage that was read, and not measured.
    pub(crate) fn read(&self, tree: &CallTree<'_>, names: &Names) -> Option<&'static str> {
        let mut nodes = self.nodes.iter().zip(&tree.nodes);
        nodes.find_map(|(own, node)| {
            let first = names.get(node.named).parts(own.is_owned).first()?;
            first.read.as_deref()
        })
    }
}

/// From the first moment after what the part must follow, to the last before what must follow it.
fn bounds(tree: &CallTree<'_>, node: usize, part: &Part) -> Range<u64> {
    let own = &tree.nodes[node];
    let moved = if own.is_server { tree.moved_ns } else { 0 };
    let named = |patterns: &[Pattern]| {
        let children = tree.timeline.children(node).iter();
        let named = children.filter(|&&child| {
            let name = tree.nodes[child].name;
            patterns.iter().any(|pattern| pattern.is(name))
        });
        let named = named.map(|&child| &tree.timeline.intervals[child]);
        named.collect::<Vec<_>>()
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
