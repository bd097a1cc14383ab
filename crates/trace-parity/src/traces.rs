//! Spans as they were read, in one compact store, and the tree that their parent ids make.
//!
//! Made for a million spans: strings are interned, attributes and events lie in arenas, resources and scopes are shared, and a trace
//! is a contiguous range of spans in order of start. Nothing here recurses, however deep a trace is.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use crate::intern::{Interner, Str};
use crate::verdict::{SpanId, TraceId};

/// Every span of the input, with its attributes, events, resource and scope.
#[derive(Default)]
pub struct Traces {
    pub(crate) strings: Interner,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) resources: Vec<ResourceRecord>,
    pub(crate) scopes: Vec<ScopeRecord>,
    /// The label of each input that had one.
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
    pub(crate) flags: u32,
    pub(crate) attributes: Slice,
    pub(crate) events: Slice,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
}

impl SpanRecord {
    fn is_copy_of(&self, other: &SpanRecord, events: &[EventRecord]) -> bool {
        let key = |s: &SpanRecord| {
            let ids = (s.trace, s.id, s.parent_id, s.start, s.end);
            (
                ids,
                s.resource,
                s.scope,
                s.name,
                s.status_message,
                s.flags,
                s.attributes,
                s.kind,
                s.status,
            )
        };
        key(self) == key(other) && events[self.events.range()] == events[other.events.range()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventRecord {
    pub(crate) time: u64,
    pub(crate) name: Str,
    pub(crate) attributes: Slice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ResourceRecord {
    pub(crate) attributes: Slice,
    pub(crate) source: u32,
    pub(crate) service_name: Option<Str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScopeRecord {
    pub(crate) name: Str,
    pub(crate) version: Str,
    pub(crate) attributes: Slice,
}

#[derive(Clone, Debug)]
pub(crate) struct TraceRecord {
    pub(crate) id: [u8; 16],
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

/// One key and its value, 16 bytes. A list within a value is equal to another if it is the same one: equal lists share a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    pub(crate) key: Str,
    tag: Tag,
    low: u32,
    high: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tag {
    Empty,
    Str,
    Bool,
    Int,
    Double,
    Bytes,
    Array,
    Map,
}

/// An attribute's value before it is given its place in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    #[default]
    Empty,
    Str(Str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Base64 text.
    Bytes(Str),
    Array(Slice),
    Map(Slice),
}

impl Attribute {
    pub(crate) fn new(key: Str, value: Scalar) -> Self {
        let (tag, bits) = match value {
            Scalar::Empty => (Tag::Empty, 0),
            Scalar::Str(string) => (Tag::Str, u64::from(string.raw())),
            Scalar::Bool(value) => (Tag::Bool, u64::from(value)),
            Scalar::Int(value) => (Tag::Int, value.cast_unsigned()),
            Scalar::Double(value) => (Tag::Double, value.to_bits()),
            Scalar::Bytes(string) => (Tag::Bytes, u64::from(string.raw())),
            Scalar::Array(slice) => (Tag::Array, pack(slice)),
            Scalar::Map(slice) => (Tag::Map, pack(slice)),
        };
        Attribute {
            key,
            tag,
            low: (bits & u64::from(u32::MAX)) as u32,
            high: (bits >> 32) as u32,
        }
    }

    pub(crate) fn scalar(self) -> Scalar {
        let bits = u64::from(self.high) << 32 | u64::from(self.low);
        match self.tag {
            Tag::Empty => Scalar::Empty,
            Tag::Str => Scalar::Str(Str::from_raw(self.low)),
            Tag::Bool => Scalar::Bool(bits != 0),
            Tag::Int => Scalar::Int(bits.cast_signed()),
            Tag::Double => Scalar::Double(f64::from_bits(bits)),
            Tag::Bytes => Scalar::Bytes(Str::from_raw(self.low)),
            Tag::Array => Scalar::Array(unpack(bits)),
            Tag::Map => Scalar::Map(unpack(bits)),
        }
    }
}

fn pack(slice: Slice) -> u64 {
    u64::from(slice.len) << 32 | u64::from(slice.start)
}

fn unpack(bits: u64) -> Slice {
    Slice {
        start: (bits & u64::from(u32::MAX)) as u32,
        len: (bits >> 32) as u32,
    }
}

/// An attribute's value.
#[derive(Clone, Copy)]
pub enum Value<'t> {
    Empty,
    Str(&'t str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// In base64, as OTLP JSON writes it.
    Bytes(&'t str),
    /// The keys are empty.
    Array(Nested<'t>),
    Map(Nested<'t>),
}

/// Values within a value.
#[derive(Clone, Copy)]
pub struct Nested<'t> {
    traces: &'t Traces,
    items: &'t [Attribute],
}

impl<'t> Nested<'t> {
    #[must_use]
    pub fn iter(&self) -> Attributes<'t> {
        Attributes {
            traces: self.traces,
            items: self.items.iter(),
        }
    }
}

impl<'t> Value<'t> {
    #[must_use]
    pub fn as_str(self) -> Option<&'t str> {
        match self {
            Value::Str(string) => Some(string),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// As the contract's `type` names it: `string`, `int`, `bool`, `double`, `bytes`, `array`, `map`, `empty`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Empty => "empty",
            Value::Str(_) => "string",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Double(_) => "double",
            Value::Bytes(_) => "bytes",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
        }
    }
}

/// How deep [`Value`]'s text follows values within values.
const SHOWN_DEPTH: usize = 16;

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(*self, SHOWN_DEPTH, f)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(*self, SHOWN_DEPTH, f)
    }
}

fn show(value: Value<'_>, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Empty => Ok(()),
        Value::Str(text) | Value::Bytes(text) => f.write_str(text),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Int(value) => write!(f, "{value}"),
        Value::Double(value) => write!(f, "{value}"),
        Value::Array(_) | Value::Map(_) if depth == 0 => f.write_str("…"),
        Value::Array(items) => {
            f.write_str("[")?;
            for (index, (_, item)) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(item, depth - 1, f)?;
            }
            f.write_str("]")
        }
        Value::Map(items) => {
            f.write_str("{")?;
            for (index, (key, item)) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                write!(f, "{key}: ")?;
                show(item, depth - 1, f)?;
            }
            f.write_str("}")
        }
    }
}

/// Key and value pairs, in the order in which they were written.
#[derive(Clone)]
pub struct Attributes<'t> {
    traces: &'t Traces,
    items: std::slice::Iter<'t, Attribute>,
}

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t str, Value<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        let traces = self.traces;
        self.items
            .next()
            .map(|item| (traces.str(item.key), traces.value(*item)))
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// One trace.
#[derive(Clone, Copy)]
pub struct Trace<'t> {
    traces: &'t Traces,
    index: u32,
}

/// One span.
#[derive(Clone, Copy)]
pub struct Span<'t> {
    traces: &'t Traces,
    index: u32,
}

/// One event of a span.
#[derive(Clone, Debug)]
pub struct Event<'t> {
    pub name: &'t str,
    /// Unix nanoseconds.
    pub time_ns: u64,
    pub attributes: Attributes<'t>,
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
        let (events, copies) = (&self.events, &mut self.copies);
        self.spans.dedup_by(|later, earlier| {
            let same = later.is_copy_of(earlier, events);
            if same {
                match copies.last_mut().filter(|(trace, _)| *trace == later.trace) {
                    Some((_, count)) => *count += 1,
                    None => copies.push((later.trace, 1)),
                }
            }
            same
        });
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
        .min_by_key(|&index| spans[index as usize].end - spans[index as usize].start)
        .unwrap_or(candidates[0])
}

impl<'t> Trace<'t> {
    #[must_use]
    pub fn id(&self) -> TraceId {
        TraceId(self.record().id)
    }

    /// Every span, in order of start.
    pub fn spans(&self) -> impl Iterator<Item = Span<'t>> + use<'t> {
        let traces = self.traces;
        self.record().spans().map(move |index| traces.span(index))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.record().len as usize
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record().len == 0
    }

    /// The tops of the tree, in order of start: spans without a parent, spans whose parent isn't in the trace, and one span of
    /// each cycle.
    #[must_use]
    pub fn roots(&self) -> Vec<Span<'t>> {
        let (traces, range) = (self.traces, self.record().spans());
        let mut reached = vec![false; range.len()];
        let reach = |reached: &mut [bool], top: u32| {
            let mut open = vec![top];
            while let Some(index) = open.pop() {
                let seen = &mut reached[(index - range.start) as usize];
                if !std::mem::replace(seen, true) {
                    open.extend_from_slice(traces.children(index));
                }
            }
        };
        let parentless = |&index: &u32| traces.parents[index as usize] == NONE;
        let mut roots: Vec<u32> = range.clone().filter(parentless).collect();
        roots.iter().for_each(|&root| reach(&mut reached, root));
        for index in range.clone() {
            if !reached[(index - range.start) as usize] {
                reach(&mut reached, index);
                roots.push(index);
            }
        }
        roots.sort_unstable();
        roots.into_iter().map(|index| traces.span(index)).collect()
    }

    /// Every span once, parents before children and children in order of start, each with its depth.
    #[must_use]
    pub fn tree(&self) -> Vec<(usize, Span<'t>)> {
        let range = self.record().spans();
        let mut seen = vec![false; range.len()];
        let mut rows = Vec::with_capacity(range.len());
        let mut open: Vec<(usize, u32)> = self.roots().iter().rev().map(|r| (0, r.index)).collect();
        while let Some((depth, index)) = open.pop() {
            if !std::mem::replace(&mut seen[(index - range.start) as usize], true) {
                rows.push((depth, self.traces.span(index)));
                let children = self.traces.children(index).iter().rev();
                open.extend(children.map(|&child| (depth + 1, child)));
            }
        }
        rows
    }

    fn record(&self) -> &'t TraceRecord {
        &self.traces.traces[self.index as usize]
    }
}

impl<'t> Span<'t> {
    #[must_use]
    pub fn id(&self) -> SpanId {
        SpanId(self.record().id)
    }

    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        TraceId(self.traces.traces[self.record().trace as usize].id)
    }

    /// The parent's id as written, whether or not such a span is there.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        let id = self.record().parent_id;
        (id != [0; 8]).then_some(SpanId(id))
    }

    #[must_use]
    pub fn parent(&self) -> Option<Span<'t>> {
        let traces = self.traces;
        traces.parent(self.index).map(|index| traces.span(index))
    }

    /// In order of start.
    pub fn children(
        &self,
    ) -> impl ExactSizeIterator<Item = Span<'t>> + DoubleEndedIterator + use<'t> {
        let traces = self.traces;
        traces
            .children(self.index)
            .iter()
            .map(move |&index| traces.span(index))
    }

    #[must_use]
    pub fn name(&self) -> &'t str {
        self.traces.str(self.record().name)
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.record().kind
    }

    /// Unix nanoseconds.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.record().start
    }

    /// Unix nanoseconds.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.record().end
    }

    /// Nanoseconds from start to end; zero where the end comes first.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.end_ns().saturating_sub(self.start_ns())
    }

    #[must_use]
    pub fn status(&self) -> Status {
        self.record().status
    }

    /// Empty where there is none.
    #[must_use]
    pub fn status_message(&self) -> &'t str {
        self.traces.str(self.record().status_message)
    }

    /// The low 8 bits are the W3C trace flags of the span's own context.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.record().flags
    }

    #[must_use]
    pub fn scope_name(&self) -> &'t str {
        self.traces.str(self.scope().name)
    }

    #[must_use]
    pub fn scope_version(&self) -> &'t str {
        self.traces.str(self.scope().version)
    }

    #[must_use]
    pub fn service_name(&self) -> Option<&'t str> {
        self.resource()
            .service_name
            .map(|name| self.traces.str(name))
    }

    #[must_use]
    pub fn attributes(&self) -> Attributes<'t> {
        self.traces.attributes_of(self.record().attributes)
    }

    #[must_use]
    pub fn resource_attributes(&self) -> Attributes<'t> {
        self.traces.attributes_of(self.resource().attributes)
    }

    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'t>> + use<'t> {
        let traces = self.traces;
        traces.events[self.record().events.range()]
            .iter()
            .map(move |event| Event {
                name: traces.str(event.name),
                time_ns: event.time,
                attributes: traces.attributes_of(event.attributes),
            })
    }

    fn record(&self) -> &'t SpanRecord {
        self.traces.record(self.index)
    }

    fn resource(&self) -> &'t ResourceRecord {
        &self.traces.resources[self.record().resource as usize]
    }

    fn scope(&self) -> &'t ScopeRecord {
        &self.traces.scopes[self.record().scope as usize]
    }
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({}, {} spans)", self.id(), self.len())
    }
}

impl fmt::Debug for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({}, {:?})", self.id(), self.name())
    }
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

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}
