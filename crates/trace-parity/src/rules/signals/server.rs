//! Does the server count the requests that its spans tell of?

use std::collections::BTreeMap;

use otlp_signals::Page;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::rules::join::rest_calls;
use crate::semconv;
use crate::signals::{ServerSignals, server_signals};
use crate::traces::{Kind, Status};
use crate::view::View;

/// Only of a server that nobody else calls, and of which everything came.
pub(crate) fn server_counts(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let known = server_signals();
    let is_judged = view.facts.is_some_and(|facts| {
        let version = facts.server_version.as_deref();
        let is_known = version.is_some_and(|version| known.versions.contains(version));
        is_known && facts.server_is_own && !facts.unsettled
    });
    let signals = view.signals.as_ref().filter(|_| is_judged);
    let Some((before, after)) = signals.and_then(|signals| signals.all.server_pages.as_ref())
    else {
        return;
    };
    let spans = server_spans(view);
    // The server counts requests of its REST API and makes no span of them.
    let by_rest = view
        .examples()
        .any(|(_, example)| !rest_calls(view, example).is_empty());
    for (method, counted) in requests(known, before, after) {
        let (all, refused) = spans.get(method.as_str()).copied().unwrap_or_default();
        let may_lack_spans = by_rest || known.inner.contains(&method);
        if (may_lack_spans && counted > all as f64)
            || ((all - refused) as f64..=all as f64).contains(&counted)
        {
            continue;
        }
        let message = format!(
            "the server's `{}` counts {counted} requests of `{method}`, and its spans are {all}",
            known.counter
        );
        drafts.push(
            Draft::new(Rule::MetricDisagrees, message)
                .subject(format!("{} {method}", known.counter))
                .case("server"),
        );
    }
}

/// The requests between the two pages, by method.
fn requests(known: &ServerSignals, before: &Page, after: &Page) -> BTreeMap<String, f64> {
    let mut requests: BTreeMap<String, f64> = BTreeMap::new();
    for (page, sign) in [(before, -1.0), (after, 1.0)] {
        let samples = page.samples(&known.counter).iter();
        for sample in samples.filter(|sample| {
            let mut labels = known.total.iter();
            labels.all(|(label, value)| sample.label(label) == Some(value))
        }) {
            let method = sample.label(&known.method).unwrap_or_default();
            *requests.entry(method.to_owned()).or_default() += sign * sample.value;
        }
    }
    requests
}

/// The server's spans of requests of the judged service by method, and those among them that failed: some were refused before they were
/// counted.
fn server_spans<'v>(view: &'v View<'v>) -> BTreeMap<&'v str, (u64, u64)> {
    let mut spans: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let service = &view.contract.server.rpc_service;
    for trace in view.traces.iter() {
        for span in trace.spans().filter(|span| span.kind() == Kind::Server) {
            let is_server = view.contract.is_server_span(&span);
            let name = semconv::rpc_name(span.name(), service);
            if let Some(name) = name.filter(|name| is_server && name.service == service) {
                let (all, refused) = spans.entry(name.method).or_default();
                *all += 1;
                *refused += u64::from(span.status() == Status::Error);
            }
        }
    }
    spans
}
