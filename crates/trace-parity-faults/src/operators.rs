//! The ways to break a capture.

mod input;
mod links;
mod presence;
mod resources;
mod scenario;
mod times;
mod words;

use serde_json::Value;

use trace_parity::{CellCall, Rule, SpanId};

use crate::{Edit, Expected, Operator};

const fn operator(
    name: &'static str,
    rule: Rule,
    apply: fn(&mut Edit<'_>) -> Option<Expected>,
) -> Operator {
    Operator { name, rule, apply }
}

/// Every operator.
pub const OPERATORS: &[Operator] = &[
    operator("drop a call's span", Rule::OrphanSpan, presence::drop_call),
    operator(
        "drop a server span",
        Rule::NoServerSpan,
        presence::drop_server,
    ),
    operator(
        "drop a span within the server's work",
        Rule::OrphanSpan,
        presence::drop_inner,
    ),
    operator("drop the root", Rule::NoRoot, presence::drop_root),
    operator("lose all spans", Rule::NoSpans, presence::lose_all),
    operator(
        "run uninstrumented",
        Rule::ClientUnseen,
        presence::uninstrumented,
    ),
    operator(
        "take out a span of server_core",
        Rule::ServerWorkDiffers,
        presence::take_out_core,
    ),
    operator("cut a call's parent", Rule::SeveralRoots, links::cut_call),
    operator(
        "cut a server span's parent",
        Rule::SeveralRoots,
        links::cut_server,
    ),
    operator(
        "cut a parent within the server's work",
        Rule::SeveralRoots,
        links::cut_inner,
    ),
    operator(
        "invent a call's parent",
        Rule::OrphanSpan,
        links::invent_call,
    ),
    operator(
        "invent a server span's parent",
        Rule::OrphanSpan,
        links::invent_server,
    ),
    operator(
        "invent a parent within the server's work",
        Rule::OrphanSpan,
        links::invent_inner,
    ),
    operator(
        "put a call under another call",
        Rule::WrongParent,
        links::call_under_call,
    ),
    operator(
        "put a call under a server span",
        Rule::WrongParent,
        links::call_under_server,
    ),
    operator(
        "put a server span under another call",
        Rule::WrongParent,
        links::server_under_other,
    ),
    operator(
        "put a server span under the root",
        Rule::WrongParent,
        links::server_under_root,
    ),
    operator(
        "swap the parents of two server spans",
        Rule::WrongParent,
        links::swap_servers,
    ),
    operator(
        "close a circle over a call",
        Rule::ParentCycle,
        links::cycle_call,
    ),
    operator(
        "close a circle within the server's work",
        Rule::ParentCycle,
        links::cycle_inner,
    ),
    operator(
        "make a span its own parent",
        Rule::ParentCycle,
        links::cycle_self,
    ),
    operator(
        "give a call another call's id",
        Rule::DuplicateSpanId,
        links::repeat_id_call,
    ),
    operator(
        "repeat an id within the server's work",
        Rule::DuplicateSpanId,
        links::repeat_id_inner,
    ),
    operator(
        "split a call off into a trace",
        Rule::SeveralTraces,
        links::split_call,
    ),
    operator(
        "split a call off without its parent",
        Rule::SeveralTraces,
        links::split_call_cut,
    ),
    operator(
        "give a call's server half another trace",
        Rule::WrongParent,
        links::split_server,
    ),
    operator(
        "re-root a call's server half",
        Rule::ContextLost,
        links::reroot_server,
    ),
    operator(
        "re-root every server half",
        Rule::ContextLost,
        links::reroot_all,
    ),
    operator(
        "answer a call by another method",
        Rule::WrongServer,
        words::answer_otherwise,
    ),
    operator(
        "rename the server's service",
        Rule::WrongServer,
        words::rename_server,
    ),
    operator(
        "rename the service within the server's work",
        Rule::WrongServer,
        words::rename_inner,
    ),
    operator("rename a call", Rule::SpanName, words::rename_call),
    operator(
        "name a call after another method",
        Rule::SpanName,
        words::rename_method,
    ),
    operator("rename the root", Rule::SpanName, words::rename_root),
    operator(
        "rename an attribute",
        Rule::AttributeMissing,
        words::rename_attribute,
    ),
    operator(
        "write an attribute as 1.39 does",
        Rule::AttributeRenamed,
        words::newer_attribute,
    ),
    operator(
        "change an attribute's type",
        Rule::AttributeType,
        words::retype_attribute,
    ),
    operator(
        "change an attribute's value",
        Rule::AttributeValue,
        words::change_value,
    ),
    operator("change a call's kind", Rule::WrongKind, words::kind_call),
    operator(
        "change a server span's kind",
        Rule::WrongKind,
        words::kind_server,
    ),
    operator("change the root's kind", Rule::WrongKind, words::kind_root),
    operator(
        "fail a call for the client",
        Rule::StatusDiffers,
        words::status_call,
    ),
    operator(
        "fail a call for the server",
        Rule::StatusDiffers,
        words::status_server,
    ),
    operator(
        "fail a call for both",
        Rule::StatusDiffers,
        words::status_both,
    ),
    operator(
        "fail the root alone",
        Rule::UnmarkedError,
        words::status_root,
    ),
    operator("reverse a call's times", Rule::BadTime, times::reverse_call),
    operator(
        "reverse a server span's times",
        Rule::BadTime,
        times::reverse_server,
    ),
    operator(
        "reverse the root's times",
        Rule::BadTime,
        times::reverse_root,
    ),
    operator("move a call by an hour", Rule::BadTime, times::move_call),
    operator(
        "move a server span by an hour",
        Rule::BadTime,
        times::move_server,
    ),
    operator("lose a call's start", Rule::BadTime, times::zero_call),
    operator("lose a step", Rule::MissingStep, scenario::lose_step),
    operator("repeat a step", Rule::RepeatedStep, scenario::repeat_step),
    operator("swap two steps", Rule::StepOrder, scenario::swap_steps),
    operator(
        "add an undeclared RPC",
        Rule::UndeclaredRpc,
        scenario::add_rpc,
    ),
    operator(
        "rename the client's service",
        Rule::ResourceMismatch,
        resources::rename_client,
    ),
    operator(
        "lose a resource attribute",
        Rule::ResourceMismatch,
        resources::lose_resource,
    ),
    operator(
        "lose a resource attribute in one batch",
        Rule::ResourceMismatch,
        resources::lose_resource_once,
    ),
    operator("lose the SDK's name", Rule::SdkUnknown, resources::lose_sdk),
    operator(
        "truncate the last record",
        Rule::MalformedInput,
        input::truncate,
    ),
    operator("corrupt a record", Rule::MalformedInput, input::corrupt),
    operator(
        "corrupt a span's id",
        Rule::MalformedInput,
        input::corrupt_id,
    ),
    operator(
        "add an unknown field",
        Rule::MalformedInput,
        input::unknown_field,
    ),
    operator(
        "duplicate a record",
        Rule::DuplicateSpanId,
        input::duplicate_record,
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
        let own = |entry: &crate::capture::Entry| {
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
