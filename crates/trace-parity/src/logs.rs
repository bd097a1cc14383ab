//! Log records and lines of the server's log, by trace and span.

use std::collections::BTreeMap;

use otlp_signals::Signals;

use crate::contract::Contract;
use crate::ids::{SpanId, TraceId};
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
    let contract = Contract::shared_builtin();
    let servers = spans.iter().filter(|span| contract.is_server_span(span));
    let servers: Vec<&Span<'_>> = servers.collect();
    let mut found: BTreeMap<SpanId, Vec<LogLine<'s>>> = BTreeMap::new();
    for (_, span, line) in log_lines(signals).filter(|(id, ..)| *id == trace.id()) {
        let own = match span {
            Some(id) => spans.iter().find(|span| span.id() == id),
            None => {
                let open = servers.iter().copied().filter(|span| {
                    span.start_ns() < line.until_ns() && span.end_ns() >= line.time_ns
                });
                open.min_by_key(|span| span.duration_ns())
            }
        };
        let lines = found.entry(own.unwrap_or(first).id()).or_default();
        lines.push(line);
    }
    for lines in found.values_mut() {
        lines.sort_by_key(|line| line.time_ns);
    }
    found
}

/// All that was logged in traces, with the trace. A program's record names its span, and a line of the server's log names none.
pub fn log_lines(
    signals: &Signals,
) -> impl Iterator<Item = (TraceId, Option<SpanId>, LogLine<'_>)> {
    let records = signals.logs.iter().map(|record| {
        let line = LogLine {
            time_ns: record.time,
            level: record.level(),
            source: &record.scope.name,
            text: &record.body,
            is_server: false,
        };
        (TraceId(record.trace_id), Some(SpanId(record.span_id)), line)
    });
    let server = signals.server_lines.iter().map(|line| {
        let told = LogLine {
            time_ns: line.time,
            level: &line.level,
            source: &line.caller,
            text: &line.text,
            is_server: true,
        };
        (TraceId(line.trace_id), None, told)
    });
    records.chain(server)
}

impl LogLine<'_> {
    /// The end of the time in which it may have been written.
    #[must_use]
    pub fn until_ns(&self) -> u64 {
        let precision = if self.is_server { MILLISECOND } else { 1 };
        self.time_ns.saturating_add(precision)
    }

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
