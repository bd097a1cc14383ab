//! The spans that the page draws: in columns, every text once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;
use trace_parity::{
    Attributes, Event, Kind, LogLine, LogsBySpan, Span, SpanId, Status, Trace, TraceId, TraceLogs,
    Traces, Value, Verdict, names_of,
};

use crate::escape::{self, Charset};

/// Spans that a page draws; beyond them a browser gets slow and a reader lost.
const SPANS: usize = 25_000;
/// Attributes of a span, and events.
const ATTRIBUTES: usize = 128;
const EVENTS: usize = 64;
/// Log lines of a span, and columns of one.
const LOGS: usize = 200;
const LOG_TEXT: usize = 500;
/// Columns of a name, and of a value.
const NAME: usize = 400;
const VALUE: usize = 2_000;

/// Text as the page shows it: nothing invisible, and of a length that can be looked at.
pub(super) fn shown(text: &str, columns: usize) -> String {
    escape::clipped(text, columns, Charset::Unicode)
}

/// All traces of the page. Texts are places in `strings`.
#[derive(Debug, Default, Serialize)]
pub(super) struct SpanBlock {
    strings: Vec<String>,
    /// Attributes of resources, as triples like those of spans.
    resources: Vec<Vec<u32>>,
    /// Keys that mean the same thing in one generation of the conventions or another.
    concepts: BTreeMap<&'static str, BTreeSet<u32>>,
    pub(super) traces: Vec<TraceBlock>,
    #[serde(skip)]
    places: HashMap<(TraceId, SpanId), SpanPlace>,
}

/// A trace and a span in it, by their positions.
pub(super) type SpanPlace = (usize, usize);

/// One trace: a column per field, a row per span, parents before children.
#[derive(Debug, Default, Serialize)]
pub(super) struct TraceBlock {
    pub(super) id: String,
    /// Unix nanoseconds, as text: JavaScript's numbers don't hold them.
    began: String,
    /// Spans there are, those that aren't here included.
    total: usize,
    ids: Vec<String>,
    depths: Vec<usize>,
    names: Vec<u32>,
    services: Vec<u32>,
    scopes: Vec<u32>,
    resources: Vec<u32>,
    kinds: Vec<&'static str>,
    /// 0 unset, 1 OK, 2 error.
    statuses: Vec<u8>,
    /// Nanoseconds after `began`.
    starts: Vec<u64>,
    durations: Vec<u64>,
    /// Key, value and type of each attribute.
    attributes: Vec<Vec<u32>>,
    events: BTreeMap<usize, Vec<EventBlock>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    logs: BTreeMap<usize, Vec<LogRow>>,
    messages: BTreeMap<usize, u32>,
    /// Spans below this one that aren't here.
    hidden: BTreeMap<usize, usize>,
    /// The id of a parent that the trace doesn't have.
    missing_parents: BTreeMap<usize, String>,
}

#[derive(Debug, Serialize)]
struct EventBlock {
    name: u32,
    /// Nanoseconds after the trace began.
    at: u64,
    attributes: Vec<u32>,
}

/// Nanoseconds after the trace began, rank, level, source and text.
type LogRow = (u64, u8, u32, u32, u32);

impl SpanBlock {
    /// The traces of the examples, and those that findings point into.
    pub(super) fn of(verdict: &Verdict, traces: &Traces, logs: &TraceLogs<'_>) -> Self {
        let wanted = wanted(verdict);
        let by_id: HashMap<TraceId, Trace<'_>> =
            traces.iter().map(|trace| (trace.id(), trace)).collect();
        let chosen: Vec<Trace<'_>> = wanted
            .iter()
            .filter_map(|id| by_id.get(id).copied())
            .collect();
        let lengths: Vec<usize> = chosen.iter().map(Trace::len).collect();
        let mut packer = Packer::default();
        for (trace, share) in chosen.iter().zip(shares(&lengths, SPANS)) {
            packer.trace(trace, share, &logs.of(trace));
        }
        packer.block
    }

    pub(super) fn place(&self, trace: Option<TraceId>, span: Option<SpanId>) -> Option<SpanPlace> {
        self.places.get(&(trace?, span?)).copied()
    }

    pub(super) fn trace(&self, id: TraceId) -> Option<usize> {
        let id = id.to_string();
        self.traces.iter().position(|trace| trace.id == id)
    }
}

/// Each once: those of the examples first, in their order.
fn wanted(verdict: &Verdict) -> Vec<TraceId> {
    let of_examples = verdict
        .examples
        .iter()
        .flat_map(|example| example.traces.iter().copied());
    let of_findings = verdict
        .findings
        .iter()
        .filter_map(|finding| finding.trace_id);
    let cells = verdict
        .steps
        .iter()
        .flat_map(|row| row.cells.iter().flatten());
    let elsewhere = cells
        .flat_map(|cell| &cell.calls)
        .filter_map(|call| call.elsewhere);
    let others = verdict.examples.iter().flat_map(|e| &e.other_calls);
    let elsewhere = elsewhere.chain(others.filter_map(|call| call.elsewhere));
    let mut seen = HashSet::new();
    of_examples
        .chain(of_findings)
        .chain(elsewhere.map(|(trace, _)| trace))
        .filter(|trace| seen.insert(*trace))
        .collect()
}

/// Divides `budget` so that no trace gets more than it needs and none is shown less than another for being larger.
fn shares(lengths: &[usize], budget: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| lengths[*index]);
    let mut shares = vec![0; lengths.len()];
    let mut left = budget;
    for (done, index) in order.into_iter().enumerate() {
        shares[index] = lengths[index].min(left / (lengths.len() - done));
        left -= shares[index];
    }
    shares
}

#[derive(Default)]
struct Packer {
    block: SpanBlock,
    strings: HashMap<String, u32>,
    resources: HashMap<Vec<u32>, u32>,
}

impl Packer {
    fn trace(&mut self, trace: &Trace<'_>, share: usize, logs: &LogsBySpan<'_>) {
        let rows = trace.tree();
        let kept = kept(&rows, share);
        let began = rows
            .iter()
            .map(|(_, span)| span.start_ns())
            .min()
            .unwrap_or(0);
        let mut block = TraceBlock {
            id: trace.id().to_string(),
            began: began.to_string(),
            total: rows.len(),
            ..TraceBlock::default()
        };
        // The nearest span above that is kept, by depth.
        let mut above: Vec<usize> = Vec::new();
        for ((depth, span), kept) in rows.iter().zip(kept) {
            if kept {
                let index = block.ids.len();
                above.truncate(*depth);
                above.push(index);
                self.block
                    .places
                    .entry((trace.id(), span.id()))
                    .or_insert((self.block.traces.len(), index));
                self.span(&mut block, *depth, *span, began);
                if let Some(lines) = logs.get(&span.id()) {
                    let lines = lines.iter().take(LOGS);
                    let rows = lines.map(|line| self.log(line, began));
                    block.logs.insert(index, rows.collect());
                }
            } else if let Some(index) = above.get((*depth).min(above.len()).saturating_sub(1)) {
                *block.hidden.entry(*index).or_default() += 1;
            }
        }
        self.block.traces.push(block);
    }

    fn span(&mut self, block: &mut TraceBlock, depth: usize, span: Span<'_>, began: u64) {
        let index = block.ids.len();
        block.ids.push(span.id().to_string());
        block.depths.push(depth);
        block.names.push(self.string(span.name(), NAME));
        block
            .services
            .push(self.string(span.service_name().unwrap_or_default(), NAME));
        let scope = format!("{} {}", span.scope_name(), span.scope_version());
        block.scopes.push(self.string(scope.trim(), NAME));
        let resource = self.resource(span);
        block.resources.push(resource);
        block.kinds.push(match span.kind() {
            Kind::Unspecified => "",
            kind => kind.name(),
        });
        block.statuses.push(match span.status() {
            Status::Unset => 0,
            Status::Ok => 1,
            Status::Error => 2,
        });
        block.starts.push(span.start_ns().saturating_sub(began));
        block.durations.push(span.duration_ns());
        let attributes = self.attributes(span.attributes());
        block.attributes.push(attributes);
        let events: Vec<EventBlock> = span
            .events()
            .take(EVENTS)
            .map(|event| self.event(&event, began))
            .collect();
        if !events.is_empty() {
            block.events.insert(index, events);
        }
        if !span.status_message().is_empty() {
            block
                .messages
                .insert(index, self.string(span.status_message(), VALUE));
        }
        if let Some(parent) = span.parent_id().filter(|_| span.parent().is_none()) {
            block.missing_parents.insert(index, parent.to_string());
        }
    }

    fn event(&mut self, event: &Event<'_>, began: u64) -> EventBlock {
        EventBlock {
            name: self.string(event.name, NAME),
            at: event.time_ns.saturating_sub(began),
            attributes: self.attributes(event.attributes.clone()),
        }
    }

    fn log(&mut self, line: &LogLine<'_>, began: u64) -> LogRow {
        (
            line.time_ns.saturating_sub(began),
            line.rank(),
            self.string(line.level, NAME),
            self.string(line.source, NAME),
            self.string(line.text, LOG_TEXT),
        )
    }

    fn attributes(&mut self, attributes: Attributes<'_>) -> Vec<u32> {
        attributes
            .take(ATTRIBUTES)
            .flat_map(|(key, value)| {
                let text = match value {
                    Value::Str(text) => self.string(text, VALUE),
                    other => self.string(&other.to_string(), VALUE),
                };
                [self.key(key), text, self.string(value.type_name(), NAME)]
            })
            .collect()
    }

    fn key(&mut self, key: &str) -> u32 {
        let place = self.string(key, NAME);
        if let Some(concept) = names_of(key).next() {
            self.block
                .concepts
                .entry(concept)
                .or_default()
                .insert(place);
        }
        place
    }

    fn resource(&mut self, span: Span<'_>) -> u32 {
        let attributes = self.attributes(span.resource_attributes());
        let next = self.block.resources.len() as u32;
        let place = *self.resources.entry(attributes).or_insert(next);
        if place == next {
            let attributes = self.resources.iter().find(|(_, known)| **known == next);
            self.block
                .resources
                .extend(attributes.map(|(attributes, _)| attributes.clone()));
        }
        place
    }

    fn string(&mut self, text: &str, columns: usize) -> u32 {
        let text = shown(text, columns);
        if let Some(place) = self.strings.get(&text) {
            return *place;
        }
        let place = self.block.strings.len() as u32;
        self.block.strings.push(text.clone());
        self.strings.insert(text, place);
        place
    }
}

/// Which of the rows are kept if there are too many: the least deep, so that none is kept without its parent.
fn kept(rows: &[(usize, Span<'_>)], share: usize) -> Vec<bool> {
    if rows.len() <= share {
        return vec![true; rows.len()];
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| rows[*index].0);
    let mut kept = vec![false; rows.len()];
    order
        .iter()
        .take(share)
        .for_each(|index| kept[*index] = true);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_trace_is_whole_beside_a_large_one() {
        let cases: [(&[usize], usize, &[usize]); 5] = [
            (&[10, 20], 100, &[10, 20]),
            (&[100, 10, 100], 100, &[45, 10, 45]),
            (&[100_000], 25_000, &[25_000]),
            (&[], 10, &[]),
            (&[5, 5], 3, &[1, 2]),
        ];
        for (lengths, budget, expected) in cases {
            assert_eq!(shares(lengths, budget), expected, "{lengths:?}");
        }
    }
}
