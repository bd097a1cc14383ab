//! Client and server by their kind.

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Kind;
use crate::view::View;

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
