//! The join of client calls and the server spans that answer them; it lives here and only here.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::contract::Contract;
use crate::traces::{Kind, Status, Traces};

use super::calls::{Answer, Call, Ghost};
use super::links::{Links, Side, range_of};
use super::reader::Reader;

/// Clocks of two machines may differ by this much and still be called the same time.
const SKEW_NS: u64 = 1_000_000_000;

/// Server spans that the join gives to no call.
#[derive(Debug, Default)]
pub(crate) struct Left<'a> {
    /// In the examples' traces; by example.
    pub(crate) ghosts: Vec<Ghost<'a>>,
    /// At the top of traces of nobody's, without a parent; in order of start.
    pub(crate) uncalled: Vec<Uncalled<'a>>,
    pub(crate) unexported: Vec<Uncalled<'a>>,
}

/// A server span of the contract's service whose call came without a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncalled<'a> {
    pub(crate) span: u32,
    pub(crate) method: &'a str,
    pub(crate) start: u64,
}

/// Gives each call its server span: the one below it; else one of its example that has lost its way; else one that began a trace of its
/// own; else one in a foreign trace.
pub(crate) fn join<'a>(
    traces: &'a Traces,
    contract: &'a Contract,
    reader: &Reader<'a>,
    links: &Links,
    calls: &mut [Call<'a>],
    call_of: &HashMap<u32, u32>,
) -> Left<'a> {
    let mut open = Vec::new();
    for call in calls.iter_mut().filter(|call| call.judged) {
        answer(traces, links, reader, call, &mut open);
    }
    join_shared(traces, links, calls, call_of);
    let (own, mut nobodys) = unclaimed(traces, contract, links, reader, calls);
    adopt_named(traces, calls, &mut nobodys);
    let (rootless, mut foreign): (Vec<_>, Vec<_>) = nobodys
        .into_iter()
        .partition(|unclaimed| traces.record(unclaimed.span).parent_id == [0; 8]);
    let called: HashSet<u32> = calls
        .iter()
        .filter(|call| call.judged)
        .map(|call| traces.record(call.span).trace)
        .collect();
    let mut ghosts = Vec::new();
    for (example, unclaimed) in own {
        // Another tracer's spans are above it, in a trace without a call of ours.
        let (unclaimed, by_other): (Vec<_>, Vec<_>) =
            unclaimed.into_iter().partition(|unclaimed| {
                called.contains(&traces.record(unclaimed.span).trace)
                    || traces.parent(unclaimed.span).is_none()
            });
        foreign.extend(by_other);
        let open = range_of(calls, example, |call| call.example);
        let open = calls[open].iter_mut().filter(|call| call.answer.is_open());
        let left = assign(traces, open, unclaimed, Answer::Astray);
        let parents_call = |span: u32| {
            let parent = traces.parent(span)?;
            call_of.get(&parent).map(|&call| &calls[call as usize])
        };
        // Under a call of its own it is the same request, sent again; under another it is that call's wrong answer.
        let left = left
            .into_iter()
            .filter(|ghost| parents_call(ghost.span).is_none());
        ghosts.extend(left.map(|ghost| Ghost {
            span: ghost.span,
            example,
            method: ghost.method,
            step: None,
        }));
    }
    let unanswered = |call: &&mut Call<'_>| call.answer == Answer::None;
    let open = calls.iter_mut().filter(unanswered);
    let uncalled = assign(traces, open, rootless, Answer::Lost);
    let open = calls.iter_mut().filter(unanswered);
    let mut unexported = Vec::new();
    for left in assign(traces, open, foreign, Answer::Replaced) {
        // A call whose own span isn't there, in a trace of an example's.
        match links.example_of(traces, left.span) {
            Some(example) => ghosts.push(Ghost {
                span: left.span,
                example,
                method: left.method,
                step: None,
            }),
            None => unexported.push(left),
        }
    }
    ghosts.sort_by_key(|ghost| (ghost.example, traces.record(ghost.span).start, ghost.span));
    for call in calls.iter_mut().filter(|call| call.judged) {
        call.method = borne_out(reader, call);
    }
    Left {
        ghosts,
        uncalled,
        unexported,
    }
}

/// Finds the span on the server's side that answers a call, below it or below what lies between: of its own method before any other, and
/// within its time before later ones, and one that ended well where the call did.
fn answer<'a>(
    traces: &'a Traces,
    links: &Links,
    reader: &Reader<'a>,
    call: &mut Call<'a>,
    open: &mut Vec<u32>,
) {
    let time = traces.record(call.span);
    let named = call.named.map(|named| named.method);
    // A layer of the program above another one, such as gRPC's `Sent.…` above `Attempt.…`, sends nothing itself.
    let is_try = |span: u32| {
        let method = reader.words(span).method();
        links.side(span) == Side::Between
            && method.is_some()
            && method == call.said.or(named)
            && traces.service_name(span) == traces.service_name(call.span)
    };
    let mut attempts = 0;
    let mut wrong = None;
    let mut best: Option<((bool, bool), u32)> = None;
    open.clear();
    open.push(call.span);
    while let Some(above) = open.pop() {
        for &child in traces.children(above) {
            match links.side(child) {
                Side::Client => continue,
                Side::Between => {
                    open.push(child);
                    let tries = |span: &u32| is_try(*span);
                    attempts +=
                        u32::from(tries(&child) && !traces.children(child).iter().any(tries));
                    continue;
                }
                Side::Server | Side::Undeclared => {}
            }
            let method = reader.words(child).method();
            if links.side(child) == Side::Undeclared
                || method.is_none()
                || (method != call.said && method != named)
            {
                if above == call.span {
                    wrong = wrong.or(Some(child));
                }
                continue;
            }
            let span = traces.record(child);
            let outside = span.start < time.start || span.end > time.end;
            let unlike = span.status == Status::Error && time.status != Status::Error;
            if best.is_none_or(|known| ((outside, unlike), child) < known) {
                best = Some(((outside, unlike), child));
            }
        }
    }
    call.answer = match best {
        Some((_, child)) => Answer::Joined(child),
        None => wrong.map_or(Answer::None, Answer::Wrong),
    };
    call.attempts = attempts;
}

/// Zipkin's way: client and server tell one call in one span, each its half.
pub(crate) fn is_shared(traces: &Traces, one: u32, other: u32) -> bool {
    let (one, other) = (traces.record(one), traces.record(other));
    let kinds = [one.kind, other.kind];
    one.resource != other.resource
        && one.parent_id == other.parent_id
        && kinds.contains(&Kind::Client)
        && kinds.contains(&Kind::Server)
}

/// Gives calls the server's half of a span that both share.
fn join_shared(
    traces: &Traces,
    links: &Links,
    calls: &mut [Call<'_>],
    call_of: &HashMap<u32, u32>,
) {
    for &(later, first) in &traces.repeated_ids {
        for (own, other) in [(first, later), (later, first)] {
            let Some(&call) = call_of.get(&own) else {
                continue;
            };
            let call = &mut calls[call as usize];
            let open = call.judged && call.answer.is_open();
            if open && links.side(other) == Side::Server && is_shared(traces, own, other) {
                call.answer = Answer::Joined(other);
            }
        }
    }
}

/// Server spans of the contract's service that answer no call: by example those in their traces, and the tops of nobody's traces.
fn unclaimed<'a>(
    traces: &'a Traces,
    contract: &'a Contract,
    links: &Links,
    reader: &Reader<'a>,
    calls: &[Call<'a>],
) -> (BTreeMap<u32, Vec<Uncalled<'a>>>, Vec<Uncalled<'a>>) {
    let mut claimed: Vec<u32> = calls.iter().filter_map(Call::server).collect();
    claimed.sort_unstable();
    let mut own: BTreeMap<u32, Vec<Uncalled<'a>>> = BTreeMap::new();
    let mut nobodys = Vec::new();
    for span in 0..traces.spans.len() as u32 {
        let owner = links.example_of(traces, span);
        let parent = traces.parent(span);
        let inner = owner.is_none() && parent.is_some();
        // What a proxy asks of the server on its own account is nobody's call.
        let by_proxy = parent.is_some_and(|parent| links.side(parent) == Side::Between);
        if inner
            || by_proxy
            || links.side(span) != Side::Server
            || claimed.binary_search(&span).is_ok()
        {
            continue;
        }
        let words = reader.words(span);
        let Some(method) = words
            .method()
            .filter(|_| words.calls(&contract.server.rpc_service))
        else {
            continue;
        };
        let unclaimed = Uncalled {
            span,
            method,
            start: traces.record(span).start,
        };
        match owner {
            Some(example) => own.entry(example).or_default().push(unclaimed),
            None => nobodys.push(unclaimed),
        }
    }
    (own, nobodys)
}

/// Server spans in traces of nobody's that name a call as their parent.
fn adopt_named<'a>(traces: &Traces, calls: &mut [Call<'a>], nobodys: &mut Vec<Uncalled<'a>>) {
    let mut named: HashMap<[u8; 8], u32> = HashMap::new();
    for unclaimed in nobodys.iter() {
        let parent = traces.record(unclaimed.span).parent_id;
        if parent != [0; 8] {
            named.entry(parent).or_insert(unclaimed.span);
        }
    }
    if named.is_empty() {
        return;
    }
    let mut adopted: Vec<u32> = Vec::new();
    for call in calls.iter_mut() {
        let Some(&server) = named.get(&traces.record(call.span).id) else {
            continue;
        };
        adopted.push(server);
        if call.answer.is_open() {
            call.answer = Answer::Astray(server);
        }
    }
    adopted.sort_unstable();
    nobodys.retain(|unclaimed| adopted.binary_search(&unclaimed.span).is_err());
}

/// Gives open calls the unclaimed spans of their method that fit in time, each to one; returns those that are left.
fn assign<'a, 'c>(
    traces: &Traces,
    calls: impl Iterator<Item = &'c mut Call<'a>>,
    unclaimed: Vec<Uncalled<'a>>,
    place: fn(u32) -> Answer,
) -> Vec<Uncalled<'a>>
where
    'a: 'c,
{
    if unclaimed.is_empty() {
        return unclaimed;
    }
    let mut by_method: HashMap<&'a str, Pool<'a>> = HashMap::new();
    for span in unclaimed {
        by_method.entry(span.method).or_default().spans.push(span);
    }
    for pool in by_method.values_mut() {
        pool.seal();
    }
    let mut open: Vec<&mut Call<'a>> = calls.filter(|call| call.judged).collect();
    for slack in [0, SKEW_NS] {
        open.retain_mut(|call| {
            let record = traces.record(call.span);
            let (from, to) = (
                record.start.saturating_sub(slack),
                record.end.saturating_add(slack),
            );
            let methods = [call.said, call.named.map(|named| named.method)];
            let found = methods
                .into_iter()
                .flatten()
                .find_map(|method| by_method.get_mut(method)?.take(from, to));
            call.answer = found.map_or(call.answer, place);
            found.is_none()
        });
    }
    let mut left: Vec<Uncalled<'a>> = by_method.into_values().flat_map(Pool::left).collect();
    left.sort_by_key(|span| (span.start, span.span));
    left
}

/// Unclaimed server spans of one method, in order of start; finding the next one that is free stays cheap however many are taken.
#[derive(Debug, Default)]
struct Pool<'a> {
    spans: Vec<Uncalled<'a>>,
    /// At each place, where the next free span is, or further on the way to it.
    next: Vec<usize>,
}

impl<'a> Pool<'a> {
    fn seal(&mut self) {
        self.spans.sort_by_key(|span| (span.start, span.span));
        self.next = (0..=self.spans.len()).collect();
    }

    fn take(&mut self, from: u64, to: u64) -> Option<u32> {
        let place = self.spans.partition_point(|span| span.start < from);
        let free = self.free(place);
        let found = self.spans.get(free).filter(|span| span.start <= to)?.span;
        self.next[free] = free + 1;
        Some(found)
    }

    fn free(&mut self, place: usize) -> usize {
        let mut free = place;
        while self.next[free] != free {
            free = self.next[free];
        }
        let mut at = place;
        while at != free {
            at = std::mem::replace(&mut self.next[at], free);
        }
        free
    }

    fn left(self) -> impl Iterator<Item = Uncalled<'a>> {
        let next = self.next;
        self.spans
            .into_iter()
            .enumerate()
            .filter(move |(place, _)| next[*place] == *place)
            .map(|(_, span)| span)
    }
}

/// The method of a call whose name and attribute disagree is the one that its server span bears out.
fn borne_out<'a>(reader: &Reader<'a>, call: &Call<'a>) -> &'a str {
    let named = call.named.map(|named| named.method);
    let served = call
        .answered_by()
        .and_then(|server| reader.words(server).method());
    match (call.said, named) {
        (Some(said), Some(named)) if said != named && served == Some(named) => named,
        (Some(said), _) if named.is_none() && served.is_some() => served.unwrap_or(said),
        (Some(said), _) => said,
        (None, Some(named)) => named,
        (None, None) => served.unwrap_or_default(),
    }
}
