//! Do the calls' names and attributes say what everybody else's say?

use std::collections::BTreeMap;

use crate::contract::AttributeRule;
use crate::draft::Draft;
use crate::intern::Str;
use crate::rule::{Rule, Severity};
use crate::semconv::{self, Concept, Generation};
use crate::traces::{Attribute, Value};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::reader::Form;

use super::words::counted;

pub(crate) fn span_name(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let service = &view.contract.server.rpc_service;
    other_forms(view, drafts);
    for call in view.calls.iter().filter(|call| call.has_rpc_words()) {
        let name = view.traces.span(call.span).name();
        let expected = format!("{service}/{}", call.method);
        if name == expected {
            continue;
        }
        let subject = match call.named {
            Some(named) if named.method == call.method && named.service == service => {
                format!("prefix \"{}\"", named.prefix)
            }
            // The attribute is the one that contradicts.
            Some(named) if call.answered_by().is_none() && named.service == service => continue,
            _ => format!("name `{name}`"),
        };
        drafts.push(
            Draft::new(
                Rule::SpanName,
                format!(
                    "a call of `{}` is named `{name}`; its name is `{expected}`",
                    call.method
                ),
            )
            .example(call.example)
            .step(call.step)
            .span(call.span)
            .scope(view.traces.record(call.span).scope)
            .subject(subject)
            .case("call"),
        );
    }
}

/// Conventions other than OpenTelemetry's for RPC: one finding in place of one for each of their words.
const OTHER_FORMS: [(Form, &str, &str); 2] = [
    (Form::GrpcTracing, "gRPC's own tracing", "grpc-tracing"),
    (Form::Http, "an HTTP client's span", "http"),
];

fn other_forms(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        for (form, what, case) in OTHER_FORMS {
            let calls = view.calls_of(example).iter().filter(|call| call.judged);
            let all = calls.clone().count();
            let mut own = calls.filter(|call| call.form == form);
            let Some(first) = own.next() else { continue };
            let count = 1 + own.count();
            let message = format!(
                "{count} of {all} calls are told by {what}, such as `{}` for `{}`",
                view.traces.span(first.span).name(),
                first.method
            );
            let severity = if view.scenario {
                Severity::Error
            } else {
                Severity::Info
            };
            drafts.push(
                Draft::new(Rule::SpanName, message)
                    .severity(severity)
                    .example(index)
                    .span(first.span)
                    .scope(view.traces.record(first.span).scope)
                    .subject(what)
                    .count(count)
                    .case(case),
            );
        }
    }
}

pub(crate) fn root_name(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(expected) = view.contract.root.as_ref().map(|root| &root.name) else {
        return;
    };
    for (index, example) in view.examples() {
        let Some(root) = example.root else { continue };
        let span = view.traces.span(root);
        if span.name() == expected || view.call_of.contains_key(&root) {
            continue;
        }
        drafts.push(
            Draft::new(
                Rule::SpanName,
                format!(
                    "the root span is named `{}`; the contract calls it `{expected}`",
                    span.name()
                ),
            )
            .example(index)
            .span(root)
            .scope(view.traces.record(root).scope)
            .subject(format!("name `{}`", span.name()))
            .case("root"),
        );
    }
}

/// One attribute as one call writes it.
struct Written {
    name: &'static str,
    generation: Generation,
    attribute: Attribute,
}

/// Missing, renamed, of another type or value: what is wrong with one attribute of one example's calls of one scope.
#[derive(Default)]
struct Tally {
    first: Option<u32>,
    count: usize,
    shown: String,
}

impl Tally {
    fn add(&mut self, span: u32, shown: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = Some(span);
            self.shown = shown();
        }
        self.count += 1;
    }
}

pub(crate) fn attributes(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for rule in &view.contract.attributes {
        let usual = usual_generation(view, rule);
        for (index, example) in view.examples() {
            attribute_of(view, rule, usual, index, view.calls_of(example), drafts);
        }
    }
}

fn attribute_of(
    view: &View<'_>,
    rule: &AttributeRule,
    usual: Option<Usual>,
    index: u32,
    calls: &[Call<'_>],
    drafts: &mut Vec<Draft>,
) {
    let judged: Vec<&Call<'_>> = calls.iter().filter(|call| call.has_rpc_words()).collect();
    let concept = semconv::concept(&rule.key);
    // Any other program may well call two servers.
    let constant = (rule.constant && view.scenario)
        .then(|| most_common(view, rule, concept, &judged))
        .flatten();
    // Spans that a limit cut are counted apart.
    let mut missing: BTreeMap<(u32, bool), Tally> = BTreeMap::new();
    let mut renamed: BTreeMap<(u32, &str, Generation), Tally> = BTreeMap::new();
    let mut mistyped: BTreeMap<(u32, &str, &str), Tally> = BTreeMap::new();
    let mut unequal: BTreeMap<u32, Tally> = BTreeMap::new();
    let mut contradictory: BTreeMap<u32, Tally> = BTreeMap::new();
    let generations = concept.map_or_else(Vec::new, |concept| generations(view, concept));
    for call in &judged {
        let scope = view.traces.record(call.span).scope;
        if let Some((one, other)) = at_odds(view, concept, &generations, call) {
            let tally = contradictory.entry(scope).or_default();
            tally.add(call.span, || format!("{one} and {other}"));
        }
        let Some(written) = written(view, rule, concept, call) else {
            if !said_within(view, concept, call) {
                let is_cut = view.traces.span(call.span).dropped_attributes() > 0;
                missing
                    .entry((scope, is_cut))
                    .or_default()
                    .add(call.span, || dropped(view, call.span));
            }
            continue;
        };
        if usual.is_some_and(|usual| usual.generation != written.generation) {
            let key = (scope, written.name, written.generation);
            renamed.entry(key).or_default().add(call.span, String::new);
        }
        let value = view.traces.value(written.attribute);
        if !type_fits(rule, concept, written.generation, value) {
            let what = || format!("{} `{value}`", value.type_name());
            mistyped
                .entry((scope, written.name, value.type_name()))
                .or_default()
                .add(call.span, what);
        } else if let Some(expected) = rule.value.as_deref().or(constant.as_deref()) {
            let text = value.to_string();
            if text != expected {
                let what = || format!("`{text}`; it should be `{expected}`");
                unequal.entry(scope).or_default().add(call.span, what);
            }
        }
    }
    let all = judged.len();
    let key = rule.key.as_str();
    let step = |span: Option<u32>| span.and_then(|span| view.step_at(index, span));
    let draft = |kind: Rule, scope: u32, tally: &Tally, message: String| {
        let mut draft = Draft::new(kind, message)
            .example(index)
            .scope(scope)
            .count(tally.count)
            .subject(key);
        draft.span = tally.first;
        draft.step = step(tally.first).filter(|_| tally.count < all);
        draft
    };
    for (&(scope, is_cut), tally) in &missing {
        let message = format!(
            "`{key}` is absent from {} of {all} client RPC spans{}",
            tally.count, tally.shown
        );
        let draft = draft(Rule::AttributeMissing, scope, tally, message);
        drafts.push(match tally.first.filter(|_| is_cut) {
            Some(span) => {
                let count = view.traces.span(span).dropped_attributes();
                draft.case("dropped").tell("dropped", count.to_string())
            }
            None => draft,
        });
    }
    for ((scope, name, generation), tally) in &renamed {
        let (Some(usual), Some(convention)) = (usual, semconv::convention(key)) else {
            continue;
        };
        let message = format!(
            "`{key}` is written as `{name}` on {} of {all} client RPC spans, as semantic conventions {} call it; {} as conventions {} do",
            tally.count,
            convention.versions(*generation),
            usual.by,
            convention.versions(usual.generation),
        );
        drafts.push(
            draft(Rule::AttributeRenamed, *scope, tally, message)
                .case(if *generation > usual.generation {
                    "newer"
                } else {
                    "older"
                })
                .tell("key", key)
                .tell("opt_in", convention.opt_in)
                .tell("theirs", convention.versions(usual.generation)),
        );
    }
    for ((scope, name, written), tally) in &mistyped {
        let message = format!(
            "`{name}` is a {} on {} of {all} client RPC spans; it should be a {}",
            tally.shown, tally.count, rule.type_name
        );
        let draft = draft(Rule::AttributeType, *scope, tally, message);
        drafts.push(draft.tell("written", *written).tell("key", *name));
    }
    for (scope, tally) in &contradictory {
        let message = format!(
            "two generations of `{key}` contradict each other on {} of {all} client RPC spans: {}",
            tally.count, tally.shown
        );
        drafts.push(draft(Rule::AttributeValue, *scope, tally, message).case("generations"));
    }
    for (scope, tally) in &unequal {
        let message = format!(
            "`{key}` is {} on {} of {all} client RPC spans",
            tally.shown, tally.count
        );
        drafts.push(draft(Rule::AttributeValue, *scope, tally, message).case("value"));
    }
}

/// Whether a limit of the SDK cut attributes off.
fn dropped(view: &View<'_>, span: u32) -> String {
    match view.traces.span(span).dropped_attributes() {
        0 => String::new(),
        count => format!(
            "; the span itself says that a limit cut {} off",
            counted(u64::from(count), "attribute")
        ),
    }
}

/// The attribute by any of its names; the newest name where a span has several.
fn written(
    view: &View<'_>,
    rule: &AttributeRule,
    concept: Option<&'static Concept>,
    call: &Call<'_>,
) -> Option<Written> {
    let slice = view.traces.record(call.span).attributes;
    let find = |name: &str| {
        view.traces
            .attribute(slice, view.traces.strings.find(name)?)
    };
    let Some(concept) = concept else {
        return find(&rule.key).map(|attribute| Written {
            name: "",
            generation: Generation::Old,
            attribute,
        });
    };
    let own = concept.names.iter().find(|(_, name)| *name == rule.key);
    let others = concept
        .names
        .iter()
        .rev()
        .filter(|(_, name)| *name != rule.key);
    own.into_iter()
        .chain(others)
        .find_map(|&(generation, name)| {
            find(name).map(|attribute| Written {
                name,
                generation,
                attribute,
            })
        })
}

/// The names of a concept that the input has, of conventions that write one value the same way; none where there is one name.
fn generations(view: &View<'_>, concept: &Concept) -> Vec<(&'static str, Str)> {
    let names = concept.names.iter();
    let names = names.filter(|(generation, _)| *generation != Generation::Ancient);
    let known: Vec<(&'static str, Str)> = names
        .filter_map(|&(_, name)| Some((name, view.traces.strings.find(name)?)))
        .collect();
    if known.len() > 1 { known } else { Vec::new() }
}

/// Two of a call's names for one thing with different values.
fn at_odds(
    view: &View<'_>,
    concept: Option<&'static Concept>,
    generations: &[(&'static str, Str)],
    call: &Call<'_>,
) -> Option<(String, String)> {
    let concept = concept?;
    let slice = view.traces.record(call.span).attributes;
    let mut first: Option<(&str, Value<'_>)> = None;
    for &(name, handle) in generations {
        let Some(found) = view.traces.attribute(slice, handle) else {
            continue;
        };
        let value = view.traces.value(found);
        match first {
            None => first = Some((name, value)),
            Some((known, before)) if !concept.same_value(before, value) => {
                return Some((
                    format!("`{known}` is `{before}`"),
                    format!("`{name}` is `{value}`"),
                ));
            }
            Some(_) => {}
        }
    }
    None
}

/// Whether a newer generation says it as a part of something else: `rpc.service` within a fully qualified `rpc.method`.
fn said_within(view: &View<'_>, concept: Option<&'static Concept>, call: &Call<'_>) -> bool {
    let Some((_, name)) = concept.and_then(|concept| concept.within) else {
        return false;
    };
    let slice = view.traces.record(call.span).attributes;
    let value = view
        .traces
        .attribute_named(slice, name)
        .and_then(Value::as_str);
    value.is_some_and(|value| semconv::qualified(value).0.is_some())
}

fn type_fits(
    rule: &AttributeRule,
    concept: Option<&'static Concept>,
    generation: Generation,
    value: Value<'_>,
) -> bool {
    let retyped = concept.and_then(|concept| {
        concept
            .retyped
            .iter()
            .find(|(known, _)| *known == generation)
    });
    match retyped {
        Some((_, type_name)) => value.type_name() == *type_name,
        None => rule.type_fits(value),
    }
}

fn most_common(
    view: &View<'_>,
    rule: &AttributeRule,
    concept: Option<&'static Concept>,
    calls: &[&Call<'_>],
) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls {
        if let Some(written) = written(view, rule, concept, call) {
            *counts
                .entry(view.traces.value(written.attribute).to_string())
                .or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.filter(|(_, count)| 2 * count > calls.len())
        .map(|(value, _)| value)
}

/// The generation that an attribute should be written in, and who says so.
#[derive(Clone, Copy)]
struct Usual {
    generation: Generation,
    by: &'static str,
}

/// As most examples write it, of two or more; else as the contract does.
fn usual_generation(view: &View<'_>, rule: &AttributeRule) -> Option<Usual> {
    let concept = semconv::concept(&rule.key)?;
    let mut counts: BTreeMap<Generation, usize> = BTreeMap::new();
    for (_, example) in view.examples() {
        let mut own: BTreeMap<Generation, usize> = BTreeMap::new();
        for call in view
            .calls_of(example)
            .iter()
            .filter(|call| call.has_rpc_words())
        {
            if let Some(written) = written(view, rule, Some(concept), call) {
                *own.entry(written.generation).or_default() += 1;
            }
        }
        if let Some((generation, _)) = own.into_iter().max_by_key(|(_, count)| *count) {
            *counts.entry(generation).or_default() += 1;
        }
    }
    let all: usize = counts.values().sum();
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let most = most
        .filter(|(_, count)| all > 1 && 2 * count > all)
        .map(|(generation, _)| Usual {
            generation,
            by: "the others write it",
        });
    most.or_else(|| {
        let mut names = concept.names.iter().filter(|_| view.scenario);
        names
            .find(|(_, name)| *name == rule.key)
            .map(|&(generation, _)| Usual {
                generation,
                by: "the contract writes it",
            })
    })
}

/// A key that stands on one call with two values: readers take either.
pub(crate) fn key_twice(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for call in view.calls.iter().filter(|call| call.judged) {
        let record = view.traces.record(call.span);
        let attributes = &view.traces.attributes[record.attributes.range()];
        for (place, &attribute) in attributes.iter().enumerate() {
            let mut before = attributes[..place].iter();
            let Some(&other) = before.find(|other| other.key == attribute.key) else {
                continue;
            };
            let values = [other, attribute].map(|found| view.traces.value(found).to_string());
            if values[0] == values[1] {
                continue;
            }
            let key = view.traces.str(attribute.key);
            let message = format!(
                "`{key}` stands on the call `{}` twice, as `{}` and as `{}`",
                call.method, values[0], values[1]
            );
            drafts.push(
                Draft::new(Rule::AttributeValue, message)
                    .severity(Severity::Warning)
                    .example(call.example)
                    .step(call.step)
                    .span(call.span)
                    .scope(record.scope)
                    .subject(key)
                    .case("twice"),
            );
        }
    }
}

/// Attributes that contradict the span's name; where that gives no method, its server span.
pub(crate) fn contradiction(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let service = view.contract.server.rpc_service.as_str();
    for call in view.calls.iter().filter(|call| call.has_rpc_words()) {
        let named = call.named.filter(|named| named.service == service);
        if let Some(said) = call
            .said
            .filter(|&said| said != call.method || contradicts_alone(call, said))
        {
            drafts.push(contradicted(
                view,
                call,
                "rpc.method",
                said,
                call.named.map_or(call.method, |named| named.method),
            ));
        }
        if let Some(said) = call
            .said_service
            .filter(|&said| said != service && (named.is_some() || call.named.is_none()))
        {
            drafts.push(contradicted(view, call, "rpc.service", said, service));
        }
    }
}

/// No server span says who is right: then the name is.
fn contradicts_alone(call: &Call<'_>, said: &str) -> bool {
    call.answered_by().is_none() && call.named.is_some_and(|named| named.method != said)
}

fn contradicted(view: &View<'_>, call: &Call<'_>, key: &str, said: &str, expected: &str) -> Draft {
    let name = view.traces.span(call.span).name();
    let by = match (call.named, call.answered_by()) {
        (Some(_), _) => format!("the span's name is `{name}`"),
        (None, Some(server)) => format!("its server span is `{}`", view.traces.span(server).name()),
        (None, None) => format!("it should be `{expected}`"),
    };
    Draft::new(
        Rule::AttributeValue,
        format!("`{key}` is `{said}` and {by}"),
    )
    .example(call.example)
    .step(call.step)
    .span(call.span)
    .scope(view.traces.record(call.span).scope)
    .subject(key)
    .case("contradicts")
}
