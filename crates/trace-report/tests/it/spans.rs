//! Traces to render, written as OTLP JSON and read back by the engine.

use otlp_signals::ServerLine;
use serde_json::{Value, json};
use trace_parity::{Input, Signals, SpanId, TraceId, Traces, read};

use crate::build;

pub(crate) const INTERNAL: u8 = 1;
pub(crate) const SERVER: u8 = 2;
pub(crate) const CLIENT: u8 = 3;

/// Millisecond 0, in Unix nanoseconds.
pub(crate) const BEGAN: u64 = 1_800_000_000_000_000_000;

/// A span. Its id is its number; its times are in milliseconds.
#[derive(Clone)]
pub(crate) struct SpanSpec {
    pub(crate) trace: TraceId,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) kind: u8,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) error: Option<String>,
    pub(crate) attributes: Vec<(String, Value)>,
}

pub(crate) fn span(id: u64, parent: u64, name: &str, kind: u8, start: u64, end: u64) -> SpanSpec {
    let service = if kind == SERVER {
        "standalone"
    } else {
        "milvus-client"
    };
    SpanSpec {
        trace: build::trace_id(0x36),
        id,
        parent,
        name: name.to_owned(),
        service: service.to_owned(),
        kind,
        start,
        end,
        error: None,
        attributes: Vec::new(),
    }
}

/// Lines of the server's log: the millisecond in which each was written, its source, and its text.
pub(crate) fn logged(trace: TraceId, lines: &[(u64, &str, &str)]) -> Signals {
    let lines = lines.iter().map(|(ms, caller, text)| ServerLine {
        time: BEGAN + ms * 1_000_000,
        level: "INFO".to_owned(),
        caller: (*caller).to_owned(),
        text: (*text).to_owned(),
        trace_id: trace.0,
        line: 1,
    });
    Signals {
        server_lines: lines.collect(),
        ..Signals::default()
    }
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

/// OTLP JSON, with one span per line.
pub(crate) fn raw(spans: &[SpanSpec]) -> String {
    spans
        .iter()
        .map(|span| format!("{}\n", line(span)))
        .collect()
}

pub(crate) fn traces_of(raw: &[u8]) -> Traces {
    read(&[Input {
        label: None,
        bytes: raw,
    }])
    .0
}

pub(crate) fn traces(spans: &[SpanSpec]) -> Traces {
    traces_of(raw(spans).as_bytes())
}

fn line(span: &SpanSpec) -> Value {
    let nanoseconds = |ms: u64| (BEGAN + ms * 1_000_000).to_string();
    let status = match &span.error {
        Some(message) => json!({ "code": 2, "message": message }),
        None => json!({}),
    };
    let parent = if span.parent == 0 {
        String::new()
    } else {
        span_id(span.parent).to_string()
    };
    let attributes = span.attributes.iter().map(|(key, value)| match value {
        Value::Number(number) => json!({ "key": key, "value": { "intValue": number.to_string() } }),
        other => json!({ "key": key, "value": { "stringValue": other } }),
    });
    json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": span.service } }] },
        "scopeSpans": [{
            "scope": { "name": "test" },
            "spans": [{
                "traceId": span.trace.to_string(),
                "spanId": span_id(span.id).to_string(),
                "parentSpanId": parent,
                "name": span.name,
                "kind": span.kind,
                "startTimeUnixNano": nanoseconds(span.start),
                "endTimeUnixNano": nanoseconds(span.end),
                "attributes": attributes.collect::<Vec<_>>(),
                "status": status,
            }],
        }],
    }] })
}
