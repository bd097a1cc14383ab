//! Do log records lead to their spans, and do errors in the server's log show in a trace?

use std::collections::{BTreeMap, HashMap};

use otlp_signals::{LogRecord, ServerLine};

use crate::draft::Draft;
use crate::logs::is_failure;
use crate::rule::{Rule, Severity};
use crate::signals::server_signals;
use crate::traces::Status;
use crate::view::View;
use crate::view::links::Side;
use crate::view::signals::SignalView;

/// A record is stamped a little before or after its span, by another call of the same clock.
const SLACK_NS: u64 = 100_000_000;

/// The W3C flag of a span that is exported.
const SAMPLED: u32 = 1;

/// Records without ids that were made while a span was current, and ids that lead to no span.
pub(crate) fn uncorrelated(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, _) in view.examples() {
        let own = OwnSpans::of(view, number);
        without_ids(view, signals, number, &own, drafts);
        stray_ids(signals, number, &own, view, drafts);
    }
}

/// The spans of one program, to look records up in.
struct OwnSpans {
    /// Start and end of each span of the program, in order of start; the end is the latest so far.
    times: Vec<(u64, u64)>,
    /// By trace and id.
    by_id: HashMap<([u8; 16], [u8; 8]), u32>,
}

impl OwnSpans {
    fn of(view: &View<'_>, number: u32) -> Self {
        let traces = view.examples[number as usize].traces.iter();
        let mut times = Vec::new();
        let mut by_id = HashMap::new();
        for &trace in traces {
            let id = view.traces.traces[trace as usize].id;
            for span in view.traces.traces[trace as usize].spans() {
                let record = view.traces.record(span);
                by_id.insert((id, record.id), span);
                if view.links.side(span) == Side::Client {
                    times.push((record.start, record.end));
                }
            }
        }
        times.sort_unstable();
        let mut latest = 0;
        for (_, end) in &mut times {
            latest = latest.max(*end);
            *end = latest;
        }
        Self { times, by_id }
    }

    /// Whether a span of the program was open.
    fn is_open_at(&self, time: u64) -> bool {
        let begun = self.times.partition_point(|(start, _)| *start <= time);
        begun > 0 && self.times[begun - 1].1 >= time
    }
}

/// By logger: one whose records carry ids elsewhere, or any where none of the program's do.
fn without_ids(
    view: &View<'_>,
    signals: &SignalView<'_>,
    number: u32,
    own: &OwnSpans,
    drafts: &mut Vec<Draft>,
) {
    let mut loggers: BTreeMap<&str, (usize, Vec<&LogRecord>)> = BTreeMap::new();
    for record in signals.logs_of(number) {
        let (correlated, without) = loggers.entry(&record.scope.name).or_default();
        if record.is_correlated() {
            *correlated += 1;
        } else if own.is_open_at(record.time) {
            without.push(record);
        }
    }
    let any = loggers.values().any(|(correlated, _)| *correlated > 0);
    for (logger, (correlated, without)) in loggers {
        let (Some(first), true) = (without.first(), correlated > 0 || !any) else {
            continue;
        };
        let message = format!(
            "{} of {} records of the logger `{logger}` were made while a span was open and carry no ids; the first: {}",
            without.len(),
            without.len() + correlated,
            quoted(&first.body)
        );
        let case = if any { "some" } else { "none" };
        let mut draft = Draft::new(Rule::LogUncorrelated, message)
            .example(number)
            .subject(logger)
            .count(without.len())
            .case(case);
        draft.span = view.examples[number as usize].root;
        drafts.push(weighed(view, draft));
    }
}

/// A service logs on threads that no span of an open request belongs to, and is ended while spans are open.
fn weighed(view: &View<'_>, draft: Draft) -> Draft {
    if view.scenario {
        draft
    } else {
        draft.severity(Severity::Info)
    }
}

/// Ids that no span has, or whose span began later.
fn stray_ids(
    signals: &SignalView<'_>,
    number: u32,
    own: &OwnSpans,
    view: &View<'_>,
    drafts: &mut Vec<Draft>,
) {
    let mut found: BTreeMap<&'static str, (String, usize)> = BTreeMap::new();
    let marked = signals
        .logs_of(number)
        .filter(|record| record.is_correlated());
    // A span that its sampler left out isn't there, rightly.
    for record in marked.filter(|record| record.flags & SAMPLED != 0 || record.flags == 0) {
        let span = own.by_id.get(&(record.trace_id, record.span_id));
        let (case, what) = match span.map(|&span| view.traces.record(span).start) {
            Some(start) if record.time + SLACK_NS < start => {
                ("early", "name a span that began later")
            }
            Some(_) => continue,
            None if record.flags & SAMPLED == 0 => continue,
            None => ("stray", "name a span that isn't there"),
        };
        let first = || format!("{what}; the first: {}", quoted(&record.body));
        found.entry(case).or_insert_with(|| (first(), 0)).1 += 1;
    }
    for (case, (what, count)) in found {
        let records = if count == 1 { "record" } else { "records" };
        let message = format!("{count} log {records} {what}");
        let draft = Draft::new(Rule::LogUncorrelated, message)
            .example(number)
            .subject("ids")
            .count(count)
            .case(case);
        drafts.push(weighed(view, draft));
    }
}

/// Errors in the server's log for a trace in which no span says so.
pub(crate) fn unseen_errors(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, _) in view.examples() {
        let mut by_trace: BTreeMap<u32, Vec<&ServerLine>> = BTreeMap::new();
        for line in signals.server_lines_of(number) {
            if is_failure(&line.level) && !is_attempt(line) {
                let trace = signals.traces[&line.trace_id];
                by_trace.entry(trace).or_default().push(line);
            }
        }
        for (trace, lines) in by_trace {
            if says_so(view, trace) {
                continue;
            }
            let message = format!(
                "the server's log has {} errors of this trace, and no span of it says so; the first, at line {}: {}",
                lines.len(),
                lines[0].line,
                quoted(&lines[0].text)
            );
            let mut draft = Draft::new(Rule::LogErrorUnseen, message)
                .example(number)
                .subject(lines[0].caller.clone())
                .count(lines.len());
            draft.span = view.traces.traces[trace as usize].spans().next();
            drafts.push(draft);
        }
    }
}

/// An attempt that the server makes again says nothing of how the request ended.
fn is_attempt(line: &ServerLine) -> bool {
    let mut attempts = server_signals().attempts.iter();
    attempts.any(|attempt| line.text.starts_with(attempt))
}

/// Whether a span of the trace failed or has an exception.
fn says_so(view: &View<'_>, trace: u32) -> bool {
    let mut spans = view.traces.trace(trace).spans();
    spans.any(|span| {
        span.status() == Status::Error || span.events().any(|event| event.name == "exception")
    })
}

/// The beginning of a text, in backticks.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 120;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("`{shown}{more}`")
}
