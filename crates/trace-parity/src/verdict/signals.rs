//! The table of signals: what each example sent beside its spans.

use std::collections::BTreeSet;

use crate::draft::Draft;
use crate::rule::{Family, Rule, Severity};
use crate::signals::{known_metric, takes};
use crate::traces::Value;
use crate::view::View;
use crate::view::signals::SignalView;

use super::model::{SignalCell, SignalRow, SignalState};

/// Metrics in the table, as `signals.toml` calls them.
const METRICS: [&str; 2] = ["rpc duration", "db duration"];

/// A row for each signal that an example sent; empty where none sent metrics or logs.
pub(super) fn signals(view: &View<'_>, drafts: &[Draft]) -> Vec<SignalRow> {
    let any = |signals: &&SignalView<'_>| !signals.metrics.is_empty() || !signals.logs.is_empty();
    let Some(signals) = view.signals.as_ref().filter(any) else {
        return Vec::new();
    };
    let numbers = || view.examples().map(|(number, _)| number);
    let row = |name: &str, cell: &dyn Fn(u32) -> SignalCell| SignalRow {
        name: name.to_owned(),
        cells: numbers().map(cell).collect(),
    };
    let metrics = METRICS.map(|signal| {
        row(signal, &|number| {
            metric(view, signals, drafts, number, signal)
        })
    });
    let rest = [
        row("exemplars", &|number| exemplars(view, signals, number)),
        row("logs", &|number| logs(view, signals, number)),
        row("log ids", &|number| log_ids(view, signals, drafts, number)),
        row("server log", &|number| server_log(signals, number)),
    ];
    let rows = metrics.into_iter().chain(rest);
    let is_sent = |row: &SignalRow| {
        let mut cells = row.cells.iter();
        cells.any(|cell| cell.state != SignalState::Missing)
    };
    rows.filter(is_sent).collect()
}

fn missing(view: &View<'_>, number: u32, signal: &str) -> SignalCell {
    SignalCell {
        state: SignalState::Missing,
        name: None,
        text: String::new(),
        takes: takes(signal, &language(view, number)).map(str::to_owned),
    }
}

fn there(text: String) -> SignalCell {
    SignalCell {
        state: SignalState::There,
        name: None,
        text,
        takes: None,
    }
}

/// The name and the number of measurements.
fn metric(
    view: &View<'_>,
    signals: &SignalView<'_>,
    drafts: &[Draft],
    number: u32,
    signal: &str,
) -> SignalCell {
    let known = signals.metrics_of(number).filter_map(|metric| {
        let known = known_metric(&metric.name)?;
        (known.signal == signal).then_some(metric)
    });
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        return missing(view, number, signal);
    }
    let names: BTreeSet<&str> = known.iter().map(|metric| &*metric.name).collect();
    let counted: f64 = known.iter().map(|metric| metric.count()).sum();
    let names: Vec<&str> = names.into_iter().collect();
    let of_it = |draft: &&Draft| {
        let subject = draft.subject.as_deref().unwrap_or_default();
        draft.example == Some(number) && names.iter().any(|name| subject.starts_with(name))
    };
    let rules: Vec<Rule> = drafts
        .iter()
        .filter(of_it)
        .filter(|draft| draft.rule.family() == Family::Signals && draft.severity > Severity::Info)
        .map(|draft| draft.rule)
        .collect();
    let most = usual(signals, signal);
    let is_renamed = most.is_some_and(|most| !names.contains(&most));
    SignalCell {
        state: if rules.iter().any(|rule| *rule != Rule::MetricRenamed) {
            SignalState::Differs
        } else if is_renamed {
            SignalState::Renamed
        } else {
            SignalState::There
        },
        name: Some(names.join(", ")),
        text: counted.to_string(),
        takes: None,
    }
}

/// The name that most examples give the signal.
fn usual<'v>(signals: &SignalView<'v>, signal: &str) -> Option<&'v str> {
    let by: BTreeSet<(&str, u32)> = signals
        .metrics
        .iter()
        .filter(|(_, metric)| {
            known_metric(&metric.name).is_some_and(|known| known.signal == signal)
        })
        .map(|&(number, metric)| (&*metric.name, number))
        .collect();
    let times = |name: &str| by.iter().filter(|(known, _)| *known == name).count();
    let most = by.iter().map(|(name, _)| times(name)).max()?;
    let names: BTreeSet<&str> = by.iter().map(|(name, _)| *name).collect();
    let mut usual = names.into_iter().filter(|name| times(name) == most);
    match (usual.next(), usual.next()) {
        (usual, None) => usual,
        _ => None,
    }
}

/// Those that lead to a trace.
fn exemplars(view: &View<'_>, signals: &SignalView<'_>, number: u32) -> SignalCell {
    let points = signals
        .metrics_of(number)
        .flat_map(|metric| &metric.series)
        .flat_map(|series| &series.points);
    let exemplars = points.flat_map(|point| &point.exemplars);
    let leading = exemplars.filter(|one| signals.traces.contains_key(&one.trace_id));
    match leading.count() {
        0 => missing(view, number, "exemplars"),
        count => there(count.to_string()),
    }
}

fn logs(view: &View<'_>, signals: &SignalView<'_>, number: u32) -> SignalCell {
    match signals.logs_of(number).count() {
        0 => missing(view, number, "logs"),
        count => there(count.to_string()),
    }
}

/// Records that lead to a trace, of all.
fn log_ids(view: &View<'_>, signals: &SignalView<'_>, drafts: &[Draft], number: u32) -> SignalCell {
    let all = signals.logs_of(number).count();
    let leading = signals
        .logs_of(number)
        .filter(|record| signals.traces.contains_key(&record.trace_id))
        .count();
    if leading == 0 {
        return missing(view, number, if all == 0 { "logs" } else { "log ids" });
    }
    let differs = drafts
        .iter()
        .any(|draft| draft.rule == Rule::LogUncorrelated && draft.example == Some(number));
    SignalCell {
        state: if differs {
            SignalState::Differs
        } else {
            SignalState::There
        },
        ..there(format!("{leading} of {all}"))
    }
}

/// Lines of the server's log that name a trace of the example.
fn server_log(signals: &SignalView<'_>, number: u32) -> SignalCell {
    match signals.server_lines_of(number).count() {
        0 => SignalCell {
            state: SignalState::Missing,
            name: None,
            text: String::new(),
            takes: None,
        },
        count => there(count.to_string()),
    }
}

/// `telemetry.sdk.language` of the example's root, else of its first call.
fn language(view: &View<'_>, number: u32) -> String {
    let example = &view.examples[number as usize];
    let call = view.calls_of(example).first().map(|call| call.span);
    let language = example.root.or(call).and_then(|span| {
        let mut attributes = view.traces.span(span).resource_attributes();
        let (_, value) = attributes.find(|(key, _)| *key == "telemetry.sdk.language")?;
        Value::as_str(value)
    });
    language.unwrap_or_default().to_owned()
}
