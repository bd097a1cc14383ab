//! Log records and lines of the server's log, by trace and span.

use std::collections::{BTreeMap, HashMap, HashSet};

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
pub type LogsBySpan<'s> = BTreeMap<SpanId, Vec<LogLine<'s>>>;

/// A line with the span that it names. A program's record names one, and a line of the server's log none.
pub type NamedLine<'s> = (Option<SpanId>, LogLine<'s>);

/// All that was logged, by trace and in order of time.
#[derive(Debug, Default)]
pub struct TraceLogs<'s>(HashMap<TraceId, Vec<NamedLine<'s>>>);

impl<'s> TraceLogs<'s> {
    #[must_use]
    pub fn new(signals: &'s Signals) -> Self {
        let mut all = Self::default();
        for (trace, line) in log_lines(signals) {
            all.0.entry(trace).or_default().push(line);
        }
        for lines in all.0.values_mut() {
            lines.sort_by_key(|(_, line)| line.time_ns);
        }
        all
    }

    /// What was logged in one trace, in order of time.
    #[must_use]
    pub fn lines(&self, trace: TraceId) -> &[NamedLine<'s>] {
        self.0.get(&trace).map_or(&[], Vec::as_slice)
    }

    /// What was logged in one trace, by span.
    ///
    /// A record is its span's. A line of the server's log names the trace alone: it is the shortest server span's that was open.
    /// What names a span that isn't there is the first span's.
    #[must_use]
    pub fn of(&self, trace: &Trace<'_>) -> LogsBySpan<'s> {
        let mut found = LogsBySpan::new();
        let lines = self.lines(trace.id());
        let Some(first) = trace.spans().next().filter(|_| !lines.is_empty()) else {
            return found;
        };
        let known: HashSet<SpanId> = trace.spans().map(|span| span.id()).collect();
        let contract = Contract::shared_builtin();
        let servers = trace.spans().filter(|span| contract.is_server_span(span));
        let mut servers: Vec<Span<'_>> = servers.collect();
        servers.sort_by_key(Span::start_ns);
        let mut coming = servers.into_iter().peekable();
        let mut open: Vec<Span<'_>> = Vec::new();
        for &(span, line) in lines {
            let own = span.map(|span| known.get(&span).copied());
            let own = own.unwrap_or_else(|| {
                let has_begun = |span: &Span<'_>| span.start_ns() < line.until_ns();
                open.extend(std::iter::from_fn(|| coming.next_if(has_begun)));
                open.retain(|span| span.end_ns() >= line.time_ns);
                let shortest = open.iter().min_by_key(|span| span.duration_ns());
                shortest.map(Span::id)
            });
            found
                .entry(own.unwrap_or(first.id()))
                .or_default()
                .push(line);
        }
        found
    }
}

fn log_lines(signals: &Signals) -> impl Iterator<Item = (TraceId, NamedLine<'_>)> {
    let records = signals.logs.iter().map(|record| {
        let line = LogLine {
            time_ns: record.time,
            level: record.level(),
            source: &record.scope.name,
            text: &record.body,
            is_server: false,
        };
        (
            TraceId(record.trace_id),
            (Some(SpanId(record.span_id)), line),
        )
    });
    let server = signals.server_lines.iter().map(|line| {
        let told = LogLine {
            time_ns: line.time,
            level: &line.level,
            source: &line.caller,
            text: &line.text,
            is_server: true,
        };
        (TraceId(line.trace_id), (None, told))
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

    /// 2 for a failure, 1 for a warning, 0 for anything else.
    #[must_use]
    pub fn rank(&self) -> u8 {
        if is_failure(self.level) {
            2
        } else {
            u8::from(is_one_of(self.level, &["WARN", "WARNING"]))
        }
    }
}

/// Whether a log's level is that of a failure.
pub(crate) fn is_failure(level: &str) -> bool {
    is_one_of(
        level,
        &["ERROR", "SEVERE", "CRITICAL", "DPANIC", "PANIC", "FATAL"],
    )
}

fn is_one_of(level: &str, names: &[&str]) -> bool {
    names.iter().any(|name| level.eq_ignore_ascii_case(name))
}
