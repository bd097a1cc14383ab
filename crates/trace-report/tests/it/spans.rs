//! Traces to render, written as OTLP JSON and read back by the engine.

use serde_json::{Value, json};
use trace_parity::{Input, Traces, read};

/// A span; its id is its number, and its times are in milliseconds.
#[derive(Clone)]
pub(crate) struct SpanSpec {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) service: &'static str,
    pub(crate) kind: u8,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) error: Option<String>,
}

pub(crate) const INTERNAL: u8 = 1;
pub(crate) const SERVER: u8 = 2;
pub(crate) const CLIENT: u8 = 3;

pub(crate) fn span(id: u64, parent: u64, name: &str, kind: u8, start: u64, end: u64) -> SpanSpec {
    let service = if kind == SERVER {
        "standalone"
    } else {
        "milvus-client"
    };
    SpanSpec {
        id,
        parent,
        name: name.to_owned(),
        service,
        kind,
        start,
        end,
        error: None,
    }
}

/// All of them in one trace.
pub(crate) fn traces(spans: &[SpanSpec]) -> Traces {
    let mut text = String::new();
    for span in spans {
        text.push_str(&line(span).to_string());
        text.push('\n');
    }
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: text.as_bytes(),
    }]);
    assert!(problems.is_empty(), "{problems:?}");
    traces
}

fn line(span: &SpanSpec) -> Value {
    let nanoseconds = |ms: u64| (1_800_000_000_000_000_000 + ms * 1_000_000).to_string();
    let status = match &span.error {
        Some(message) => json!({ "code": 2, "message": message }),
        None => json!({}),
    };
    let parent = if span.parent == 0 {
        String::new()
    } else {
        format!("{:016x}", span.parent)
    };
    json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": span.service } }] },
        "scopeSpans": [{
            "scope": { "name": "test" },
            "spans": [{
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "spanId": format!("{:016x}", span.id),
                "parentSpanId": parent,
                "name": span.name,
                "kind": span.kind,
                "startTimeUnixNano": nanoseconds(span.start),
                "endTimeUnixNano": nanoseconds(span.end),
                "status": status,
            }],
        }],
    }] })
}
