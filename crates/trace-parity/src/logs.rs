//! Log records and lines of the server's log, under the spans of a trace.

use std::collections::BTreeMap;

use otlp_signals::Signals;

use crate::contract::Contract;
use crate::ids::SpanId;
use crate::traces::{Span, Trace};

/// The server's log is written to the millisecond, cut off.
const MILLISECOND: u64 = 1_000_000;

/// Something that was logged while a span was current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'s> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// `INFO` and the like; may be empty.
    pub level: &'s str,
    /// The logger, or the place in the server's source.
    pub source: &'s str,
    pub text: &'s str,
    pub is_server: bool,
}

/// What was logged in a trace, by span and in order of time.
///
/// A record is its span's. A line of the server's log names the trace alone: it is the shortest server span's that was open.
/// What names a span that isn't there is the first span's.
#[must_use]
pub fn logs_of<'s>(trace: &Trace<'_>, signals: &'s Signals) -> BTreeMap<SpanId, Vec<LogLine<'s>>> {
    let spans: Vec<Span<'_>> = trace.spans().collect();
    let Some(first) = spans.first() else {
        return BTreeMap::new();
    };
    let id = trace.id().0;
    let mut found: BTreeMap<SpanId, Vec<LogLine<'s>>> = BTreeMap::new();
    for record in signals.logs.iter().filter(|record| record.trace_id == id) {
        let own = spans.iter().find(|span| span.id().0 == record.span_id);
        found
            .entry(own.unwrap_or(first).id())
            .or_default()
            .push(LogLine {
                time_ns: record.time,
                level: record.level(),
                source: &record.scope.name,
                text: &record.body,
                is_server: false,
            });
    }
    let contract = Contract::shared_builtin();
    let servers = spans.iter().filter(|span| contract.is_server_span(span));
    let servers: Vec<&Span<'_>> = servers.collect();
    for line in signals
        .server_lines
        .iter()
        .filter(|line| line.trace_id == id)
    {
        let until = line.time + MILLISECOND;
        let open = servers
            .iter()
            .filter(|span| span.start_ns() < until && span.end_ns() >= line.time);
        let own = open.min_by_key(|span| span.duration_ns());
        found
            .entry(own.map_or(first, |own| *own).id())
            .or_default()
            .push(LogLine {
                time_ns: line.time,
                level: &line.level,
                source: &line.caller,
                text: &line.text,
                is_server: true,
            });
    }
    for lines in found.values_mut() {
        lines.sort_by_key(|line| line.time_ns);
    }
    found
}

impl LogLine<'_> {
    /// Whether its level is that of a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        is_failure(self.level)
    }
}

/// Whether a log's level is that of a failure.
pub(crate) fn is_failure(level: &str) -> bool {
    matches!(level, "ERROR" | "DPANIC" | "PANIC" | "FATAL")
}
