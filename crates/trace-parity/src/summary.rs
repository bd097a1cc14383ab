//! What stays of an example when ids and times are left out: the base of baselines and of before against after.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::Contract;
use crate::facts::RunFacts;
use crate::traces::{Span, Status, Traces, Value};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;

/// One example's client side, and whether the server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) name: String,
    /// Name and kind.
    pub(crate) root: Option<(String, String)>,
    /// The resource attributes that are the same from run to run.
    pub(crate) resource: BTreeMap<String, String>,
    /// Instrumentation scopes of client spans, with their versions.
    pub(crate) scopes: BTreeMap<String, String>,
    /// By step; housekeeping under `-`.
    pub(crate) calls: BTreeMap<(usize, String), BTreeMap<String, CallSummary>>,
    /// Steps and methods in order of start; the same one several times in a row counts once.
    pub(crate) order: Vec<String>,
    /// The client's spans that are neither its root nor calls, by name.
    pub(crate) others: BTreeMap<String, SpanSummary>,
    /// The root's own, beside name and kind.
    pub(crate) root_span: SpanSummary,
}

/// All spans of one name, whatever they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanSummary {
    pub(crate) count: usize,
    pub(crate) kinds: BTreeSet<String>,
    /// Status, and gRPC's code where there is one.
    pub(crate) outcomes: BTreeSet<String>,
    pub(crate) events: BTreeSet<String>,
    pub(crate) links: usize,
    /// Values by key; not of keys that differ from run to run.
    pub(crate) values: BTreeMap<String, BTreeSet<String>>,
}

/// All calls of one method in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallSummary {
    /// Span names; one, unless calls differ.
    pub(crate) names: BTreeSet<String>,
    pub(crate) kinds: BTreeSet<String>,
    pub(crate) failed: bool,
    pub(crate) joined: bool,
    /// Key and type.
    pub(crate) attributes: BTreeSet<(String, &'static str)>,
    /// Names of the server's spans.
    pub(crate) server: BTreeSet<String>,
    /// Nanoseconds of each call's client span, sorted.
    pub(crate) times: Vec<u64>,
    pub(crate) spans: SpanSummary,
    /// How often it is called says nothing.
    pub(crate) polling: bool,
}

/// What says an RPC's outcome.
const CODES: [&str; 3] = [
    "rpc.grpc.status_code",
    "rpc.response.status_code",
    "grpc.status_code",
];

/// Endings of keys whose values differ from one good run to the next.
const VOLATILE: [&str; 6] = [
    ".port",
    ".id",
    ".stacktrace",
    ".pid",
    ".message",
    "thread.name",
];

const RESOURCE: [&str; 6] = [
    "service.name",
    "application",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "telemetry.distro.version",
];

pub(crate) fn summaries(
    traces: &Traces,
    contract: &Contract,
    facts: Option<&RunFacts>,
) -> Vec<Summary> {
    let view = View::new(traces, &[], contract, true, facts);
    view.examples
        .iter()
        .map(|example| summary(&view, example))
        .collect()
}

fn summary(view: &View<'_>, example: &Example<'_>) -> Summary {
    let mut summary = Summary {
        name: example.name.clone(),
        ..Summary::default()
    };
    if let Some(root) = example.root.map(|root| view.traces.span(root)) {
        summary.root = Some((root.name().to_owned(), root.kind().to_string()));
        summary.root_span.add(&root);
        let attributes = root
            .resource_attributes()
            .filter(|(key, _)| RESOURCE.contains(key));
        summary.resource = attributes
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect();
    }
    for call in view.calls_of(example) {
        let span = view.traces.span(call.span);
        summary.scopes.insert(
            span.scope_name().to_owned(),
            span.scope_version().to_owned(),
        );
        let step = call.step.map_or(usize::MAX, usize::from);
        let name = view.step_name(call.step).unwrap_or("-").to_owned();
        let place = format!("{name}/{}", call.method);
        if call.step.is_some() && summary.order.last() != Some(&place) {
            summary.order.push(place);
        }
        let polling = view
            .contract
            .steps
            .get(step)
            .is_none_or(|step| step.polling);
        let calls = summary.calls.entry((step, name)).or_default();
        add(
            view,
            call,
            calls
                .entry(call.method.to_owned())
                .or_insert_with(|| CallSummary {
                    joined: true,
                    polling,
                    ..CallSummary::default()
                }),
        );
    }
    for call in summary.calls.values_mut().flat_map(BTreeMap::values_mut) {
        call.times.sort_unstable();
    }
    others(view, example, &mut summary);
    summary
}

fn others(view: &View<'_>, example: &Example<'_>, summary: &mut Summary) {
    let spans = example
        .traces
        .iter()
        .flat_map(|&trace| view.traces.traces[trace as usize].spans());
    for index in spans {
        let is_other = example.root != Some(index)
            && !view.call_of.contains_key(&index)
            && !view.contract.is_server(view.service(index));
        if is_other {
            let span = view.traces.span(index);
            let others = summary.others.entry(span.name().to_owned()).or_default();
            others.add(&span);
        }
    }
}

impl SpanSummary {
    fn add(&mut self, span: &Span<'_>) {
        self.count += 1;
        self.kinds.insert(span.kind().to_string());
        let code = span
            .attributes()
            .find(|(key, _)| CODES.contains(key))
            .map(|(_, code)| format!(" (code {code})"));
        self.outcomes
            .insert(format!("{}{}", span.status(), code.unwrap_or_default()));
        self.events
            .extend(span.events().map(|event| event.name.to_owned()));
        self.links += span.links().len();
        for (key, value) in span.attributes() {
            let is_volatile = VOLATILE.iter().any(|end| key.ends_with(end));
            if !is_volatile && !CODES.contains(&key) {
                let values = self.values.entry(key.to_owned()).or_default();
                values.insert(value.to_string());
            }
        }
    }
}

fn add(view: &View<'_>, call: &Call<'_>, summary: &mut CallSummary) {
    let span = view.traces.span(call.span);
    summary.spans.add(&span);
    summary.names.insert(span.name().to_owned());
    summary.kinds.insert(span.kind().to_string());
    summary.failed |= span.status() == Status::Error;
    summary.joined &= call.server().is_some();
    let attributes = span
        .attributes()
        .map(|(key, value): (&str, Value<'_>)| (key.to_owned(), value.type_name()));
    summary.attributes.extend(attributes);
    summary
        .server
        .extend(view.work_of(call).into_iter().map(str::to_owned));
    summary.times.push(span.duration_ns());
}

impl CallSummary {
    pub(crate) fn median(&self) -> u64 {
        self.times
            .get(self.times.len() / 2)
            .copied()
            .unwrap_or_default()
    }
}
