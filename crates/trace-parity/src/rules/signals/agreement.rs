//! Does a metric count the calls that the spans tell of, and take as long?

use std::collections::{BTreeMap, BTreeSet};

use otlp_signals::{Kind, Metric, Point, Series, Temporality};

use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::semconv;
use crate::signals::{Counted, KnownMetric, known_metric};
use crate::view::View;
use crate::view::calls::Call;

use super::metrics::scope_of;

/// A metric is measured a little within or around the span.
const SLACK_NS: f64 = 10e6;
/// So much longer or shorter is no slack.
const FACTOR: f64 = 3.0;
/// Seconds and milliseconds, and some slack.
const THOUSAND: std::ops::Range<f64> = 200.0..5000.0;

/// Number and nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct CallTotal {
    count: f64,
    ns: f64,
    /// The end of the last one.
    last: u64,
}

/// By method, or by operation.
type CallTotals<'a> = BTreeMap<&'a str, CallTotal>;

/// Counts and sums against those of the spans of the same calls.
pub(crate) fn disagreeing_counts(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, _) in view.examples() {
        let mut by_name: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
        for metric in signals.metrics_of(number) {
            by_name.entry(&metric.name).or_default().push(metric);
        }
        for (name, metrics) in by_name {
            let Some(known) = known_metric(name).filter(|known| known.counts.is_some()) else {
                continue;
            };
            let spans = of_spans(view, number, known, &metrics);
            if !spans.is_empty() {
                compare(view, number, known, &metrics, &spans, drafts);
            }
        }
    }
}

fn compare(
    view: &View<'_>,
    number: u32,
    known: &KnownMetric,
    metrics: &[&Metric],
    spans: &CallTotals<'_>,
    drafts: &mut Vec<Draft>,
) {
    let told = of_metrics(known, metrics);
    let name = &known.name;
    let draft = |message: String, method: &str| {
        let draft = Draft::new(Rule::MetricDisagrees, message)
            .example(number)
            .subject(format!("{name} {method}"))
            .tell("metric", name.as_str());
        match scope_of(view, metrics[0]) {
            Some(scope) => draft.scope(scope),
            None => draft,
        }
    };
    // A method that no series names was counted without its attribute, which is a finding of its own.
    let is_nameless = told.contains_key("");
    let methods: BTreeSet<&str> = spans.keys().chain(told.keys()).copied().collect();
    let mut is_same = true;
    for method in methods.into_iter().filter(|_| !is_nameless) {
        let metric = told.get(method).copied().unwrap_or_default();
        let span = spans.get(method).copied().unwrap_or_default();
        if metric.count == span.count {
            continue;
        }
        is_same = false;
        let mut message = format!(
            "`{name}` counts {} of `{method}`, and there are {} spans of it",
            metric.count, span.count
        );
        let exported = last_export(metrics);
        let late = metric.count < span.count && exported < span.last;
        if late {
            let before = span.last.saturating_sub(exported) / 1_000_000;
            message.push_str(&format!(
                "; the last export came {before} ms before the last of them ended"
            ));
        }
        let case = match metric.count.total_cmp(&span.count) {
            _ if late => "late",
            std::cmp::Ordering::Less => "fewer",
            _ if span.count > 0.0 && metric.count % span.count == 0.0 => "twice",
            _ => "more",
        };
        let mut draft = draft(message, method).case(case);
        // A sampler leaves spans out and measurements in, and a service is ended between two exports.
        if case != "twice" && !view.scenario {
            draft = draft.severity(Severity::Warning);
        }
        drafts.push(draft);
    }
    let is_usual = metrics.iter().all(|metric| *metric.unit == *known.unit);
    if is_same && is_usual {
        compare_times(known, &told, spans, draft, drafts);
    }
}

fn compare_times(
    known: &KnownMetric,
    told: &CallTotals<'_>,
    spans: &CallTotals<'_>,
    draft: impl Fn(String, &str) -> Draft,
    drafts: &mut Vec<Draft>,
) {
    let sum = |all: &CallTotals<'_>| all.values().map(|tally| tally.ns).sum::<f64>();
    let count: f64 = spans.values().map(|tally| tally.count).sum();
    let (metric, span) = (sum(told), sum(spans));
    let ratio = metric / span;
    if !ratio.is_finite() || (1.0 / FACTOR..FACTOR).contains(&ratio) {
        return;
    }
    let near = (metric - span).abs() < SLACK_NS * count;
    let is_other_unit = THOUSAND.contains(&ratio) || THOUSAND.contains(&(1.0 / ratio));
    if near && !is_other_unit {
        return;
    }
    let ms = |ns: f64| format!("{:.3} ms", ns / 1e6);
    let name = &known.name;
    let message = format!(
        "`{name}` sums up to {} over {count} measurements, and their spans to {}",
        ms(metric),
        ms(span)
    );
    let mut found = draft(message, "sum").case("sum");
    if is_other_unit {
        found.rule = Rule::MetricUnit;
        found.severity = Rule::MetricUnit.severity();
        found = found.case("values");
    }
    drafts.push(found);
}

/// What the metrics say. Without the attribute, everything is under the empty name.
fn of_metrics<'m>(known: &KnownMetric, metrics: &[&'m Metric]) -> CallTotals<'m> {
    let mut tallies = CallTotals::new();
    for metric in metrics {
        let unit = match &*metric.unit {
            "s" => 1e9,
            "us" => 1e3,
            "ns" => 1.0,
            _ => 1e6,
        };
        for series in &metric.series {
            let method = key_of(known, series);
            let (count, sum) = metric.total(series);
            let tally = tallies.entry(method).or_default();
            tally.count += count;
            tally.ns += sum * unit;
        }
    }
    tallies
}

fn key_of<'m>(known: &KnownMetric, series: &'m Series) -> &'m str {
    let value = series.attributes.get(&known.by).unwrap_or_default();
    match known.counts {
        Some(Counted::Calls) => semconv::qualified(value).1,
        _ => value,
    }
}

fn last_export(metrics: &[&Metric]) -> u64 {
    let points = metrics
        .iter()
        .flat_map(|metric| &metric.series)
        .filter_map(|series| series.points.last());
    points.map(|point| point.time).max().unwrap_or(0)
}

/// What the spans say: those of the metric's own scopes where they made any, else all.
fn of_spans<'v>(
    view: &'v View<'v>,
    number: u32,
    known: &KnownMetric,
    metrics: &[&Metric],
) -> CallTotals<'v> {
    let counted: Vec<(&str, u32)> = match known.counts {
        Some(Counted::Calls) => calls(view, number).collect(),
        Some(Counted::Operations) => operations(view, number, &known.by).collect(),
        None => Vec::new(),
    };
    let is_own = |span: u32| {
        let name = view.traces.span(span).scope_name();
        metrics.iter().any(|metric| metric.scope.name == name)
    };
    let any_own = counted.iter().any(|&(_, span)| is_own(span));
    let mut tallies = CallTotals::new();
    for (name, span) in counted
        .into_iter()
        .filter(|&(_, span)| !any_own || is_own(span))
    {
        let record = view.traces.record(span);
        let tally = tallies.entry(name).or_default();
        tally.count += 1.0;
        tally.ns += record.end.saturating_sub(record.start) as f64;
        tally.last = tally.last.max(record.end);
    }
    tallies
}

/// Each call once, though two instrumentations may tell of it.
fn calls<'v>(view: &'v View<'v>, number: u32) -> impl Iterator<Item = (&'v str, u32)> {
    let calls = view.calls_of(&view.examples[number as usize]).iter();
    let once = calls.filter(|call| view.told_above(call).is_none());
    once.map(|call: &Call<'v>| (call.method, call.span))
}

/// Spans of the program that have the attribute, with its value.
fn operations<'v>(
    view: &'v View<'v>,
    number: u32,
    key: &str,
) -> impl Iterator<Item = (&'v str, u32)> {
    let example = &view.examples[number as usize];
    let traces = example.traces.iter();
    let spans = traces.flat_map(|&trace| view.traces.traces[trace as usize].spans());
    spans.filter_map(move |index| {
        let span = view.traces.span(index);
        let is_server = view.contract.is_server_span(&span);
        let (_, value) = span.attributes().find(|(known, _)| *known == key)?;
        Some((value.as_str().filter(|_| !is_server)?, index))
    })
}

/// Points that contradict each other or their temporality, and exemplars of traces that nobody has.
pub(crate) fn disagreeing_points(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for &(number, metric) in &signals.metrics {
        let mut found: BTreeMap<&'static str, (String, usize)> = BTreeMap::new();
        for series in &metric.series {
            if let Some((case, message)) = contradiction(metric, series) {
                found.entry(case).or_insert((message, 0)).1 += 1;
            }
        }
        let exemplars = metric.series.iter().flat_map(|series| &series.points);
        let exemplars = exemplars.flat_map(|point| &point.exemplars);
        let stray = exemplars.filter(|exemplar| {
            exemplar.trace_id != [0; 16] && !signals.traces.contains_key(&exemplar.trace_id)
        });
        let stray = stray.count();
        if stray > 0 {
            let message = format!("its exemplars name {stray} traces that didn't come");
            found.insert("exemplar", (message, stray));
        }
        for (case, (message, count)) in found {
            drafts.push(
                Draft::new(
                    Rule::MetricDisagrees,
                    format!("`{}` disagrees with itself: {message}", metric.name),
                )
                .example(number)
                .subject(format!("{} {case}", metric.name))
                .case(case)
                .count(count),
            );
        }
    }
}

fn contradiction(metric: &Metric, series: &Series) -> Option<(&'static str, String)> {
    let total = |point: &Point| match metric.kind {
        Kind::Gauge => None,
        Kind::Sum => metric.monotonic.then_some(point.value),
        _ => Some(point.count as f64),
    };
    series.points.windows(2).find_map(|pair| {
        let [before, after] = pair else { return None };
        let (was, is) = (total(before)?, total(after)?);
        match metric.temporality {
            _ if before.start == 0 || after.start == 0 => None,
            Temporality::Cumulative if after.start == before.start && is < was => Some((
                "reset",
                format!("it fell from {was} to {is} without a new start"),
            )),
            Temporality::Cumulative if after.start > before.start && after.start == before.time => {
                Some((
                    "temporality",
                    "it is said to be cumulative, and each point begins where the one before it ended: these are deltas"
                        .to_owned(),
                ))
            }
            Temporality::Delta if after.time > before.time && after.start == before.start => Some((
                "temporality",
                "it is said to be delta, and its points begin at one time: these are cumulative"
                    .to_owned(),
            )),
            _ => None,
        }
    })
}
