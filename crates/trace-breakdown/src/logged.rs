//! What was logged in the time of a call, each line in its stage.

use std::collections::HashMap;

use trace_parity::{JoinedCall, LogLine, Signals, SpanId, TraceId};

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
    traces: HashMap<TraceId, TraceLogs<'s>>,
}

#[derive(Debug, Default)]
struct TraceLogs<'s> {
    /// In order of time.
    lines: Vec<NamedLine<'s>>,
    /// When the server worked for calls of the trace, from start to end.
    calls: Vec<(u64, u64)>,
}

/// With the span that it names.
pub(crate) type NamedLine<'s> = (Option<SpanId>, LogLine<'s>);

impl<'s> Logs<'s> {
    pub(crate) fn of<'t: 'c, 'c>(
        signals: &'s Signals,
        calls: impl IntoIterator<Item = &'c JoinedCall<'t>>,
    ) -> Self {
        let mut traces: HashMap<TraceId, TraceLogs<'s>> = HashMap::new();
        for (trace, span, line) in trace_parity::log_lines(signals) {
            traces.entry(trace).or_default().lines.push((span, line));
        }
        for own in traces.values_mut() {
            own.lines.sort_by_key(|(_, line)| line.time_ns);
        }
        for call in calls {
            let own = traces.get_mut(&call.span.trace_id());
            if let Some((own, server)) = own.zip(call.server) {
                own.calls.push((server.start_ns(), server.end_ns()));
            }
        }
        Self { traces }
    }

    /// The lines of a call's trace, in order of time.
    pub(crate) fn of_trace(&self, call: &JoinedCall<'_>) -> &[NamedLine<'s>] {
        let own = self.traces.get(&call.span.trace_id());
        own.map_or(&[], |own| own.lines.as_slice())
    }

    /// Whether more than one call of the trace was under way when the server wrote the line.
    pub(crate) fn is_shared(&self, call: &JoinedCall<'_>, line: &LogLine<'_>) -> bool {
        let own = self.traces.get(&call.span.trace_id());
        let calls = own.map_or(&[][..], |own| own.calls.as_slice());
        let open = calls
            .iter()
            .filter(|(start, end)| *start < line.until_ns() && *end >= line.time_ns);
        line.is_server && open.count() > 1
    }
}
