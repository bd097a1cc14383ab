//! Alignment by step: which call belongs to which step of the scenario, whatever else happens between them.

use crate::contract::{Contract, Step};
use crate::traces::Traces;

use super::calls::{Call, Ghost};

/// What one example did, step by step.
#[derive(Debug, Default)]
pub(crate) struct Alignment {
    /// Steps in the order in which they were done, by their index in the contract.
    pub(crate) order: Vec<u16>,
    /// Steps that were done out of the contract's order, with a span of theirs.
    pub(crate) displaced: Vec<(u16, u32)>,
    /// Calls that do a step's work again: the span, and its step.
    pub(crate) repeated: Vec<(u16, u32)>,
    /// Steps that some call or ghost stands for.
    pub(crate) reached: Vec<bool>,
    /// Steps that only ghosts stand for, with the first of them.
    pub(crate) ghostly: Vec<Option<u32>>,
}

/// One call or ghost that some step may own.
struct Item {
    span: u32,
    start: u64,
    candidates: Vec<u16>,
    /// It is one of the step's own calls, and no housekeeping.
    own: bool,
    /// The steps that it belongs to whenever it is made.
    with: Option<u16>,
    source: Source,
    step: Option<u16>,
}

/// Where an item is in its list.
#[derive(Clone, Copy)]
enum Source {
    Call(usize),
    Ghost(usize),
}

/// Sets the calls' and ghosts' steps.
///
/// The longest selection of calls that follows the contract's order wins: first by the number of steps in it, then by the number of
/// calls. What is outside of it is either more of a step that the selection has, or a step done at the wrong time.
pub(crate) fn align(
    traces: &Traces,
    contract: &Contract,
    root: Option<u32>,
    calls: &mut [Call<'_>],
    ghosts: &mut [Ghost<'_>],
) -> Alignment {
    let judged = calls.iter().enumerate().filter(|(_, call)| call.judged);
    let of_calls = judged.map(|(index, call)| {
        (
            call.span,
            starts(traces, root, call),
            call.method,
            Source::Call(index),
        )
    });
    let of_ghosts = ghosts.iter().enumerate();
    let of_ghosts = of_ghosts.map(|(index, ghost)| {
        (
            ghost.span,
            traces.record(ghost.span).start,
            ghost.method,
            Source::Ghost(index),
        )
    });
    let mut items: Vec<Item> = of_calls
        .chain(of_ghosts)
        .filter_map(|(span, start, method, source)| item(contract, span, start, method, source))
        .collect();
    items.sort_by_key(|item| (item.start, item.span));
    select(contract.steps.len(), &mut items);
    let alignment = settle(contract, &mut items);
    for item in items {
        match item.source {
            Source::Call(call) => calls[call].step = item.step,
            Source::Ghost(ghost) => ghosts[ghost].step = item.step,
        }
    }
    alignment
}

fn item(contract: &Contract, span: u32, start: u64, method: &str, source: Source) -> Option<Item> {
    let candidates = candidates(contract, method);
    let housekeeping = contract.housekeeping.iter().any(|known| known == method);
    let step = |step: u16| &contract.steps[usize::from(step)];
    let with = candidates
        .iter()
        .find(|&&candidate| !owns(step(candidate), method))
        .copied();
    (!candidates.is_empty()).then(|| Item {
        span,
        start,
        own: !housekeeping
            && candidates
                .iter()
                .any(|&candidate| owns(step(candidate), method)),
        with,
        candidates,
        source,
        step: None,
    })
}

/// When a call was made: by its server span, where its own time is none that the root's allows.
fn starts(traces: &Traces, root: Option<u32>, call: &Call<'_>) -> u64 {
    let start = traces.record(call.span).start;
    let Some(root) = root.map(|root| traces.record(root)) else {
        return start;
    };
    let within = |time: &u64| (root.start..=root.end).contains(time);
    let served = call
        .server()
        .map(|server| traces.record(server).start)
        .filter(within);
    served.filter(|_| !within(&start)).unwrap_or(start)
}

fn owns(step: &Step, method: &str) -> bool {
    step.rpcs.iter().any(|rpc| rpc == method)
}

fn candidates(contract: &Contract, method: &str) -> Vec<u16> {
    (0..)
        .zip(&contract.steps)
        .filter(|(_, step)| owns(step, method) || step.with.iter().any(|rpc| rpc == method))
        .map(|(index, _)| index)
        .collect()
}

/// Steps and calls in a selection; more is better.
type Worth = (u32, u32);

/// Gives each item of the best selection its step.
fn select(steps: usize, items: &mut [Item]) {
    const NOWHERE: u16 = u16::MAX;
    let mut best: Vec<Option<Worth>> = vec![None; steps];
    // Per item and step, the step that the selection was in before.
    let mut before: Vec<Vec<(u16, u16)>> = Vec::with_capacity(items.len());
    for item in &*items {
        let mut choices = Vec::with_capacity(item.candidates.len());
        let mut updates = Vec::with_capacity(item.candidates.len());
        for &step in &item.candidates {
            let at = usize::from(step);
            let entered = (0..at)
                .filter_map(|earlier| best[earlier].map(|worth| (worth, earlier as u16)))
                .max_by_key(|&(worth, earlier)| (worth, std::cmp::Reverse(earlier)));
            let fresh = entered.map_or(((1, 1), NOWHERE), |((steps, calls), earlier)| {
                ((steps + 1, calls + 1), earlier)
            });
            let stayed = best[at].map(|(steps, calls)| ((steps, calls + 1), step));
            let (worth, from) = stayed.filter(|stayed| stayed.0 >= fresh.0).unwrap_or(fresh);
            if best[at].is_none_or(|known| worth >= known) {
                updates.push((at, worth));
                choices.push((step, from));
            }
        }
        for (at, worth) in updates {
            best[at] = Some(worth);
        }
        before.push(choices);
    }
    let last = (0..steps)
        .filter_map(|step| best[step].map(|worth| (worth, step as u16)))
        .max();
    let Some((_, mut at)) = last else { return };
    for (item, choices) in items.iter_mut().zip(&before).rev() {
        if let Some(&(step, from)) = choices.iter().find(|(step, _)| *step == at) {
            item.step = Some(step);
            at = from;
            if at == NOWHERE {
                return;
            }
        }
    }
}

/// Decides on the items outside of the selection, and tells what was done.
fn settle(contract: &Contract, items: &mut [Item]) -> Alignment {
    let count = contract.steps.len();
    let mut selected = vec![false; count];
    for step in items.iter().filter_map(|item| item.step) {
        selected[usize::from(step)] = true;
    }
    let mut alignment = Alignment {
        reached: vec![false; count],
        ghostly: vec![None; count],
        ..Alignment::default()
    };
    let mut done = vec![false; count];
    let mut displaced = vec![false; count];
    for item in items.iter_mut() {
        let chosen = item.step;
        let late = chosen.is_none() && item.own;
        if late {
            let open = |step: &&u16| !selected[usize::from(**step)];
            let required =
                |step: &&u16| open(step) && !contract.steps[usize::from(**step)].optional;
            let options = &item.candidates;
            let step = options
                .iter()
                .find(required)
                .or_else(|| options.iter().find(open));
            item.step = Some(*step.unwrap_or(&options[options.len() - 1]));
        }
        item.step = item.step.or(item.with);
        let Some(step) = item.step else { continue };
        let at = usize::from(step);
        if late && !selected[at] && !std::mem::replace(&mut displaced[at], true) {
            alignment.displaced.push((step, item.span));
        }
        if item.own && done[at] && !contract.steps[at].polling {
            alignment.repeated.push((step, item.span));
        }
        done[at] |= item.own;
        if matches!(item.source, Source::Call(_)) {
            alignment.reached[at] = true;
        } else {
            alignment.ghostly[at].get_or_insert(item.span);
        }
        if alignment.order.last() != Some(&step) && !alignment.order.contains(&step) {
            alignment.order.push(step);
        }
    }
    alignment
}
