//! Which traces are whose.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::contract::Contract;
use crate::facts::{ExampleFacts, RunFacts};
use crate::ids::TraceId;
use crate::intern::Str;
use crate::traces::{Span, SpanRecord, Trace, Traces, Value};

/// One example and the traces that it made.
#[derive(Debug)]
pub(crate) struct Example<'a> {
    pub(crate) name: String,
    pub(crate) facts: Option<&'a ExampleFacts>,
    /// Indices of traces, in order of start.
    pub(crate) traces: Vec<u32>,
    /// The client's span without a parent, or with a remote one that isn't in the input: the first, where there are several; one that has
    /// the contract's name is preferred.
    pub(crate) root: Option<u32>,
    /// Its part of [`super::View::calls`].
    pub(crate) calls: Range<usize>,
}

/// Whose a trace says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Claim<'a> {
    source: Option<u32>,
    pub(crate) run: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
    language: Option<&'a str>,
    /// Where nothing else tells traces apart.
    trace: Option<u32>,
}

type Groups<'a> = Vec<(Claim<'a>, Vec<u32>)>;

/// Sorts traces into examples. A trace of server spans alone is nobody's; its owner is `None`.
pub(crate) fn assign<'a>(
    traces: &'a Traces,
    contract: &Contract,
    facts: Option<&'a RunFacts>,
) -> (Vec<Example<'a>>, Vec<Option<u32>>) {
    let servers = server_resources(traces, contract);
    let claims: Vec<Option<Claim<'a>>> = (0..traces.traces.len() as u32)
        .map(|trace| claim(traces, trace, &servers))
        .collect();
    let groups = group(&claims);
    let mut examples = match facts {
        Some(facts) => of_run(traces, facts, groups),
        None => of_input(traces, groups),
    };
    let mut owners = vec![None; traces.traces.len()];
    for (index, example) in (0..).zip(&mut examples) {
        let start = |&trace: &u32| traces.record(traces.traces[trace as usize].first).start;
        example.traces.sort_by_key(start);
        for &trace in &example.traces {
            owners[trace as usize] = Some(index);
        }
        example.root = root(traces, contract, &example.traces, &servers);
    }
    (examples, owners)
}

/// Per resource, whether it is the server's.
pub(crate) fn server_resources(traces: &Traces, contract: &Contract) -> Vec<bool> {
    traces
        .resources
        .iter()
        .map(|resource| {
            let name = resource.service_name.map(|name| traces.str(name));
            name.is_some_and(|name| contract.is_server(name))
        })
        .collect()
}

/// The fullest claim among the resources of the service that begins a trace: one batch may have lost what the others have, and a proxy
/// that takes part says nothing of the program.
fn claim<'a>(traces: &'a Traces, trace: u32, servers: &[bool]) -> Option<Claim<'a>> {
    let mut best: Option<(u8, Claim<'a>)> = None;
    let mut last = None;
    let mut service: Option<Str> = None;
    for index in traces.traces[trace as usize].spans() {
        let resource = traces.record(index).resource;
        if servers[resource as usize] || last == Some(resource) {
            continue;
        }
        last = Some(resource);
        let name = traces.resources[resource as usize].service_name;
        service = service.or(name);
        if name.is_some() && name != service {
            continue;
        }
        let claim = claim_of(traces, resource);
        let weight = 2 * u8::from(claim.run.is_some())
            + 2 * u8::from(claim.instance.is_some())
            + u8::from(claim.language.is_some());
        if best.as_ref().is_none_or(|(known, _)| weight > *known) {
            best = Some((weight, claim));
        }
    }
    let (_, mut claim) = best?;
    if claim.instance.is_some() {
        claim.language = None;
    } else if claim.run.is_none() && claim.source.is_none() {
        claim.trace = Some(trace);
    }
    Some(claim)
}

pub(crate) fn claim_of(traces: &Traces, resource: u32) -> Claim<'_> {
    let record = &traces.resources[resource as usize];
    let get = |key: &str| {
        traces
            .attribute_named(record.attributes, key)
            .and_then(Value::as_str)
    };
    let run = get("milvus_otel.run");
    let labelled = traces.sources[record.source as usize].is_some();
    Claim {
        source: labelled.then_some(record.source),
        run,
        // An agent makes up an instance id of its own; it says something only in a run.
        instance: run.and(get("service.instance.id")),
        language: get("telemetry.sdk.language"),
        trace: None,
    }
}

/// Traces by claim, in order of first appearance.
fn group<'a>(claims: &[Option<Claim<'a>>]) -> Groups<'a> {
    let mut groups: Groups<'a> = Vec::new();
    let mut places: HashMap<&Claim<'a>, usize> = HashMap::new();
    for (trace, claim) in (0..).zip(claims) {
        let Some(claim) = claim else { continue };
        let place = *places.entry(claim).or_insert_with(|| {
            groups.push((claim.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(trace);
    }
    groups
}

/// Whose the trace of `claim` is, among the programs called `names` that `run` started.
///
/// The run's id alone says that a trace is of the run; among several programs, the instance id labels it. A run that gave its one program
/// no id to claim takes the traces that claim no run: such a program doesn't read `OTEL_RESOURCE_ATTRIBUTES`.
pub(crate) fn owner_of<'n>(
    claim: &Claim<'_>,
    run: Option<&str>,
    mut names: impl ExactSizeIterator<Item = &'n str>,
) -> Option<usize> {
    let same_run = run.is_none() || claim.run == run;
    let only = names.len() == 1 && claim.run == run;
    let by_name = names.position(|name| same_run && claim.instance == Some(name));
    by_name.or(only.then_some(0))
}

/// The example that a resource of `run` names.
pub(crate) fn instance_of(
    facts: &RunFacts,
    run: Option<&str>,
    instance: Option<&str>,
) -> Option<u32> {
    let claim = Claim {
        run,
        instance,
        ..Claim::default()
    };
    let names = facts.examples.iter().map(|facts| facts.name.as_str());
    let owner = owner_of(&claim, facts.run.as_deref(), names)?;
    u32::try_from(owner).ok()
}

/// The examples that a run started, each with its traces; other programs' traces are nobody's.
fn of_run<'a>(traces: &Traces, facts: &'a RunFacts, groups: Groups<'a>) -> Vec<Example<'a>> {
    let mut examples: Vec<Example<'a>> = facts
        .examples
        .iter()
        .map(|facts| example(facts.name.clone(), Some(facts)))
        .collect();
    let printed: HashMap<TraceId, usize> = facts
        .examples
        .iter()
        .enumerate()
        .filter_map(|(index, facts)| Some((facts.trace_id?, index)))
        .collect();
    let mut unlabelled: Vec<u32> = Vec::new();
    for (claim, owned) in groups {
        let names = facts.examples.iter().map(|facts| facts.name.as_str());
        let by_name = owner_of(&claim, facts.run.as_deref(), names);
        for trace in owned {
            let id = TraceId(traces.traces[trace as usize].id);
            match by_name.or_else(|| printed.get(&id).copied()) {
                Some(index) => examples[index].traces.push(trace),
                None if facts.run.is_some() && claim.run == facts.run.as_deref() => {
                    unlabelled.push(trace);
                }
                None => {}
            }
        }
    }
    // Traces of this run under an instance id of their own: the one example that has none made them.
    let mut without = examples
        .iter_mut()
        .filter(|example| example.traces.is_empty());
    if let (Some(example), None) = (without.next(), without.next()) {
        example.traces = unlabelled;
    }
    examples
}

/// Every program that the input holds.
fn of_input<'a>(traces: &'a Traces, groups: Groups<'a>) -> Vec<Example<'a>> {
    let mut labelled: HashMap<u32, u32> = HashMap::new();
    for source in groups.iter().filter_map(|(claim, _)| claim.source) {
        *labelled.entry(source).or_default() += 1;
    }
    let called = |(claim, owned): &(Claim<'_>, Vec<u32>)| {
        let own = match claim.instance.or(claim.language) {
            Some(own) => own.to_owned(),
            None => TraceId(traces.traces[owned[0] as usize].id).to_string(),
        };
        let label = claim.source.and_then(|source| {
            Some((
                traces.sources[source as usize].as_deref()?,
                labelled[&source],
            ))
        });
        match label {
            Some((label, 1)) => label.to_owned(),
            Some((label, _)) => format!("{label}:{own}"),
            None => own,
        }
    };
    let names = told_apart(groups.iter().map(called).collect());
    names
        .into_iter()
        .zip(groups)
        .map(|(name, (_, owned))| Example {
            traces: owned,
            ..example(name, None)
        })
        .collect()
}

/// The first of a name keeps it; the others get a number that makes no name which another has.
fn told_apart(names: Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut counts: HashMap<String, u32> = HashMap::new();
    names
        .into_iter()
        .map(|name| {
            let count = counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                return name;
            }
            loop {
                let numbered = format!("{name}-{count}");
                if taken.insert(numbered.clone()) {
                    return numbered;
                }
                *count += 1;
            }
        })
        .collect()
}

fn example(name: String, facts: Option<&ExampleFacts>) -> Example<'_> {
    Example {
        name,
        facts,
        traces: Vec::new(),
        root: None,
        calls: 0..0,
    }
}

/// The client's span without a parent; else one that an absent, remote parent began.
fn root(traces: &Traces, contract: &Contract, owned: &[u32], servers: &[bool]) -> Option<u32> {
    let mut first = None;
    let mut continued = None;
    let named = |span: &SpanRecord| {
        let root = contract.root.as_ref();
        root.is_some_and(|root| traces.str(span.name) == root.name)
    };
    for index in owned
        .iter()
        .flat_map(|&trace| traces.traces[trace as usize].spans())
    {
        let span = traces.record(index);
        if servers[span.resource as usize] {
            continue;
        }
        if span.parent_id == [0; 8] {
            if named(span) {
                return Some(index);
            }
            first = first.or(Some(index));
        } else if traces.span(index).parent_is_remote() == Some(true)
            && traces.parent(index).is_none()
        {
            continued = continued.filter(|_| !named(span)).or(Some(index));
        }
    }
    first.or(continued)
}

/// A trace and whose it is.
#[derive(Clone, Debug)]
pub struct ExampleTrace<'t> {
    pub label: String,
    pub trace: Trace<'t>,
    /// The client's span without a parent.
    pub root: Option<Span<'t>>,
}

/// The traces of examples, in report order, labelled as [`crate::judge`] labels them; the server's own are left out.
#[must_use]
pub fn example_traces<'t>(
    traces: &'t Traces,
    contract: Option<&Contract>,
    facts: Option<&RunFacts>,
) -> Vec<ExampleTrace<'t>> {
    let contract = match contract {
        Some(contract) => contract,
        None => Contract::shared_builtin(),
    };
    let (examples, _) = assign(traces, contract, facts);
    examples
        .iter()
        .flat_map(|example| {
            example.traces.iter().map(|&trace| {
                let root = example
                    .root
                    .filter(|&root| traces.record(root).trace == trace);
                ExampleTrace {
                    label: example.name.clone(),
                    trace: traces.trace(trace),
                    root: root.map(|root| traces.span(root)),
                }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::told_apart;

    #[test]
    fn no_two_examples_have_one_name() {
        let check = |names: &[&str], expected: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            assert_eq!(told_apart(names), expected);
        };
        check(&["py", "go"], &["py", "go"]);
        check(&["py", "py", "py"], &["py", "py-2", "py-3"]);
        check(&["py", "py", "py-2"], &["py", "py-3", "py-2"]);
        check(
            &["py-2", "py", "py", "py-2"],
            &["py-2", "py", "py-3", "py-2-2"],
        );
    }
}
