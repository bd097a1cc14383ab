//! Where an operator acts: calls and spans, found in a capture and changed there.

use serde_json::Value;
use trace_parity::{CellCall, SpanId};

use crate::edit::{Edit, Expected};

/// A call of the example with its server span, as indices of the capture.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) step: Option<String>,
    pub(super) method: String,
    pub(super) call: usize,
    pub(super) server: usize,
}

impl Edit<'_> {
    pub(super) fn trace(&self) -> String {
        let trace = self.clean.verdict.examples[self.example].trace_id;
        trace.map_or_else(String::new, |id| id.to_string())
    }

    pub(super) fn index(&self, id: SpanId) -> Option<usize> {
        let (trace, id) = (self.trace(), id.to_string());
        self.capture
            .spans
            .iter()
            .position(|entry| entry.text("spanId") == id && entry.text("traceId") == trace)
    }

    pub(super) fn id(&self, index: usize) -> SpanId {
        let text = self.capture.spans[index].text("spanId");
        let mut id = [0; 8];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        }
        SpanId(id)
    }

    /// Every call that a step has, in order.
    pub(super) fn calls(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for row in &self.clean.verdict.steps {
            let calls = row.cells[self.example].iter().flat_map(|cell| &cell.calls);
            places.extend(calls.filter_map(|call| self.place(&row.name, call)));
        }
        places.sort_by_key(|place| self.start(place.call));
        places
    }

    pub(super) fn place(&self, step: &str, call: &CellCall) -> Option<Place> {
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

    pub(super) fn call(&mut self) -> Option<Place> {
        let calls = self.calls();
        self.random.pick(&calls).cloned()
    }

    /// Two calls of different methods, in order.
    pub(super) fn two_calls(&mut self) -> Option<(Place, Place)> {
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

    pub(super) fn start(&self, index: usize) -> u64 {
        self.capture.spans[index].time("startTimeUnixNano")
    }

    pub(super) fn end(&self, index: usize) -> u64 {
        self.capture.spans[index].time("endTimeUnixNano")
    }

    pub(super) fn root(&self) -> Option<usize> {
        let trace = self.trace();
        self.capture.spans.iter().position(|entry| {
            entry.text("traceId") == trace && entry.text("parentSpanId").is_empty()
        })
    }

    /// Spans under a call's server span that have children, with their call.
    pub(super) fn inner(&mut self, with_children: bool) -> Option<(Place, usize, Vec<usize>)> {
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
    pub(super) fn client(&self) -> Vec<usize> {
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

    pub(super) fn new_id(&mut self) -> String {
        self.random.span_id()
    }

    pub(super) fn new_trace(&mut self) -> String {
        format!("{:016x}{:016x}", self.random.next() | 1, self.random.next())
    }

    pub(super) fn set(&mut self, index: usize, key: &str, value: impl Into<Value>) {
        self.capture.spans[index].set(key, value);
    }

    pub(super) fn at(&self, place: &Place, span: usize) -> Expected {
        Expected {
            step: Some(vec![place.step.clone()]),
            spans: Some(vec![self.id(span)]),
            ..Expected::default()
        }
    }

    pub(super) fn move_to_trace(&mut self, top: usize, trace: &str) {
        for index in self.capture.subtree(top) {
            self.set(index, "traceId", trace);
        }
    }

    /// Copies a call with its server half, under new ids and at another time.
    pub(super) fn copy(&mut self, place: &Place, by: i64) -> Vec<usize> {
        let copies = self.capture.copies(place.call, by, &mut self.random);
        self.capture.append(copies).collect()
    }
}
