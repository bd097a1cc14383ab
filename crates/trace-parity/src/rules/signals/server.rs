//! Does the server count the requests that its spans tell of?

use std::collections::BTreeMap;

use otlp_signals::Page;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::semconv;
use crate::signals::{ServerCounter, server_counter};
use crate::traces::Kind;
use crate::view::View;

/// Only of a server that nobody else calls, and of which everything came.
pub(crate) fn server_counts(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let own = view
        .facts
        .is_some_and(|facts| facts.server_is_own && !facts.unsettled);
    let pages = view
        .signals
        .as_ref()
        .and_then(|signals| signals.all.server_pages.as_ref());
    let Some((before, after)) = pages.filter(|_| own) else {
        return;
    };
    let counter = server_counter();
    let spans = server_spans(view);
    for (method, counted) in requests(counter, before, after) {
        let spans = spans.get(method.as_str()).copied().unwrap_or(0);
        let is_inner = counter.inner.contains(&method) && counted > spans as f64;
        if counted == spans as f64 || is_inner {
            continue;
        }
        let message = format!(
            "the server's `{}` counts {counted} requests of `{method}`, and its spans are {spans}",
            counter.counter
        );
        drafts.push(
            Draft::new(Rule::MetricDisagrees, message)
                .subject(format!("{} {method}", counter.counter))
                .case("server"),
        );
    }
}

/// The requests between the two pages, by method.
pub(crate) fn requests(
    counter: &ServerCounter,
    before: &Page,
    after: &Page,
) -> BTreeMap<String, f64> {
    let mut requests: BTreeMap<String, f64> = BTreeMap::new();
    for (page, sign) in [(before, -1.0), (after, 1.0)] {
        let samples = page.samples(&counter.counter).iter();
        for sample in samples.filter(|sample| {
            let mut labels = counter.total.iter();
            labels.all(|(label, value)| sample.label(label) == Some(value))
        }) {
            let method = sample.label(&counter.method).unwrap_or_default();
            *requests.entry(method.to_owned()).or_default() += sign * sample.value;
        }
    }
    requests
}

/// The server's spans of requests of the judged service, by method.
pub(crate) fn server_spans<'v>(view: &'v View<'v>) -> BTreeMap<&'v str, u64> {
    let mut spans: BTreeMap<&str, u64> = BTreeMap::new();
    let service = &view.contract.server.rpc_service;
    for trace in view.traces.iter() {
        for span in trace.spans().filter(|span| span.kind() == Kind::Server) {
            let is_server = span
                .service_name()
                .is_some_and(|name| view.contract.is_server(name));
            let name = semconv::rpc_name(span.name(), service);
            if let Some(name) = name.filter(|name| is_server && name.service == service) {
                *spans.entry(name.method).or_default() += 1;
            }
        }
    }
    spans
}
