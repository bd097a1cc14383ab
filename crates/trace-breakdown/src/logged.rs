//! What was logged in the time of a call, each line in its stage.

use std::collections::HashMap;

use trace_parity::{JoinedCall, LogLine, NamedLine, Signals, TraceId, TraceLogs};

use crate::model::StageId;

/// A line that was logged in the time of a call.
#[derive(Clone, Copy, Debug)]
pub struct LoggedLine<'s> {
    pub line: LogLine<'s>,
    /// Nanoseconds since the call's start. A line of the server's log was written up to a millisecond later.
    pub at_ns: u64,
    /// `None`: unexplained.
    pub stage: Option<StageId>,
    /// Another call of the trace was under way, and the line may be of that one.
    pub may_be_of_another: bool,
}

/// What was logged in the traces of calls.
#[derive(Debug, Default)]
pub(crate) struct Logs<'s> {
    lines: TraceLogs<'s>,
    /// When the server worked for calls of traces with lines, from start to end.
    calls: HashMap<TraceId, Vec<(u64, u64)>>,
}

impl<'s> Logs<'s> {
    pub(crate) fn of<'t: 'c, 'c>(
        signals: &'s Signals,
        calls: impl IntoIterator<Item = &'c JoinedCall<'t>>,
    ) -> Self {
        let mut logs = Self {
            lines: TraceLogs::new(signals),
            calls: HashMap::new(),
        };
        for call in calls {
            if let Some(server) = call.server.filter(|_| !logs.of_trace(call).is_empty()) {
                let own = logs.calls.entry(call.span.trace_id()).or_default();
                own.push((server.start_ns(), server.end_ns()));
            }
        }
        logs
    }

    /// The lines of a call's trace, in order of time.
    pub(crate) fn of_trace(&self, call: &JoinedCall<'_>) -> &[NamedLine<'s>] {
        self.lines.lines(call.span.trace_id())
    }

    /// Whether more than one call of the trace was under way when the server wrote the line.
    pub(crate) fn is_shared(&self, call: &JoinedCall<'_>, line: &LogLine<'_>) -> bool {
        let calls = self.calls.get(&call.span.trace_id()).into_iter().flatten();
        let open = calls.filter(|(start, end)| *start < line.until_ns() && *end >= line.time_ns);
        line.is_server && open.count() > 1
    }
}
