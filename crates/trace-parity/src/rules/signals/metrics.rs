//! Does each metric have the name, the unit, the buckets and the attributes that its convention gives it?

use std::collections::{BTreeMap, BTreeSet};

use otlp_signals::{Kind, Metric};

use crate::draft::Draft;
use crate::rule::Rule;
use crate::semconv;
use crate::signals::{KnownMetric, known_metric, metrics_of, sent_by};
use crate::view::View;
use crate::view::signals::SignalView;

/// Measurements without which nothing is said of buckets.
const ENOUGH: u64 = 10;

/// How far the first bound may be from the advised one. Milliseconds and seconds are a thousand apart.
const FAR: f64 = 100.0;

/// Different values of an attribute that no set of names in a program's code comes to.
const BOUNDLESS: usize = 100;
/// From so many different values on, one for nearly every measurement is one too many.
const GROWING: usize = 8;
/// From so many different values on, ids are no accident.
const IDS: usize = 5;

/// A scope made spans of calls, the program exports metrics, and the metric that the scope sends with them isn't there.
pub(crate) fn missing(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, example) in view.examples() {
        let sent: Vec<&Metric> = signals.metrics_of(number).collect();
        let has = |signal: &str| {
            let mut known = sent.iter().filter_map(|metric| known_metric(&metric.name));
            known.any(|known| known.signal == signal)
        };
        if !sent.is_empty() {
            let scopes = view.calls_of(example).iter();
            let scopes = scopes.map(|call| view.traces.record(call.span).scope);
            for scope in scopes.collect::<BTreeSet<u32>>() {
                let name = view.traces.str(view.traces.scopes[scope as usize].name);
                let Some(signal) = sent_by(name).filter(|signal| !has(signal)) else {
                    continue;
                };
                let calls = view.calls_of(example).iter();
                let calls = calls
                    .filter(|call| view.traces.record(call.span).scope == scope)
                    .count();
                let message = format!(
                    "`{name}` made {calls} spans of calls, and no metric of the {signal} came: neither {}",
                    names_of(signal)
                );
                drafts.push(
                    Draft::new(Rule::MetricMissing, message)
                        .example(number)
                        .subject(signal)
                        .scope(scope)
                        .case("sender"),
                );
            }
        }
        for wanted in &view.contract.metrics {
            let signal = known_metric(wanted).map(|known| known.signal.as_str());
            let there =
                sent.iter().any(|metric| *metric.name == **wanted) || signal.is_some_and(has);
            if view.scenario && !there {
                let message =
                    format!("the contract asks for the metric `{wanted}`, and it didn't come");
                drafts.push(
                    Draft::new(Rule::MetricMissing, message)
                        .example(number)
                        .subject(wanted)
                        .case("contract"),
                );
            }
        }
    }
}

/// `` `rpc.client.duration` nor `rpc.client.call.duration` ``.
fn names_of(signal: &str) -> String {
    let names: Vec<String> = metrics_of(signal)
        .map(|known| format!("`{}`", known.name))
        .collect();
    names.join(" nor ")
}

/// The metric has the name of another generation than most examples use.
pub(crate) fn renamed(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (signal, names) in signals.names() {
        let Some((usual, by)) = names.usual() else {
            continue;
        };
        for (&name, others) in names.0.iter().filter(|(name, _)| **name != usual) {
            for &example in others.difference(by) {
                let conventions =
                    |name: &str| known_metric(name).map_or("", |known| known.conventions.as_str());
                let message = format!(
                    "the {signal} is called `{name}` (conventions {}), and `{usual}` (conventions {}) in {} other examples",
                    conventions(name),
                    conventions(usual),
                    by.len()
                );
                let draft = Draft::new(Rule::MetricRenamed, message)
                    .example(example)
                    .subject(name)
                    .tell("usual", usual);
                drafts.push(with_scope(view, signals, draft, name));
            }
        }
    }
}

/// Names the scope that made the metric, where it made spans, too.
fn with_scope(view: &View<'_>, signals: &SignalView<'_>, draft: Draft, name: &str) -> Draft {
    let example = draft.example;
    let metric = signals
        .metrics
        .iter()
        .find(|(of, metric)| Some(*of) == example && *metric.name == *name);
    let scope = metric.and_then(|(_, metric)| scope_of(view, metric));
    match scope {
        Some(scope) => draft.scope(scope),
        None => draft,
    }
}

/// The spans' scope of the metric's name and version.
pub(super) fn scope_of(view: &View<'_>, metric: &Metric) -> Option<u32> {
    let scopes = &view.traces.scopes;
    let found = scopes.iter().position(|scope| {
        view.traces.str(scope.name) == metric.scope.name
            && view.traces.str(scope.version) == metric.scope.version
    });
    found.and_then(|scope| u32::try_from(scope).ok())
}

/// Units that contradict the convention, and buckets in which all measurements look alike.
pub(crate) fn units(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, known, metric) in signals.known_metrics() {
        let draft = |message: String, subject: String| {
            let draft = Draft::new(Rule::MetricUnit, message)
                .example(number)
                .subject(subject);
            with_scope(view, signals, draft, &metric.name)
        };
        let Metric { name, unit, .. } = metric;
        if **unit != *known.unit {
            let said = if unit.is_empty() { "none" } else { unit };
            let message = format!(
                "the unit of `{name}` is `{said}`; its convention says `{}`",
                known.unit
            );
            drafts.push(draft(message, format!("{name} unit")).case("unit"));
        } else if metric.kind.to_string() != known.kind && !is_histogram(metric) {
            let message = format!(
                "`{name}` is a {}; its convention says {}",
                metric.kind, known.kind
            );
            drafts.push(draft(message, format!("{name} kind")).case("kind"));
        } else if let Some((count, first)) = unresolved(known, metric) {
            let message = format!(
                "all {count} measurements of `{name}` are in one bucket: its bounds begin at {first} {unit}, made for another unit; {} are advised",
                advised(known)
            );
            drafts.push(draft(message, format!("{name} bounds")).case("bounds"));
        }
    }
}

fn is_histogram(metric: &Metric) -> bool {
    matches!(metric.kind, Kind::Histogram | Kind::ExponentialHistogram)
}

/// Bounds in milliseconds that are usual where none are advised: an SDK's default.
const DEFAULT_FIRST: f64 = 5.0;

fn first_bound(bounds: &[f64]) -> Option<f64> {
    bounds.iter().copied().find(|bound| *bound > 0.0)
}

fn advised(known: &KnownMetric) -> String {
    match (&known.bounds[..], first_bound(&known.bounds)) {
        ([.., last], Some(first)) => format!("{first} to {last}"),
        _ => "the SDK's default bounds".to_owned(),
    }
}

/// The number of measurements, and the first bound, where the bounds are far from the advised ones and all measurements share a bucket.
fn unresolved(known: &KnownMetric, metric: &Metric) -> Option<(u64, f64)> {
    let advised = first_bound(&known.bounds).unwrap_or(DEFAULT_FIRST);
    let points = || metric.series.iter().flat_map(|series| &series.points);
    let first = points().find_map(|point| first_bound(&point.bounds))?;
    let ratio = first / advised;
    if metric.kind != Kind::Histogram || (1.0 / FAR..FAR).contains(&ratio) {
        return None;
    }
    let mut filled = BTreeSet::new();
    let mut count = 0;
    for series in &metric.series {
        let point = series.points.last()?;
        count += point.count;
        let buckets = point.buckets.iter().enumerate();
        filled.extend(buckets.filter(|(_, count)| **count > 0).map(|(at, _)| at));
    }
    (count >= ENOUGH && filled.len() == 1).then_some((count, first))
}

/// Attributes that the convention asks for and a series lacks, under the names of all generations.
pub(crate) fn attributes(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for (number, known, metric) in signals.known_metrics() {
        for wanted in &known.attributes {
            let names: Vec<&str> = std::iter::once(wanted.as_str())
                .chain(semconv::names_of(wanted))
                .collect();
            let lacks = metric.series.iter().filter(|series| {
                !names
                    .iter()
                    .any(|name| series.attributes.get(name).is_some())
            });
            let lacks = lacks.count();
            // The fully qualified method says the service, too.
            let is_told = wanted == "rpc.service" && is_qualified(metric);
            if lacks == 0 || is_told {
                continue;
            }
            let message = format!(
                "{lacks} of {} series of `{}` lack `{wanted}`",
                metric.series.len(),
                metric.name
            );
            let draft = Draft::new(Rule::MetricAttribute, message)
                .example(number)
                .subject(format!("{} {wanted}", metric.name))
                .tell("attribute", wanted.as_str());
            drafts.push(with_scope(view, signals, draft, &metric.name));
        }
    }
}

fn is_qualified(metric: &Metric) -> bool {
    let mut series = metric.series.iter();
    series.all(|series| {
        let method = series.attributes.get("rpc.method");
        method.is_some_and(|method| semconv::qualified(method).0.is_some())
    })
}

/// Attributes whose values grow with the data: each new one is a new series in whatever stores the metric.
pub(crate) fn cardinality(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let Some(signals) = &view.signals else { return };
    for &(number, metric) in &signals.metrics {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for series in &metric.series {
            for (key, value) in series.attributes.iter() {
                values.entry(key).or_default().insert(value);
            }
        }
        // A gauge and a sum say nothing of how often they were written.
        let measured = is_histogram(metric).then(|| metric.count());
        for (key, values) in values {
            let ids = values.iter().filter(|value| is_id(value)).count();
            let nearly_each = measured.is_some_and(|measured| values.len() as f64 * 1.5 > measured);
            let by_design = is_bounded(key);
            let grows = values.len() > BOUNDLESS
                || ids >= IDS && !by_design
                || values.len() >= GROWING && nearly_each && !by_design;
            if !grows {
                continue;
            }
            let counted = measured.map_or(String::new(), |measured| {
                format!(" over {measured} measurements")
            });
            let message = format!(
                "the attribute `{key}` of `{}` has {} different values{counted}",
                metric.name,
                values.len()
            );
            drafts.push(
                Draft::new(Rule::MetricCardinality, message)
                    .example(number)
                    .subject(format!("{} {key}", metric.name))
                    .tell("attribute", key),
            );
        }
    }
}

/// An attribute of the conventions whose values are names in a program's code.
fn is_bounded(key: &str) -> bool {
    const NAMES: [&str; 4] = ["rpc.", "db.operation.", "db.system", "error.type"];
    NAMES.iter().any(|prefix| key.starts_with(prefix))
}

/// A UUID, or at least sixteen hexadecimal digits.
fn is_id(value: &str) -> bool {
    let digits = value.bytes().filter(|byte| *byte != b'-');
    digits.clone().count() >= 16 && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}
