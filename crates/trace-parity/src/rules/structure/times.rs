//! Starts and ends that can be.

use std::collections::HashSet;

use super::super::words::{duration, spans};
use super::reach::SLACK_NS;
use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::view::View;
use crate::view::examples::Example;
use crate::view::links::Side;

/// Clocks of client and server may differ; from one call to the next the difference stays the same, but for this.
const DRIFT_NS: i128 = 1_000_000_000;

pub(crate) fn bad_time(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let mut bad: HashSet<u32> = HashSet::new();
        if let Some(draft) = other_unit(view, index, example) {
            drafts.push(draft);
            continue;
        }
        let mut report = |span: u32, message: String, explains: Vec<u32>| {
            drafts.push(
                Draft::new(Rule::BadTime, message)
                    .example(index)
                    .step(view.step_at(index, span))
                    .span(span)
                    .case("clock")
                    .explains(explains),
            );
        };
        for span in example
            .traces
            .iter()
            .flat_map(|&trace| view.traces.traces[trace as usize].spans())
        {
            if let Some(message) = impossible(view, span) {
                bad.insert(span);
                report(span, message, vec![span]);
            }
        }
        for (span, message) in outside_parents(view, example, &mut bad) {
            report(span, message, vec![span]);
        }
        for (span, message) in adrift(view, example, &bad) {
            report(span, message, vec![span]);
        }
    }
}

/// All of a program's times in another unit: they lie in the first days of 1970, where the server's don't.
fn other_unit(view: &View<'_>, index: u32, example: &Example<'_>) -> Option<Draft> {
    /// 1980, and the units whose numbers of today are smaller, with the most of them that is before then.
    const PLAUSIBLE: u64 = 315_532_800_000_000_000;
    const UNITS: [(u64, &str); 3] = [
        (PLAUSIBLE / 1_000_000_000, "seconds"),
        (PLAUSIBLE / 1_000_000, "milliseconds"),
        (PLAUSIBLE / 1_000, "microseconds"),
    ];
    let all = || {
        let traces = example.traces.iter();
        traces.flat_map(|&trace| view.traces.traces[trace as usize].spans())
    };
    let own = || all().filter(|&span| view.links.side(span) == Side::Client);
    let first = own().next()?;
    let latest = own().map(|span| view.traces.record(span).end).max()?;
    let servers = all().any(|span| {
        view.links.side(span) == Side::Server && view.traces.record(span).start > PLAUSIBLE
    });
    let (_, unit) = UNITS
        .iter()
        .rev()
        .find(|(least, _)| (*least..PLAUSIBLE).contains(&latest))?;
    servers.then(|| {
        Draft::new(
            Rule::BadTime,
            format!(
                "all {} of `{}` lie in 1970, as where {unit} are written for nanoseconds",
                spans(own().count()),
                example.name
            ),
        )
        .example(index)
        .span(first)
        .count(own().count())
        .case("unit")
        .explains(own())
    })
}

/// Times that Jaeger changed before it handed them out, by its own remarks.
pub(crate) fn mended_times(view: &View<'_>, drafts: &mut Vec<Draft>) {
    /// Jaeger's words for an end before the start, and for clocks that it set against each other.
    const REMARKS: [(&str, Severity, &str); 2] = [
        ("Negative duration detected", Severity::Error, "clock"),
        ("timestamps were adjusted by", Severity::Info, "skew"),
    ];
    for (index, example) in view.examples() {
        let spans = example
            .traces
            .iter()
            .flat_map(|&trace| view.traces.traces[trace as usize].spans());
        let remarks: Vec<(u32, &str)> = spans
            .flat_map(|span| {
                let warnings = view.traces.span(span).warnings();
                warnings.map(move |warning| (span, warning))
            })
            .collect();
        for (words, severity, case) in REMARKS {
            let mut fitting = remarks.iter().filter(|(_, remark)| remark.contains(words));
            let Some(&(span, remark)) = fitting.next() else {
                continue;
            };
            let message = format!(
                "Jaeger changed the times of `{}`: {remark}",
                view.traces.span(span).name()
            );
            drafts.push(
                Draft::new(Rule::BadTime, message)
                    .severity(severity)
                    .example(index)
                    .step(view.step_at(index, span))
                    .span(span)
                    .subject("changed by Jaeger")
                    .count(1 + fitting.count())
                    .case(case),
            );
        }
    }
}

/// Events that are later than the end of their span: its duration is too short.
pub(crate) fn late_events(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let spans = example
            .traces
            .iter()
            .flat_map(|&trace| view.traces.traces[trace as usize].spans())
            .filter(|&span| view.links.side(span) == Side::Client);
        let late: Vec<(u32, u64)> = spans
            .filter_map(|span| Some((span, lateness(view, span)?)))
            .collect();
        let Some(&(first, by)) = late.first() else {
            continue;
        };
        let message = format!(
            "`{}` has an event {} after its end",
            view.traces.span(first).name(),
            duration(by)
        );
        drafts.push(
            Draft::new(Rule::BadTime, message)
                .severity(Severity::Info)
                .example(index)
                .step(view.step_at(index, first))
                .span(first)
                .subject("late event")
                .count(late.len())
                .case("late-event"),
        );
    }
}

/// Nanoseconds from a span's end to its last event, where that is clearly later.
fn lateness(view: &View<'_>, span: u32) -> Option<u64> {
    let record = view.traces.record(span);
    let events = &view.traces.events[record.events.range()];
    let last = events.iter().map(|event| event.time).max()?;
    let late = last.checked_sub(record.end)?;
    (record.end >= record.start && record.end > 0 && late > SLACK_NS).then_some(late)
}

/// Times that contradict themselves.
fn impossible(view: &View<'_>, span: u32) -> Option<String> {
    let record = view.traces.record(span);
    let name = view.traces.span(span).name();
    if record.start == 0 || record.end == 0 {
        let which = if record.start == 0 { "start" } else { "end" };
        return Some(format!("`{name}` has no {which} time"));
    }
    (record.end < record.start).then(|| {
        format!(
            "`{name}` ends {} before it starts",
            duration(record.start - record.end)
        )
    })
}

/// Spans that begin when their parent, by the same clock, has not begun or is over.
fn outside_parents(
    view: &View<'_>,
    example: &Example<'_>,
    bad: &mut HashSet<u32>,
) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for parent in example
        .traces
        .iter()
        .flat_map(|&trace| view.traces.traces[trace as usize].spans())
    {
        if bad.contains(&parent) {
            continue;
        }
        let children = view.traces.children(parent).iter().copied();
        let own: Vec<u32> = children
            .filter(|&child| !bad.contains(&child) && same_clock(view, child, parent))
            .collect();
        let outside: Vec<u32> = own
            .iter()
            .copied()
            .filter(|&child| is_outside(view, child, parent))
            .collect();
        let name = view.traces.span(parent).name();
        if own.len() > 1 && outside.len() * 2 > own.len() {
            bad.insert(parent);
            found.push((
                parent,
                format!(
                    "{} of the {} children of `{name}` begin outside of its time",
                    outside.len(),
                    own.len()
                ),
            ));
            continue;
        }
        for child in outside {
            bad.insert(child);
            let (record, above) = (view.traces.record(child), view.traces.record(parent));
            let when = if record.start < above.start {
                format!(
                    "{} before its parent `{name}`",
                    duration(above.start - record.start)
                )
            } else {
                format!(
                    "{} after its parent `{name}` is over",
                    duration(record.start - above.end)
                )
            };
            found.push((
                child,
                format!("`{}` begins {when}", view.traces.span(child).name()),
            ));
        }
    }
    found
}

/// Client spans under client spans: what a server does after it has answered is its own affair.
fn same_clock(view: &View<'_>, child: u32, parent: u32) -> bool {
    view.links.side(child) == Side::Client
        && view.links.side(parent) == Side::Client
        && view.traces.record(child).resource == view.traces.record(parent).resource
}

/// Nothing begins before what caused it; work that goes on after its parent is over is no part of the scenario, but right elsewhere.
fn is_outside(view: &View<'_>, child: u32, parent: u32) -> bool {
    let (record, above) = (view.traces.record(child), view.traces.record(parent));
    record.start.saturating_add(SLACK_NS) < above.start
        || view.scenario && record.start > above.end.saturating_add(SLACK_NS)
}

/// Server spans that lie elsewhere in time, against their call, than the example's others do.
fn adrift(view: &View<'_>, example: &Example<'_>, bad: &HashSet<u32>) -> Vec<(u32, String)> {
    let calls = view
        .calls_of(example)
        .iter()
        .filter(|call| !bad.contains(&call.span));
    let joined = calls.filter_map(|call| call.server().map(|server| (call, server)));
    let offsets: Vec<(u32, &str, i128)> = joined
        .filter(|(_, server)| !bad.contains(server))
        .map(|(call, server)| (server, call.method, distance(view, call.span, server)))
        .collect();
    let mut sorted: Vec<i128> = offsets.iter().map(|&(_, _, offset)| offset).collect();
    sorted.sort_unstable();
    let Some(&median) = sorted.get(sorted.len() / 2) else {
        return Vec::new();
    };
    let far = offsets
        .into_iter()
        .filter(|(_, _, offset)| (offset - median).abs() > DRIFT_NS);
    far.map(|(server, method, offset)| {
        let away = duration(u64::try_from((offset - median).abs()).unwrap_or(u64::MAX));
        (server, format!("the server span of `{method}` lies {away} away from its call, by the clocks of the other calls"))
    })
    .collect()
}

/// Nanoseconds from the call's time to the server span's start; zero where it begins within.
fn distance(view: &View<'_>, call: u32, server: u32) -> i128 {
    let (call, server) = (view.traces.record(call), view.traces.record(server));
    let start = i128::from(server.start);
    start - start.clamp(i128::from(call.start), i128::from(call.end.max(call.start)))
}
