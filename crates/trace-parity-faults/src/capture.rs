//! A capture that can be changed span by span.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::random::Random;

/// Every span with its own copy of what it shares with others, and the line it came in. A copy of the whole is cheap until it is changed.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) spans: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    resource: Text,
    scope: Text,
    span: Text,
}

/// Spans by trace id and parent id.
pub(crate) type Children = HashMap<(String, String), Vec<usize>>;

/// A value and how it is written.
#[derive(Clone, Debug)]
struct Text {
    value: Arc<Value>,
    written: Option<Arc<str>>,
}

impl Text {
    fn new(value: Value) -> Self {
        Text {
            written: Some(value.to_string().into()),
            value: Arc::new(value),
        }
    }

    fn change(&mut self) -> &mut Value {
        self.written = None;
        Arc::make_mut(&mut self.value)
    }

    fn write(&self, out: &mut String) {
        match &self.written {
            Some(written) => out.push_str(written),
            None => out.push_str(&self.value.to_string()),
        }
    }

    fn same(&self, other: &Text) -> bool {
        Arc::ptr_eq(&self.value, &other.value) || self.value == other.value
    }
}

impl Capture {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut spans = Vec::new();
        for (line, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let Ok(request) = serde_json::from_slice::<Value>(text) else {
                continue;
            };
            for group in array(request.get("resourceSpans")) {
                let resource = Text::new(group["resource"].clone());
                for scope_group in array(group.get("scopeSpans")) {
                    let scope = Text::new(scope_group["scope"].clone());
                    spans.extend(array(scope_group.get("spans")).map(|span| Entry {
                        line,
                        resource: resource.clone(),
                        scope: scope.clone(),
                        span: Text::new(span.clone()),
                    }));
                }
            }
        }
        Capture { spans }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        for line in self.spans.chunk_by(|a, b| a.line == b.line) {
            out.push_str("{\"resourceSpans\":[");
            let groups =
                line.chunk_by(|a, b| a.resource.same(&b.resource) && a.scope.same(&b.scope));
            for (index, group) in groups.enumerate() {
                out.push_str(if index == 0 {
                    "{\"resource\":"
                } else {
                    ",{\"resource\":"
                });
                group[0].resource.write(&mut out);
                out.push_str(",\"scopeSpans\":[{\"scope\":");
                group[0].scope.write(&mut out);
                out.push_str(",\"spans\":[");
                for (index, entry) in group.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    entry.span.write(&mut out);
                }
                out.push_str("]}]}");
            }
            out.push_str("]}\n");
        }
        out.into_bytes()
    }

    /// Indices of spans by the id of their parent in the same trace.
    pub(crate) fn children(&self) -> Children {
        let mut children = Children::new();
        for (index, entry) in self.spans.iter().enumerate() {
            let key = (
                entry.text("traceId").to_owned(),
                entry.text("parentSpanId").to_owned(),
            );
            children.entry(key).or_default().push(index);
        }
        children
    }

    /// The span and everything under it.
    pub(crate) fn subtree(&self, top: usize) -> Vec<usize> {
        self.below(&self.children(), top)
    }

    /// The same, for whoever has the children at hand.
    pub(crate) fn below(&self, children: &Children, top: usize) -> Vec<usize> {
        let mut all = vec![top];
        let mut next = 0;
        while next < all.len() {
            let entry = &self.spans[all[next]];
            let key = (
                entry.text("traceId").to_owned(),
                entry.text("spanId").to_owned(),
            );
            all.extend(children.get(&key).into_iter().flatten());
            next += 1;
        }
        all
    }

    /// The span and everything under it once more, under other ids and later by nanoseconds.
    pub(crate) fn copies(&self, top: usize, by: i64, random: &mut Random) -> Vec<Entry> {
        let whole = self.subtree(top);
        let ids: HashMap<String, String> = whole
            .iter()
            .map(|&index| {
                (
                    self.spans[index].text("spanId").to_owned(),
                    random.span_id(),
                )
            })
            .collect();
        let copy = |index: usize| {
            let mut entry = self.spans[index].clone();
            for key in ["spanId", "parentSpanId"] {
                if let Some(new) = ids.get(entry.text(key)) {
                    entry.set(key, new.clone());
                }
            }
            entry.shift(by);
            entry
        };
        whole.into_iter().map(copy).collect()
    }

    /// Adds spans in a line of their own; where they are.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Range<usize> {
        let last = self.spans.iter().map(|entry| entry.line).max();
        let line = last.unwrap_or_default() + 1;
        let first = self.spans.len();
        let entries = entries.into_iter().map(|entry| Entry { line, ..entry });
        self.spans.extend(entries);
        first..self.spans.len()
    }

    pub(crate) fn remove(&mut self, gone: &[usize]) {
        let gone: HashSet<usize> = gone.iter().copied().collect();
        let mut index = 0;
        self.spans.retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
    }
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

impl Entry {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.span
            .value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.span.change()[key] = value.into();
    }

    pub(crate) fn time(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or_default()
    }

    pub(crate) fn shift(&mut self, by: i64) {
        for key in ["startTimeUnixNano", "endTimeUnixNano"] {
            let moved = self.time(key).saturating_add_signed(by);
            self.set(key, moved.to_string());
        }
    }

    pub(crate) fn service(&self) -> &str {
        attribute(&self.resource.value, "service.name")
            .and_then(|value| value.get("stringValue"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The span's attributes, as keys and values.
    pub(crate) fn attributes(&mut self) -> &mut Vec<Value> {
        list(&mut self.span.change()["attributes"])
    }

    pub(crate) fn set_resource(&mut self, attributes: Value) {
        self.resource = Text::new(json!({ "attributes": attributes }));
    }

    pub(crate) fn set_scope(&mut self, scope: Value) {
        self.scope = Text::new(scope);
    }

    pub(crate) fn resource_attributes(&mut self) -> &mut Vec<Value> {
        list(&mut self.resource.change()["attributes"])
    }
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("it was just made an array"),
    }
}

pub(crate) fn attribute<'v>(owner: &'v Value, key: &str) -> Option<&'v Value> {
    array(owner.get("attributes"))
        .find(|pair| pair["key"] == key)
        .map(|pair| &pair["value"])
}

pub(crate) fn find<'v>(pairs: &'v mut [Value], key: &str) -> Option<&'v mut Value> {
    pairs.iter_mut().find(|pair| pair["key"] == key)
}
