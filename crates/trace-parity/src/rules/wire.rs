//! What the wire carried, where a witness saw it.

use std::collections::BTreeMap;

use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::Rule;
use crate::view::View;
use crate::view::calls::Call;
use crate::view::wire::Traceparent;
use crate::wire::WireCall;

use super::words::tracer;

/// What became of a call's context, and the evidence.
enum Fate<'a> {
    /// No `traceparent` was sent.
    NotSent { other: Option<&'a str> },
    /// The `traceparent` that was sent names another span.
    Changed { sent: &'a str },
    /// A fault of the run removed it on the way.
    Stripped { fault: &'a str },
    /// It was sent right, and the server began a trace of its own.
    Ignored { case: &'static str, sent: &'a str },
}

/// Calls of one example with the same fate.
struct SameFate<'v, 'a> {
    calls: Vec<&'v Call<'a>>,
    first: (Fate<'v>, &'v WireCall),
}

pub(crate) fn contexts(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(wire) = &view.wire else { return };
    for (index, example) in view.examples() {
        let mut groups: BTreeMap<(Rule, &str), SameFate<'_, '_>> = BTreeMap::new();
        for number in example.calls.clone() {
            let call = &view.calls[number];
            let Some(&sent) = wire.of(number as u32).first() else {
                continue;
            };
            let Some(fate) = fate(view, call, sent) else {
                continue;
            };
            let key = match fate {
                Fate::NotSent { other } => (Rule::ContextNotSent, other.unwrap_or_default()),
                Fate::Changed { .. } => (Rule::ContextChanged, ""),
                Fate::Stripped { fault } => (Rule::ContextChanged, fault),
                Fate::Ignored { case, .. } => (Rule::ContextIgnored, case),
            };
            let group = groups.entry(key).or_insert(SameFate {
                calls: Vec::new(),
                first: (fate, sent),
            });
            group.calls.push(call);
        }
        let judged = view.calls_of(example).iter().filter(|call| call.judged);
        let judged = judged.count();
        for ((rule, _), group) in groups {
            drafts.push(draft(view, rule, &group, judged).example(index));
        }
    }
}

fn fate<'a>(view: &View<'_>, call: &Call<'_>, sent: &'a WireCall) -> Option<Fate<'a>> {
    if call.server().is_some() {
        return None;
    }
    let traceparents = sent.traceparents();
    let Some(first) = traceparents.first() else {
        let other = sent.other_context();
        return Some(Fate::NotSent { other });
    };
    let parsed = traceparents.iter().map(|text| Traceparent::parse(text));
    let is_right = |sent: &Traceparent<'_>| {
        let span = view.traces.span(call.span);
        sent.trace_id == span.trace_id().0 && is_within(view, call, sent.span_id)
    };
    let parsed: Vec<Option<Traceparent<'_>>> = parsed.collect();
    if !parsed.iter().flatten().any(is_right) {
        return Some(Fate::Changed { sent: first });
    }
    call.lost().or(call.replaced())?;
    if sent.stripped.iter().any(|name| name == "traceparent") {
        let fault = sent.fault.as_deref().unwrap_or_default();
        return Some(Fate::Stripped { fault });
    }
    let case = match parsed.as_slice() {
        [Some(sent)] if sent.version == "00" && sent.flags > 1 => "flags",
        [Some(sent)] if sent.version != "00" => "version",
        [_, _, ..] => "several",
        _ => "other",
    };
    Some(Fate::Ignored { case, sent: first })
}

/// Whether a span is the call, or lies below it.
fn is_within(view: &View<'_>, call: &Call<'_>, span_id: [u8; 8]) -> bool {
    let mut open = vec![call.span];
    while let Some(span) = open.pop() {
        if view.traces.record(span).id == span_id {
            return true;
        }
        open.extend_from_slice(view.traces.children(span));
    }
    false
}

fn draft(view: &View<'_>, rule: Rule, group: &SameFate<'_, '_>, judged: usize) -> Draft {
    let (calls, (fate, wire)) = (&group.calls, &group.first);
    let first = calls[0];
    let many = format!("{} of {judged} calls", calls.len());
    let method = first.method;
    let draft = |message| Draft::new(rule, message);
    let draft = match fate {
        Fate::NotSent { other: None } => draft(format!(
            "{many} were sent without any trace context, such as `{method}`"
        ))
        .case("nothing"),
        Fate::NotSent { other: Some(other) } => draft(format!(
            "{many} were sent without `traceparent`; `{method}` carried `{other}`"
        ))
        .case("format")
        .tell("other", *other),
        Fate::Changed { sent } => {
            let states = wire.context.get("tracestate");
            let by = states.and_then(|states| states.iter().find_map(|state| tracer(state)));
            draft(format!(
                "{many} were sent with another context than their own: the span of `{method}` is `{}`, and its `traceparent` was `{sent}`",
                SpanId(view.traces.record(first.span).id)
            ))
            .tell("tracer", by.map_or("", |(key, _)| key))
            .tell("vendor", by.map_or("", |(_, vendor)| vendor))
        }
        Fate::Stripped { fault } => draft(format!(
            "{many} lost `traceparent` on the way to the server: the fault `{fault}` removed it from `{method}`"
        ))
        .case("stripped"),
        Fate::Ignored { case, sent } => draft(format!(
            "{many} were sent with their own context, and the server began a trace of its own for each: the `traceparent` of `{method}` was `{sent}`"
        ))
        .case(case)
        .tell("sent_flags", sent.rsplit('-').next().unwrap_or_default()),
    };
    let whole = calls.len() == judged;
    let step = first
        .step
        .filter(|_| !whole && calls.iter().all(|call| call.step == first.step));
    draft
        .step(step)
        .span(first.span)
        .count(calls.len())
        .explains(calls.iter().map(|call| call.span))
}

/// Calls on the wire that no span tells of, by example and by whether they carried a context.
pub(crate) fn unseen_calls(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(wire) = &view.wire else { return };
    let only = (view.examples.len() == 1).then_some(0);
    let mut groups: BTreeMap<(Option<u32>, bool), Vec<&WireCall>> = BTreeMap::new();
    for &call in &wire.unseen {
        let example = wire.example_of.get(&call.connection).copied().or(only);
        let is_traced = !call.traceparents().is_empty();
        groups.entry((example, is_traced)).or_default().push(call);
    }
    for ((example, is_traced), calls) in groups {
        let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, method) in calls.iter().filter_map(|call| call.names()) {
            *methods.entry(method).or_default() += 1;
        }
        let methods: Vec<String> = methods
            .iter()
            .map(|(method, count)| format!("{count} `{method}`"))
            .collect();
        let (count, methods) = (calls.len(), methods.join(", "));
        let mut draft = if is_traced {
            Draft::new(
                Rule::UnseenCall,
                format!(
                    "{count} calls were sent with a context whose span never arrived: {methods}"
                ),
            )
            .case("lost")
        } else {
            Draft::new(
                Rule::UnseenCall,
                format!("{count} calls were sent that no span tells of, without `traceparent`: {methods}"),
            )
            .case("untraced")
            .explains(view.uncalled.iter().map(|uncalled| uncalled.span))
        };
        draft.example = example;
        drafts.push(draft.count(count));
    }
}

/// Calls that were sent several times under one span, without a span for each attempt.
pub(crate) fn hidden_retries(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(wire) = &view.wire else { return };
    for (number, call) in (0..).zip(&view.calls) {
        let sent = wire.of(number);
        if sent.len() < 2 || call.attempts as usize >= sent.len() {
            continue;
        }
        let statuses: Vec<String> = sent
            .iter()
            .map(|sent| {
                sent.grpc_status
                    .map_or("none".to_owned(), |code| code.to_string())
            })
            .collect();
        let message = format!(
            "the call `{}` has one span and was sent {} times, with gRPC status {}",
            call.method,
            sent.len(),
            statuses.join(", ")
        );
        drafts.push(
            Draft::new(Rule::HiddenRetry, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method),
        );
    }
}
