//! The table of signals: what each example sent beside its spans.

use std::collections::BTreeSet;

use crate::draft::Draft;
use crate::rule::{Family, Rule, Severity};
use crate::signals::{known_metric, takes};
use crate::traces::Value;
use crate::view::View;
use crate::view::signals::{Names, SignalView};

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
    let names = signals.names();
    let row = |name: &str, cell: &dyn Fn(u32) -> SignalCell| SignalRow {
        name: name.to_owned(),
        cells: numbers().map(cell).collect(),
    };
    let metrics = METRICS.map(|signal| {
        row(signal, &|number| {
            metric(view, (signals, names.get(signal)), drafts, number, signal)
        })
    });
    let rest = [
        row("exemplars", &|number| {
            let leading = exemplars(signals, number);
            counted(view, number, "exemplars", leading)
        }),
        row("logs", &|number| {
            let records = signals.logs_of(number).count();
            counted(view, number, "logs", records)
        }),
        row("log ids", &|number| log_ids(view, signals, drafts, number)),
        // Lines that name a trace of the example.
        row("server log", &|number| {
            let lines = signals.server_lines_of(number).count();
            counted(view, number, "server log", lines)
        }),
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

fn counted(view: &View<'_>, number: u32, signal: &str, count: usize) -> SignalCell {
    match count {
        0 => missing(view, number, signal),
        count => there(count.to_string()),
    }
}

/// The name and the number of measurements.
fn metric(
    view: &View<'_>,
    (signals, all_names): (&SignalView<'_>, Option<&Names>),
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
    let usual = all_names.and_then(Names::usual);
    let is_renamed = usual.is_some_and(|(usual, _)| !names.contains(&usual));
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

/// Those that lead to a trace.
fn exemplars(signals: &SignalView<'_>, number: u32) -> usize {
    let points = signals
        .metrics_of(number)
        .flat_map(|metric| &metric.series)
        .flat_map(|series| &series.points);
    let exemplars = points.flat_map(|point| &point.exemplars);
    let leading = exemplars.filter(|one| signals.traces.contains_key(&one.trace_id));
    leading.count()
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
