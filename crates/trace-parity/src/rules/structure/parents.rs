//! Each span under the parent that it belongs to.

use super::super::words::who;
use super::reach::explained;
use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::Rule;
use crate::view::View;
use crate::view::calls::Call;
use crate::view::links::{Orphans, Side};

pub(crate) fn orphan_span(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for group in view
        .links
        .orphans
        .iter()
        .filter(|group| group.elsewhere.is_none())
    {
        let first = group.spans[0];
        let span = view.traces.span(first);
        let mut message = format!(
            "`{}` ({}) names the parent `{}`, which is not in the input",
            span.name(),
            who(view, first),
            SpanId(group.parent_id),
        );
        if group.spans.len() > 1 {
            message.push_str(&format!("; so do {} more", group.spans.len() - 1));
        }
        let ghost = view.ghost(first);
        if let Some(ghost) = ghost {
            message.push_str(&format!(
                ": the client's span of this call of `{}` never arrived",
                ghost.method
            ));
        }
        drafts.push(
            Draft::new(Rule::OrphanSpan, message)
                .example(group.example)
                .step(view.step_at(group.example, first))
                .span(first)
                .count(group.spans.len())
                .hint(
                    "the parent was never ended, never exported, or lost on the way: flush on every way out of the program, and see the \
                     exporter's queue and the collector's sampling",
                )
                .explains(explained(view, group.example, &group.spans)),
        );
    }
}

pub(crate) fn wrong_parent(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for group in &view.links.orphans {
        if let Some(parent) = group.elsewhere {
            drafts.push(parent_in_another_trace(view, group, parent));
        }
    }
    for call in &view.calls {
        let Some(parent) = view.traces.parent(call.span) else {
            continue;
        };
        let above = view.traces.span(parent).name();
        let message = if view.links.side(parent) != Side::Client {
            format!(
                "the call `{}` lies under `{above}` ({}): a client's call can't be the server's child",
                call.method,
                who(view, parent)
            )
        } else if view.call_of.contains_key(&parent) {
            format!(
                "the call `{}` lies under another call, `{above}`",
                call.method
            )
        } else {
            continue;
        };
        drafts.push(
            Draft::new(Rule::WrongParent, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method)
                .hint(
                    "start the call's span from the caller's context, and make a span current only for as long as its own call lasts; a \
                     guess: two instrumentations trace one channel",
                )
                .explains([call.span]),
        );
    }
    misplaced_answers(view, drafts);
}

fn parent_in_another_trace(view: &View<'_>, group: &Orphans, parent: u32) -> Draft {
    let first = group.spans[0];
    let (span, above) = (view.traces.span(first), view.traces.span(parent));
    let message = format!(
        "`{}` ({}) is in trace `{}` and its parent `{}` in trace `{}`",
        span.name(),
        who(view, first),
        span.trace_id(),
        above.name(),
        above.trace_id(),
    );
    let mut explains = explained(view, group.example, &group.spans);
    explains.push(parent);
    explains.extend(
        view.call_around(group.example, parent)
            .map(|call| call.span),
    );
    Draft::new(Rule::WrongParent, message)
        .example(group.example)
        .step(view.step_at(group.example, parent))
        .span(first)
        .count(group.spans.len())
        .hint("parent and child have one trace id; a guess: something between them rewrites `traceparent`")
        .explains(explains)
}

/// Server spans that answer one call and hang under something else.
fn misplaced_answers(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let calls = view.calls_of(example).iter();
        let misplaced: Vec<(&Call<'_>, u32, u32)> = calls
            .filter_map(|call| {
                let server = call.astray?;
                Some((call, server, view.traces.parent(server)?))
            })
            .collect();
        let Some(&(call, server, parent)) = misplaced.first() else {
            continue;
        };
        let mut message = format!(
            "the server span of `{}` lies under `{}` and not under the call that it answers",
            call.method,
            view.traces.span(parent).name()
        );
        if let Some((other, _, _)) = misplaced.get(1) {
            message.push_str(&format!("; neither does the one of `{}`", other.method));
        }
        if misplaced.len() > 2 {
            message.push_str(&format!(" and {} more", misplaced.len() - 2));
        }
        drafts.push(
            Draft::new(Rule::WrongParent, message)
                .example(index)
                .step(call.step)
                .span(server)
                .count(misplaced.len())
                .hint("each call sends the context of its own span; a guess: one context is used for several calls")
                .explains(misplaced.iter().flat_map(|(call, server, parent)| [*server, call.span, *parent])),
        );
    }
}
