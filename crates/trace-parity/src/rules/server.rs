//! Did the server do the same work for each example?

use std::collections::{BTreeMap, BTreeSet};

use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::view::View;

use super::words::counted;

/// Names of the server's spans that a step's work must contain.
pub(crate) fn core(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (step, declared) in (0..).zip(&view.contract.steps) {
        if declared.server_core.is_empty() {
            continue;
        }
        for (index, example) in view.examples() {
            let calls: Vec<_> = view
                .calls_of(example)
                .iter()
                .filter(|call| call.step == Some(step))
                .collect();
            let Some(first) = calls.iter().find(|call| call.answered_by().is_some()) else {
                continue;
            };
            let names = view.work(index, step, None);
            let own: Vec<u32> = calls.iter().map(|call| call.span).collect();
            for core in declared
                .server_core
                .iter()
                .filter(|core| !names.contains(core.as_str()))
            {
                let call = calls
                    .iter()
                    .find(|call| {
                        core.ends_with(&format!("-{}", call.method)) || core.contains(call.method)
                    })
                    .unwrap_or(first);
                let message = format!(
                    "the server's work for `{}` has no span `{core}`, which the contract lists",
                    declared.name
                );
                let mut draft = Draft::new(Rule::ServerWorkDiffers, message)
                    .example(index)
                    .step(Some(step))
                    .span(call.span)
                    .subject(core.clone())
                    .case("core");
                // Any broken link in the step's work may be where the span went.
                draft.explains.clone_from(&own);
                drafts.push(draft);
            }
        }
    }
}

/// A part of the server that sent nothing, though calls that it works for were answered.
///
/// Where it sent the spans of some calls and not of others, the server merged those others' work.
pub(crate) fn late_parts(view: &View<'_>, drafts: &mut Vec<Draft>) {
    if !view.facts.is_some_and(|facts| facts.server_is_own) {
        return;
    }
    for late in &view.contract.server.late {
        for (index, example) in view.examples() {
            let calls = view.calls_of(example).iter();
            let answered: Vec<_> = calls
                .filter(|call| {
                    call.server().is_some() && late.methods.iter().any(|name| name == call.method)
                })
                .collect();
            let Some(first) = answered.first() else {
                continue;
            };
            let mut spans = example
                .traces
                .iter()
                .flat_map(|&trace| view.traces.traces[trace as usize].spans());
            if spans.any(|span| view.service(span) == late.service) {
                continue;
            }
            let message = format!(
                "`{}` sent no span for {}, such as `{}`",
                late.service,
                counted(answered.len() as u64, "call"),
                first.method
            );
            drafts.push(
                Draft::new(Rule::ServerWorkDiffers, message)
                    .severity(Severity::Info)
                    .example(index)
                    .step(first.step)
                    .span(first.span)
                    .subject(format!("service `{}`", late.service))
                    .count(answered.len())
                    .case("late-part")
                    .tell("seconds", late.seconds.to_string()),
            );
        }
    }
}

/// Any other difference between the examples' server work for one method of a step, as information.
pub(crate) fn differences(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for step in 0..view.contract.steps.len() as u16 {
        let mut by_method: BTreeMap<&str, Vec<(u32, BTreeSet<&str>)>> = BTreeMap::new();
        for (index, example) in view.examples() {
            let calls = view.calls_of(example).iter();
            let methods: BTreeSet<&str> = calls
                .filter(|call| call.step == Some(step))
                .map(|call| call.method)
                .collect();
            for method in methods {
                let names = view.work(index, step, Some(method));
                if !names.is_empty() {
                    by_method.entry(method).or_default().push((index, names));
                }
            }
        }
        for (method, work) in &by_method {
            unlike(step, method, work, drafts);
        }
    }
}

/// The examples whose work has names that few others' have, or lacks names that most have.
fn unlike(step: u16, method: &str, work: &[(u32, BTreeSet<&str>)], drafts: &mut Vec<Draft>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in work.iter().flat_map(|(_, names)| names) {
        *counts.entry(name).or_default() += 1;
    }
    for (index, names) in work {
        let more = names
            .iter()
            .copied()
            .filter(|name| 2 * counts[name] < work.len());
        let usual = counts.iter().filter(|(_, count)| 2 * **count > work.len());
        let less = usual
            .map(|(name, _)| *name)
            .filter(|name| !names.contains(name));
        let parts: Vec<String> = [
            ("also has", more.collect::<Vec<_>>()),
            ("lacks", less.collect()),
        ]
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{verb} {}", listed(names)))
        .collect();
        if !parts.is_empty() {
            let message = format!(
                "against most examples, the server's work for `{method}` {}",
                parts.join(" and ")
            );
            drafts.push(
                Draft::new(Rule::ServerWorkDiffers, message)
                    .severity(Severity::Info)
                    .example(*index)
                    .step(Some(step)),
            );
        }
    }
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let mut quoted: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > SHOWN {
        quoted.push(format!("{} more", names.len() - SHOWN));
    }
    quoted.join(", ")
}
