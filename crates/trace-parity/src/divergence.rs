//! Differences that the contract expects: set aside where they occur, an error where they no longer do.

use std::collections::HashSet;

use crate::contract::Divergence;
use crate::draft::Draft;
use crate::rule::{Family, Rule};
use crate::view::View;

/// An expected difference that one example shows.
#[derive(Debug)]
pub(crate) struct ShownDivergence {
    pub(crate) example: u32,
    pub(crate) rule: Rule,
    pub(crate) divergence: usize,
}

/// Moves expected drafts out of `drafts`; with `judge_stale`, adds the divergences that are gone.
pub(crate) fn set_aside(
    view: &View<'_>,
    drafts: &mut Vec<Draft>,
    judge_stale: bool,
) -> Vec<ShownDivergence> {
    let mut expected: Vec<ShownDivergence> = Vec::new();
    let mut shown: HashSet<(u32, usize)> = HashSet::new();
    drafts.retain(|draft| {
        let Some((example, divergence)) = find(view, draft) else {
            return true;
        };
        if shown.insert((example, divergence)) {
            expected.push(ShownDivergence {
                example,
                rule: draft.rule,
                divergence,
            });
        }
        false
    });
    if judge_stale {
        let divergences = view.contract.divergences.iter().enumerate();
        drafts.extend(
            divergences.flat_map(|(index, divergence)| stale(view, index, divergence, &shown)),
        );
    }
    expected.sort_by_key(|expected| (expected.divergence, expected.example));
    expected
}

fn find(view: &View<'_>, draft: &Draft) -> Option<(u32, usize)> {
    let (example, scope, subject) = (draft.example?, draft.scope?, draft.subject.as_deref()?);
    let matches = |divergence: &Divergence| {
        divergence.rule == draft.rule
            && divergence.subject == subject
            && covers(view, divergence, scope)
    };
    let place = view.contract.divergences.iter().position(matches)?;
    Some((example, place))
}

fn covers(view: &View<'_>, divergence: &Divergence, scope: u32) -> bool {
    let record = &view.traces.scopes[scope as usize];
    view.traces.str(record.name) == divergence.scope
        && divergence
            .versions
            .contains(view.traces.str(record.version))
}

/// The divergence in each example whose calls or root its scope made, and which doesn't show it.
fn stale(
    view: &View<'_>,
    index: usize,
    divergence: &Divergence,
    shown: &HashSet<(u32, usize)>,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (number, example) in view
        .examples()
        .filter(|(number, _)| !shown.contains(&(*number, index)))
    {
        let calls = view.calls_of(example).iter().filter(|call| call.judged);
        let scope = |span: u32| view.traces.record(span).scope;
        let mut spans = calls.map(|call| call.span).chain(example.root);
        let Some(span) = spans.find(|&span| covers(view, divergence, scope(span))) else {
            continue;
        };
        if divergence.rule.family() == Family::Signals && !sends_metrics(view, number, divergence) {
            continue;
        }
        let span = view.traces.span(span);
        let message = format!(
            "`{}` at {} no longer shows `{}`: {}",
            divergence.scope,
            version(span.scope_version()),
            divergence.rule,
            divergence.subject,
        );
        let draft = Draft::new(Rule::StaleDivergence, message)
            .example(number)
            .subject(format!("{}: {}", divergence.rule, divergence.subject))
            .tell("version", version(span.scope_version()));
        drafts.push(draft);
    }
    drafts
}

/// Whether the scope's metrics came at all: programs may leave them off.
fn sends_metrics(view: &View<'_>, example: u32, divergence: &Divergence) -> bool {
    let signals = view.signals.iter();
    let mut metrics = signals.flat_map(|signals| signals.metrics_of(example));
    metrics.any(|metric| metric.scope.name == divergence.scope)
}

fn version(version: &str) -> &str {
    if version.is_empty() {
        "no version"
    } else {
        version
    }
}
