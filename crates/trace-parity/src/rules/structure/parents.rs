//! Each span under the parent that it belongs to.

use super::super::words::{duration, who};
use super::reach::explained;
use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::{Rule, Severity};
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
        let cause = cause(view, group);
        message.push_str(&cause.fact);
        drafts.push(
            Draft::new(Rule::OrphanSpan, message)
                .severity(cause.severity)
                .example(group.example)
                .step(view.step_at(group.example, first))
                .span(first)
                .count(group.spans.len())
                .hint(cause.hint)
                .explains(explained(view, group.example, &group.spans)),
        );
    }
}

/// Why a parent isn't there, as far as the orphan says it.
struct Cause {
    severity: Severity,
    fact: String,
    hint: String,
}

fn cause(view: &View<'_>, group: &Orphans) -> Cause {
    let first = group.spans[0];
    let (severity, fact, hint) = match (view.links.side(first), view.ghost(first)) {
        (_, Some(ghost)) => (
            Severity::Error,
            format!(
                ": the client's span of this call of `{}` never arrived",
                ghost.method
            ),
            "the program sent the context and its span was lost: flush on every way out of the program, of each child process too, and see \
             the exporter's queue and the collector's sampling",
        ),
        (Side::Server, None) => match view.server_orphan(group) {
            Some(known) => (
                Severity::Info,
                format!(": {}", known.reason),
                "the server does this itself; nothing is lost",
            ),
            None => (
                Severity::Error,
                String::new(),
                "the server ends a parent after its children and sends it in a later batch: the capture was cut before that batch, or it was \
                 lost on the way (see the server's exporter and the collector's sampling)",
            ),
        },
        (Side::Client, None) if view.traces.span(first).parent_is_remote() == Some(true) => (
            if view.scenario { Severity::Warning } else { Severity::Info },
            ": its flags say that the parent is another process's, so the trace began outside of the program".to_owned(),
            "the program continues a trace that it was given, often by `TRACEPARENT` in the environment of a CI job: that is right where \
             the caller's spans go elsewhere; else unset it",
        ),
        _ => (
            Severity::Error,
            String::new(),
            "the parent was never ended, never exported, or lost on the way: flush on every way out of the program, and see the exporter's \
             queue and the collector's sampling",
        ),
    };
    Cause {
        severity,
        fact,
        hint: hint.to_owned(),
    }
}

const FROM_ITS_CALLER: &str = "start the call's span from the caller's context, and make a span current only for as long as its own call \
                               lasts; a guess: two instrumentations trace one channel";

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
        let (inner, outer) = (view.traces.record(call.span), view.traces.record(parent));
        let after = inner.start.saturating_sub(outer.end);
        let (message, hint) = if view.links.side(parent) != Side::Client {
            (
                format!(
                    "the call `{}` lies under `{above}` ({}): a client's call can't be the server's child",
                    call.method,
                    who(view, parent)
                ),
                FROM_ITS_CALLER,
            )
        } else if !view.call_of.contains_key(&parent) {
            continue;
        } else if after > 0 {
            (
                format!(
                    "the call `{}` lies under another call, `{above}`, which was over {} before it began",
                    call.method,
                    duration(after)
                ),
                "it was made in a callback of the call that had ended, while that call's span was still current: await the calls, or start \
                 each from the caller's context",
            )
        } else {
            (
                format!(
                    "the call `{}` lies under another call, `{above}`",
                    call.method
                ),
                FROM_ITS_CALLER,
            )
        };
        drafts.push(
            Draft::new(Rule::WrongParent, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method)
                .hint(hint)
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
