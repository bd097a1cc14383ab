//! The ways to break a capture.

use serde_json::{Value, json};

use super::capture::find;
use super::{Edit, Expected, Operator};
use crate::rules::Rule;
use crate::verdict::{CellCall, Severity, SpanId};

const SERVICE: &str = "milvus.proto.milvus.MilvusService";
const HOUR_NS: i64 = 3_600_000_000_000;

const fn operator(
    name: &'static str,
    rule: Rule,
    apply: fn(&mut Edit<'_>) -> Option<Expected>,
) -> Operator {
    Operator { name, rule, apply }
}

/// Every operator.
pub const OPERATORS: &[Operator] = &[
    operator("drop a call's span", Rule::OrphanSpan, drop_call),
    operator("drop a server span", Rule::NoServerSpan, drop_server),
    operator(
        "drop a span within the server's work",
        Rule::OrphanSpan,
        drop_inner,
    ),
    operator("drop the root", Rule::NoRoot, drop_root),
    operator("lose all spans", Rule::NoSpans, lose_all),
    operator("run uninstrumented", Rule::ClientUnseen, uninstrumented),
    operator(
        "take out a span of server_core",
        Rule::ServerWorkDiffers,
        take_out_core,
    ),
    operator("cut a call's parent", Rule::SeveralRoots, cut_call),
    operator("cut a server span's parent", Rule::SeveralRoots, cut_server),
    operator(
        "cut a parent within the server's work",
        Rule::SeveralRoots,
        cut_inner,
    ),
    operator("invent a call's parent", Rule::OrphanSpan, invent_call),
    operator(
        "invent a server span's parent",
        Rule::OrphanSpan,
        invent_server,
    ),
    operator(
        "invent a parent within the server's work",
        Rule::OrphanSpan,
        invent_inner,
    ),
    operator(
        "put a call under another call",
        Rule::WrongParent,
        call_under_call,
    ),
    operator(
        "put a call under a server span",
        Rule::WrongParent,
        call_under_server,
    ),
    operator(
        "put a server span under another call",
        Rule::WrongParent,
        server_under_other,
    ),
    operator(
        "put a server span under the root",
        Rule::WrongParent,
        server_under_root,
    ),
    operator(
        "swap the parents of two server spans",
        Rule::WrongParent,
        swap_servers,
    ),
    operator("close a circle over a call", Rule::ParentCycle, cycle_call),
    operator(
        "close a circle within the server's work",
        Rule::ParentCycle,
        cycle_inner,
    ),
    operator("make a span its own parent", Rule::ParentCycle, cycle_self),
    operator(
        "give a call another call's id",
        Rule::DuplicateSpanId,
        repeat_id_call,
    ),
    operator(
        "repeat an id within the server's work",
        Rule::DuplicateSpanId,
        repeat_id_inner,
    ),
    operator(
        "split a call off into a trace",
        Rule::SeveralTraces,
        split_call,
    ),
    operator(
        "split a call off without its parent",
        Rule::SeveralTraces,
        split_call_cut,
    ),
    operator(
        "give a call's server half another trace",
        Rule::WrongParent,
        split_server,
    ),
    operator(
        "re-root a call's server half",
        Rule::ContextLost,
        reroot_server,
    ),
    operator("re-root every server half", Rule::ContextLost, reroot_all),
    operator(
        "answer a call by another method",
        Rule::WrongServer,
        answer_otherwise,
    ),
    operator(
        "rename the server's service",
        Rule::WrongServer,
        rename_server,
    ),
    operator(
        "rename the service within the server's work",
        Rule::WrongServer,
        rename_inner,
    ),
    operator("rename a call", Rule::SpanName, rename_call),
    operator(
        "name a call after another method",
        Rule::SpanName,
        rename_method,
    ),
    operator("rename the root", Rule::SpanName, rename_root),
    operator(
        "rename an attribute",
        Rule::AttributeMissing,
        rename_attribute,
    ),
    operator(
        "write an attribute as 1.39 does",
        Rule::AttributeRenamed,
        newer_attribute,
    ),
    operator(
        "change an attribute's type",
        Rule::AttributeType,
        retype_attribute,
    ),
    operator(
        "change an attribute's value",
        Rule::AttributeValue,
        change_value,
    ),
    operator("change a call's kind", Rule::WrongKind, kind_call),
    operator("change a server span's kind", Rule::WrongKind, kind_server),
    operator("change the root's kind", Rule::WrongKind, kind_root),
    operator(
        "fail a call for the client",
        Rule::StatusDiffers,
        status_call,
    ),
    operator(
        "fail a call for the server",
        Rule::StatusDiffers,
        status_server,
    ),
    operator("fail a call for both", Rule::StatusDiffers, status_both),
    operator("fail the root alone", Rule::UnmarkedError, status_root),
    operator("reverse a call's times", Rule::BadTime, reverse_call),
    operator(
        "reverse a server span's times",
        Rule::BadTime,
        reverse_server,
    ),
    operator("reverse the root's times", Rule::BadTime, reverse_root),
    operator("move a call by an hour", Rule::BadTime, move_call),
    operator("move a server span by an hour", Rule::BadTime, move_server),
    operator("lose a call's start", Rule::BadTime, zero_call),
    operator("lose a step", Rule::MissingStep, lose_step),
    operator("repeat a step", Rule::RepeatedStep, repeat_step),
    operator("swap two steps", Rule::StepOrder, swap_steps),
    operator("add an undeclared RPC", Rule::UndeclaredRpc, add_rpc),
    operator(
        "rename the client's service",
        Rule::ResourceMismatch,
        rename_client,
    ),
    operator(
        "lose a resource attribute",
        Rule::ResourceMismatch,
        lose_resource,
    ),
    operator(
        "lose a resource attribute in one batch",
        Rule::ResourceMismatch,
        lose_resource_once,
    ),
    operator("lose the SDK's name", Rule::SdkUnknown, lose_sdk),
    operator("truncate the last record", Rule::MalformedInput, truncate),
    operator("corrupt a record", Rule::MalformedInput, corrupt),
    operator("corrupt a span's id", Rule::MalformedInput, corrupt_id),
    operator("add an unknown field", Rule::MalformedInput, unknown_field),
    operator(
        "duplicate a record",
        Rule::DuplicateSpanId,
        duplicate_record,
    ),
];

/// A call of the example with its server span, as indices of the capture.
#[derive(Clone, Debug)]
struct Place {
    step: Option<String>,
    method: String,
    call: usize,
    server: usize,
}

impl Edit<'_> {
    fn trace(&self) -> String {
        let trace = self.clean.verdict.examples[self.example].trace_id;
        trace.map_or_else(String::new, |id| id.to_string())
    }

    fn index(&self, id: SpanId) -> Option<usize> {
        let (trace, id) = (self.trace(), id.to_string());
        self.capture
            .spans
            .iter()
            .position(|entry| entry.text("spanId") == id && entry.text("traceId") == trace)
    }

    fn id(&self, index: usize) -> SpanId {
        let text = self.capture.spans[index].text("spanId");
        let mut id = [0; 8];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        }
        SpanId(id)
    }

    /// Every call that a step has, in order.
    fn calls(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for row in &self.clean.verdict.steps {
            let calls = row.cells[self.example].iter().flat_map(|cell| &cell.calls);
            places.extend(calls.filter_map(|call| self.place(&row.name, call)));
        }
        places.sort_by_key(|place| self.start(place.call));
        places
    }

    fn place(&self, step: &str, call: &CellCall) -> Option<Place> {
        let index = self.index(call.client.1)?;
        let method = self.capture.spans[index]
            .text("name")
            .rsplit('/')
            .next()?
            .to_owned();
        Some(Place {
            step: Some(step.to_owned()),
            method,
            call: index,
            server: self.index(call.server?.1)?,
        })
    }

    fn call(&mut self) -> Option<Place> {
        let calls = self.calls();
        self.random.pick(&calls).cloned()
    }

    /// Two calls of different methods, in order.
    fn two_calls(&mut self) -> Option<(Place, Place)> {
        let calls = self.calls();
        let first = self.random.pick(&calls)?.clone();
        let others: Vec<Place> = calls
            .into_iter()
            .filter(|place| place.method != first.method)
            .collect();
        let second = self.random.pick(&others)?.clone();
        Some(if self.start(first.call) < self.start(second.call) {
            (first, second)
        } else {
            (second, first)
        })
    }

    fn start(&self, index: usize) -> u64 {
        self.capture.spans[index].time("startTimeUnixNano")
    }

    fn end(&self, index: usize) -> u64 {
        self.capture.spans[index].time("endTimeUnixNano")
    }

    fn root(&self) -> Option<usize> {
        let trace = self.trace();
        self.capture.spans.iter().position(|entry| {
            entry.text("traceId") == trace && entry.text("parentSpanId").is_empty()
        })
    }

    /// Spans under a call's server span that have children, with their call.
    fn inner(&mut self, with_children: bool) -> Option<(Place, usize, Vec<usize>)> {
        let children = self.capture.children();
        let mut found = Vec::new();
        for place in self.calls() {
            for index in self.capture.subtree(place.server).into_iter().skip(1) {
                let entry = &self.capture.spans[index];
                let key = (
                    entry.text("traceId").to_owned(),
                    entry.text("spanId").to_owned(),
                );
                let own = children.get(&key).cloned().unwrap_or_default();
                if !with_children || !own.is_empty() {
                    found.push((place.clone(), index, own));
                }
            }
        }
        self.random.pick(&found).cloned()
    }

    /// The client's spans of the example.
    fn client(&self) -> Vec<usize> {
        let (trace, service) = (
            self.trace(),
            self.root()
                .map(|root| self.capture.spans[root].service().to_owned()),
        );
        let own = |entry: &super::capture::Entry| {
            entry.text("traceId") == trace && Some(entry.service()) == service.as_deref()
        };
        (0..self.capture.spans.len())
            .filter(|&index| own(&self.capture.spans[index]))
            .collect()
    }

    fn new_id(&mut self) -> String {
        format!("{:016x}", self.random.next() | 1)
    }

    fn new_trace(&mut self) -> String {
        format!("{:016x}{:016x}", self.random.next() | 1, self.random.next())
    }

    fn set(&mut self, index: usize, key: &str, value: impl Into<Value>) {
        self.capture.spans[index].set(key, value);
    }

    fn at(&self, place: &Place, span: usize) -> Expected {
        Expected {
            step: Some(vec![place.step.clone()]),
            spans: Some(vec![self.id(span)]),
            ..Expected::default()
        }
    }

    fn move_to_trace(&mut self, top: usize, trace: &str) {
        for index in self.capture.subtree(top) {
            self.set(index, "traceId", trace);
        }
    }

    /// Copies a call with its server half, under new ids and at another time.
    fn copy(&mut self, place: &Place, by: i64) -> Vec<usize> {
        let whole = self.capture.subtree(place.call);
        let mut ids = std::collections::HashMap::new();
        for &index in &whole {
            let new = self.new_id();
            ids.insert(self.capture.spans[index].text("spanId").to_owned(), new);
        }
        let mut copies = Vec::new();
        for &index in &whole {
            let mut entry = self.capture.spans[index].clone();
            for key in ["spanId", "parentSpanId"] {
                if let Some(new) = ids.get(entry.text(key)).cloned() {
                    entry.set(key, new);
                }
            }
            entry.shift(by);
            copies.push(self.capture.spans.len());
            self.capture.spans.push(entry);
        }
        // Lines are runs of spans: the copies make one of their own.
        let last = self
            .capture
            .spans
            .iter()
            .map(|entry| entry.line)
            .max()
            .unwrap_or_default();
        for &index in &copies {
            self.capture.spans[index].line = last + 1;
        }
        copies
    }
}

fn drop_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let expected = edit.at(&place, place.server);
    edit.capture.remove(&[place.call]);
    Some(expected)
}

fn drop_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let expected = edit.at(&place, place.call);
    edit.capture.remove(&[place.server]);
    Some(expected)
}

fn drop_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, gone, children) = edit.inner(true)?;
    let expected = Expected {
        spans: Some(children.iter().map(|&child| edit.id(child)).collect()),
        ..edit.at(&place, gone)
    };
    edit.capture.remove(&[gone]);
    Some(expected)
}

fn drop_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.capture.remove(&[root]);
    Some(Expected::default())
}

fn lose_all(edit: &mut Edit<'_>) -> Option<Expected> {
    let gone = edit.client();
    edit.capture.remove(&gone);
    Some(Expected::default())
}

/// Without its instrumentation the client sends no context, so each server half is a trace of its own.
fn uninstrumented(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    let expected = Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    };
    let calls: Vec<usize> = edit
        .client()
        .into_iter()
        .filter(|&index| index != root)
        .collect();
    for &call in &calls {
        for server in edit.capture.subtree(call).into_iter().skip(1).take(1) {
            edit.set(server, "parentSpanId", "");
            let trace = edit.new_trace();
            edit.move_to_trace(server, &trace);
        }
    }
    edit.capture.remove(&calls);
    Some(expected)
}

fn take_out_core(edit: &mut Edit<'_>) -> Option<Expected> {
    let contract = crate::Contract::builtin();
    let mut found = Vec::new();
    for place in edit.calls() {
        let step = contract
            .steps
            .iter()
            .find(|step| Some(&step.name) == place.step.as_ref())?;
        let work = edit.capture.subtree(place.server);
        for &index in &work {
            let name = edit.capture.spans[index].text("name");
            let count = work
                .iter()
                .filter(|&&other| edit.capture.spans[other].text("name") == name)
                .count();
            let others = edit.calls();
            let again = others
                .iter()
                .filter(|other| other.step == place.step && other.method == place.method)
                .count();
            if step.server_core.iter().any(|core| core == name) && count == 1 && again == 1 {
                found.push((place.clone(), index));
            }
        }
    }
    let (place, gone) = edit.random.pick(&found)?.clone();
    let (id, parent) = (
        edit.capture.spans[gone].text("spanId").to_owned(),
        edit.capture.spans[gone].text("parentSpanId").to_owned(),
    );
    for index in edit.capture.subtree(gone) {
        if edit.capture.spans[index].text("parentSpanId") == id {
            edit.set(index, "parentSpanId", parent.clone());
        }
    }
    let expected = edit.at(&place, place.call);
    edit.capture.remove(&[gone]);
    Some(expected)
}

fn cut_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "parentSpanId", "");
    Some(edit.at(&place, place.call))
}

fn cut_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.server, "parentSpanId", "");
    Some(edit.at(&place, place.server))
}

fn cut_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    edit.set(inner, "parentSpanId", "");
    Some(edit.at(&place, inner))
}

fn invent_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let id = edit.new_id();
    edit.set(place.call, "parentSpanId", id);
    Some(edit.at(&place, place.call))
}

fn invent_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let id = edit.new_id();
    edit.set(place.server, "parentSpanId", id);
    Some(edit.at(&place, place.server))
}

fn invent_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    let id = edit.new_id();
    edit.set(inner, "parentSpanId", id);
    Some(edit.at(&place, inner))
}

fn reparent(edit: &mut Edit<'_>, child: usize, parent: usize) {
    let id = edit.capture.spans[parent].text("spanId").to_owned();
    edit.set(child, "parentSpanId", id);
}

fn call_under_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.call, first.call);
    Some(edit.at(&second, second.call))
}

fn call_under_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.call, first.server);
    Some(edit.at(&second, second.call))
}

fn server_under_other(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.server, first.call);
    Some(edit.at(&second, second.server))
}

fn server_under_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, root) = (edit.call()?, edit.root()?);
    reparent(edit, place.server, root);
    Some(edit.at(&place, place.server))
}

fn swap_servers(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, first.server, second.call);
    reparent(edit, second.server, first.call);
    Some(Expected {
        step: Some(vec![first.step.clone(), second.step.clone()]),
        spans: Some(vec![edit.id(first.server), edit.id(second.server)]),
        ..Expected::default()
    })
}

fn cycle_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reparent(edit, place.call, place.server);
    Some(Expected {
        spans: Some(vec![edit.id(place.call), edit.id(place.server)]),
        ..edit.at(&place, place.call)
    })
}

fn cycle_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, top, children) = edit.inner(true)?;
    let child = *edit.random.pick(&children)?;
    reparent(edit, top, child);
    Some(Expected {
        spans: Some(vec![edit.id(top), edit.id(child)]),
        ..edit.at(&place, top)
    })
}

fn cycle_self(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    reparent(edit, inner, inner);
    Some(edit.at(&place, inner))
}

fn repeat_id_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    let id = edit.capture.spans[first.call].text("spanId").to_owned();
    edit.set(second.call, "spanId", id);
    Some(Expected {
        step: Some(vec![first.step.clone(), second.step.clone()]),
        ..edit.at(&first, first.call)
    })
}

fn repeat_id_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    let work: Vec<usize> = edit
        .capture
        .subtree(place.server)
        .into_iter()
        .skip(1)
        .filter(|&index| index != inner)
        .collect();
    let other = *edit.random.pick(&work)?;
    let id = edit.capture.spans[other].text("spanId").to_owned();
    edit.set(inner, "spanId", id);
    Some(edit.at(&place, other))
}

fn split_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.call, &trace);
    Some(edit.at(&place, place.call))
}

fn split_call_cut(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.call, &trace);
    edit.set(place.call, "parentSpanId", "");
    Some(edit.at(&place, place.call))
}

fn split_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.server, &trace);
    Some(edit.at(&place, place.server))
}

fn reroot(edit: &mut Edit<'_>, server: usize) {
    let trace = edit.new_trace();
    edit.move_to_trace(server, &trace);
    edit.set(server, "parentSpanId", "");
}

fn reroot_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reroot(edit, place.server);
    Some(edit.at(&place, place.call))
}

fn reroot_all(edit: &mut Edit<'_>) -> Option<Expected> {
    let children = edit.capture.children();
    let mut servers = Vec::new();
    for call in edit.client() {
        let entry = &edit.capture.spans[call];
        let key = (
            entry.text("traceId").to_owned(),
            entry.text("spanId").to_owned(),
        );
        let service = entry.service().to_owned();
        servers.extend(
            children
                .get(&key)
                .into_iter()
                .flatten()
                .filter(|&&child| edit.capture.spans[child].service() != service),
        );
    }
    for server in servers {
        reroot(edit, server);
    }
    Some(Expected {
        step: Some(vec![None]),
        ..Expected::default()
    })
}

fn rename_rpc(edit: &mut Edit<'_>, index: usize, method: &str) {
    let name = edit.capture.spans[index].text("name").to_owned();
    let prefix = name
        .rsplit_once('/')
        .map_or("", |(prefix, _)| prefix)
        .to_owned();
    edit.set(index, "name", format!("{prefix}/{method}"));
    if let Some(pair) = find(edit.capture.spans[index].attributes(), "rpc.method") {
        pair["value"] = json!({"stringValue": method});
    }
}

fn answer_otherwise(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    rename_rpc(edit, place.server, "Flush");
    Some(edit.at(&place, place.call))
}

fn rename_service(edit: &mut Edit<'_>, index: usize, name: &str) {
    if let Some(pair) = find(
        edit.capture.spans[index].resource_attributes(),
        "service.name",
    ) {
        pair["value"] = json!({"stringValue": name});
    }
}

fn rename_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    for index in edit.capture.subtree(place.server) {
        rename_service(edit, index, "milvus-2");
    }
    Some(edit.at(&place, place.call))
}

fn rename_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    for index in edit.capture.subtree(inner) {
        rename_service(edit, index, "milvus-2");
    }
    Some(edit.at(&place, inner))
}

fn rename_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "name", "rpc");
    Some(edit.at(&place, place.call))
}

fn rename_method(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    let name = edit.capture.spans[second.call].text("name").to_owned();
    edit.set(first.call, "name", name);
    Some(edit.at(&first, first.call))
}

fn rename_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.set(root, "name", "main");
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

const NAMED: [&str; 6] = [
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "rpc.grpc.status_code",
    "server.address",
    "server.port",
];

/// An attribute that the contract names and the call has.
fn named(edit: &mut Edit<'_>, call: usize, among: &[&'static str]) -> Option<&'static str> {
    let entry = &mut edit.capture.spans[call];
    let own: Vec<&'static str> = among
        .iter()
        .copied()
        .filter(|key| find(entry.attributes(), key).is_some())
        .collect();
    edit.random.pick(&own).copied()
}

fn rename_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &NAMED)?;
    find(edit.capture.spans[place.call].attributes(), key)?["key"] = json!(format!("x.{key}"));
    Some(edit.at(&place, place.call))
}

fn newer_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &["rpc.system", "rpc.grpc.status_code"])?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    *pair = match key {
        "rpc.system" => json!({"key": "rpc.system.name", "value": {"stringValue": "grpc"}}),
        _ => json!({"key": "rpc.response.status_code", "value": {"stringValue": "OK"}}),
    };
    Some(edit.at(&place, place.call))
}

fn retype_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &["rpc.grpc.status_code", "server.port"])?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    let value = pair["value"]["intValue"].clone();
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    pair["value"] = json!({"stringValue": text});
    Some(edit.at(&place, place.call))
}

fn change_value(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(
        edit,
        place.call,
        &[
            "rpc.system",
            "rpc.service",
            "rpc.method",
            "server.address",
            "server.port",
        ],
    )?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    pair["value"] = match key {
        "rpc.system" => json!({"stringValue": "connect_rpc"}),
        "rpc.service" => json!({"stringValue": "milvus.proto.data.DataCoord"}),
        "rpc.method" => json!({"stringValue": "Flush"}),
        "server.address" => json!({"stringValue": "192.0.2.1"}),
        _ => json!({"intValue": "1"}),
    };
    Some(edit.at(&place, place.call))
}

fn kind_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let kind = *edit.random.pick(&[1, 2, 4])?;
    edit.set(place.call, "kind", kind);
    Some(edit.at(&place, place.call))
}

fn kind_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let kind = *edit.random.pick(&[1, 3, 5])?;
    edit.set(place.server, "kind", kind);
    Some(edit.at(&place, place.server))
}

fn kind_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.set(root, "kind", 3);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

fn fail(edit: &mut Edit<'_>, index: usize, code: Option<i32>) {
    edit.set(
        index,
        "status",
        json!({"code": 2, "message": "no such collection"}),
    );
    if let Some(code) = code
        && let Some(pair) = find(
            edit.capture.spans[index].attributes(),
            "rpc.grpc.status_code",
        )
    {
        pair["value"] = json!({"intValue": code.to_string()});
    }
}

fn status_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let code = *edit.random.pick(&[None, Some(4), Some(14)])?;
    fail(edit, place.call, code);
    Some(edit.at(&place, place.call))
}

fn status_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    fail(edit, place.server, Some(13));
    Some(edit.at(&place, place.call))
}

fn status_both(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    fail(edit, place.call, Some(13));
    fail(edit, place.server, Some(13));
    Some(edit.at(&place, place.call))
}

fn status_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    fail(edit, root, None);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

fn reverse(edit: &mut Edit<'_>, index: usize) {
    let (start, end) = (edit.start(index), edit.end(index));
    edit.set(index, "startTimeUnixNano", end.to_string());
    edit.set(index, "endTimeUnixNano", start.to_string());
}

fn reverse_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reverse(edit, place.call);
    Some(edit.at(&place, place.call))
}

fn reverse_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reverse(edit, place.server);
    Some(edit.at(&place, place.server))
}

fn reverse_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    reverse(edit, root);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

fn hour(edit: &mut Edit<'_>) -> i64 {
    if edit.random.below(2) == 0 {
        HOUR_NS
    } else {
        -HOUR_NS
    }
}

fn move_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, by) = (edit.call()?, hour(edit));
    edit.capture.spans[place.call].shift(by);
    Some(edit.at(&place, place.call))
}

fn move_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, by) = (edit.call()?, hour(edit));
    edit.capture.spans[place.server].shift(by);
    Some(edit.at(&place, place.server))
}

fn zero_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "startTimeUnixNano", "0");
    Some(edit.at(&place, place.call))
}

/// The steps that the example has, in order, each with its calls.
fn steps(edit: &Edit<'_>) -> Vec<(String, Vec<Place>)> {
    let mut steps: Vec<(String, Vec<Place>)> = Vec::new();
    for place in edit.calls() {
        let name = place.step.clone().unwrap_or_default();
        match steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, places)) => places.push(place),
            None => steps.push((name, vec![place])),
        }
    }
    steps
}

fn lose_step(edit: &mut Edit<'_>) -> Option<Expected> {
    let contract = crate::Contract::builtin();
    let optional = |name: &str| {
        contract
            .steps
            .iter()
            .any(|step| step.name == name && step.optional)
    };
    let required: Vec<(String, Vec<Place>)> = steps(edit)
        .into_iter()
        .filter(|(name, _)| !optional(name))
        .collect();
    let (name, places) = edit.random.pick(&required)?.clone();
    let gone: Vec<usize> = places
        .iter()
        .flat_map(|place| edit.capture.subtree(place.call))
        .collect();
    edit.capture.remove(&gone);
    Some(Expected {
        step: Some(vec![Some(name)]),
        ..Expected::default()
    })
}

fn repeat_step(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    let places: Vec<Place> = edit
        .calls()
        .into_iter()
        .filter(|place| {
            ["CreateCollection", "Insert", "Search", "DropCollection"]
                .contains(&place.method.as_str())
        })
        .collect();
    let place = edit.random.pick(&places)?.clone();
    // After everything else, within the root.
    let last = edit
        .calls()
        .iter()
        .map(|place| edit.end(place.call))
        .max()?;
    let length = edit.end(place.call) - edit.start(place.call);
    let by = i64::try_from(last + 1_000_000 - edit.start(place.call)).ok()?;
    let copies = edit.copy(&place, by);
    let end = edit.end(root).max(last + length + 2_000_000);
    edit.set(root, "endTimeUnixNano", end.to_string());
    Some(edit.at(&place, copies[0]))
}

fn swap_steps(edit: &mut Edit<'_>) -> Option<Expected> {
    // Optional steps and what the scenario begins with can stand at other places as well.
    let steps: Vec<(String, Vec<Place>)> = steps(edit)
        .into_iter()
        .filter(|(name, _)| {
            ["create", "wait_loaded", "insert", "search", "drop"].contains(&name.as_str())
        })
        .collect();
    let at = edit.random.below(steps.len().checked_sub(1)?);
    let ((first, before), (second, behind)) = (&steps[at], &steps[at + 1]);
    let start = |places: &[Place]| places.iter().map(|place| edit.start(place.call)).min();
    let end = |places: &[Place]| places.iter().map(|place| edit.end(place.call)).max();
    let back = i64::try_from(start(behind)? - start(before)?).ok()?;
    let forth = i64::try_from(end(behind)? - end(before)?).ok()?;
    let moves: Vec<(usize, i64)> = before
        .iter()
        .map(|place| (place, forth))
        .chain(behind.iter().map(|place| (place, -back)))
        .flat_map(|(place, by)| {
            edit.capture
                .subtree(place.call)
                .into_iter()
                .map(move |index| (index, by))
        })
        .collect();
    for (index, by) in moves {
        edit.capture.spans[index].shift(by);
    }
    Some(Expected {
        step: Some(vec![Some(first.clone()), Some(second.clone())]),
        ..Expected::default()
    })
}

fn add_rpc(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let copies = edit.copy(&place, 1);
    rename_rpc(edit, copies[0], "Flush");
    for &index in &copies[1..] {
        if edit.capture.spans[index].text("name").contains(SERVICE) {
            rename_rpc(edit, index, "Flush");
        }
    }
    Some(Expected {
        spans: Some(vec![edit.id(copies[0])]),
        ..Expected::default()
    })
}

fn rename_client(edit: &mut Edit<'_>) -> Option<Expected> {
    for index in edit.client() {
        rename_service(edit, index, "milvus-klient");
    }
    Some(Expected::default())
}

fn lose(edit: &mut Edit<'_>, spans: &[usize], key: &str) {
    for &index in spans {
        edit.capture.spans[index]
            .resource_attributes()
            .retain(|pair| pair["key"] != key);
    }
}

const IDENTITY: [&str; 4] = [
    "service.name",
    "application",
    "service.instance.id",
    "milvus_otel.run",
];

fn lose_resource(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&IDENTITY)?;
    let client = edit.client();
    lose(edit, &client, key);
    Some(Expected::default())
}

fn lose_resource_once(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&IDENTITY)?;
    let client = edit.client();
    let line = edit.capture.spans[*edit.random.pick(&client)?].line;
    let batch: Vec<usize> = client
        .into_iter()
        .filter(|&index| edit.capture.spans[index].line == line)
        .collect();
    lose(edit, &batch, key);
    Some(Expected::default())
}

fn lose_sdk(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&[
        "telemetry.sdk.name",
        "telemetry.sdk.language",
        "telemetry.sdk.version",
    ])?;
    let client = edit.client();
    lose(edit, &client, key);
    Some(Expected::default())
}

/// Lines whose spans are all this example's or nobody's, and that hold a call, a server span of a call or the root.
fn own_lines(edit: &Edit<'_>) -> Vec<usize> {
    let trace = edit.trace();
    let others: Vec<String> = edit
        .clean
        .verdict
        .examples
        .iter()
        .filter_map(|example| example.trace_id.map(|id| id.to_string()))
        .filter(|id| *id != trace)
        .collect();
    let calls = edit.calls();
    let mut lines: Vec<usize> = calls
        .iter()
        .flat_map(|place| [place.call, place.server])
        .chain(edit.root())
        .map(|index| edit.capture.spans[index].line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let foreign = |line: usize| {
        let mut spans = edit.capture.spans.iter().filter(|entry| entry.line == line);
        spans.any(|entry| others.iter().any(|other| other == entry.text("traceId")))
    };
    lines.retain(|&line| !foreign(line));
    lines
}

/// The capture's bytes with the one line's text changed.
fn rewritten(edit: &Edit<'_>, line: usize, change: impl Fn(&str) -> String, last: bool) -> Vec<u8> {
    let bytes = edit.capture.bytes();
    let text = String::from_utf8_lossy(&bytes);
    let mut numbers: Vec<usize> = edit.capture.spans.iter().map(|entry| entry.line).collect();
    numbers.dedup();
    let mut out = Vec::new();
    let mut kept = None;
    for (number, text) in numbers.iter().zip(text.lines()) {
        if *number != line {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        } else if last {
            kept = Some(change(text));
        } else {
            out.extend_from_slice(change(text).as_bytes());
            out.push(b'\n');
        }
    }
    out.extend(kept.unwrap_or_default().into_bytes());
    out
}

fn broken(bytes: Vec<u8>) -> Expected {
    Expected {
        severity: Some(Severity::Error),
        bytes: Some(bytes),
        ..Expected::default()
    }
}

fn truncate(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    // Early enough that something which the scenario needs is lost.
    let cut = |text: &str| text.chars().take(40).collect();
    Some(broken(rewritten(edit, line, cut, true)))
}

fn corrupt(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    let corrupt = |text: &str| text.replacen("\"resource\":", "\"resource\"", 1);
    Some(broken(rewritten(edit, line, corrupt, false)))
}

fn corrupt_id(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.server, "spanId", "0X");
    Some(Expected {
        severity: Some(Severity::Error),
        ..Expected::default()
    })
}

fn unknown_field(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "spanColour", "blue");
    Some(Expected {
        nobodys: true,
        ..Expected::default()
    })
}

fn duplicate_record(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    let own = |edit: &Edit<'_>, entry: &super::capture::Entry| {
        entry.line == line && entry.text("traceId") == edit.trace()
    };
    let mut copies: Vec<_> = edit
        .capture
        .spans
        .iter()
        .filter(|entry| own(edit, entry))
        .cloned()
        .collect();
    let last = edit.capture.spans.iter().map(|entry| entry.line).max()?;
    copies.iter_mut().for_each(|entry| entry.line = last + 1);
    edit.capture.spans.extend(copies);
    Some(Expected {
        severity: Some(Severity::Info),
        ..Expected::default()
    })
}
