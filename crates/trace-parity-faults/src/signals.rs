//! Faults put into the metrics and logs of a clean run, and the rule that should find each.

use serde_json::{Value, json};
use trace_parity::Rule;

/// The files of a run beside its capture, parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignalFiles {
    /// OTLP requests.
    pub metrics: Vec<Value>,
    pub logs: Vec<Value>,
    /// The server's log.
    pub server_log: String,
    /// Its pages of metrics, before and after.
    pub pages: [String; 2],
}

/// A fault and the rule that finds it.
#[derive(Clone, Copy)]
pub struct SignalFault {
    pub name: &'static str,
    pub rule: Rule,
    /// Puts it into the files of one example; `false` where that has no place for it.
    pub apply: fn(&mut SignalFiles, &SignalPlace<'_>) -> bool,
}

/// Whose signals are changed.
#[derive(Clone, Copy, Debug)]
pub struct SignalPlace<'p> {
    pub example: &'p str,
    pub trace_id: &'p str,
}

impl std::fmt::Debug for SignalFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignalFault({})", self.name)
    }
}

/// Every fault, each about one thing.
pub const SIGNAL_FAULTS: &[SignalFault] = &[
    fault("unit", Rule::MetricUnit, unit),
    fault("bounds", Rule::MetricUnit, bounds),
    fault("name", Rule::MetricRenamed, name),
    fault("lost attribute", Rule::MetricAttribute, lost_attribute),
    fault("double count", Rule::MetricDisagrees, double_count),
    fault("one call too few", Rule::MetricDisagrees, one_too_few),
    fault(
        "delta against cumulative",
        Rule::MetricDisagrees,
        temporality,
    ),
    fault("reset", Rule::MetricDisagrees, reset),
    fault("late flush", Rule::MetricDisagrees, late_flush),
    fault("cardinality", Rule::MetricCardinality, cardinality),
    fault("uncorrelated log", Rule::LogUncorrelated, uncorrelated),
    fault("wrong ids", Rule::LogUncorrelated, wrong_ids),
    fault("token in a log", Rule::SecretRecorded, token),
    fault("error of the server", Rule::LogErrorUnseen, server_error),
    fault("server's count", Rule::MetricDisagrees, server_count),
];

const fn fault(
    name: &'static str,
    rule: Rule,
    apply: fn(&mut SignalFiles, &SignalPlace<'_>) -> bool,
) -> SignalFault {
    SignalFault { name, rule, apply }
}

const OLD: &str = "rpc.client.duration";
const NEW: &str = "rpc.client.call.duration";

/// The elements of the array under each key, one key below the other.
fn each<'v>(values: Vec<&'v mut Value>, keys: &[&str]) -> Vec<&'v mut Value> {
    keys.iter().fold(values, |values, key| {
        let arrays = values.into_iter();
        let arrays = arrays.filter_map(|value| value.get_mut(*key)?.as_array_mut());
        arrays.flatten().collect()
    })
}

fn attribute<'v>(holder: &'v Value, key: &str) -> Option<&'v str> {
    let mut pairs = holder["attributes"].as_array()?.iter();
    let pair = pairs.find(|pair| pair["key"] == key)?;
    pair["value"]["stringValue"].as_str()
}

/// What the example sent: the elements under the keys of its groups.
fn sent<'f>(
    requests: &'f mut [Value],
    place: &SignalPlace<'_>,
    [groups, below @ ..]: [&str; 3],
) -> Vec<&'f mut Value> {
    let groups = each(requests.iter_mut().collect(), &[groups]);
    let own = groups.into_iter().filter(|group| {
        attribute(&group["resource"], "service.instance.id") == Some(place.example)
    });
    each(own.collect(), &below)
}

/// The example's metrics of how long calls take.
fn durations<'f>(files: &'f mut SignalFiles, place: &SignalPlace<'_>) -> Vec<&'f mut Value> {
    let keys = ["resourceMetrics", "scopeMetrics", "metrics"];
    let metrics = sent(&mut files.metrics, place, keys);
    let is_duration = |metric: &&mut Value| metric["name"] == OLD || metric["name"] == NEW;
    metrics.into_iter().filter(is_duration).collect()
}

fn points(metric: &mut Value) -> &mut Vec<Value> {
    let points = metric["histogram"]["dataPoints"].as_array_mut();
    points.expect("a histogram with points")
}

/// Changes every metric of how long calls take; `false` where there is none.
fn change_metrics(
    files: &mut SignalFiles,
    place: &SignalPlace<'_>,
    mut change: impl FnMut(&mut Value),
) -> bool {
    let metrics = durations(files, place);
    let any = !metrics.is_empty();
    metrics.into_iter().for_each(&mut change);
    any
}

/// Changes every point of these metrics.
fn change_points(
    files: &mut SignalFiles,
    place: &SignalPlace<'_>,
    mut change: impl FnMut(&mut Value),
) -> bool {
    change_metrics(files, place, |metric| {
        points(metric).iter_mut().for_each(&mut change);
    })
}

fn integer(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or(value.as_u64()).unwrap_or(0)
}

fn set_integer(point: &mut Value, key: &str, value: u64) {
    point[key] = json!(value.to_string());
}

/// The example's log records that carry ids.
fn marked<'f>(files: &'f mut SignalFiles, place: &SignalPlace<'_>) -> Vec<&'f mut Value> {
    let keys = ["resourceLogs", "scopeLogs", "logRecords"];
    let records = sent(&mut files.logs, place, keys);
    let is_marked = |record: &&mut Value| record["traceId"] == place.trace_id;
    records.into_iter().filter(is_marked).collect()
}

/// Changes the first record that carries ids; a later one may be written after the root ended.
fn change_record(
    files: &mut SignalFiles,
    place: &SignalPlace<'_>,
    change: impl FnOnce(&mut Value),
) -> bool {
    let first = marked(files, place).into_iter().next();
    first.map(change).is_some()
}

fn unit(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_metrics(files, place, |metric| {
        let other = if metric["unit"] == "s" { "ms" } else { "s" };
        metric["unit"] = json!(other);
    })
}

/// Bounds of a unit that is a thousand times smaller: everything is in the first bucket above zero.
fn bounds(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_points(files, place, |point| {
        let bounds = point["explicitBounds"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let larger = bounds
            .iter()
            .filter_map(Value::as_f64)
            .map(|bound| bound * 1e3);
        let at = bounds
            .iter()
            .take_while(|bound| bound.as_f64() <= Some(0.0))
            .count();
        point["explicitBounds"] = larger.collect();
        let mut counts = vec![json!("0"); bounds.len() + 1];
        counts[at] = point["count"].clone();
        point["bucketCounts"] = counts.into();
    })
}

/// The other generation of the conventions, right in itself.
fn name(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_metrics(files, place, |metric| {
        let (name, unit, factor) = if metric["name"] == OLD {
            (NEW, "s", 1e-3)
        } else {
            (OLD, "ms", 1e3)
        };
        metric["name"] = json!(name);
        metric["unit"] = json!(unit);
        for point in points(metric) {
            point["sum"] = json!(point["sum"].as_f64().unwrap_or(0.0) * factor);
            let bounds = point["explicitBounds"].as_array().into_iter().flatten();
            let scaled = bounds.filter_map(Value::as_f64).map(|bound| bound * factor);
            point["explicitBounds"] = scaled.collect();
        }
    })
}

fn lost_attribute(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_points(files, place, |point| {
        let attributes = point["attributes"].as_array_mut().expect("attributes");
        attributes.retain(|pair| pair["key"] != "rpc.system" && pair["key"] != "rpc.system.name");
    })
}

fn double_count(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_points(files, place, |point| {
        set_integer(point, "count", 2 * integer(&point["count"]));
        point["sum"] = json!(2.0 * point["sum"].as_f64().unwrap_or(0.0));
        let counts = point["bucketCounts"].as_array_mut().into_iter().flatten();
        counts.for_each(|count| *count = json!((2 * integer(count)).to_string()));
    })
}

/// Takes one measurement out of the last point of one series.
fn take_one(metric: &mut Value) {
    let points = points(metric);
    let point = points.last_mut().expect("a point");
    set_integer(point, "count", integer(&point["count"]) - 1);
}

fn one_too_few(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    durations(files, place).pop().map(take_one).is_some()
}

/// The program was killed before its last calls were exported.
fn late_flush(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_points(files, place, |point| {
        let start = integer(&point["startTimeUnixNano"]);
        set_integer(point, "timeUnixNano", start + 1);
    }) && one_too_few(files, place)
}

/// Puts an earlier point before each, between its start and its time.
fn put_before(files: &mut SignalFiles, place: &SignalPlace<'_>, change: fn(&mut Value)) -> bool {
    change_metrics(files, place, |metric| {
        let all = points(metric);
        let earlier = all.iter().map(|point| {
            let mut point = point.clone();
            let start = integer(&point["startTimeUnixNano"]);
            let time = integer(&point["timeUnixNano"]);
            set_integer(&mut point, "timeUnixNano", start + (time - start) / 2);
            change(&mut point);
            point
        });
        let mut both: Vec<Value> = earlier.collect();
        both.append(all);
        *all = both;
    })
}

/// Cumulative points, said to be deltas.
fn temporality(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    let planted = put_before(files, place, |point| set_integer(point, "count", 0));
    for metric in durations(files, place) {
        metric["histogram"]["aggregationTemporality"] = json!(1);
    }
    planted
}

/// The counts fell, and the start stayed.
fn reset(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    put_before(files, place, |point| {
        let more = integer(&point["count"]) + 3;
        set_integer(point, "count", more);
    })
}

/// A series for each measurement.
fn cardinality(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    let mut next = 0x5eed_u64;
    change_metrics(files, place, |metric| {
        let mut split = Vec::new();
        for point in points(metric).drain(..) {
            let count = integer(&point["count"]);
            for _ in 0..count {
                let mut one = point.clone();
                set_integer(&mut one, "count", 1);
                one["sum"] = json!(point["sum"].as_f64().unwrap_or(0.0) / count as f64);
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let id = format!("{next:016x}");
                let attributes = one["attributes"].as_array_mut().expect("attributes");
                attributes.push(json!({"key": "request.id", "value": {"stringValue": id}}));
                split.push(one);
            }
        }
        *points(metric) = split;
    })
}

fn uncorrelated(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    // The others are what says that this one should.
    marked(files, place).len() > 1
        && change_record(files, place, |record| {
            for key in ["traceId", "spanId"] {
                record[key] = json!("");
            }
        })
}

fn wrong_ids(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_record(files, place, |record| {
        record["spanId"] = json!("0123456789abcdef");
    })
}

fn token(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    change_record(files, place, |record| {
        record["body"] = json!({"stringValue": "connecting with token=4f2a9c81d6e0b735"});
    })
}

fn server_error(files: &mut SignalFiles, place: &SignalPlace<'_>) -> bool {
    let named = format!("[traceID={}]", place.trace_id);
    let line = files.server_log.lines().find(|line| line.contains(&named));
    let Some(line) = line.map(|line| line.replacen("[INFO]", "[ERROR]", 1)) else {
        return false;
    };
    files.server_log.push_str(&line);
    files.server_log.push('\n');
    true
}

fn server_count(files: &mut SignalFiles, _: &SignalPlace<'_>) -> bool {
    let counter = |line: &&str| {
        line.starts_with("milvus_proxy_req_count")
            && line.contains("\"Search\"")
            && line.contains("\"total\"")
    };
    let Some(line) = files.pages[1].lines().find(counter) else {
        return false;
    };
    let Some((labels, value)) = line.rsplit_once(' ') else {
        return false;
    };
    let value: f64 = value.parse().expect("a number");
    let more = format!("{labels} {}", value + 1.0);
    files.pages[1] = files.pages[1].replace(line, &more);
    true
}
