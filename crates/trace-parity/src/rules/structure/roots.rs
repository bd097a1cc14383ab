//! One root, one trace.

use super::super::words::{spans, who};
use super::current::never_current;
use super::reach::explained;
use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::traces::NONE;
use crate::view::View;
use crate::view::examples::Example;
use crate::view::links::Side;

pub(crate) fn several_roots(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        for &trace in &example.traces {
            several_roots_of(view, index, example, trace, drafts);
        }
    }
}

fn several_roots_of(
    view: &View<'_>,
    index: u32,
    example: &Example<'_>,
    trace: u32,
    drafts: &mut Vec<Draft>,
) {
    let parentless = |&span: &u32| view.traces.record(span).parent_id == [0; 8];
    let tops: Vec<u32> = view.traces.traces[trace as usize]
        .spans()
        .filter(parentless)
        .collect();
    let Some(&first) = tops.first().filter(|_| tops.len() > 1) else {
        return;
    };
    let root = example
        .root
        .filter(|root| tops.contains(root))
        .unwrap_or(first);
    let others: Vec<u32> = tops.into_iter().filter(|&top| top != root).collect();
    let message = format!(
        "{} beside the root `{}` {} no parent: `{}` ({})",
        spans(others.len()),
        view.traces.span(root).name(),
        if others.len() == 1 { "has" } else { "have" },
        view.traces.span(others[0]).name(),
        who(view, others[0]),
    );
    let step = view.step_at(index, others[0]);
    drafts.push(
        Draft::new(Rule::SeveralRoots, message)
            .example(index)
            .step(step)
            .span(others[0])
            .count(others.len())
            .explains(explained(view, index, &others)),
    );
}

pub(crate) fn several_traces(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view
        .examples()
        .filter(|(_, example)| example.traces.len() > 1)
    {
        let main = match example.root {
            Some(root) => view.traces.record(root).trace,
            None => largest(view, example),
        };
        let others: Vec<u32> = example
            .traces
            .iter()
            .copied()
            .filter(|&trace| trace != main && has_part(view, trace))
            .collect();
        let Some(&first) = others.first() else {
            continue;
        };
        let inside = others
            .iter()
            .flat_map(|&trace| view.traces.traces[trace as usize].spans());
        let count: usize = inside.clone().count();
        let top = top_of(view, first);
        let id = |trace: u32| {
            view.traces
                .span(view.traces.traces[trace as usize].first)
                .trace_id()
        };
        let message = format!(
            "`{}` made {} traces where it should make one: beside `{}`, {} in `{}`{}, `{}` at their top",
            example.name,
            others.len() + 1,
            id(main),
            spans(count),
            id(first),
            if others.len() > 1 { " and others" } else { "" },
            view.traces.span(top).name(),
        );
        let mut explains: Vec<u32> = inside.collect();
        let orphans = view
            .links
            .orphans_of(index)
            .iter()
            .filter(|group| group.elsewhere.is_some());
        explains.extend(orphans.flat_map(|group| group.spans.iter().copied()));
        let calls = view.calls_of(example).iter();
        explains.extend(
            calls
                .filter(|call| call.astray().is_some())
                .map(|call| call.span),
        );
        let mut draft = Draft::new(Rule::SeveralTraces, message);
        if let Some(found) = never_current(view, example) {
            let scope = view.traces.span(found.around).scope_name();
            draft = draft.case("never-current").tell("scope", scope);
        }
        drafts.push(
            draft
                .example(index)
                .step(view.step_at(index, top))
                .span(top)
                .count(others.len())
                .explains(explains),
        );
    }
}

/// Where no contract asks for one trace, said alone of spans that were meant to be around calls and aren't.
pub(crate) fn spans_never_current(view: &View<'_>, drafts: &mut Vec<Draft>) {
    if view.scenario {
        return;
    }
    for (index, example) in view.examples() {
        let Some(found) = never_current(view, example) else {
            continue;
        };
        let span = view.traces.span(found.around);
        let message = format!(
            "{} calls begin traces of their own while spans of `{}`, such as `{}`, are around them in time",
            found.calls,
            span.scope_name(),
            span.name(),
        );
        drafts.push(
            Draft::new(Rule::SeveralTraces, message)
                .severity(Severity::Info)
                .example(index)
                .span(found.around)
                .count(found.calls)
                .case("never-current")
                .tell("scope", span.scope_name()),
        );
    }
}

fn largest(view: &View<'_>, example: &Example<'_>) -> u32 {
    let len = |&&trace: &&u32| {
        (
            view.traces.traces[trace as usize].len,
            std::cmp::Reverse(trace),
        )
    };
    example
        .traces
        .iter()
        .max_by_key(len)
        .copied()
        .unwrap_or_default()
}

/// A trace that some step of the scenario stands in, or a root; what an SDK does on its own in the background is neither.
fn has_part(view: &View<'_>, trace: u32) -> bool {
    view.traces.traces[trace as usize].spans().any(|span| {
        let call = view
            .call_of
            .get(&span)
            .map(|&call| &view.calls[call as usize]);
        match call {
            Some(call) => call.judged,
            None => view.links.side(span) == Side::Client,
        }
    })
}

fn top_of(view: &View<'_>, trace: u32) -> u32 {
    let record = &view.traces.traces[trace as usize];
    let top = |&span: &u32| {
        view.traces.parents[span as usize] == NONE && view.links.side(span) == Side::Client
    };
    record.spans().find(top).unwrap_or(record.first)
}
