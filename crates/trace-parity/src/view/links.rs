//! Whose side a span is on, and the parent links that don't hold.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use crate::contract::Contract;
use crate::semconv;
use crate::traces::{Kind, NONE, Traces};

use super::examples::server_resources;
use super::reader::Reader;

/// Who wrote a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Client,
    Server,
    /// It does a server's work under a name that the contract doesn't know.
    Undeclared,
    /// It lies below a client's call and is no call of the client's: a proxy's, an HTTP client's, another layer's, an attempt.
    Between,
}

/// Sides and broken links of every span in an example's traces.
#[derive(Debug)]
pub(crate) struct Links {
    /// The example that a trace belongs to, per trace.
    pub(crate) owners: Vec<Option<u32>>,
    /// Per span.
    sides: Vec<Side>,
    /// Spans whose parent isn't in their trace, by the parent they name.
    pub(crate) orphans: Vec<Orphans>,
    /// Each with its spans, in the order in which they name each other.
    pub(crate) cycles: Vec<Vec<u32>>,
}

/// Spans that name one absent parent.
#[derive(Debug)]
pub(crate) struct Orphans {
    pub(crate) example: u32,
    pub(crate) parent_id: [u8; 8],
    /// In order of start.
    pub(crate) spans: Vec<u32>,
    /// A span of the example that has the id, in another trace than the orphans.
    pub(crate) elsewhere: Option<u32>,
}

impl Links {
    pub(crate) fn example_of(&self, traces: &Traces, span: u32) -> Option<u32> {
        self.owners[traces.record(span).trace as usize]
    }

    pub(crate) fn side(&self, span: u32) -> Side {
        self.sides[span as usize]
    }

    /// By trace, and in a trace by start.
    pub(crate) fn orphans_of(&self, example: u32) -> &[Orphans] {
        &self.orphans[range_of(&self.orphans, example, |group| group.example)]
    }

    /// The example's orphans of one trace whose first span starts in a time, in order of start.
    pub(crate) fn orphans_within(
        &self,
        traces: &Traces,
        example: u32,
        trace: u32,
        time: RangeInclusive<u64>,
    ) -> &[Orphans] {
        let own = self.orphans_of(example);
        let at = |group: &Orphans| {
            let first = traces.record(group.spans[0]);
            (first.trace, first.start)
        };
        let own = &own[own.partition_point(|group| at(group) < (trace, *time.start()))..];
        &own[..own.partition_point(|group| at(group) <= (trace, *time.end()))]
    }

    /// The traces of examples.
    pub(crate) fn owned(&self) -> impl Iterator<Item = u32> {
        owned(&self.owners)
    }
}

/// Where an example's items are, in a list by example.
pub(crate) fn range_of<T>(items: &[T], example: u32, of: impl Fn(&T) -> u32) -> Range<usize> {
    let first = items.partition_point(|item| of(item) < example);
    let behind = items.partition_point(|item| of(item) <= example);
    first..behind
}

fn owned(owners: &[Option<u32>]) -> impl Iterator<Item = u32> {
    (0..)
        .zip(owners)
        .filter_map(|(trace, owner)| owner.map(|_| trace))
}

pub(crate) fn find(
    traces: &Traces,
    contract: &Contract,
    reader: &Reader<'_>,
    owners: Vec<Option<u32>>,
) -> Links {
    let servers = server_resources(traces, contract);
    let side = |resource: u32| {
        if servers[resource as usize] {
            Side::Server
        } else {
            Side::Client
        }
    };
    let mut sorting = Sorting {
        traces,
        service: &contract.server.rpc_service,
        reader,
        sides: traces
            .spans
            .iter()
            .map(|span| side(span.resource))
            .collect(),
        last_parent: None,
    };
    let mut cycles = Vec::new();
    for trace in owned(&owners) {
        let order = preorder(traces, trace, &mut cycles);
        for (place, &index) in order.spans.iter().enumerate() {
            sorting.sides[index as usize] = sorting.side_of(index, place >= order.acyclic);
        }
    }
    let orphans = orphans(traces, &owners);
    Links {
        owners,
        sides: sorting.sides,
        orphans,
        cycles,
    }
}

/// The spans of a trace, parents before children.
struct Preorder {
    spans: Vec<u32>,
    /// How many of them hang from no cycle; these come first.
    acyclic: usize,
}

/// Finds the side of each span from its resource and from what it lies under.
struct Sorting<'s, 'a> {
    traces: &'a Traces,
    service: &'a str,
    reader: &'s Reader<'a>,
    sides: Vec<Side>,
    /// Siblings follow each other: whether the last parent that was looked at is a client's call.
    last_parent: Option<(u32, bool)>,
}

impl Sorting<'_, '_> {
    /// The parents' sides are known.
    fn side_of(&mut self, index: u32, in_cycle: bool) -> Side {
        let own = self.sides[index as usize];
        let Some(parent) = self.traces.parent(index).filter(|_| own == Side::Client) else {
            return own;
        };
        let above = self.sides[parent as usize];
        match above {
            // A client's call under a server span is a matter of its parent, not of its service.
            Side::Server | Side::Undeclared if self.names_the_service(index) => Side::Client,
            Side::Server | Side::Undeclared => Side::Undeclared,
            Side::Between if self.is_own_call(index, parent) => Side::Client,
            Side::Between => Side::Between,
            Side::Client if !in_cycle && self.is_call(parent) => self.below_call(index, parent),
            Side::Client if self.answers_elsewhere(index, parent) => Side::Undeclared,
            Side::Client => Side::Client,
        }
    }

    fn below_call(&self, index: u32, call: u32) -> Side {
        let calls = self.reader.words(index).calls(self.service);
        if self.same_program(index, call) {
            return if calls && !self.is_attempt(index, call) {
                Side::Client
            } else {
                Side::Between
            };
        }
        let serves = calls && self.traces.record(index).kind == Kind::Server;
        if serves && !self.leads_to_server(index) {
            Side::Undeclared
        } else {
            Side::Between
        }
    }

    fn is_call(&mut self, span: u32) -> bool {
        if let Some((_, known)) = self.last_parent.filter(|(last, _)| *last == span) {
            return known;
        }
        let is_call = self.traces.record(span).kind != Kind::Server
            && self.reader.words(span).calls(self.service);
        self.last_parent = Some((span, is_call));
        is_call
    }

    /// A call of the program that made the call above, though other spans lie between the two.
    fn is_own_call(&self, index: u32, parent: u32) -> bool {
        /// Layers above a span that are looked at.
        const LAYERS: usize = 32;
        if self.traces.record(index).kind == Kind::Server
            || !self.reader.words(index).calls(self.service)
        {
            return false;
        }
        let mut above = std::iter::successors(Some(parent), |&span| self.traces.parent(span));
        let call = above
            .by_ref()
            .take(LAYERS)
            .find(|&span| self.sides[span as usize] != Side::Between);
        call.is_some_and(|call| self.same_program(index, call) && !self.is_attempt(index, call))
    }

    /// The same call, seen once more by another layer of the program: while it runs, of the same method.
    fn is_attempt(&self, index: u32, call: u32) -> bool {
        let (inner, outer) = (self.traces.record(index), self.traces.record(call));
        let (words, above) = (self.reader.words(index), self.reader.words(call));
        let within = (outer.start..=outer.end).contains(&inner.start);
        let other_layer =
            inner.scope != outer.scope || words.named.map(|named| named.prefix) == Some("Attempt.");
        within && other_layer && words.method() == above.method()
    }

    fn same_program(&self, span: u32, other: u32) -> bool {
        self.traces.service_name(span) == self.traces.service_name(other)
    }

    fn names_the_service(&self, span: u32) -> bool {
        let name = self.traces.str(self.traces.record(span).name);
        semconv::rpc_name(name, self.service).is_some_and(|name| name.service == self.service)
    }

    fn answers_elsewhere(&self, index: u32, parent: u32) -> bool {
        self.traces.record(index).kind == Kind::Server
            && !self.same_program(index, parent)
            && self.names_the_service(index)
    }

    /// Whether a span that serves a call hands it on to the server.
    fn leads_to_server(&self, index: u32) -> bool {
        let method = self.reader.words(index).method();
        let mut open = vec![index];
        while let Some(span) = open.pop() {
            for &child in self.traces.children(span) {
                if self.sides[child as usize] != Side::Server {
                    open.push(child);
                    continue;
                }
                let words = self.reader.words(child);
                if words.calls(self.service) && words.method() == method {
                    return true;
                }
            }
        }
        false
    }
}

/// Parents before children; each cycle is put among `cycles` and entered at its earliest span.
fn preorder(traces: &Traces, trace: u32, cycles: &mut Vec<Vec<u32>>) -> Preorder {
    let range = traces.traces[trace as usize].spans();
    let mut seen = vec![false; range.len()];
    let mut spans = Vec::with_capacity(range.len());
    let visit = |top: u32, seen: &mut [bool], order: &mut Vec<u32>| {
        let mut open = vec![top];
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut seen[(index - range.start) as usize], true) {
                order.push(index);
                open.extend(traces.children(index).iter().rev());
            }
        }
    };
    for index in range.clone() {
        if traces.parents[index as usize] == NONE {
            visit(index, &mut seen, &mut spans);
        }
    }
    let acyclic = spans.len();
    for index in range.clone() {
        if !seen[(index - range.start) as usize] {
            let cycle = cycle_above(traces, index);
            visit(cycle[0], &mut seen, &mut spans);
            cycles.push(cycle);
        }
    }
    Preorder { spans, acyclic }
}

/// The cycle that a walk upwards from `index` ends in, from its earliest span on.
fn cycle_above(traces: &Traces, index: u32) -> Vec<u32> {
    let up = |index: u32| traces.parents[index as usize];
    // Two walkers, one twice as fast, meet within the cycle.
    let (mut slow, mut fast) = (up(index), up(up(index)));
    while slow != fast {
        (slow, fast) = (up(slow), up(up(fast)));
    }
    let mut cycle = vec![slow];
    let mut next = up(slow);
    while next != slow {
        cycle.push(next);
        next = up(next);
    }
    let earliest = (0..cycle.len())
        .min_by_key(|&place| cycle[place])
        .unwrap_or(0);
    cycle.rotate_left(earliest);
    cycle
}

fn orphans(traces: &Traces, owners: &[Option<u32>]) -> Vec<Orphans> {
    let mut absent: HashMap<(u32, [u8; 8]), Vec<u32>> = HashMap::new();
    for (index, span) in (0..).zip(&traces.spans) {
        if span.parent_id != [0; 8] && traces.parents[index as usize] == NONE {
            absent
                .entry((span.trace, span.parent_id))
                .or_default()
                .push(index);
        }
    }
    if absent.is_empty() {
        return Vec::new();
    }
    let mut elsewhere: HashMap<[u8; 8], u32> = HashMap::new();
    let sought: std::collections::HashSet<[u8; 8]> = absent.keys().map(|&(_, id)| id).collect();
    for index in owned(owners).flat_map(|trace| traces.traces[trace as usize].spans()) {
        let id = traces.record(index).id;
        if sought.contains(&id) {
            elsewhere.entry(id).or_insert(index);
        }
    }
    let example_of = |span: u32| owners[traces.record(span).trace as usize];
    let mut groups: Vec<Orphans> = absent
        .into_iter()
        .filter_map(|((trace, parent_id), spans)| {
            let found = elsewhere.get(&parent_id).copied();
            let example = owners[trace as usize].or_else(|| found.and_then(example_of))?;
            Some(Orphans {
                example,
                parent_id,
                spans,
                elsewhere: found.filter(|&span| example_of(span) == Some(example)),
            })
        })
        .collect();
    groups.sort_by_key(|group| (group.example, group.spans[0]));
    groups
}
