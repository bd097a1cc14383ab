//! Does each client call have its server span?

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::{Rule, Severity};
use crate::semconv::names_of;
use crate::traces::{Kind, Status, Value};
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;
use crate::view::join::Uncalled;
use crate::view::links::{Side, range_of};

use super::absence::{Absence, absence, is_open, swallowed};
use super::words::{reason, spans};

pub(crate) fn client_unseen(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let nobodys = unclaimed_tops(view);
    for (index, example) in view.examples() {
        let (Some(root), true) = (example.root, example.calls.is_empty()) else {
            continue;
        };
        // Server spans in its own trace prove that the calls were traced; only their client spans are lost.
        if !range_of(&view.ghosts, index, |ghost| ghost.example).is_empty() {
            continue;
        }
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
        let rest = rest_calls(view, example);
        let hint = if let Some(&first) = rest.first() {
            message.push_str(&format!(
                "; {} of its own, such as `{}`, {} to Milvus's REST API",
                spans(rest.len()),
                view.traces.span(first).name(),
                if rest.len() == 1 { "goes" } else { "go" },
            ));
            "REST calls are no gRPC calls; Milvus 2.3.5 doesn't continue their context and records them as traces of its own (`Proxy-…`): \
             use the gRPC client where a trace is to reach into the server"
        } else if span.status() == Status::Error {
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

/// The beginnings of the paths of Milvus's REST API.
const REST_PATHS: [&str; 3] = ["/v1/vector/", "/v2/vectordb/", "/api/v1/"];

/// HTTP client spans of an example that call Milvus's REST API.
fn rest_calls(view: &View<'_>, example: &Example<'_>) -> Vec<u32> {
    let of_rest = |&span: &u32| {
        let record = view.traces.record(span);
        record.kind == Kind::Client
            && view.links.side(span) == Side::Client
            && view
                .reader
                .path(span)
                .is_some_and(|path| REST_PATHS.iter().any(|rest| path.contains(rest)))
    };
    example
        .traces
        .iter()
        .flat_map(|&trace| view.traces.traces[trace as usize].spans())
        .filter(of_rest)
        .collect()
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
             sees nothing; a guess: use 2.6.17, or start with `-javaagent`"
        }
        Some("python") => {
            "call `GrpcInstrumentorClient().instrument()` before the client makes its channel; a guess: it is never called, or \
             too late"
        }
        Some("rust") => {
            "have one version of `opentelemetry` in the program: `cargo tree -d -i opentelemetry` lists two where a library's \
             differs from yours, and each has globals of its own; a guess: the provider is set on another version than the \
             client uses, or after its first call"
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
        let mut unexplained = calls.iter().filter(|call| call.judged);
        let open: Vec<&Call<'_>> = calls
            .iter()
            .filter(|call| is_open(call) && absence(view, call).is_none())
            .collect();
        let none_served = unexplained.all(is_open);
        if !served && none_served && !open.is_empty() {
            drafts.push(no_server_at_all(index, example, &open));
            continue;
        }
        for call in open {
            let swallowed = swallowed(view, call);
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

/// Calls that ended badly and left no server span, by status and address.
pub(crate) fn call_failed(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let mut groups: BTreeMap<(Severity, Option<u16>, &str, String), Vec<&Call<'_>>> =
            BTreeMap::new();
        for call in view.calls_of(example) {
            let Some(absence) = absence(view, call) else {
                continue;
            };
            let ended = match absence {
                Absence::Status(status) => status.name(),
                Absence::Error => "ERROR",
                Absence::Lacking => "",
            };
            let key = (
                severity_of_failure(view, call),
                call.step,
                ended,
                address(view, call.span),
            );
            groups.entry(key).or_default().push(call);
        }
        for ((severity, step, ended, address), calls) in groups {
            drafts.push(
                failed(view, ended, &address, &calls)
                    .severity(severity)
                    .example(index)
                    .step(step),
            );
        }
    }
}

/// An error by the contract, unless its step is to fail or may try again. Of a program that follows no contract nobody knows which calls
/// are to fail.
fn severity_of_failure(view: &View<'_>, call: &Call<'_>) -> Severity {
    if !view.scenario {
        return Severity::Warning;
    }
    let step = call
        .step
        .map(|step| &view.contract.steps[usize::from(step)]);
    let allowed = step.is_some_and(|step| {
        step.status == Status::Error
            || (step.retries || step.hedging) && view.is_answered_in_its_step(call)
    });
    if allowed {
        Severity::Info
    } else {
        view.contract.call_failed
    }
}

fn failed(view: &View<'_>, ended: &'static str, address: &str, calls: &[&Call<'_>]) -> Draft {
    let mut methods: Vec<&str> = Vec::new();
    for call in calls {
        if !methods.contains(&call.method) {
            methods.push(call.method);
        }
    }
    let methods = methods.join("`, `");
    let at = if address.is_empty() {
        String::new()
    } else {
        format!(" at {address}")
    };
    let how_many = if calls.len() > 1 {
        format!("{} calls", calls.len())
    } else {
        "the call".to_owned()
    };
    let message = if ended.is_empty() {
        format!(
            "{how_many} `{methods}`{at} can have no server span: this version of the server doesn't know the method, and the client's span \
             doesn't say UNIMPLEMENTED"
        )
    } else {
        format!(
            "{how_many} `{methods}` ended {ended}{at}{}, and the server recorded nothing",
            reason(view.traces.span(calls[0].span).status_message())
        )
    };
    let hint = FAILURES.iter().find(|(status, _)| *status == ended).map_or(
        "see the call's own message: it ended before the server's code saw it",
        |(_, hint)| hint,
    );
    Draft::new(Rule::CallFailed, message)
        .span(calls[0].span)
        .subject(format!("{ended}{at}").trim().to_owned())
        .count(calls.len())
        .hint(hint)
}

/// What each status says of a call that left no server span.
const FAILURES: [(&str, &str); 6] = [
    (
        "UNAVAILABLE",
        "nothing accepted the connection, or it broke: see that the server listens at that address",
    ),
    (
        "DEADLINE_EXCEEDED",
        "the time was up before the server began: it may be unreachable, or the connection wasn't ready",
    ),
    (
        "CANCELLED",
        "the program cancelled the call before the server began",
    ),
    (
        "UNIMPLEMENTED",
        "the server doesn't know the method: it is older than the client, or something else listens at that address",
    ),
    (
        "RESOURCE_EXHAUSTED",
        "gRPC refuses a message above its limit before the server's code runs: send less at a time",
    ),
    (
        "",
        "take a client of the server's age, or do without the method",
    ),
];

/// The address that a call went to, where its span says it.
fn address(view: &View<'_>, span: u32) -> String {
    let slice = view.traces.record(span).attributes;
    let get = |key: &str| {
        let mut names = names_of(key);
        names.find_map(|name| view.traces.attribute_named(slice, name))
    };
    match (get("server.address"), get("server.port")) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_string(),
        (None, _) => String::new(),
    }
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

/// Entries of a `tracestate` by the tracer that writes them.
const TRACERS: [(&str, &str); 6] = [
    ("dd", "Datadog's tracer"),
    ("es", "Elastic APM's agent"),
    ("nr", "New Relic's agent"),
    ("dt", "Dynatrace's agent"),
    ("sn", "Splunk's or Signalfx's tracer"),
    ("in", "Instana's tracer"),
];

/// The tracer that a `tracestate` names.
fn tracer(trace_state: &str) -> Option<&'static str> {
    trace_state.split(',').find_map(|entry| {
        let key = entry.split('=').next().unwrap_or_default().trim();
        // `tenant@vendor` is the older form.
        let vendor = key.rsplit('@').next().unwrap_or(key);
        let known = TRACERS.iter().find(|(known, _)| *known == vendor);
        known.map(|(_, tracer)| *tracer)
    })
}

pub(crate) fn context_replaced(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let calls = view.calls_of(example);
        let replaced: Vec<(&Call<'_>, u32)> = calls
            .iter()
            .filter_map(|call| Some((call, call.replaced?)))
            .collect();
        let Some(&(first, server)) = replaced.first() else {
            continue;
        };
        let judged = calls.iter().filter(|call| call.judged).count();
        let answer = view.traces.span(server);
        let state = answer.trace_state();
        let mut message = format!(
            "{} of {judged} calls reached the server with another context than their own: `{}` is answered in trace `{}` under `{}`, which \
             is not in the input",
            replaced.len(),
            first.method,
            answer.trace_id(),
            SpanId(view.traces.record(server).parent_id),
        );
        let by = tracer(state);
        if !state.is_empty() {
            message.push_str(&format!("; its tracestate is `{state}`"));
        }
        let hint = match by {
            Some(by) => format!(
                "{by} writes that context: it is loaded beside OpenTelemetry and sends its own `traceparent`. Let one of them trace gRPC, or \
                 switch the other's propagation off"
            ),
            None => "another tracer in the program, or a proxy that traces, puts its own `traceparent` in the call's place: let one of them \
                     trace gRPC, or export its spans to the same place"
                .to_owned(),
        };
        let whole = replaced.len() == judged;
        let step = first
            .step
            .filter(|_| !whole && replaced.iter().all(|(call, _)| call.step == first.step));
        drafts.push(
            Draft::new(Rule::ContextReplaced, message)
                .example(index)
                .step(step)
                .span(first.span)
                .count(replaced.len())
                .hint(hint)
                .explains(replaced.iter().map(|(call, _)| call.span)),
        );
    }
}

/// An example, and when it ran by its spans.
struct Ran {
    example: u32,
    from: u64,
    to: u64,
    carried: usize,
}

/// Calls that came to the server without a context while an example ran, beside calls of it that carried theirs.
pub(crate) fn untraced_calls(view: &View<'_>, drafts: &mut Vec<Draft>) {
    /// Examples that run side by side are few.
    const LOOKED_AT: usize = 32;
    if view.uncalled.is_empty() {
        return;
    }
    let mut ran: Vec<Ran> = view
        .examples()
        .filter_map(|(index, example)| ran(view, index, example))
        .collect();
    ran.sort_by_key(|ran| (ran.from, ran.example));
    let mut groups: BTreeMap<Vec<u32>, Vec<Uncalled<'_>>> = BTreeMap::new();
    for uncalled in &view.uncalled {
        let begun = ran.partition_point(|ran| ran.from <= uncalled.start);
        let around = ran[..begun].iter().rev().take(LOOKED_AT);
        let around: Vec<&Ran> = around.filter(|ran| uncalled.start <= ran.to).collect();
        // An example without a traced call made them: another finding says so.
        if around.is_empty() || around.iter().any(|ran| ran.carried == 0) {
            continue;
        }
        let mut examples: Vec<u32> = around.iter().map(|ran| ran.example).collect();
        examples.sort_unstable();
        groups.entry(examples).or_default().push(*uncalled);
    }
    let carried = |examples: &[u32]| {
        let own = ran.iter().filter(|ran| examples.contains(&ran.example));
        own.map(|ran| ran.carried).sum()
    };
    for (examples, calls) in &groups {
        drafts.push(untraced(view, examples, calls, carried(examples)));
    }
}

fn ran(view: &View<'_>, index: u32, example: &Example<'_>) -> Option<Ran> {
    let tops = example
        .traces
        .iter()
        .map(|&trace| view.traces.traces[trace as usize].first)
        .chain(example.root)
        .map(|span| view.traces.record(span));
    let carries = |call: &&Call<'_>| call.server.or(call.astray).is_some();
    Some(Ran {
        example: index,
        from: tops.clone().map(|top| top.start).min()?,
        to: tops.map(|top| top.end).max()?,
        carried: view.calls_of(example).iter().filter(carries).count(),
    })
}

fn untraced(view: &View<'_>, examples: &[u32], calls: &[Uncalled<'_>], carried: usize) -> Draft {
    let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *methods.entry(call.method).or_default() += 1;
    }
    let mut methods: Vec<(&str, usize)> = methods.into_iter().collect();
    methods.sort_by_key(|&(method, count)| (std::cmp::Reverse(count), method));
    let methods: Vec<String> = methods
        .iter()
        .map(|(method, count)| format!("{count} `{method}`"))
        .collect();
    let names: Vec<String> = examples
        .iter()
        .map(|&example| format!("`{}`", view.examples[example as usize].name))
        .collect();
    let mut message = format!(
        "{} {} reached the server without any context while {} ran, beside {carried} that carried one: {}",
        calls.len(),
        if calls.len() == 1 { "call" } else { "calls" },
        names.join(" and "),
        methods.join(", "),
    );
    let only = examples.first().filter(|_| examples.len() == 1);
    let example = only.map(|&example| &view.examples[example as usize]);
    let idle: Vec<u32> =
        example.map_or_else(Vec::new, |example| roots_without_calls(view, example));
    if let Some(&first) = idle.first() {
        message.push_str(&format!(
            "; {} of its traces {} no call, such as that of `{}`",
            idle.len(),
            if idle.len() == 1 { "has" } else { "have" },
            view.traces.span(first).name()
        ));
    }
    let own = view.facts.is_some_and(|facts| facts.server_is_own);
    let language = example
        .and_then(|example| example.root)
        .and_then(|root| language(view, root));
    let mut draft = Draft::new(Rule::UntracedCalls, message)
        .severity(if own {
            Severity::Error
        } else {
            Severity::Warning
        })
        .span(calls[0].span)
        .count(calls.len())
        .hint(untraced_hint(language.as_deref()));
    draft.example = only.copied();
    draft
}

/// The tops of an example's traces in which no call is made.
fn roots_without_calls(view: &View<'_>, example: &Example<'_>) -> Vec<u32> {
    let mut called: Vec<u32> = view
        .calls_of(example)
        .iter()
        .map(|call| view.traces.record(call.span).trace)
        .collect();
    called.sort_unstable();
    let idle = example
        .traces
        .iter()
        .filter(|trace| called.binary_search(trace).is_err());
    idle.map(|&trace| view.traces.traces[trace as usize].first)
        .collect()
}

fn untraced_hint(language: Option<&str>) -> &'static str {
    match language {
        Some("python") => {
            "the async client has an instrumentor of its own: call `GrpcAioInstrumentorClient().instrument()` beside \
             `GrpcInstrumentorClient().instrument()`"
        }
        _ => {
            "some of the program's channels aren't instrumented: a client that is made before the instrumentation is loaded, or another \
             client library; else another program calls the server"
        }
    }
}

/// A language's instrumentation that sends the random flag from some version on, as measured (docs/compatibility.md).
struct SendsRandomFlag {
    language: &'static str,
    name: &'static str,
    /// The last version that doesn't send it.
    last: &'static str,
    /// The resource attribute with the version in use.
    attribute: &'static str,
}

const SENDS_RANDOM_FLAG: [SendsRandomFlag; 2] = [
    SendsRandomFlag {
        language: "java",
        name: "the Java agent",
        last: "2.25.0",
        attribute: "telemetry.distro.version",
    },
    SendsRandomFlag {
        language: "python",
        name: "OpenTelemetry Python",
        last: "1.41.1",
        attribute: "telemetry.sdk.version",
    },
];

/// The way to a propagator in a language where it isn't the standard variable.
const PROPAGATORS: [(&str, &str); 2] = [
    (
        "go",
        "call `otel.SetTextMapPropagator(propagation.TraceContext{})`: Go's default sends nothing",
    ),
    (
        "nodejs",
        "register the provider with its default propagator, or set `OTEL_PROPAGATORS=tracecontext`",
    ),
];

const PROXY: &str = "look for a proxy between client and server that strips `traceparent`";

/// What to do, an action a line, the likeliest first.
fn why_lost(view: &View<'_>, call: u32, server: u32, whole: bool) -> String {
    let (client, server) = (view.traces.span(call), view.traces.span(server));
    let flags = client.flags() & 0xff;
    let language = language(view, call).unwrap_or_default();
    let known = SENDS_RANDOM_FLAG
        .iter()
        .find(|one| one.language == language);
    let version = known.and_then(|known| {
        let mut attributes = client.resource_attributes();
        let version = attributes.find(|(key, _)| *key == known.attribute);
        version.map(|(_, version)| version.to_string())
    });
    if flags > 1 {
        let older = known.map_or_else(
            || "a client that sends no random flag".to_owned(),
            |known| format!("{} {} or before", known.name, known.last),
        );
        let sent = version.map_or_else(String::new, |version| format!(" {version}"));
        let name = known.map_or("the client", |known| known.name);
        return format!(
            "take {older}, or a server built with otel-go 1.42 or later: {name}{sent} sends trace flags {flags:02x}, and the server's \
             `{}` {} drops a `traceparent` with flags above 01",
            short(server.scope_name()),
            server.scope_version(),
        );
    }
    if !whole {
        return format!(
            "instrument every channel: some calls carry their context and these don't; a guess: they are made on a channel without \
             the instrumentation\n{PROXY}"
        );
    }
    let propagator = PROPAGATORS
        .iter()
        .find(|(name, _)| *name == language)
        .map_or("set `OTEL_PROPAGATORS=tracecontext`", |(_, cure)| cure);
    let propagator = format!("{propagator}; a guess: the client has no propagator");
    // A recorded span is sampled: flags of 00 mean that the exporter leaves them out.
    let flag = known
        .filter(|_| flags == 0)
        .and_then(|known| random_flag(known, version.as_deref()));
    let (first, then) = match flag {
        Some((true, flag)) => (flag, Some(propagator)),
        Some((false, flag)) => (propagator, Some(flag)),
        None => (propagator, None),
    };
    let actions = [Some(first), then, Some(PROXY.to_owned())];
    actions.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Whether the random flag is surely sent, and what to do against it; `None` if the version rules it out.
fn random_flag(known: &SendsRandomFlag, version: Option<&str>) -> Option<(bool, String)> {
    let SendsRandomFlag { name, last, .. } = known;
    let dropped = "which a server on otel-go before 1.42 drops";
    match version {
        Some(version) if versions::compare(version, last) == Ordering::Greater => Some((
            true,
            format!("take {name} {last} or before: {version} sends trace flags 03, {dropped}"),
        )),
        Some(_) => None,
        None => Some((
            false,
            format!("take {name} {last} or before: later ones send trace flags 03, {dropped}"),
        )),
    }
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
    undeclared_between(view, drafts);
}

/// Services between calls and the server that the contract doesn't let stand there.
fn undeclared_between(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(allowed) = view
        .contract
        .server
        .between
        .as_ref()
        .filter(|_| view.scenario)
    else {
        return;
    };
    for call in &view.calls {
        for span in view.through(call) {
            let service = view.service(span);
            if service == view.service(call.span) || allowed.iter().any(|known| known == service) {
                continue;
            }
            drafts.push(
                Draft::new(
                    Rule::WrongServer,
                    format!(
                        "the call `{}` reaches the server through service `{service}`, which the contract doesn't let stand between",
                        call.method
                    ),
                )
                .example(call.example)
                .span(span)
                .subject(format!("service `{service}`"))
                .hint("a service that may stand between goes into the contract's `[server] between`"),
            );
        }
    }
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
