//! One trace and one span, as they are handed out.

use std::fmt;

use super::record::{
    Kind, NONE, Rarities, ResourceRecord, ScopeRecord, SpanRecord, Status, TraceRecord,
};
use super::store::Traces;
use super::value::Attributes;
use crate::ids::{SpanId, TraceId};

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
    /// How many attributes a limit of the SDK cut off.
    pub dropped_attributes: u32,
}

/// One link of a span to another span.
#[derive(Clone, Debug)]
pub struct Link<'t> {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// Empty where there is none.
    pub trace_state: &'t str,
    pub attributes: Attributes<'t>,
    /// The low 8 bits are the W3C trace flags of the linked context.
    pub flags: u32,
    /// How many attributes a limit of the SDK cut off.
    pub dropped_attributes: u32,
}

impl Traces {
    /// All traces, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = Trace<'_>> {
        (0..self.traces.len() as u32).map(|index| self.trace(index))
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

    /// The name of the input that the trace stands in, where it has one.
    #[must_use]
    pub fn input_name(&self) -> Option<&'t str> {
        self.traces.sources[self.record().source as usize].as_deref()
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

    /// The same for spans of one input that have the same name, and for no others; small enough to be an index.
    #[must_use]
    pub fn name_number(&self) -> usize {
        self.record().name.index()
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
        self.rarities().flags
    }

    /// Whether the parent is in another process, where the exporter tells (bits 8 and 9 of the flags).
    #[must_use]
    pub fn parent_is_remote(&self) -> Option<bool> {
        const HAS_IS_REMOTE: u32 = 1 << 8;
        const IS_REMOTE: u32 = 1 << 9;
        let flags = self.flags();
        (flags & HAS_IS_REMOTE != 0).then_some(flags & IS_REMOTE != 0)
    }

    /// The W3C `tracestate` of the span's context; empty where there is none.
    #[must_use]
    pub fn trace_state(&self) -> &'t str {
        self.traces.str(self.rarities().trace_state)
    }

    pub fn links(&self) -> impl ExactSizeIterator<Item = Link<'t>> + use<'t> {
        let traces = self.traces;
        traces.links[self.rarities().links.range()]
            .iter()
            .map(move |link| Link {
                trace_id: TraceId(link.trace_id),
                span_id: SpanId(link.span_id),
                trace_state: traces.str(link.trace_state),
                attributes: traces.attributes_of(link.attributes),
                flags: link.flags,
                dropped_attributes: link.dropped_attributes,
            })
    }

    /// How many attributes a limit of the SDK cut off.
    #[must_use]
    pub fn dropped_attributes(&self) -> u32 {
        self.rarities().dropped_attributes
    }

    /// How many events a limit of the SDK cut off.
    #[must_use]
    pub fn dropped_events(&self) -> u32 {
        self.rarities().dropped_events
    }

    /// How many links a limit of the SDK cut off.
    #[must_use]
    pub fn dropped_links(&self) -> u32 {
        self.rarities().dropped_links
    }

    /// What Jaeger remarked about the span, such as a clock or a duration that it adjusted.
    pub fn warnings(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.traces.str(self.rarities().warnings).lines()
    }

    /// The input that the span was read from, from 0.
    #[must_use]
    pub fn input(&self) -> usize {
        usize::from(self.record().input)
    }

    /// The line on which its document begins, from 1; `None` in a format without lines.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        let line = self.record().line;
        (line != 0).then_some(u64::from(line))
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
    pub fn scope_attributes(&self) -> Attributes<'t> {
        self.traces.attributes_of(self.scope().attributes)
    }

    /// Empty where there is none.
    #[must_use]
    pub fn scope_schema_url(&self) -> &'t str {
        self.traces.str(self.scope().schema_url)
    }

    /// How many attributes of the scope a limit cut off.
    #[must_use]
    pub fn scope_dropped_attributes(&self) -> u32 {
        self.scope().dropped_attributes
    }

    /// Empty where there is none.
    #[must_use]
    pub fn resource_schema_url(&self) -> &'t str {
        self.traces.str(self.resource().schema_url)
    }

    /// How many attributes of the resource a limit cut off.
    #[must_use]
    pub fn resource_dropped_attributes(&self) -> u32 {
        self.resource().dropped_attributes
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
                dropped_attributes: event.dropped_attributes,
            })
    }

    /// Whether both are the same span of the same input.
    #[must_use]
    pub fn is(&self, other: &Span<'_>) -> bool {
        self.index == other.index && std::ptr::eq(self.traces, other.traces)
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    fn record(&self) -> &'t SpanRecord {
        self.traces.record(self.index)
    }

    fn rarities(&self) -> &'t Rarities {
        &self.traces.rarities[self.record().rarities as usize]
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
