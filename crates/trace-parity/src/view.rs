//! What rules read: the traces sorted into examples, client calls joined to server spans, and calls aligned to steps.

pub(crate) mod calls;
pub(crate) mod examples;
pub(crate) mod join;
pub(crate) mod links;
pub(crate) mod reader;
pub(crate) mod signals;
pub(crate) mod steps;
pub(crate) mod wire;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::contract::{Contract, ServerOrphan};
use crate::facts::RunFacts;
use crate::read::Problem;
use crate::traces::{Status, Traces};
use calls::{Answer, Call, Ghost};
use examples::Example;
use join::Uncalled;
use links::{Links, Orphans, Side};
use reader::Reader;
use signals::SignalView;
use steps::Alignment;
use wire::OnWire;

/// Everything that is known, prepared once.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) traces: &'a Traces,
    pub(crate) reader: Reader<'a>,
    pub(crate) contract: &'a Contract,
    /// The contract's scenario is what ran. Else it is any program, of which only names and words are known.
    pub(crate) scenario: bool,
    pub(crate) facts: Option<&'a RunFacts>,
    pub(crate) problems: &'a [Problem],
    pub(crate) examples: Vec<Example<'a>>,
    pub(crate) links: Links,
    /// By example, and in an example by start.
    pub(crate) calls: Vec<Call<'a>>,
    /// By span.
    pub(crate) call_of: HashMap<u32, u32>,
    /// Calls by the server span that answers them, or stands in its place.
    answers: HashMap<u32, u32>,
    /// Server spans of calls whose client span isn't there; by example.
    pub(crate) ghosts: Vec<Ghost<'a>>,
    ghost_of: HashMap<u32, u32>,
    /// Server spans at the top of traces of nobody's that no call explains, in order of start.
    pub(crate) uncalled: Vec<Uncalled<'a>>,
    /// Server spans below parents that are in no trace, and that no call explains, in order of start: their calls carried a context, and the
    /// callers' spans never came.
    pub(crate) unexported: Vec<Uncalled<'a>>,
    /// What a witness saw; `None` without one.
    pub(crate) wire: Option<OnWire<'a>>,
    /// Metrics and logs; `None` where none were captured.
    pub(crate) signals: Option<SignalView<'a>>,
    /// One per example.
    pub(crate) alignments: Vec<Alignment>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        traces: &'a Traces,
        problems: &'a [Problem],
        contract: &'a Contract,
        scenario: bool,
        facts: Option<&'a RunFacts>,
    ) -> Self {
        let (mut examples, owners) = examples::assign(traces, contract, facts);
        let reader = Reader::new(traces, contract);
        let links = links::find(traces, contract, &reader, owners);
        let mut calls = calls::find(traces, contract, &reader, &links, &mut examples);
        let call_of = (0..)
            .zip(&calls)
            .map(|(index, call)| (call.span, index))
            .collect();
        let join::Left {
            mut ghosts,
            uncalled,
            unexported,
        } = join::join(traces, contract, &reader, &links, &mut calls, &call_of);
        let alignments = (0..)
            .zip(&examples)
            .map(|(index, example)| {
                if !scenario {
                    return Alignment::default();
                }
                let haunted = links::range_of(&ghosts, index, |ghost| ghost.example);
                let (own, ghosts) = (&mut calls[example.calls.clone()], &mut ghosts[haunted]);
                steps::align(traces, contract, example.root, own, ghosts)
            })
            .collect();
        let wire = facts.and_then(|facts| facts.wire.as_ref());
        let wire = wire.map(|wire| OnWire::join(wire, traces, contract, &calls, &call_of));
        let signals = facts.and_then(|facts| SignalView::new(traces, contract, facts, &examples));
        let answers = (0..)
            .zip(&calls)
            .flat_map(|(index, call)| call.answer.span().map(move |server| (server, index)))
            .collect();
        View {
            reader,
            traces,
            contract,
            scenario,
            facts,
            problems,
            examples,
            links,
            calls,
            call_of,
            answers,
            ghost_of: (0..)
                .zip(&ghosts)
                .map(|(index, ghost)| (ghost.span, index))
                .collect(),
            ghosts,
            uncalled,
            unexported,
            wire,
            signals,
            alignments,
        }
    }

    /// Each example with its index.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (u32, &Example<'a>)> {
        (0..).zip(&self.examples)
    }

    pub(crate) fn calls_of(&self, example: &Example<'a>) -> &[Call<'a>] {
        &self.calls[example.calls.clone()]
    }

    pub(crate) fn step_name(&self, step: Option<u16>) -> Option<&'a str> {
        step.map(|step| self.contract.steps[usize::from(step)].name.as_str())
    }

    pub(crate) fn service(&self, span: u32) -> &'a str {
        self.traces.span(span).service_name().unwrap_or_default()
    }

    /// The call that a span of the same program lies under; the span itself where it lies under none.
    pub(crate) fn call_above(&self, span: u32) -> u32 {
        /// Layers of a program above one of its spans that are looked at.
        const LAYERS: usize = 32;
        let is_own = |above: &u32| self.service(*above) == self.service(span);
        let mut above = std::iter::successors(Some(span), |&span| self.traces.parent(span))
            .take(LAYERS)
            .take_while(is_own)
            .skip_while(|&span| self.links.side(span) == Side::Between);
        above.next().unwrap_or(span)
    }

    /// The call of the same method that a call lies under and runs in: two instrumentations tell of it.
    pub(crate) fn told_above(&self, call: &Call<'a>) -> Option<u32> {
        let above = self.call_above(self.traces.parent(call.span)?);
        let outer = &self.calls[*self.call_of.get(&above)? as usize];
        let (inside, around) = (self.traces.record(call.span), self.traces.record(above));
        let runs = (around.start..=around.end).contains(&inside.start);
        (runs && outer.method == call.method).then_some(above)
    }

    /// The call that `span` is, or in whose time it begins.
    pub(crate) fn call_around(&self, example: u32, span: u32) -> Option<&Call<'a>> {
        /// Calls that run side by side are few.
        const LOOKED_AT: usize = 32;
        if let Some(&call) = self.call_of.get(&span) {
            return Some(&self.calls[call as usize]);
        }
        let start = self.traces.record(span).start;
        let calls = self.calls_of(&self.examples[example as usize]);
        let behind = calls.partition_point(|call| self.traces.record(call.span).start <= start);
        calls[..behind]
            .iter()
            .rev()
            .take(LOOKED_AT)
            .find(|call| self.traces.record(call.span).end >= start)
    }

    /// The step of the call that `span` belongs to.
    pub(crate) fn step_at(&self, example: u32, span: u32) -> Option<u16> {
        if let Some(ghost) = self.ghost(span) {
            return ghost.step;
        }
        let answered = self
            .answers
            .get(&span)
            .map(|&call| &self.calls[call as usize]);
        answered
            .or_else(|| self.call_around(example, span))
            .and_then(|call| call.step)
    }

    pub(crate) fn ghost(&self, span: u32) -> Option<&Ghost<'a>> {
        self.ghost_of
            .get(&span)
            .map(|&ghost| &self.ghosts[ghost as usize])
    }

    /// The call that a server span answers from where it shouldn't be.
    pub(crate) fn astray_call(&self, server: u32) -> Option<u32> {
        let call = &self.calls[*self.answers.get(&server)? as usize];
        (call.answer == Answer::Astray(server)).then_some(call.span)
    }

    /// Whether another call of its method in its step has a server span and ended well.
    pub(crate) fn is_answered_in_its_step(&self, call: &Call<'a>) -> bool {
        let mut calls = self.calls_of(&self.examples[call.example as usize]).iter();
        calls.any(|other| {
            other.step == call.step
                && other.method == call.method
                && other.server().is_some()
                && self.traces.record(other.span).status != Status::Error
        })
    }

    /// The spans between a call and its server span, from the call downwards.
    pub(crate) fn through(&self, call: &Call<'a>) -> Vec<u32> {
        let above = |span: &u32| {
            self.traces
                .parent(*span)
                .filter(|&above| above != call.span)
        };
        let mut between: Vec<u32> = std::iter::successors(call.server(), above)
            .skip(1)
            .collect();
        between.reverse();
        between
    }

    /// Names for the spans between a call and its server span: the service, or the scope where it is the program's own.
    pub(crate) fn through_names(&self, call: &Call<'a>) -> Vec<&'a str> {
        let own = self.service(call.span);
        let mut names: Vec<&'a str> = Vec::new();
        for span in self.through(call) {
            let service = self.service(span);
            let name = if service == own {
                self.traces.span(span).scope_name()
            } else {
                service
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The contract's entry for spans that the server itself leaves without their parent.
    pub(crate) fn server_orphan(&self, group: &Orphans) -> Option<&'a ServerOrphan> {
        let span = self.traces.span(group.spans[0]);
        let trace = self.traces.record(group.spans[0]).trace;
        let version = self.facts.and_then(|facts| facts.server_version.as_deref());
        let within = |method: &str| {
            let calls = self.calls_of(&self.examples[group.example as usize]);
            let mut calls = calls.iter().filter(|call| call.method == method);
            calls.any(|call| self.traces.record(call.span).trace == trace)
        };
        let server = &self.contract.server;
        server.leaves_orphaned(version, span.name(), span.scope_name(), within)
    }

    /// Names of the server's spans that work for one call.
    pub(crate) fn work_of(&self, call: &Call<'a>) -> BTreeSet<&'a str> {
        self.names_under(call.answered_by().into_iter().collect())
    }

    /// Names of the server's spans that work for a step's calls, or for those of one method.
    pub(crate) fn work(&self, example: u32, step: u16, method: Option<&str>) -> BTreeSet<&'a str> {
        let wanted = |of: Option<u16>, by: &str| {
            of == Some(step) && method.is_none_or(|method| method == by)
        };
        let calls = self.calls_of(&self.examples[example as usize]);
        let own = calls.iter().filter(|call| wanted(call.step, call.method));
        let ghosts = self.ghosts[links::range_of(&self.ghosts, example, |ghost| ghost.example)]
            .iter()
            .filter(|ghost| wanted(ghost.step, ghost.method));
        let mut open: Vec<u32> = own.filter_map(Call::answered_by).collect();
        open.extend(ghosts.map(|ghost| ghost.span));
        self.names_under(open)
    }

    fn names_under(&self, mut open: Vec<u32>) -> BTreeSet<&'a str> {
        let mut seen: HashSet<u32> = HashSet::new();
        let mut names = BTreeSet::new();
        while let Some(span) = open.pop() {
            if seen.insert(span) {
                names.insert(self.traces.span(span).name());
                open.extend_from_slice(self.traces.children(span));
            }
        }
        names
    }
}
