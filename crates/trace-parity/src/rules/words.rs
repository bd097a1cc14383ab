//! Words that several rules share.

use crate::semconv::GrpcStatus;
use crate::view::View;
use crate::view::links::Side;

/// `1 span`, `3 spans`.
pub(crate) fn spans(count: usize) -> String {
    counted(count as u64, "span")
}

/// `1 request`, `3 requests`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The author of a span, as a message names it.
pub(crate) fn who(view: &View<'_>, span: u32) -> String {
    match view.links.side(span) {
        Side::Client => "the client's".to_owned(),
        Side::Server | Side::Undeclared | Side::Between => format!("`{}`'s", view.service(span)),
    }
}

/// `1.5 s`, `20 ms`.
pub(crate) fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    for (unit, name) in UNITS {
        if nanoseconds >= unit {
            let tenths = nanoseconds / (unit / 10);
            return match (tenths % 10, tenths / 10) {
                (0, whole) => format!("{whole} {name}"),
                (tenth, whole) => format!("{whole}.{tenth} {name}"),
            };
        }
    }
    format!("{nanoseconds} ns")
}

/// `: connection refused`; of a Python error's text, its details; of `UNAVAILABLE: connection refused`, what follows the code.
pub(crate) fn reason(text: &str) -> String {
    let details = text.split_once("details = \"");
    let text = details.map_or(text, |(_, details)| {
        details.split('"').next().unwrap_or(details)
    });
    let mut line = text.lines().next().unwrap_or_default().trim();
    // Its code is said by its name.
    if GrpcStatus::from_message(line).is_some() {
        line = line.split_once(':').map_or("", |(_, rest)| rest.trim());
    }
    if line.is_empty() {
        String::new()
    } else {
        format!(": {line}")
    }
}

/// Entries of a `tracestate` by the tracer that writes them.
const TRACERS: [(&str, &str); 6] = [
    ("dd", "Datadog's tracer"),
    ("es", "Elastic APM's agent"),
    ("nr", "New Relic's agent"),
    ("dt", "Dynatrace's agent"),
    ("sn", "Splunk's or Signalfx's tracer"),
    ("in", "Instana's tracer"),
];

/// The tracer that a `tracestate` names.
pub(crate) fn tracer(trace_state: &str) -> Option<(&'static str, &'static str)> {
    trace_state.split(',').find_map(|entry| {
        let key = entry.split('=').next().unwrap_or_default().trim();
        // `tenant@vendor` is the older form.
        let vendor = key.rsplit('@').next().unwrap_or(key);
        let known = TRACERS.iter().find(|(known, _)| *known == vendor);
        known.copied()
    })
}
