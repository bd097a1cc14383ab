//! Where every reader puts what it finds.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Problem, ProblemKind};
use crate::intern::Str;
use crate::traces::{
    Attribute, EventRecord, ResourceRecord, Scalar, ScopeRecord, Slice, SpanRecord, TraceRecord,
    Traces,
};

/// A store under construction.
#[derive(Debug)]
pub(crate) struct Builder {
    traces: Traces,
    trace_ids: HashTable<u32>,
    lists: HashTable<Slice>,
    resources: HashTable<u32>,
    scopes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Attributes of lists that are still open; a nested list is complete before the one around it.
    open: Vec<Attribute>,
    last_trace: u32,
    service_name: Str,
    problems: Vec<Problem>,
    line: Option<u64>,
}

impl Default for Builder {
    fn default() -> Self {
        let mut traces = Traces::default();
        let service_name = traces.strings.intern("service.name");
        Builder {
            traces,
            trace_ids: HashTable::new(),
            lists: HashTable::new(),
            resources: HashTable::new(),
            scopes: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            open: Vec::new(),
            last_trace: 0,
            service_name,
            problems: Vec::new(),
            line: None,
        }
    }
}

impl Builder {
    pub(crate) fn begin_input(&mut self, label: Option<&str>) {
        self.traces.sources.push(label.map(Box::from));
        self.line = None;
    }

    pub(crate) fn set_line(&mut self, line: Option<u64>) {
        self.line = line;
    }

    pub(crate) fn problem(&mut self, kind: ProblemKind, message: String) {
        self.problems_alike(Problem {
            input: self.traces.sources.len().saturating_sub(1),
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

    pub(crate) fn trace(&mut self, id: [u8; 16]) -> u32 {
        let traces = &self.traces.traces;
        if traces
            .get(self.last_trace as usize)
            .is_some_and(|t| t.id == id)
        {
            return self.last_trace;
        }
        let hasher = &self.hasher;
        let entry = self.trace_ids.entry(
            hasher.hash_one(id),
            |&index| traces[index as usize].id == id,
            |&index| hasher.hash_one(traces[index as usize].id),
        );
        self.last_trace = match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let index = traces.len() as u32;
                entry.insert(index);
                self.traces.traces.push(TraceRecord {
                    id,
                    first: 0,
                    len: 0,
                });
                index
            }
        };
        self.last_trace
    }

    pub(crate) fn push_span(&mut self, span: SpanRecord) {
        self.traces.spans.push(span);
    }

    pub(crate) fn resource(&mut self, attributes: Slice) -> u32 {
        let traces = &mut self.traces;
        let service_name = traces.attribute(attributes, self.service_name);
        let service_name = match service_name.map(Attribute::scalar) {
            Some(Scalar::Str(name)) => Some(name),
            _ => None,
        };
        let source = traces.sources.len().saturating_sub(1) as u32;
        shared(
            &mut self.resources,
            &mut traces.resources,
            &self.hasher,
            ResourceRecord {
                attributes,
                source,
                service_name,
            },
        )
    }

    pub(crate) fn scope(&mut self, name: Str, version: Str, attributes: Slice) -> u32 {
        shared(
            &mut self.scopes,
            &mut self.traces.scopes,
            &self.hasher,
            ScopeRecord {
                name,
                version,
                attributes,
            },
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
            .map(|resource| self.resource(list(resource.attributes)))
            .collect();
        let scopes: Vec<u32> = theirs
            .scopes
            .iter()
            .map(|scope| {
                self.scope(
                    string(scope.name),
                    string(scope.version),
                    list(scope.attributes),
                )
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
            }));
        self.traces
            .spans
            .extend(theirs.spans.into_iter().map(|span| SpanRecord {
                trace: traces[span.trace as usize],
                resource: resources[span.resource as usize],
                scope: scopes[span.scope as usize],
                name: string(span.name),
                status_message: string(span.status_message),
                attributes: list(span.attributes),
                events: Slice {
                    start: span.events.start + earlier_events,
                    len: span.events.len,
                },
                ..span
            }));
        let input = self.traces.sources.len().saturating_sub(1);
        for problem in other.problems {
            self.problems_alike(Problem { input, ..problem });
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
    Slice {
        start: start as u32,
        len: (end - start) as u32,
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
