//! Client and server by their kind.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet};

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Kind;
use crate::view::View;
use crate::view::reader::Form;

pub(crate) fn wrong_kind(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let shifted = shifted(view);
    let answers = shifted_answers(view);
    for (what, kind, subject, resources) in [
        ("call", Kind::Server, "every kind", &shifted),
        (
            "answer",
            Kind::Internal,
            "every kind of the server's",
            &answers,
        ),
    ] {
        for spans in resources.values() {
            let (example, first) = spans[0];
            let all = match spans.len() {
                1 => format!("the only {what} from one resource has"),
                count => format!("all {count} {what}s from one resource have"),
            };
            let message = format!(
                "{all} kind {kind}, such as `{}`: every kind is one too low, as where an exporter writes the API's numbers in place of \
                 OTLP's",
                view.traces.span(first).name()
            );
            drafts.push(
                Draft::new(Rule::WrongKind, message)
                    .example(example)
                    .span(first)
                    .subject(subject)
                    .count(spans.len())
                    .case("shifted")
                    .scope(view.traces.record(first).scope),
            );
        }
    }
    for call in view.calls.iter().filter(|call| call.judged) {
        let resource = view.traces.record(call.span).resource;
        // gRPC's own tracing gives the call INTERNAL and each attempt CLIENT.
        if call.form != Form::GrpcTracing && !shifted.contains_key(&resource) {
            drafts.extend(kind_of(
                view,
                call.example,
                call.span,
                call.step,
                Kind::Client,
                "a client's call",
            ));
        }
        let is_told = |server: &u32| answers.contains_key(&view.traces.record(*server).resource);
        if let Some(server) = call.server().filter(|server| !is_told(server)) {
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

/// Spans by resource, each with its example.
type ByResource = BTreeMap<u32, Vec<(u32, u32)>>;

/// Resources whose calls are all of kind SERVER: two or more of them, or beside a span without a kind.
fn shifted(view: &View<'_>) -> ByResource {
    let calls = view.calls.iter().filter(|call| call.has_rpc_words());
    let calls = calls.map(|call| (call.example, call.span));
    let mut shifted = all_of_kind(view, calls, Kind::Server);
    let without_kind = LazyCell::new(|| resources_without_kind(view));
    shifted.retain(|resource, calls| calls.len() > 1 || without_kind.contains(resource));
    shifted
}

/// Resources whose answers are all of kind INTERNAL, beside a span without a kind: INTERNAL alone is a kind that was never given.
fn shifted_answers(view: &View<'_>) -> ByResource {
    let calls = view.calls.iter().filter(|call| call.judged);
    let answers = calls.filter_map(|call| Some((call.example, call.server()?)));
    let mut shifted = all_of_kind(view, answers, Kind::Internal);
    let without_kind = LazyCell::new(|| resources_without_kind(view));
    shifted.retain(|resource, _| without_kind.contains(resource));
    shifted
}

/// Resources with a span without a kind.
fn resources_without_kind(view: &View<'_>) -> HashSet<u32> {
    let spans = view.traces.spans.iter();
    let without = spans.filter(|span| span.kind == Kind::Unspecified);
    without.map(|span| span.resource).collect()
}

fn all_of_kind(view: &View<'_>, spans: impl Iterator<Item = (u32, u32)>, kind: Kind) -> ByResource {
    let mut by_resource = ByResource::new();
    for (example, span) in spans {
        let resource = view.traces.record(span).resource;
        by_resource
            .entry(resource)
            .or_default()
            .push((example, span));
    }
    let is_kind = |&(_, span): &(u32, u32)| view.traces.record(span).kind == kind;
    by_resource.retain(|_, spans| spans.iter().all(is_kind));
    by_resource
}

pub(crate) fn wrong_root_kind(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(kind) = view.contract.root.as_ref().and_then(|root| root.kind) else {
        return;
    };
    let shifted = shifted(view);
    for (index, example) in view.examples() {
        let root = example.root.filter(|root| !view.call_of.contains_key(root));
        let one_too_low = |root: &u32| {
            let record = view.traces.record(*root);
            record.kind == Kind::Unspecified && shifted.contains_key(&record.resource)
        };
        if let Some(root) = root.filter(|root| !one_too_low(root)) {
            drafts.extend(kind_of(
                view,
                index,
                root,
                None,
                kind,
                "the root span, by the contract,",
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
        .case("one")
        .scope(view.traces.record(span).scope)
    })
}
