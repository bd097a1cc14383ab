//! Does each client call have its server span?

use std::collections::{BTreeMap, HashSet};

use crate::draft::Draft;
use crate::ids::SpanId;
use crate::rule::{Rule, Severity};
use crate::semconv::names_of;
use crate::traces::{Kind, Status};
use crate::view::View;
use crate::view::calls::{Answer, Call, Ghost};
use crate::view::examples::Example;
use crate::view::join::Uncalled;
use crate::view::links::{Side, range_of};

use super::absence::{Absence, absence, is_open, swallowed};
use super::words::{counted, reason, spans, tracer};

pub(crate) fn client_unseen(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let nobodys = unclaimed_tops(view);
    for (index, example) in view.examples() {
        let ghosts = &view.ghosts[range_of(&view.ghosts, index, |ghost| ghost.example)];
        let passed_on: Vec<_> = ghosts
            .iter()
            .filter(|ghost| view.traces.parent(ghost.span).is_some())
            .collect();
        if let Some(first) = passed_on.first() {
            drafts.push(passed_on_unseen(view, example, first, passed_on.len()).example(index));
        } else if let (Some(root), true, true) =
            (example.root, example.calls.is_empty(), ghosts.is_empty())
        {
            // Server spans in its own trace prove that the calls were traced; only their client spans are lost.
            drafts.push(all_unseen(view, example, root, &nobodys).example(index));
        }
    }
}

/// Server spans lie right under a span of the program that is no call.
fn passed_on_unseen(
    view: &View<'_>,
    example: &Example<'_>,
    first: &Ghost<'_>,
    count: usize,
) -> Draft {
    let parent = view.traces.parent(first.span).unwrap_or(first.span);
    let message = format!(
        "{} of `{}`, such as `{}`, reached the server right under the span `{}`, with no client RPC span between",
        counted(count as u64, "call"),
        example.name,
        first.method,
        view.traces.span(parent).name(),
    );
    Draft::new(Rule::ClientUnseen, message)
        .span(first.span)
        .count(count)
        .case("passed-on")
}

fn all_unseen(view: &View<'_>, example: &Example<'_>, root: u32, nobodys: &[u64]) -> Draft {
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
    let case = if let Some(&first) = rest.first() {
        message.push_str(&format!(
            "; {} of its own, such as `{}`, {} to Milvus's REST API",
            spans(rest.len()),
            view.traces.span(first).name(),
            if rest.len() == 1 { "goes" } else { "go" },
        ));
        "rest"
    } else if span.status() == Status::Error {
        message.push_str(&format!("; the root is ERROR: {}", span.status_message()));
        "root-error"
    } else {
        "unseen"
    };
    // Nothing says that such a program calls Milvus at all.
    let is_foreign = !view.scenario && view.facts.is_none() && unclaimed == 0 && rest.is_empty();
    Draft::new(Rule::ClientUnseen, message)
        .severity(if is_foreign {
            Severity::Warning
        } else {
            Severity::Error
        })
        .span(root)
        .case(case)
        .tell("reached", if unclaimed > 0 { "yes" } else { "no" })
        .tell("own_server", own_server(view))
}

/// The beginnings of the paths of Milvus's REST API.
const REST_PATHS: [&str; 6] = [
    "/v1/vector/",
    "/v2/vectordb/",
    "/api/v1/collection",
    "/api/v1/entities",
    "/api/v1/index",
    "/api/v1/partition",
];

/// From the first slash behind the host.
fn path_of(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or(url);
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    }
}

/// HTTP client spans of an example that call Milvus's REST API.
pub(super) fn rest_calls(view: &View<'_>, example: &Example<'_>) -> Vec<u32> {
    let of_rest = |&span: &u32| {
        let record = view.traces.record(span);
        record.kind == Kind::Client
            && view.links.side(span) == Side::Client
            && view.reader.path(span).is_some_and(|path| {
                REST_PATHS
                    .iter()
                    .any(|rest| path_of(path).starts_with(rest))
            })
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

/// Whether nobody but the run can have called the server.
fn own_server(view: &View<'_>) -> &'static str {
    if view.facts.is_some_and(|facts| facts.server_is_own) {
        "yes"
    } else {
        "no"
    }
}

pub(crate) fn no_server_span(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let served = view.traces.resources.iter().any(|resource| {
        resource
            .service_name
            .is_some_and(|name| view.contract.is_server(view.traces.str(name)))
    });
    for (index, example) in view.examples() {
        let calls = view.calls_of(example);
        let mut judged = calls.iter().filter(|call| call.judged);
        let open: Vec<&Call<'_>> = calls
            .iter()
            .filter(|call| is_open(call) && absence(view, call).is_none())
            .collect();
        let none_served = judged.all(|call| is_open(call) && swallowed(view, call).is_empty());
        if none_served && (open.len() > 1 || !served && !open.is_empty()) {
            drafts.push(no_server_at_all(index, example, &open, served));
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
                    .case("one")
                    .explains(swallowed.into_iter().chain([call.span])),
            );
        }
    }
}

fn no_server_at_all(index: u32, example: &Example<'_>, open: &[&Call<'_>], served: bool) -> Draft {
    let message = format!(
        "none of the {} calls of `{}` has a server span, and {}",
        open.len(),
        example.name,
        if served {
            "the server's spans in the input are of other traces"
        } else {
            "the input holds not one span of the server"
        }
    );
    Draft::new(Rule::NoServerSpan, message)
        .example(index)
        .span(open[0].span)
        .count(open.len())
        .case("none")
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
        let says = |call: &&Call<'_>| view.traces.span(call.span).status_message();
        let first = reason(says(&calls[0]));
        let first = if calls.iter().all(|call| says(call) == says(&calls[0])) {
            first
        } else {
            format!(" (the first{first})")
        };
        format!("{how_many} `{methods}` ended {ended}{at}{first}, and the server recorded nothing")
    };
    Draft::new(Rule::CallFailed, message)
        .span(calls[0].span)
        .subject(format!("{ended}{at}").trim().to_owned())
        .count(calls.len())
        .tell("status", ended)
}

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
        let lost: Vec<&Call<'_>> = calls.iter().filter(|call| call.lost().is_some()).collect();
        let (Some(first), Some(server)) = (lost.first(), lost.first().and_then(|call| call.lost()))
        else {
            continue;
        };
        let judged = calls.iter().filter(|call| call.judged).count();
        let mut message = format!(
            "{} of {judged} calls reached the server, which began a trace of its own for each: `{}` is answered in trace `{}`",
            lost.len(),
            first.method,
            view.traces.span(server).trace_id(),
        );
        // A span that was recorded is sampled: 00 says that its exporter leaves the flags out.
        if view.traces.span(first.span).flags() & 0xff == 1 {
            message.push_str("; the trace flags are 01, which any server takes");
        }
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
                .case(if whole { "all" } else { "some" })
                .explains(lost.iter().map(|call| call.span)),
        );
    }
}

pub(crate) fn context_replaced(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let calls = view.calls_of(example);
        let replaced: Vec<(&Call<'_>, u32)> = calls
            .iter()
            .filter_map(|call| Some((call, call.replaced()?)))
            .collect();
        let Some(&(first, server)) = replaced.first() else {
            continue;
        };
        let judged = calls.iter().filter(|call| call.judged).count();
        let answer = view.traces.span(server);
        let state = answer.trace_state();
        let mut message = format!(
            "{} of {judged} calls reached the server with another context than their own: `{}` is answered in trace `{}` under {}",
            replaced.len(),
            first.method,
            answer.trace_id(),
            match answer.parent() {
                Some(parent) => format!("`{}` of scope `{}`", parent.name(), parent.scope_name()),
                None => format!(
                    "`{}`, which is not in the input",
                    SpanId(view.traces.record(server).parent_id)
                ),
            },
        );
        let by = tracer(state);
        if !state.is_empty() {
            message.push_str(&format!("; its tracestate is `{state}`"));
        }
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
                .tell("tracer", by.map_or("", |(key, _)| key))
                .tell("vendor", by.map_or("", |(_, vendor)| vendor))
                .explains(replaced.iter().map(|(call, _)| call.span))
                .explains(
                    replaced
                        .iter()
                        .flat_map(|&(_, server)| tops_above(view, server)),
                ),
        );
    }
}

/// The spans above a server span that another tracer's context led to.
fn tops_above(view: &View<'_>, server: u32) -> Vec<u32> {
    /// Another tracer has few layers between its root and the call.
    const LAYERS: usize = 32;
    let above = std::iter::successors(view.traces.parent(server), |&span| view.traces.parent(span));
    above.take(LAYERS).collect()
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
    let carries = |call: &&Call<'_>| call.server().or(call.astray()).is_some();
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
    let own = own_server(view);
    let mut draft = Draft::new(Rule::UntracedCalls, message)
        .severity(if own == "yes" {
            Severity::Error
        } else {
            Severity::Warning
        })
        .span(calls[0].span)
        .count(calls.len())
        .tell("own_server", own);
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

pub(crate) fn wrong_server(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut told: HashSet<u32> = HashSet::new();
    for call in &view.calls {
        let Answer::Wrong(server) = call.answer else {
            continue;
        };
        told.insert(server);
        let answer = view.traces.span(server);
        let ((message, subject), case) = match view.links.side(server) {
            Side::Undeclared => (undeclared(view, call.method, server), "service"),
            _ => {
                let message = format!(
                    "the call `{}` is answered by the server span `{}`",
                    call.method,
                    answer.name()
                );
                ((message, call.method.to_owned()), "answer")
            }
        };
        drafts.push(
            Draft::new(Rule::WrongServer, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(subject)
                .case(case)
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
                .case("between"),
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
                    .case("service"),
            );
        }
    }
}
