//! Does each client call have its server span?

use std::collections::HashSet;

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::{Status, Value};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;
use crate::view::links::Side;

use super::words::spans;

pub(crate) fn client_unseen(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let nobodys = unclaimed_tops(view);
    for (index, example) in view.examples() {
        let (Some(root), true) = (example.root, example.calls.is_empty()) else {
            continue;
        };
        let (from, to) = (view.traces.record(root).start, view.traces.record(root).end);
        let before = nobodys.partition_point(|&start| start < from);
        let unclaimed = nobodys[before..].partition_point(|&start| start <= to);
        let mut message = format!(
            "`{}` has the root span `{}` and no client RPC span",
            example.name,
            view.traces.span(root).name()
        );
        if unclaimed > 0 {
            message.push_str(&format!(
                "; in its time the server recorded {} that nobody asked for",
                spans(unclaimed)
            ));
        }
        let span = view.traces.span(root);
        let hint = if span.status() == Status::Error {
            message.push_str(&format!("; the root is ERROR: {}", span.status_message()));
            "it failed, by its own account: if that was before the first call, mend that; else the instrumentation saw nothing"
        } else {
            unseen_hint(language(view, root).as_deref())
        };
        drafts.push(
            Draft::new(Rule::ClientUnseen, message)
                .example(index)
                .span(root)
                .hint(hint),
        );
    }
}

/// The starts, in order, of server spans of the contract's service that begin a trace of nobody's.
fn unclaimed_tops(view: &View<'_>) -> Vec<u64> {
    let nobodys = view
        .traces
        .traces
        .iter()
        .zip(&view.links.owners)
        .filter(|(_, owner)| owner.is_none());
    let mut starts: Vec<u64> = nobodys
        .map(|(trace, _)| trace.first)
        .filter(|&span| {
            view.traces.record(span).parent_id == [0; 8]
                && view.links.side(span) == Side::Server
                && view
                    .reader
                    .words(span)
                    .calls(&view.contract.server.rpc_service)
        })
        .map(|span| view.traces.record(span).start)
        .collect();
    starts.sort_unstable();
    starts
}

fn unseen_hint(language: Option<&str>) -> &'static str {
    match language {
        Some("nodejs") => {
            "load the instrumentation before anything that loads `@grpc/grpc-js` (`--require` or `--import`); a guess: it is \
             registered too late"
        }
        Some("java") => {
            "the agent knows `io.grpc` alone: milvus-sdk-java 2.6.22 and later relocate it to `io.milvus.shaded.io.grpc`, where it \
             sees nothing; a guess: use 2.6.21 or before, or start with `-javaagent`"
        }
        Some("python") => {
            "call `GrpcInstrumentorClient().instrument()` before the client makes its channel; a guess: it is never called, or \
             too late"
        }
        Some("go") => {
            "give the client `grpc.WithStatsHandler(otelgrpc.NewClientHandler())`; a guess: it isn't among the `DialOptions`"
        }
        _ => {
            "instrument the gRPC client before it makes its channel; a guess: the instrumentation is loaded too late, or the SDK has a gRPC of its own"
        }
    }
}

fn language(view: &View<'_>, span: u32) -> Option<String> {
    let mut attributes = view.traces.span(span).resource_attributes();
    let found = attributes.find(|(key, _)| *key == "telemetry.sdk.language");
    found.and_then(|(_, value)| Value::as_str(value).map(str::to_owned))
}

pub(crate) fn no_server_span(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let served = view.traces.resources.iter().any(|resource| {
        resource
            .service_name
            .is_some_and(|name| view.contract.is_server(view.traces.str(name)))
    });
    for (index, example) in view.examples() {
        let calls = view.calls_of(example);
        let judged = calls.iter().filter(|call| call.judged).count();
        let open: Vec<&Call<'_>> = calls.iter().filter(|call| is_open(call)).collect();
        if !served && !open.is_empty() && open.len() == judged {
            drafts.push(no_server_at_all(index, example, &open));
            continue;
        }
        for call in open {
            let swallowed = swallowed(view, index, call);
            let mut message = format!("the call `{}` has no server span", call.method);
            if !swallowed.is_empty() {
                message.push_str(&format!(
                    "; {} of the server's name it as their parent, so it was made and never arrived",
                    spans(swallowed.len())
                ));
            }
            drafts.push(
                Draft::new(Rule::NoServerSpan, message)
                    .example(index)
                    .step(call.step)
                    .span(call.span)
                    .subject(call.method)
                    .hint(
                        "see whether the server exports every span (`trace.sampleFraction: 1`) and how long its exporter waits; a \
                         guess: the input was cut off before its last batch",
                    )
                    .explains(swallowed.into_iter().chain([call.span])),
            );
        }
    }
}

fn is_open(call: &Call<'_>) -> bool {
    call.judged && call.server.is_none() && call.lost.is_none() && call.wrong.is_none()
}

fn no_server_at_all(index: u32, example: &Example<'_>, open: &[&Call<'_>]) -> Draft {
    let message = format!(
        "none of the {} calls of `{}` has a server span, and the input holds not one span of the server",
        open.len(),
        example.name
    );
    Draft::new(Rule::NoServerSpan, message)
        .example(index)
        .span(open[0].span)
        .count(open.len())
        .hint("turn on the server's tracing (`trace.exporter: otlp`) and send it to the same place; a service by another name goes into the contract's `[server] services`")
}

/// The server's spans that name an absent parent within a call's time: the parent can only have been the call's own server span.
fn swallowed(view: &View<'_>, example: u32, call: &Call<'_>) -> Vec<u32> {
    if call.astray.is_some() {
        return Vec::new();
    }
    let own = view.traces.record(call.span);
    let time = own.start..=own.end;
    let within = |&span: &u32| {
        view.links.side(span) == Side::Server && time.contains(&view.traces.record(span).start)
    };
    let groups = view
        .links
        .orphans_within(view.traces, example, own.trace, time.clone());
    groups
        .iter()
        .filter(|group| group.elsewhere.is_none())
        .filter(|group| group.spans.iter().all(within))
        .flat_map(|group| group.spans.iter().copied())
        .collect()
}

pub(crate) fn context_lost(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let calls = view.calls_of(example);
        let lost: Vec<&Call<'_>> = calls.iter().filter(|call| call.lost.is_some()).collect();
        let (Some(first), Some(server)) = (lost.first(), lost.first().and_then(|call| call.lost))
        else {
            continue;
        };
        let judged = calls.iter().filter(|call| call.judged).count();
        let message = format!(
            "{} of {judged} calls reached the server, which began a trace of its own for each: `{}` is answered in trace `{}`",
            lost.len(),
            first.method,
            view.traces.span(server).trace_id(),
        );
        let whole = lost.len() == judged;
        let step = first
            .step
            .filter(|_| !whole && lost.iter().all(|call| call.step == first.step));
        drafts.push(
            Draft::new(Rule::ContextLost, message)
                .example(index)
                .step(step)
                .span(first.span)
                .count(lost.len())
                .hint(why_lost(view, first.span, server, whole))
                .explains(lost.iter().map(|call| call.span)),
        );
    }
}

/// Each language's instrumentation that sends the random flag, and the last version that doesn't, as measured
/// (docs/compatibility.md).
const SENDS_RANDOM_FLAG: [(&str, &str, &str); 2] = [
    ("java", "the Java agent", "2.25.0"),
    ("python", "OpenTelemetry Python", "1.41.1"),
];

/// How a language comes to a propagator, where it isn't by the standard variable.
const PROPAGATORS: [(&str, &str); 2] = [
    (
        "go",
        "set one: `otel.SetTextMapPropagator(propagation.TraceContext{})`; Go's default sends nothing",
    ),
    (
        "nodejs",
        "register the provider with its default propagator, or set `OTEL_PROPAGATORS=tracecontext`",
    ),
];

fn sends_random_flag(language: &str) -> Option<(&'static str, &'static str)> {
    let known = SENDS_RANDOM_FLAG.iter();
    known
        .copied()
        .find_map(|(name, what, last)| (name == language).then_some((what, last)))
}

/// What the evidence points to.
fn why_lost(view: &View<'_>, call: u32, server: u32, whole: bool) -> String {
    let (client, server) = (view.traces.span(call), view.traces.span(server));
    let flags = client.flags() & 0xff;
    let language = language(view, call);
    let language = language.as_deref().unwrap_or_default();
    if flags > 1 {
        let older = match sends_random_flag(language) {
            Some((what, last)) => format!("{what} {last} or before"),
            None => "a client that sends no random flag".to_owned(),
        };
        let mut attributes = client.resource_attributes();
        let distribution = attributes
            .find(|(key, _)| *key == "telemetry.distro.version")
            .map_or_else(String::new, |(_, version)| format!(" (agent {version})"));
        return format!(
            "the calls were sent with trace flags {flags:02x}{distribution}, and the server's instrumentation is `{}` {}: otel-go \
             before 1.42 drops a `traceparent` with flags above 01. Take {older}, or a server built with otel-go 1.42 or later",
            short(server.scope_name()),
            server.scope_version(),
        );
    }
    if !whole {
        return "some calls carry their context and these don't; a guess: they are made outside of the instrumented channel, or a proxy \
                strips `traceparent` from them"
            .to_owned();
    }
    // A span that was recorded is sampled: 00 says that its exporter leaves the flags out.
    let told = match flags {
        0 => "the exporter doesn't say with which trace flags the calls were sent",
        _ => "no call's context arrived, although their trace flags are 01, which any server takes",
    };
    let random = match (flags, sends_random_flag(language)) {
        (0, Some((what, last))) => format!(
            "; {what} after {last} sends 03, which a server on otel-go before 1.42 drops: take {last} or before"
        ),
        (0, None) => "; flags above 01 are dropped by a server on otel-go before 1.42".to_owned(),
        _ => String::new(),
    };
    let cure = PROPAGATORS
        .iter()
        .find(|(name, _)| *name == language)
        .map_or(
            "set the W3C one (`OTEL_PROPAGATORS=tracecontext`)",
            |(_, cure)| cure,
        );
    format!(
        "{told}{random}. A guess: there is no propagator: {cure}. Else a proxy between them strips `traceparent`"
    )
}

/// The last part of a scope's path.
fn short(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}

pub(crate) fn wrong_server(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut told: HashSet<u32> = HashSet::new();
    for call in &view.calls {
        let Some(server) = call.wrong else { continue };
        told.insert(server);
        let answer = view.traces.span(server);
        let (message, subject) = match view.links.side(server) {
            Side::Undeclared => undeclared(view, call.method, server),
            _ => (
                format!(
                    "the call `{}` is answered by the server span `{}`",
                    call.method,
                    answer.name()
                ),
                call.method.to_owned(),
            ),
        };
        drafts.push(
            Draft::new(Rule::WrongServer, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(subject)
                .hint(
                    "a service that is the server's goes into the contract's `[server] services`; a guess otherwise: a context is used for \
                     two calls at once, or a proxy answers in the server's place",
                )
                .explains(std::iter::once(server).chain([call.span])),
        );
    }
    undeclared_within(view, &told, drafts);
}

fn undeclared(view: &View<'_>, method: &str, span: u32) -> (String, String) {
    let service = view.service(span);
    let message = format!(
        "the server's work for `{method}` is in part service `{service}`'s, which the contract doesn't name: `{}`",
        view.traces.span(span).name()
    );
    (message, format!("service `{service}`"))
}

/// Undeclared services further down.
fn undeclared_within(view: &View<'_>, told: &HashSet<u32>, drafts: &mut Vec<Draft>) {
    for trace in view.links.owned() {
        for span in view.traces.traces[trace as usize].spans() {
            if view.links.side(span) != Side::Undeclared || told.contains(&span) {
                continue;
            }
            let below_told = view
                .traces
                .parent(span)
                .is_some_and(|parent| view.links.side(parent) == Side::Undeclared);
            let Some(example) = view
                .links
                .example_of(view.traces, span)
                .filter(|_| !below_told)
            else {
                continue;
            };
            let call = view.call_around(example, span);
            let (message, subject) =
                undeclared(view, call.map_or("a call", |call| call.method), span);
            drafts.push(
                Draft::new(Rule::WrongServer, message)
                    .example(example)
                    .step(call.and_then(|call| call.step))
                    .span(span)
                    .subject(subject)
                    .hint("a service that is the server's goes into the contract's `[server] services`"),
            );
        }
    }
}
