//! Each span under the parent that it belongs to.

use super::super::words::{duration, who};
use super::reach::explained;
use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::{Rule, Severity};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::links::{Orphans, Side};

/// JavaScript's SDK rounds a span's start to the millisecond.
const CLOCK_NS: u64 = 1_000_000;

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
                .case(cause.case)
                .explains(explained(view, group.example, &group.spans)),
        );
    }
}

/// Why a parent isn't there, as far as the orphan says it.
struct Cause {
    severity: Severity,
    fact: String,
    case: &'static str,
}

fn cause(view: &View<'_>, group: &Orphans) -> Cause {
    let first = group.spans[0];
    let (severity, fact, case) = match (view.links.side(first), view.ghost(first)) {
        (_, Some(ghost)) => (
            Severity::Error,
            format!(
                ": the client's span of this call of `{}` never arrived",
                ghost.method
            ),
            "call-lost",
        ),
        (Side::Server, None) => match view.server_orphan(group) {
            Some(known) => (
                Severity::Info,
                format!(": {}", known.reason),
                "server-own",
            ),
            None => (
                Severity::Error,
                String::new(),
                "server",
            ),
        },
        (Side::Client, None) if view.traces.span(first).parent_is_remote() == Some(true) => (
            if view.scenario { Severity::Warning } else { Severity::Info },
            ": its flags say that the parent is another process's, so the trace began outside of the program".to_owned(),
            "remote",
        ),
        _ => (
            Severity::Error,
            String::new(),
            "client",
        ),
    };
    Cause {
        severity,
        fact,
        case,
    }
}

pub(crate) fn wrong_parent(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for group in &view.links.orphans {
        if let Some(parent) = group.elsewhere {
            drafts.push(parent_in_another_trace(view, group, parent));
        }
    }
    for call in &view.calls {
        let Some(direct) = view.traces.parent(call.span) else {
            continue;
        };
        let parent = view.call_above(direct);
        let through = if parent == direct {
            String::new()
        } else {
            format!(", through `{}`", view.traces.span(direct).name())
        };
        let above = view.traces.span(parent).name();
        let (inner, outer) = (view.traces.record(call.span), view.traces.record(parent));
        let after = inner.start.saturating_sub(outer.end);
        let (message, case) = if view.links.side(parent) != Side::Client {
            (
                format!(
                    "the call `{}` lies under `{above}` ({}): a client's call can't be the server's child",
                    call.method,
                    who(view, parent)
                ),
                "under-server",
            )
        } else if !view.call_of.contains_key(&parent) {
            continue;
        } else if after > 0 {
            (
                format!(
                    "the call `{}` lies under another call, `{above}`{through}, which was over {} before it began",
                    call.method,
                    duration(after)
                ),
                "callback",
            )
        } else if inner.start + CLOCK_NS >= outer.end && inner.end > outer.end {
            (
                format!(
                    "the call `{}` lies under another call, `{above}`{through}, which was over as it began",
                    call.method
                ),
                "callback",
            )
        } else {
            (
                format!(
                    "the call `{}` lies under another call, `{above}`{through}",
                    call.method
                ),
                "under-call",
            )
        };
        drafts.push(
            Draft::new(Rule::WrongParent, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method)
                .case(case)
                .explains([call.span])
                .explains(view.told_above(call)),
        );
    }
    misplaced_answers(view, drafts);
}

fn parent_in_another_trace(view: &View<'_>, group: &Orphans, parent: u32) -> Draft {
    let first = group.spans[0];
    let (span, above) = (view.traces.span(first), view.traces.span(parent));
    let (own, parents) = (span.trace_id(), above.trace_id());
    let is_half = own.0[..8] == [0; 8] && own.0[8..] == parents.0[8..];
    let message = format!(
        "`{}` ({}) is in trace `{own}` and its parent `{}` in trace `{parents}`{}",
        span.name(),
        who(view, first),
        above.name(),
        if is_half {
            ", whose lower half alone reached it"
        } else {
            ""
        },
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
        .case(if is_half { "half-id" } else { "other-trace" })
        .explains(explains)
}

/// Server spans that answer one call and hang under something else.
fn misplaced_answers(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let calls = view.calls_of(example).iter();
        let misplaced: Vec<(&Call<'_>, u32, u32)> = calls
            .filter_map(|call| {
                let server = call.astray()?;
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
                .case("answer")
                .explains(
                    misplaced
                        .iter()
                        .flat_map(|(call, server, parent)| [*server, call.span, *parent]),
                ),
        );
    }
}
