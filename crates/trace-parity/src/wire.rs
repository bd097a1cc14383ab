//! The calls that a witness saw on the wire: the lines of `wire.jsonl`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::ids::SpanId;
use crate::traces::{Span, Trace};

/// The schema of the file, in its first line.
const SCHEMA: &str = "milvus-otel.wire/1";

/// What a witness recorded of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// In order of their headers.
    pub calls: Vec<WireCall>,
}

/// One call on the wire. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WireCall {
    pub connection: u64,
    pub headers_unix_nano: u64,
    #[serde(default)]
    pub end_unix_nano: u64,
    /// `/package.Service/Method`.
    pub path: String,
    /// Context headers with all their values, as sent and in order.
    pub context: BTreeMap<String, Vec<String>>,
    pub grpc_status: Option<u32>,
    /// The fault that the witness played on it.
    #[serde(default)]
    pub fault: Option<String>,
    /// Headers that the fault removed on the way to the server.
    #[serde(default)]
    pub stripped: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Witness { schema: String },
    Call(WireCall),
    Connection(IgnoredAny),
    End(IgnoredAny),
}

/// Why a file of records can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The number of a line, from 1, that isn't a record, and the reason.
    Line(usize, String),
    Schema(String),
    NoSchema,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line, problem) => write!(f, "line {line} is not a record: {problem}"),
            Self::Schema(schema) => {
                write!(
                    f,
                    "its schema is `{schema}`, and this version reads `{SCHEMA}`"
                )
            }
            Self::NoSchema => f.write_str("its first line doesn't name its schema"),
        }
    }
}

impl std::error::Error for WireError {}

impl Wire {
    /// Reads `wire.jsonl`. The last line may be cut off.
    pub fn read(text: &str) -> Result<Self, WireError> {
        let mut calls = Vec::new();
        let mut has_schema = false;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            let line = serde_json::from_str(line).map_err(|error: serde_json::Error| {
                WireError::Line(index + 1, error.to_string())
            })?;
            match line {
                Line::Witness { schema } if schema == SCHEMA => has_schema = true,
                Line::Witness { schema } => return Err(WireError::Schema(schema)),
                Line::Call(call) => calls.push(call),
                Line::Connection(_) | Line::End(_) => {}
            }
            if !has_schema {
                return Err(WireError::NoSchema);
            }
        }
        calls.sort_by_key(|call| call.headers_unix_nano);
        Ok(Self { calls })
    }
}

/// When a call was on the wire, from its first headers to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireTime {
    /// Nanoseconds from the start of the call's span to the headers.
    pub after_ns: u64,
    /// Nanoseconds from the headers to the end of the last attempt.
    pub took_ns: u64,
    /// How often it was sent.
    pub sent: u32,
}

impl WireTime {
    /// That of a call whose span began at `start_ns`; `None` if it was never sent.
    pub(crate) fn of(start_ns: u64, attempts: &[&WireCall]) -> Option<Self> {
        let begun = attempts.iter().map(|call| call.headers_unix_nano).min()?;
        let ended = attempts.iter().map(|call| call.end_unix_nano).max()?;
        Some(Self {
            after_ns: begun.saturating_sub(start_ns),
            took_ns: ended.saturating_sub(begun),
            sent: attempts.len().try_into().unwrap_or(u32::MAX),
        })
    }
}

/// When the spans of a trace were on the wire, by the span that each `traceparent` names.
pub fn wire_times(trace: &Trace<'_>, wire: &Wire) -> BTreeMap<SpanId, WireTime> {
    let id = trace.id().to_string();
    let mut sent: BTreeMap<&str, Vec<&WireCall>> = BTreeMap::new();
    for call in &wire.calls {
        let parts = call.traceparents().first().map(|text| text.split('-'));
        let mut parts = parts.into_iter().flatten().skip(1);
        if parts.next() == Some(id.as_str())
            && let Some(span) = parts.next()
        {
            sent.entry(span).or_default().push(call);
        }
    }
    let of = |span: Span<'_>| {
        let attempts = sent.get(span.id().to_string().as_str())?;
        Some((span.id(), WireTime::of(span.start_ns(), attempts)?))
    };
    trace.spans().filter_map(of).collect()
}

impl WireCall {
    /// Service and method.
    pub(crate) fn names(&self) -> Option<(&str, &str)> {
        self.path.strip_prefix('/')?.rsplit_once('/')
    }

    pub(crate) fn traceparents(&self) -> &[String] {
        self.context.get("traceparent").map_or(&[], Vec::as_slice)
    }

    /// The first context header in another format than W3C's.
    pub(crate) fn other_context(&self) -> Option<&str> {
        const NO_CONTEXT: [&str; 5] = [
            "traceparent",
            "tracestate",
            "baggage",
            "client-request-id",
            "client_request_id",
        ];
        let mut names = self.context.keys().map(String::as_str);
        names.find(|name| !NO_CONTEXT.contains(name))
    }
}
