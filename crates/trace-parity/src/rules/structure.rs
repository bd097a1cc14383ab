//! Is each trace one tree, in one piece and in order of time?

use std::collections::{BTreeMap, HashSet};

use crate::judge::Draft;
use crate::rules::Rule;
use crate::rules::delivery::spans;
use crate::traces::{Kind, NONE};
use crate::verdict::{Severity, SpanId};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;
use crate::view::links::{Orphans, Side};

/// Spans of one process share a clock; instrumentation rounds it to a millisecond at worst, and a span's end may be written late.
const SLACK_NS: u64 = 10_000_000;

/// Clocks of client and server may differ; from one call to the next the difference stays the same, but for this.
const DRIFT_NS: i128 = 1_000_000_000;

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
            .hint("make the call within the root span's context; a guess: the context is lost between threads, tasks or callbacks")
            .explains(explained(view, index, &others)),
    );
}

/// The spans themselves, the calls that some of them answer, and the calls in whose time the server's ones lie.
fn explained(view: &View<'_>, example: u32, broken: &[u32]) -> Vec<u32> {
    let mut all = broken.to_vec();
    for &span in broken {
        all.extend(view.astray_call(span));
        if view.links.side(span) != Side::Client {
            all.extend(view.call_around(example, span).map(|call| call.span));
        }
    }
    all
}

/// `server span of standalone`, as a message names the author of a span.
fn who(view: &View<'_>, span: u32) -> String {
    match view.links.side(span) {
        Side::Client => "the client's".to_owned(),
        Side::Server | Side::Undeclared => format!("`{}`'s", view.service(span)),
    }
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
                .filter(|call| call.astray.is_some())
                .map(|call| call.span),
        );
        drafts.push(
            Draft::new(Rule::SeveralTraces, message)
                .example(index)
                .step(view.step_at(index, top))
                .span(top)
                .count(others.len())
                .hint("make every call within the root span's context; a guess: a thread, task or callback begins without it")
                .explains(explains),
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
                .hint("ids are random: a guess: a generator that is seeded alike twice, or a process that forked after it was seeded")
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
            inner.trace == record.trace && inner.start >= record.start && inner.end <= record.end
        };
        for group in view.links.orphans_of(example) {
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
        .hint("an exporter sends a request again when its answer is lost: harmless");
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
                .hint("no SDK does this by itself: see what rewrites parent ids, or generates span ids that aren't random")
                .explains(explains),
        );
    }
}

pub(crate) fn bad_time(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let mut bad: HashSet<u32> = HashSet::new();
        let mut report = |span: u32, message: String, explains: Vec<u32>| {
            drafts.push(
                Draft::new(Rule::BadTime, message)
                    .example(index)
                    .step(view.step_at(index, span))
                    .span(span)
                    .hint("times are Unix nanoseconds from one clock per process; a guess: seconds or milliseconds were written, or the clock was set")
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

fn is_outside(view: &View<'_>, child: u32, parent: u32) -> bool {
    let (record, above) = (view.traces.record(child), view.traces.record(parent));
    record.start.saturating_add(SLACK_NS) < above.start
        || record.start > above.end.saturating_add(SLACK_NS)
}

/// Server spans that lie elsewhere in time, against their call, than the example's others do.
fn adrift(view: &View<'_>, example: &Example<'_>, bad: &HashSet<u32>) -> Vec<(u32, String)> {
    let calls = view
        .calls_of(example)
        .iter()
        .filter(|call| !bad.contains(&call.span));
    let joined = calls.filter_map(|call| call.server.map(|server| (call, server)));
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

/// `1.5 s`, `20 ms`.
fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    for (unit, name) in UNITS {
        if nanoseconds >= unit {
            let tenths = nanoseconds / (unit / 10);
            return match (tenths % 10, tenths / 10) {
                (0, whole) => format!("{whole} {name}"),
                (tenth, whole) => format!("{whole}.{tenth} {name}"),
            };
        }
    }
    format!("{nanoseconds} ns")
}

pub(crate) fn wrong_kind(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for call in view.calls.iter().filter(|call| call.judged) {
        drafts.extend(kind_of(
            view,
            call.example,
            call.span,
            call.step,
            Kind::Client,
            "a client's call",
        ));
        if let Some(server) = call.server {
            drafts.extend(kind_of(
                view,
                call.example,
                server,
                call.step,
                Kind::Server,
                "what the server answers a call with",
            ));
        }
    }
}

pub(crate) fn wrong_root_kind(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(kind) = view.contract.root.kind else {
        return;
    };
    for (index, example) in view.examples() {
        if let Some(root) = example.root.filter(|root| !view.call_of.contains_key(root)) {
            drafts.extend(kind_of(
                view,
                index,
                root,
                None,
                kind,
                "the root span, by the contract",
            ));
        }
    }
}

fn kind_of(
    view: &View<'_>,
    example: u32,
    span: u32,
    step: Option<u16>,
    expected: Kind,
    what: &str,
) -> Option<Draft> {
    let found = view.traces.record(span).kind;
    let name = view.traces.span(span).name();
    (found != expected).then(|| {
        Draft::new(
            Rule::WrongKind,
            format!("`{name}` has kind {found}; {what} has kind {expected}"),
        )
        .example(example)
        .step(step)
        .span(span)
        .subject(format!("{found} for {expected}"))
        .hint("give the span its kind when it is started: backends draw service maps from client and server kinds")
        .scope(view.traces.record(span).scope)
    })
}
