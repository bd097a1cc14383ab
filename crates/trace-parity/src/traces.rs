//! Spans as they were read, in one compact store, and the tree that their parent ids make.
//!
//! Made for a million spans: strings are interned, attributes and events lie in arenas, resources and scopes are shared, and a trace
//! is a contiguous range of spans in order of start. Nothing here recurses, however deep a trace is.

mod span;
mod value;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

pub use span::{Event, Link, Span, Trace};
pub(crate) use value::{Attribute, Scalar};
pub use value::{Attributes, Nested, Value};

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

pub(crate) const NONE: u32 = u32::MAX;

/// A range of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slice {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Slice {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SpanRecord {
    pub(crate) id: [u8; 8],
    pub(crate) parent_id: [u8; 8],
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) trace: u32,
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    pub(crate) name: Str,
    pub(crate) status_message: Str,
    /// An index of [`Traces::rarities`].
    pub(crate) rarities: u32,
    /// 1-based; zero in a format without lines.
    pub(crate) line: u32,
    pub(crate) attributes: Slice,
    pub(crate) events: Slice,
    pub(crate) input: u16,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
}

/// What most spans of an input have in common or lack. Equal ones share a place, which keeps a [`SpanRecord`] at 80 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rarities {
    pub(crate) flags: u32,
    pub(crate) trace_state: Str,
    pub(crate) links: Slice,
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
    /// Jaeger's remarks about the span, one a line.
    pub(crate) warnings: Str,
    /// Jaeger may have made the parent of a link: it is one only where that span is there.
    pub(crate) parent_is_link: bool,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct EventRecord {
    pub(crate) time: u64,
    pub(crate) name: Str,
    pub(crate) attributes: Slice,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LinkRecord {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) trace_state: Str,
    pub(crate) attributes: Slice,
    pub(crate) flags: u32,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ResourceRecord {
    pub(crate) attributes: Slice,
    pub(crate) schema_url: Str,
    pub(crate) dropped_attributes: u32,
    pub(crate) source: u32,
    pub(crate) service_name: Option<Str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ScopeRecord {
    pub(crate) name: Str,
    pub(crate) version: Str,
    pub(crate) attributes: Slice,
    pub(crate) schema_url: Str,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct TraceRecord {
    pub(crate) id: [u8; 16],
    /// An index of [`Traces::sources`]: inputs with names are kept apart even where trace ids meet.
    pub(crate) source: u32,
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl TraceRecord {
    pub(crate) fn spans(&self) -> Range<u32> {
        self.first..self.first + self.len
    }
}

/// A span's kind, as OTLP numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Unspecified,
        Kind::Internal,
        Kind::Server,
        Kind::Client,
        Kind::Producer,
        Kind::Consumer,
    ];

    /// As people write it: `client`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unspecified => "unspecified",
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A span's status code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    #[default]
    Unset,
    Ok,
    Error,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Unset => "UNSET",
            Status::Ok => "OK",
            Status::Error => "ERROR",
        })
    }
}

impl Traces {
    /// All traces, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = Trace<'_>> {
        (0..self.traces.len() as u32).map(|index| self.trace(index))
    }

    /// Spans in all traces together.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// The traces whose id begins with `prefix`, in hex of either case.
    pub fn find(&self, prefix: &str) -> impl Iterator<Item = Trace<'_>> {
        let prefix = prefix.to_ascii_lowercase();
        self.iter()
            .filter(move |trace| trace.id().to_string().starts_with(&prefix))
    }

    /// The traces that `keep` chooses, whole.
    #[must_use]
    pub fn chosen(mut self, keep: impl Fn(Trace<'_>) -> bool) -> Self {
        let kept: Vec<bool> = self.iter().map(keep).collect();
        let mut next = 0;
        let numbers: Vec<u32> = kept
            .iter()
            .map(|&kept| {
                next += u32::from(kept);
                next.saturating_sub(1)
            })
            .collect();
        self.spans.retain_mut(|span| {
            let trace = span.trace as usize;
            span.trace = numbers[trace];
            kept[trace]
        });
        let copies = std::mem::take(&mut self.copies);
        let mut index = 0;
        self.traces.retain(|_| {
            index += 1;
            kept[index - 1]
        });
        self.index();
        let of_kept = copies.iter().filter(|(trace, _)| kept[*trace as usize]);
        self.copies = of_kept
            .map(|&(trace, count)| (numbers[trace as usize], count))
            .collect();
        self
    }

    pub(crate) fn trace(&self, index: u32) -> Trace<'_> {
        Trace {
            traces: self,
            index,
        }
    }

    pub(crate) fn span(&self, index: u32) -> Span<'_> {
        Span {
            traces: self,
            index,
        }
    }

    pub(crate) fn record(&self, index: u32) -> &SpanRecord {
        &self.spans[index as usize]
    }

    pub(crate) fn parent(&self, index: u32) -> Option<u32> {
        some(self.parents[index as usize])
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

    pub(crate) fn attribute_named(&self, slice: Slice, key: &str) -> Option<Value<'_>> {
        let key = self.strings.find(key)?;
        self.attribute(slice, key).map(|found| self.value(found))
    }

    pub(crate) fn value(&self, attribute: Attribute) -> Value<'_> {
        match attribute.scalar() {
            Scalar::Empty => Value::Empty,
            Scalar::Str(string) => Value::Str(self.str(string)),
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            Scalar::Double(value) => Value::Double(value),
            Scalar::Bytes(string) => Value::Bytes(self.str(string)),
            Scalar::Array(slice) => Value::Array(self.nested(slice)),
            Scalar::Map(slice) => Value::Map(self.nested(slice)),
        }
    }

    fn nested(&self, slice: Slice) -> Nested<'_> {
        Nested {
            traces: self,
            items: &self.attributes[slice.range()],
        }
    }

    fn attributes_of(&self, slice: Slice) -> Attributes<'_> {
        Attributes {
            traces: self,
            items: self.attributes[slice.range()].iter(),
        }
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
