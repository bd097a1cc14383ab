//! Did the server do the same work for each example?

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::Draft;
use crate::rules::Rule;
use crate::verdict::Severity;
use crate::view::View;

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
            let names = view.work(index, step);
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
                    .hint(
                        "a guess: the span was lost on the way (see the server's exporter), or another version of the server does the work \
                         otherwise: then change the contract's `server_core`",
                    );
                // Any broken link in the step's work may be where the span went.
                draft.explains.clone_from(&own);
                drafts.push(draft);
            }
        }
    }
}

/// Any other difference between the examples' server work, as information.
pub(crate) fn differences(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (step, declared) in (0..).zip(&view.contract.steps) {
        let work: Vec<(u32, BTreeSet<&str>)> = view
            .examples()
            .filter(|(index, _)| view.alignments[*index as usize].reached[usize::from(step)])
            .map(|(index, _)| (index, view.work(index, step)))
            .filter(|(_, names)| !names.is_empty())
            .collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in work.iter().flat_map(|(_, names)| names) {
            *counts.entry(name).or_default() += 1;
        }
        for (index, names) in &work {
            let more: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| 2 * counts[name] < work.len())
                .collect();
            let usual = counts.iter().filter(|(_, count)| 2 * **count > work.len());
            let core = |name: &str| declared.server_core.iter().any(|core| core == name);
            let less: Vec<&str> = usual
                .map(|(name, _)| *name)
                .filter(|name| !names.contains(name) && !core(name))
                .collect();
            let parts: Vec<String> = [("also has", &more), ("lacks", &less)]
                .iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(verb, names)| format!("{verb} {}", listed(names)))
                .collect();
            if parts.is_empty() {
                continue;
            }
            drafts.push(
                Draft::new(
                    Rule::ServerWorkDiffers,
                    format!(
                        "against most examples, the server's work for `{}` {}",
                        declared.name,
                        parts.join(" and ")
                    ),
                )
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
