//! The same as JSON, schema `milvus-otel.breakdown/1`.

use serde::Serialize;
use trace_breakdown::{
    Breakdown, By, CallTime, Change, Difference, Group, LoggedLine, Model, Reason, Segments,
    Spread, StageId, changes, groups,
};
use trace_parity::{SpanId, TraceId};

const SCHEMA_ID: &str = "milvus-otel.breakdown/1";

/// The JSON Schema of both documents.
pub const BREAKDOWN_SCHEMA: &str = include_str!("../../breakdown.schema.json");

/// The groups of calls as one JSON document, indented, with a line end.
pub fn breakdown_json(breakdown: &Breakdown<'_>, by: By, only: Option<&str>) -> String {
    let groups = groups(breakdown, by, only);
    let groups = groups.iter().map(|group| JsonGroup::of(breakdown, group));
    document(&Document {
        schema: SCHEMA_ID,
        groups: Some(groups.collect()),
        changes: None,
    })
}

/// The changes from one input to another as one JSON document, indented, with a line end.
pub fn breakdown_changes_json<'t>(
    before: &Breakdown<'t>,
    after: &Breakdown<'t>,
    only: Option<&str>,
) -> String {
    let changes = changes(before, after, only);
    document(&Document {
        schema: SCHEMA_ID,
        groups: None,
        changes: Some(changes.iter().map(JsonChange::of).collect()),
    })
}

fn document(document: &Document<'_>) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("the document has string keys");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<JsonGroup<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<JsonChange<'a>>>,
}

#[derive(Serialize)]
struct JsonGroup<'a> {
    step: Option<&'a str>,
    method: &'a str,
    key: Option<&'a str>,
    calls: usize,
    sum_ns: u64,
    total: Times,
    stages: Vec<JsonStage<'a>>,
    unexplained: JsonUnexplained,
    segments: JsonSegments,
    slowest: JsonCall<'a>,
}

#[derive(Serialize)]
struct Times {
    median_ns: u64,
    p95_ns: u64,
    worst_ns: u64,
}

#[derive(Serialize)]
struct JsonStage<'a> {
    name: &'a str,
    title: &'a str,
    side: &'static str,
    kind: &'static str,
    sum_ns: u64,
    all_spans_ns: u64,
    times: Times,
}

#[derive(Serialize)]
struct JsonUnexplained {
    sum_ns: u64,
    times: Times,
}

/// How many calls have spans of segments, were merged into another, or lack them.
#[derive(Serialize)]
struct JsonSegments {
    seen: usize,
    merged: usize,
    absent: usize,
}

#[derive(Serialize)]
struct JsonCall<'a> {
    example: &'a str,
    trace_id: TraceId,
    span_id: SpanId,
    total_ns: u64,
    program_before_ns: Option<u64>,
    program_after_ns: Option<u64>,
    server_moved_ns: i64,
    read_not_measured: Option<&'a str>,
    elsewhere: Option<JsonElsewhere<'a>>,
    reasons: Vec<JsonReason>,
    path: Vec<JsonStretch<'a>>,
    logs: Vec<JsonLine<'a>>,
}

#[derive(Serialize)]
struct JsonElsewhere<'a> {
    about: &'a str,
    span: &'a str,
    trace_id: TraceId,
    after_ns: u64,
    ns: u64,
}

#[derive(Serialize)]
struct JsonReason {
    name: &'static str,
    ns: u64,
    says: &'static str,
    #[serde(rename = "try")]
    advice: &'static str,
    source: &'static str,
    guess: bool,
    evidence: Vec<String>,
}

#[derive(Serialize)]
struct JsonStretch<'a> {
    stage: Option<&'a str>,
    span: &'a str,
    service: Option<&'a str>,
    span_id: SpanId,
    from_ns: u64,
    to_ns: u64,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    stage: Option<&'a str>,
    at_ns: u64,
    level: &'a str,
    source: &'a str,
    text: &'a str,
    server: bool,
    may_be_of_another_call: bool,
}

#[derive(Serialize)]
struct JsonChange<'a> {
    step: Option<&'a str>,
    method: &'a str,
    calls: [usize; 2],
    before: Times,
    after: Times,
    change: JsonDifference,
    stages: Vec<JsonStageChange<'a>>,
}

#[derive(Serialize)]
struct JsonDifference {
    ns: i64,
    interval_ns: Option<(i64, i64)>,
    certain: bool,
}

#[derive(Serialize)]
struct JsonStageChange<'a> {
    name: Option<&'a str>,
    before_median_ns: u64,
    after_median_ns: u64,
    change: JsonDifference,
}

impl From<Spread> for Times {
    fn from(spread: Spread) -> Self {
        Self {
            median_ns: spread.median,
            p95_ns: spread.p95,
            worst_ns: spread.worst,
        }
    }
}

impl<'a> JsonGroup<'a> {
    fn of<'t: 'a>(breakdown: &'a Breakdown<'t>, group: &'a Group<'a, 't>) -> Self {
        let count = |is: fn(Segments) -> bool| {
            let calls = group.calls.iter();
            calls.filter(|time| is(time.segments)).count()
        };
        Self {
            step: group.step,
            method: group.method,
            key: Some(group.key.as_str()).filter(|key| !key.is_empty()),
            calls: group.calls.len(),
            sum_ns: group.sum_ns(),
            total: group.total.into(),
            stages: group
                .stages
                .iter()
                .map(|stage| {
                    let own = Model::builtin().stage(stage.stage);
                    JsonStage {
                        name: &own.name,
                        title: &own.title,
                        side: own.side.name(),
                        kind: own.kind.name(),
                        sum_ns: stage.sum_ns,
                        all_spans_ns: stage.all_ns,
                        times: stage.spread.into(),
                    }
                })
                .collect(),
            unexplained: JsonUnexplained {
                sum_ns: group.unexplained.sum_ns,
                times: group.unexplained.spread.into(),
            },
            segments: JsonSegments {
                seen: count(|segments| matches!(segments, Segments::Seen(_))),
                merged: count(|segments| segments == Segments::Merged),
                absent: count(|segments| segments == Segments::Absent),
            },
            slowest: JsonCall::of(breakdown, group.worst()),
        }
    }
}

impl<'a> JsonCall<'a> {
    fn of<'t: 'a>(breakdown: &'a Breakdown<'t>, time: &'a CallTime<'t>) -> Self {
        let reasons = breakdown.reasons(time).into_iter();
        let path = breakdown.path(time).into_iter();
        Self {
            example: breakdown.example(time),
            trace_id: time.call.span.trace_id(),
            span_id: time.call.span.id(),
            total_ns: time.total_ns,
            program_before_ns: time.program.map(|program| program.before_ns),
            program_after_ns: time.program.map(|program| program.after_ns),
            server_moved_ns: time.moved_ns,
            read_not_measured: time.read,
            elsewhere: time.elsewhere.map(|elsewhere| JsonElsewhere {
                about: elsewhere.about,
                span: elsewhere.span.name(),
                trace_id: elsewhere.span.trace_id(),
                after_ns: elsewhere.after_ns,
                ns: elsewhere.span.duration_ns(),
            }),
            reasons: reasons.map(JsonReason::from).collect(),
            path: path
                .map(|stretch| JsonStretch {
                    stage: stretch.stage.map(name),
                    span: stretch.span.name(),
                    service: stretch.span.service_name(),
                    span_id: stretch.span.id(),
                    from_ns: stretch.from_ns,
                    to_ns: stretch.to_ns,
                })
                .collect(),
            logs: breakdown.logged(time).iter().map(JsonLine::from).collect(),
        }
    }
}

impl<'a> From<&LoggedLine<'a>> for JsonLine<'a> {
    fn from(logged: &LoggedLine<'a>) -> Self {
        let line = logged.line;
        Self {
            stage: logged.stage.map(name),
            at_ns: logged.at_ns,
            level: line.level,
            source: line.source,
            text: line.text,
            server: line.is_server,
            may_be_of_another_call: logged.may_be_of_another,
        }
    }
}

impl From<Reason> for JsonReason {
    fn from(reason: Reason) -> Self {
        Self {
            name: reason.name,
            ns: reason.ns,
            says: reason.says,
            advice: reason.advice,
            source: reason.source,
            guess: reason.is_guess,
            evidence: reason.evidence,
        }
    }
}

impl<'a> JsonChange<'a> {
    fn of(change: &'a Change<'_>) -> Self {
        let [before, after] = change.total;
        Self {
            step: change.step,
            method: change.method,
            calls: change.calls,
            before: before.into(),
            after: after.into(),
            change: change.by.into(),
            stages: change
                .stages
                .iter()
                .map(|stage| JsonStageChange {
                    name: stage.stage.map(name),
                    before_median_ns: stage.median[0],
                    after_median_ns: stage.median[1],
                    change: stage.by.into(),
                })
                .collect(),
        }
    }
}

impl From<Difference> for JsonDifference {
    fn from(by: Difference) -> Self {
        Self {
            ns: by.by,
            interval_ns: by.interval,
            certain: by.is_certain(),
        }
    }
}

fn name(stage: StageId) -> &'static str {
    &Model::builtin().stage(stage).name
}
