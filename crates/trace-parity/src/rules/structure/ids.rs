//! Ids that stand for one span each, and lead upwards.

use std::collections::BTreeMap;

use super::super::words::spans;
use super::reach::{SLACK_NS, explained};
use crate::draft::Draft;
use crate::rule::Rule;
use crate::rule::Severity;
use crate::view::View;
use crate::view::join::is_shared;

pub(crate) fn duplicate_span_id(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for &(later, first) in &view.traces.repeated_ids {
        let Some(example) = view.links.example_of(view.traces, later) else {
            continue;
        };
        let (span, other) = (view.traces.span(later), view.traces.span(first));
        let message = format!(
            "`{}` and `{}` have the same span id `{}`",
            other.name(),
            span.name(),
            span.id()
        );
        let explains = explained_by_repeat(view, example, first, later);
        drafts.push(
            Draft::new(Rule::DuplicateSpanId, message)
                .example(example)
                .step(view.step_at(example, later))
                .span(later)
                .case(if is_shared(view.traces, first, later) {
                    "shared"
                } else {
                    "differ"
                })
                .explains(explains),
        );
    }
    copies(view, drafts);
}

/// Which spans suffer from an id that two spans share: both, what names either as its parent, and what lost its parent within their time.
fn explained_by_repeat(view: &View<'_>, example: u32, first: u32, later: u32) -> Vec<u32> {
    let mut all = vec![first, later];
    all.extend_from_slice(view.traces.children(first));
    all.extend_from_slice(view.traces.children(later));
    for twin in [first, later] {
        let record = view.traces.record(twin);
        let within = |span: u32| {
            let inner = view.traces.record(span);
            inner.start.saturating_add(SLACK_NS) >= record.start
                && inner.end <= record.end.saturating_add(SLACK_NS)
        };
        let time = record.start.saturating_sub(SLACK_NS)..=record.end.saturating_add(SLACK_NS);
        let groups = view
            .links
            .orphans_within(view.traces, example, record.trace, time);
        for group in groups {
            if group.spans.iter().all(|&span| within(span)) {
                all.extend(&group.spans);
            }
        }
        all.extend(view.call_around(example, twin).map(|call| call.span));
    }
    let calls: Vec<u32> = all
        .iter()
        .filter_map(|&span| view.astray_call(span))
        .collect();
    all.extend(calls);
    all
}

fn copies(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut by_example: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    for &(trace, count) in &view.traces.copies {
        *by_example
            .entry(view.links.owners[trace as usize])
            .or_default() += count;
    }
    for (example, count) in by_example {
        let mut draft = Draft::new(
            Rule::DuplicateSpanId,
            format!(
                "{} came twice, word for word, and count once",
                spans(count as usize)
            ),
        )
        .severity(Severity::Info)
        .case("copies");
        draft.example = example;
        draft.count = count;
        drafts.push(draft);
    }
}

pub(crate) fn parent_cycle(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for cycle in &view.links.cycles {
        let first = cycle[0];
        let Some(example) = view.links.example_of(view.traces, first) else {
            continue;
        };
        const NAMED: usize = 4;
        let mut names: Vec<String> = cycle
            .iter()
            .take(NAMED)
            .map(|&span| format!("`{}`", view.traces.span(span).name()))
            .collect();
        if cycle.len() > NAMED {
            names.push("…".to_owned());
        }
        let message = match cycle.len() {
            1 => format!("{} is its own parent", names[0]),
            count => format!(
                "{count} spans are each other's parents: {} in a circle",
                names.join(" under ")
            ),
        };
        let mut explains = explained(view, example, cycle);
        for &span in cycle {
            explains.extend_from_slice(view.traces.children(span));
        }
        drafts.push(
            Draft::new(Rule::ParentCycle, message)
                .example(example)
                .step(view.step_at(example, first))
                .span(first)
                .explains(explains),
        );
    }
}
