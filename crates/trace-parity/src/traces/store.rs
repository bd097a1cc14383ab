//! The store of spans, and the tree that their parent ids make.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::attribute::{Attribute, Slice};
use super::record::{
    EventRecord, LinkRecord, NONE, Rarities, ResourceRecord, ScopeRecord, SpanRecord, TraceRecord,
};
use crate::intern::{Interner, Str};

/// Every span of the input, with its attributes, events, resource and scope.
#[derive(Default)]
pub struct Traces {
    pub(crate) strings: Interner,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) links: Vec<LinkRecord>,
    pub(crate) rarities: Vec<Rarities>,
    pub(crate) resources: Vec<ResourceRecord>,
    pub(crate) scopes: Vec<ScopeRecord>,
    /// The names of inputs, each once; all inputs without a name are one source.
    pub(crate) sources: Vec<Option<Box<str>>>,
    /// By trace, and in a trace by start.
    pub(crate) spans: Vec<SpanRecord>,
    /// In order of first appearance.
    pub(crate) traces: Vec<TraceRecord>,
    /// The parent's index, or [`NONE`], per span.
    pub(crate) parents: Vec<u32>,
    child_starts: Vec<u32>,
    children: Vec<u32>,
    /// Spans that carry the id of an earlier span of their trace and differ from it: `(later, earlier)`.
    pub(crate) repeated_ids: Vec<(u32, u32)>,
    /// Spans that came more than once, word for word: the trace, and how many copies of its spans were put aside.
    pub(crate) copies: Vec<(u32, u64)>,
}

impl Traces {
    /// Spans in all traces together.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn record(&self, index: u32) -> &SpanRecord {
        &self.spans[index as usize]
    }

    pub(crate) fn parent(&self, index: u32) -> Option<u32> {
        some(self.parents[index as usize])
    }

    pub(crate) fn service_name(&self, index: u32) -> Option<Str> {
        self.resources[self.record(index).resource as usize].service_name
    }

    pub(crate) fn children(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.children[self.child_starts[index] as usize..self.child_starts[index + 1] as usize]
    }

    pub(crate) fn str(&self, string: Str) -> &str {
        self.strings.get(string)
    }

    pub(crate) fn attribute(&self, slice: Slice, key: Str) -> Option<Attribute> {
        self.attributes[slice.range()]
            .iter()
            .find(|attribute| attribute.key == key)
            .copied()
    }

    /// Puts spans in order and resolves parents; the last act of reading.
    pub(crate) fn index(&mut self) {
        self.sort();
        self.put_copies_aside();
        self.place_traces();
        self.resolve_parents();
        self.list_children();
    }

    fn sort(&mut self) {
        let key = |span: &SpanRecord| (span.trace, span.start, span.end, span.id, span.name);
        self.spans.sort_by_key(key);
    }

    /// An exporter that sends a request again sends the same spans again; they count once.
    fn put_copies_aside(&mut self) {
        let mut spans = std::mem::take(&mut self.spans);
        let mut copies = Vec::new();
        spans.dedup_by(|later, earlier| {
            let same = later.is_copy_of(earlier, self);
            if same {
                match copies.last_mut().filter(|(trace, _)| *trace == later.trace) {
                    Some((_, count)) => *count += 1,
                    None => copies.push((later.trace, 1)),
                }
            }
            same
        });
        (self.spans, self.copies) = (spans, copies);
    }

    fn place_traces(&mut self) {
        let mut first = 0;
        for spans in self.spans.chunk_by(|a, b| a.trace == b.trace) {
            let record = &mut self.traces[spans[0].trace as usize];
            (record.first, record.len) = (first, spans.len() as u32);
            first += spans.len() as u32;
        }
    }

    fn resolve_parents(&mut self) {
        let spans = &self.spans;
        let hasher = DefaultHashBuilder::default();
        let hash = |index: u32| {
            let span = &spans[index as usize];
            hasher.hash_one((span.trace, span.id))
        };
        let mut by_id: HashTable<u32> = HashTable::with_capacity(spans.len());
        let mut repeated = Vec::new();
        for index in 0..spans.len() as u32 {
            let span = &spans[index as usize];
            let same = |&other: &u32| {
                let other = &spans[other as usize];
                other.id == span.id && other.trace == span.trace
            };
            match by_id.entry(hash(index), same, |&other| hash(other)) {
                hashbrown::hash_table::Entry::Occupied(first) => {
                    repeated.push((index, *first.get()));
                }
                hashbrown::hash_table::Entry::Vacant(slot) => {
                    slot.insert(index);
                }
            }
        }
        let namesakes = namesakes(&repeated);
        self.parents = spans
            .iter()
            .map(|span| {
                if span.parent_id == [0; 8] {
                    return NONE;
                }
                let found = by_id.find(hasher.hash_one((span.trace, span.parent_id)), |&other| {
                    let other = &spans[other as usize];
                    other.id == span.parent_id && other.trace == span.trace
                });
                let Some(&first) = found else { return NONE };
                namesakes
                    .get(&first)
                    .map_or(first, |same| nearest(spans, span, same))
            })
            .collect();
        self.repeated_ids = repeated;
        for (span, parent) in self.spans.iter_mut().zip(&self.parents) {
            if *parent == NONE && self.rarities[span.rarities as usize].parent_is_link {
                span.parent_id = [0; 8];
            }
        }
    }

    fn list_children(&mut self) {
        let mut starts = vec![0_u32; self.spans.len() + 1];
        for &parent in self.parents.iter().filter(|&&parent| parent != NONE) {
            starts[parent as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut children = vec![0; starts.last().copied().unwrap_or(0) as usize];
        for (index, &parent) in self.parents.iter().enumerate() {
            if parent != NONE {
                let slot = &mut next[parent as usize];
                children[*slot as usize] = index as u32;
                *slot += 1;
            }
        }
        (self.child_starts, self.children) = (starts, children);
    }
}

impl SpanRecord {
    /// Whether two spans say the same, wherever they were written.
    fn is_copy_of(&self, other: &SpanRecord, traces: &Traces) -> bool {
        let key = |s: &SpanRecord| {
            let ids = (s.trace, s.id, s.parent_id, s.start, s.end);
            (
                ids,
                s.resource,
                s.scope,
                s.name,
                s.status_message,
                s.attributes,
                s.kind,
                s.status,
            )
        };
        let events = |s: &SpanRecord| &traces.events[s.events.range()];
        let rarities = |s: &SpanRecord| {
            let rarities = traces.rarities[s.rarities as usize];
            let links = &traces.links[rarities.links.range()];
            let alone = Rarities {
                links: Slice::default(),
                ..rarities
            };
            (alone, links)
        };
        key(self) == key(other)
            && events(self) == events(other)
            && (self.rarities == other.rarities || rarities(self) == rarities(other))
    }
}

fn some(index: u32) -> Option<u32> {
    (index != NONE).then_some(index)
}

/// All spans that share an id, by the first of them.
fn namesakes(repeated: &[(u32, u32)]) -> HashMap<u32, Vec<u32>> {
    let mut groups: HashMap<u32, Vec<u32>> = HashMap::new();
    for &(later, first) in repeated {
        groups
            .entry(first)
            .or_insert_with(|| vec![first])
            .push(later);
    }
    groups
}

/// Of several spans with one id, the tightest one around the child in time, else the first.
///
/// Looks at few: an id that is repeated a thousand times has no right answer worth a quadratic search.
fn nearest(spans: &[SpanRecord], child: &SpanRecord, candidates: &[u32]) -> u32 {
    const LOOKED_AT: usize = 16;
    candidates
        .iter()
        .take(LOOKED_AT)
        .copied()
        .filter(|&index| {
            let span = &spans[index as usize];
            span.start <= child.start && child.end <= span.end && span.id != child.id
        })
        .min_by_key(|&index| {
            let span = &spans[index as usize];
            span.end.saturating_sub(span.start)
        })
        .unwrap_or(candidates[0])
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Traces({} traces, {} spans)",
            self.traces.len(),
            self.spans.len()
        )
    }
}
