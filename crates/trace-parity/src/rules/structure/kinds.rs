//! Client and server by their kind.

use std::collections::BTreeMap;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Kind;
use crate::view::View;
use crate::view::calls::Call;
use crate::view::reader::Form;

pub(crate) fn wrong_kind(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let shifted = shifted(view);
    for calls in shifted.values() {
        let first = calls[0];
        let message = format!(
            "all {} calls from one resource have kind server, such as `{}`: every kind is one too low, as where an exporter writes the \
             API's numbers in place of OTLP's",
            calls.len(),
            view.traces.span(first.span).name()
        );
        drafts.push(
            Draft::new(Rule::WrongKind, message)
                .example(first.example)
                .span(first.span)
                .subject("every kind")
                .count(calls.len())
                .case("shifted")
                .scope(view.traces.record(first.span).scope),
        );
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

/// Resources of two or more calls, all of kind SERVER.
fn shifted<'v, 'a>(view: &'v View<'a>) -> BTreeMap<u32, Vec<&'v Call<'a>>> {
    let mut by_resource: BTreeMap<u32, Vec<&Call<'_>>> = BTreeMap::new();
    for call in view.calls.iter().filter(|call| call.has_rpc_words()) {
        let resource = view.traces.record(call.span).resource;
        by_resource.entry(resource).or_default().push(call);
    }
    let as_server = |call: &&Call<'_>| view.traces.record(call.span).kind == Kind::Server;
    by_resource.retain(|_, calls| calls.len() > 1 && calls.iter().all(as_server));
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
