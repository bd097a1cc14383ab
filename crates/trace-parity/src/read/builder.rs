//! Where every reader puts what it finds.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::problem::{Problem, ProblemKind};
use crate::intern::Str;
use crate::traces::{
    Attribute, EventRecord, LinkRecord, Rarities, ResourceRecord, Scalar, ScopeRecord, Slice,
    SpanRecord, TraceRecord, Traces, Value,
};

/// How deeply arrays and maps may nest in an attribute's value, in every format. Protobuf's own libraries stop at about the same depth:
/// 100 messages, of which each level takes three.
pub(crate) const DEEPEST: usize = 32;

/// A store under construction.
#[derive(Debug)]
pub(crate) struct Builder {
    traces: Traces,
    trace_ids: HashTable<u32>,
    lists: HashTable<Slice>,
    resources: HashTable<u32>,
    scopes: HashTable<u32>,
    rarities: HashTable<u32>,
    last_rarities: u32,
    hasher: DefaultHashBuilder,
    /// Attributes of lists that are still open; a nested list is complete before the one around it.
    open: Vec<Attribute>,
    last_trace: u32,
    service_name: Str,
    problems: Vec<Problem>,
    /// How many inputs were begun before this one.
    input: usize,
    source: u32,
    line: Option<u64>,
    /// Documents of this input that were of a known format.
    records: u64,
    /// A span's parent may have been made of a link, as version 3 of Jaeger's query API does.
    links_may_be_parents: bool,
    /// Inputs within the input.
    inner: Vec<Vec<u8>>,
}

impl Default for Builder {
    fn default() -> Self {
        let mut traces = Traces::default();
        let service_name = traces.strings.intern("service.name");
        traces.sources.push(None);
        traces.rarities.push(Rarities::default());
        Builder {
            traces,
            trace_ids: HashTable::new(),
            lists: HashTable::new(),
            resources: HashTable::new(),
            scopes: HashTable::new(),
            rarities: HashTable::new(),
            last_rarities: 0,
            hasher: DefaultHashBuilder::default(),
            open: Vec::new(),
            last_trace: 0,
            service_name,
            problems: Vec::new(),
            input: 0,
            source: 0,
            line: None,
            records: 0,
            links_may_be_parents: false,
            inner: Vec::new(),
        }
    }
}

impl Builder {
    pub(crate) fn begin_input(&mut self, input: usize, label: Option<&str>) {
        let sources = &mut self.traces.sources;
        let known = sources.iter().position(|known| known.as_deref() == label);
        self.source = known.unwrap_or(sources.len()) as u32;
        if known.is_none() {
            sources.push(label.map(Box::from));
        }
        self.input = input;
        self.line = None;
        self.records = 0;
    }

    /// Keeps what a document holds in another format, to be read after it.
    pub(crate) fn put_inner(&mut self, bytes: Vec<u8>) {
        self.inner.push(bytes);
    }

    pub(crate) fn take_inner(&mut self) -> Option<Vec<u8>> {
        self.inner.pop()
    }

    pub(crate) fn too_deep(&mut self) {
        let message = format!("a value is nested deeper than {DEEPEST} levels");
        self.problem(ProblemKind::LostValue, message);
    }

    pub(crate) fn count_record(&mut self) {
        self.records += 1;
    }

    /// Where there was no record at all, the text was not between records.
    pub(crate) fn end_input(&mut self) {
        let (input, records) = (self.input, self.records);
        let of_input = |problem: &&mut Problem| problem.input == input && records == 0;
        for problem in self.problems.iter_mut().filter(of_input) {
            if problem.kind == ProblemKind::OtherText {
                problem.kind = ProblemKind::LostRecord;
            }
        }
    }

    /// A builder for a later part of the same input, to be [absorbed](Self::absorb).
    pub(crate) fn beside(&self) -> Self {
        let mut beside = Builder::default();
        beside.traces.sources = self.traces.sources.clone();
        (beside.input, beside.source) = (self.input, self.source);
        beside
    }

    pub(crate) fn line(&self) -> Option<u64> {
        self.line
    }

    pub(crate) fn set_line(&mut self, line: Option<u64>) {
        self.line = line;
    }

    pub(crate) fn problem(&mut self, kind: ProblemKind, message: String) {
        self.problems_alike(Problem {
            input: self.input,
            line: self.line,
            kind,
            message,
            count: 1,
        });
    }

    fn problems_alike(&mut self, problem: Problem) {
        let same = |known: &&mut Problem| {
            (known.input, known.kind, &known.message)
                == (problem.input, problem.kind, &problem.message)
        };
        // Past this many different ones, the rest says nothing new.
        const KEPT: usize = 256;
        let full = self.problems.len() >= KEPT;
        if let Some(known) = self.problems.iter_mut().find(same) {
            known.count += problem.count;
        } else if full {
            let last = self.problems.last_mut().expect("KEPT is not zero");
            last.count += problem.count;
            last.kind = last.kind.min(problem.kind);
        } else {
            self.problems.push(problem);
        }
    }

    pub(crate) fn span_count(&self) -> usize {
        self.traces.spans.len()
    }

    pub(crate) fn forget_open(&mut self) {
        self.open.clear();
    }

    pub(crate) fn intern(&mut self, string: &str) -> Str {
        self.traces.strings.intern(string)
    }

    pub(crate) fn text(&self, string: Str) -> &str {
        self.traces.strings.get(string)
    }

    /// Takes the text called `key` out of the list that was begun at `opened`.
    pub(crate) fn take_open(&mut self, opened: usize, key: &str) -> Str {
        let key = self.intern(key);
        let place = self.open[opened..]
            .iter()
            .position(|attribute| attribute.key == key);
        let taken = place.map(|place| self.open.remove(opened + place).scalar());
        if let Some(Scalar::Str(text)) = taken {
            text
        } else {
            Str::EMPTY
        }
    }

    pub(crate) fn open_list(&self) -> usize {
        self.open.len()
    }

    /// What has neither key nor value says nothing, and would cost more than it takes to write.
    pub(crate) fn push_attribute(&mut self, key: Str, value: Scalar) {
        if key != Str::EMPTY || value != Scalar::Empty {
            self.open.push(Attribute::new(key, value));
        }
    }

    /// Moves what was pushed since `opened` to the arena, where equal lists share one place.
    pub(crate) fn close_list(&mut self, opened: usize) -> Slice {
        if self.open.len() == opened {
            return Slice::default();
        }
        let (arena, hasher) = (&mut self.traces.attributes, &self.hasher);
        let list = &self.open[opened..];
        let entry = self.lists.entry(
            hasher.hash_one(list),
            |known| arena[known.range()] == *list,
            |known| hasher.hash_one(&arena[known.range()]),
        );
        let place = match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let place = slice(arena.len(), arena.len() + list.len());
                entry.insert(place);
                arena.extend_from_slice(list);
                place
            }
        };
        self.open.truncate(opened);
        place
    }

    /// As with attributes: an empty one is left out.
    pub(crate) fn push_event(&mut self, event: EventRecord) {
        if event != EventRecord::default() {
            self.traces.events.push(event);
        }
    }

    pub(crate) fn event_count(&self) -> usize {
        self.traces.events.len()
    }

    pub(crate) fn events_since(&self, start: usize) -> Slice {
        slice(start, self.traces.events.len())
    }

    /// As with events: a link to nowhere is left out.
    pub(crate) fn push_link(&mut self, link: LinkRecord) {
        if link.trace_id != [0; 16] || link.span_id != [0; 8] {
            self.traces.links.push(link);
        } else if link != LinkRecord::default() {
            self.problem(ProblemKind::LostValue, "a link has no ids".to_owned());
        }
    }

    pub(crate) fn link_count(&self) -> usize {
        self.traces.links.len()
    }

    pub(crate) fn links_since(&self, start: usize) -> Slice {
        slice(start, self.traces.links.len())
    }

    /// Sets it and tells what it was.
    pub(crate) fn links_may_be_parents(&mut self, may: bool) -> bool {
        std::mem::replace(&mut self.links_may_be_parents, may)
    }

    /// Whether `parent` may be nothing but one of a span's links, by Jaeger's word for a link: `child_of` is a parent.
    pub(crate) fn is_linked(&self, links: Slice, trace: [u8; 16], parent: [u8; 8]) -> bool {
        let is_parent = |attributes: Slice| {
            let kind = self
                .traces
                .attribute_named(attributes, "opentracing.ref_type");
            kind.and_then(Value::as_str) == Some("child_of")
        };
        self.links_may_be_parents
            && self.traces.links[links.range()].iter().any(|link| {
                (link.trace_id, link.span_id) == (trace, parent) && !is_parent(link.attributes)
            })
    }

    /// Where equal ones stand once; a span's are mostly those of the span before it.
    pub(crate) fn rarities(&mut self, rarities: Rarities) -> u32 {
        if rarities == Rarities::default() {
            return 0;
        }
        if self.traces.rarities[self.last_rarities as usize] != rarities {
            self.last_rarities = shared(
                &mut self.rarities,
                &mut self.traces.rarities,
                &self.hasher,
                rarities,
            );
        }
        self.last_rarities
    }

    pub(crate) fn trace(&mut self, id: [u8; 16]) -> u32 {
        let (traces, source) = (&self.traces.traces, self.source);
        let is_it = |trace: &TraceRecord| trace.id == id && trace.source == source;
        if traces.get(self.last_trace as usize).is_some_and(is_it) {
            return self.last_trace;
        }
        let hasher = &self.hasher;
        let entry = self.trace_ids.entry(
            hasher.hash_one(id),
            |&index| is_it(&traces[index as usize]),
            |&index| hasher.hash_one(traces[index as usize].id),
        );
        self.last_trace = match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let index = traces.len() as u32;
                entry.insert(index);
                self.traces.traces.push(TraceRecord {
                    id,
                    source,
                    first: 0,
                    len: 0,
                });
                index
            }
        };
        self.last_trace
    }

    pub(crate) fn push_span(&mut self, span: SpanRecord) {
        self.traces.spans.push(SpanRecord {
            input: u16::try_from(self.input).unwrap_or(u16::MAX),
            line: self
                .line
                .map_or(0, |line| u32::try_from(line).unwrap_or(u32::MAX)),
            ..span
        });
    }

    /// Fills in what the record says of itself: its source and its service's name.
    pub(crate) fn resource(&mut self, record: ResourceRecord) -> u32 {
        let traces = &mut self.traces;
        let service_name = traces.attribute(record.attributes, self.service_name);
        let service_name = match service_name.map(Attribute::scalar) {
            Some(Scalar::Str(name)) => Some(name),
            _ => None,
        };
        shared(
            &mut self.resources,
            &mut traces.resources,
            &self.hasher,
            ResourceRecord {
                source: self.source,
                service_name,
                ..record
            },
        )
    }

    pub(crate) fn scope(&mut self, record: ScopeRecord) -> u32 {
        shared(
            &mut self.scopes,
            &mut self.traces.scopes,
            &self.hasher,
            record,
        )
    }

    /// Gives the spans from `first` on their resource, which may stand behind them in the input.
    pub(crate) fn set_resource(&mut self, first: usize, resource: u32) {
        for span in &mut self.traces.spans[first..] {
            span.resource = resource;
        }
    }

    pub(crate) fn set_scope(&mut self, first: usize, scope: u32) {
        for span in &mut self.traces.spans[first..] {
            span.scope = scope;
        }
    }

    /// Moves a span to the place behind those that were kept before it.
    pub(crate) fn keep_span(&mut self, kept: usize, place: usize, resource: u32) {
        self.traces.spans.swap(kept, place);
        self.traces.spans[kept].resource = resource;
    }

    /// Takes in what another builder read of the same input, further on in it.
    pub(crate) fn absorb(&mut self, other: Builder) {
        let theirs = other.traces;
        let strings: Vec<Str> = theirs
            .strings
            .iter()
            .map(|text| self.intern(text))
            .collect();
        let string = |theirs: Str| strings[theirs.index()];
        // In the order in which they were closed: a list within another stands before it.
        let mut lists: Vec<Slice> = other.lists.into_iter().collect();
        lists.sort_unstable_by_key(|list| list.start);
        let mut places = vec![Slice::default(); theirs.attributes.len()];
        for list in lists {
            let opened = self.open_list();
            let moved = theirs.attributes[list.range()]
                .iter()
                .map(|attribute| attribute.moved(string, |inner| place(&places, inner)));
            self.open.extend(moved);
            places[list.start as usize] = self.close_list(opened);
        }
        let list = |theirs: Slice| place(&places, theirs);
        let resources: Vec<u32> = theirs
            .resources
            .iter()
            .map(|&resource| {
                self.resource(ResourceRecord {
                    attributes: list(resource.attributes),
                    schema_url: string(resource.schema_url),
                    ..resource
                })
            })
            .collect();
        let scopes: Vec<u32> = theirs
            .scopes
            .iter()
            .map(|&scope| {
                self.scope(ScopeRecord {
                    name: string(scope.name),
                    version: string(scope.version),
                    attributes: list(scope.attributes),
                    schema_url: string(scope.schema_url),
                    ..scope
                })
            })
            .collect();
        let traces: Vec<u32> = theirs
            .traces
            .iter()
            .map(|trace| self.trace(trace.id))
            .collect();
        let earlier_events = self.traces.events.len() as u32;
        self.traces
            .events
            .extend(theirs.events.iter().map(|event| EventRecord {
                time: event.time,
                name: string(event.name),
                attributes: list(event.attributes),
                dropped_attributes: event.dropped_attributes,
            }));
        let earlier_links = self.traces.links.len() as u32;
        let links = theirs.links.iter().map(|link| LinkRecord {
            trace_state: string(link.trace_state),
            attributes: list(link.attributes),
            ..*link
        });
        self.traces.links.extend(links);
        let rarities: Vec<u32> = theirs
            .rarities
            .iter()
            .map(|&rarities| {
                self.rarities(Rarities {
                    trace_state: string(rarities.trace_state),
                    warnings: string(rarities.warnings),
                    links: moved(rarities.links, earlier_links),
                    ..rarities
                })
            })
            .collect();
        self.traces
            .spans
            .extend(theirs.spans.into_iter().map(|span| SpanRecord {
                trace: traces[span.trace as usize],
                resource: resources[span.resource as usize],
                scope: scopes[span.scope as usize],
                name: string(span.name),
                status_message: string(span.status_message),
                attributes: list(span.attributes),
                events: moved(span.events, earlier_events),
                rarities: rarities[span.rarities as usize],
                ..span
            }));
        self.records += other.records;
        self.inner.extend(other.inner);
        for problem in other.problems {
            self.problems_alike(problem);
        }
    }

    pub(crate) fn finish(mut self) -> (Traces, Vec<Problem>) {
        self.drop_empty_traces();
        self.traces.index();
        (self.traces, self.problems)
    }

    /// Takes back the spans from `first` on. Their attributes stay behind unused.
    pub(crate) fn cut_spans(&mut self, first: usize) {
        self.traces.spans.truncate(first);
    }

    /// A trace whose only spans were taken back is no trace.
    fn drop_empty_traces(&mut self) {
        let mut used = vec![false; self.traces.traces.len()];
        for span in &self.traces.spans {
            used[span.trace as usize] = true;
        }
        if used.iter().all(|&used| used) {
            return;
        }
        let mut renumbered = Vec::with_capacity(used.len());
        let mut kept = 0;
        for &used in &used {
            renumbered.push(kept);
            kept += u32::from(used);
        }
        for span in &mut self.traces.spans {
            span.trace = renumbered[span.trace as usize];
        }
        let mut index = 0;
        self.traces.traces.retain(|_| {
            index += 1;
            used[index - 1]
        });
    }
}

fn slice(start: usize, end: usize) -> Slice {
    if start == end {
        return Slice::default();
    }
    Slice {
        start: start as u32,
        len: (end - start) as u32,
    }
}

/// A range of an arena behind its `earlier` ones; the empty range stays as it is.
fn moved(range: Slice, earlier: u32) -> Slice {
    Slice {
        start: if range.len == 0 {
            range.start
        } else {
            range.start + earlier
        },
        ..range
    }
}

/// Where a list has come to; the empty one is everywhere.
fn place(places: &[Slice], list: Slice) -> Slice {
    places
        .get(list.start as usize)
        .filter(|_| list.len > 0)
        .copied()
        .unwrap_or_default()
}

/// The index of `record` among `records`, where equal ones stand once.
fn shared<R: PartialEq + Hash>(
    table: &mut HashTable<u32>,
    records: &mut Vec<R>,
    hasher: &DefaultHashBuilder,
    record: R,
) -> u32 {
    let entry = table.entry(
        hasher.hash_one(&record),
        |&index| records[index as usize] == record,
        |&index| hasher.hash_one(&records[index as usize]),
    );
    match entry {
        hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
        hashbrown::hash_table::Entry::Vacant(entry) => {
            let index = records.len() as u32;
            entry.insert(index);
            records.push(record);
            index
        }
    }
}
