//! Whose side a span is on, and the parent links that don't hold.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use crate::contract::Contract;
use crate::semconv;
use crate::traces::{Kind, NONE, Traces};

use super::examples::server_resources;

/// Who wrote a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Client,
    Server,
    /// It does a server's work under a name that the contract doesn't know.
    Undeclared,
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

pub(crate) fn find(traces: &Traces, contract: &Contract, owners: Vec<Option<u32>>) -> Links {
    let servers = server_resources(traces, contract);
    let side = |resource: u32| {
        if servers[resource as usize] {
            Side::Server
        } else {
            Side::Client
        }
    };
    let mut sides: Vec<Side> = traces
        .spans
        .iter()
        .map(|span| side(span.resource))
        .collect();
    let mut cycles = Vec::new();
    for trace in owned(&owners) {
        for index in preorder(traces, trace, &mut cycles) {
            if is_undeclared(traces, contract, &sides, index) {
                sides[index as usize] = Side::Undeclared;
            }
        }
    }
    let orphans = orphans(traces, &owners);
    Links {
        owners,
        sides,
        orphans,
        cycles,
    }
}

/// Parents before children; each cycle is put among `cycles` and entered at its earliest span.
fn preorder(traces: &Traces, trace: u32, cycles: &mut Vec<Vec<u32>>) -> Vec<u32> {
    let range = traces.traces[trace as usize].spans();
    let mut seen = vec![false; range.len()];
    let mut order = Vec::with_capacity(range.len());
    let mut visit = |top: u32, seen: &mut [bool]| {
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
            visit(index, &mut seen);
        }
    }
    for index in range.clone() {
        if !seen[(index - range.start) as usize] {
            let cycle = cycle_above(traces, index);
            visit(cycle[0], &mut seen);
            cycles.push(cycle);
        }
    }
    order
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

fn is_undeclared(traces: &Traces, contract: &Contract, sides: &[Side], index: u32) -> bool {
    let Some(parent) = traces
        .parent(index)
        .filter(|_| sides[index as usize] == Side::Client)
    else {
        return false;
    };
    let (span, above) = (traces.record(index), traces.record(parent));
    let name = semconv::rpc_name(traces.str(span.name), &contract.server.rpc_service);
    let milvus = name.is_some_and(|name| name.service == contract.server.rpc_service);
    if sides[parent as usize] != Side::Client {
        // A client's call under a server span is a matter of its parent, not of its service.
        return !milvus;
    }
    let service = |resource: u32| traces.resources[resource as usize].service_name;
    milvus && span.kind == Kind::Server && service(span.resource) != service(above.resource)
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
