//! Where the time of each operation goes, as the page draws it.

use std::collections::HashMap;

use serde::Serialize;
use trace_breakdown::{Breakdown, By, CallTime, Group, Model, StageId, groups};
use trace_parity::{Contract, TraceId, Traces};

use super::spans::{SpanBlock, SpanPlace, shown};
use crate::run::Run;
use crate::words;

/// Columns of a name.
const NAME: usize = 200;
/// Operations, and examples of one operation, that are on the page.
const OPERATIONS: usize = 60;
const ROWS: usize = 40;
/// Of a call's frames, those that are shorter than this part of it are less than a pixel wide, and are left out.
const SHORTEST: u64 = 1_000;
const FRAMES: usize = 200;
/// Lines of logs of one call, and columns of a line.
const LINES: usize = 50;
const LINE: usize = 500;

#[derive(Serialize)]
pub(super) struct StagesView {
    /// In the order of a call; parts name them by their places.
    stages: Vec<StageView>,
    operations: Vec<MethodView>,
}

#[derive(Serialize)]
struct StageView {
    title: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct MethodView {
    step: Option<String>,
    method: String,
    rows: Vec<RowView>,
    slowest: FlameView,
}

/// One call as a flame graph: a column per field, parents before children.
#[derive(Default, Serialize)]
struct FlameView {
    example: String,
    total: u64,
    depths: Vec<usize>,
    /// Nanoseconds since the call's start.
    starts: Vec<u64>,
    lengths: Vec<u64>,
    /// In which the call waited for the span's own work.
    waited: Vec<u64>,
    names: Vec<String>,
    stages: Vec<Option<usize>>,
    spans: Vec<Option<SpanPlace>>,
    /// Spans that are left out.
    left_out: usize,
    lines: Vec<LineView>,
    /// Lines that are left out.
    lines_left_out: usize,
}

#[derive(Serialize)]
struct LineView {
    stage: Option<usize>,
    at: u64,
    /// Level, source and text.
    text: String,
    may_be_of_another: bool,
}

/// The calls of one example, its repeats taken together.
#[derive(Serialize)]
struct RowView {
    example: String,
    calls: usize,
    /// Nanoseconds of a call in the mean. Those of the parts and `unexplained` add up to it, but for rounding.
    total: u64,
    parts: Vec<(usize, u64)>,
    unexplained: u64,
    /// Of the slowest call.
    reason: Option<ReasonView>,
}

#[derive(Serialize)]
struct ReasonView {
    name: &'static str,
    says: &'static str,
    ns: u64,
    of: u64,
    guess: bool,
}

impl StagesView {
    pub(super) fn of(run: &Run, traces: &Traces, spans: &SpanBlock) -> Self {
        let verdict = &run.verdict;
        let model = Model::builtin();
        let contract = Contract::builtin();
        let contract = Some(&contract).filter(|_| !verdict.steps.is_empty());
        let examples = &verdict.examples;
        let names: HashMap<TraceId, &str> = examples
            .iter()
            .flat_map(|example| example.traces.iter().map(|id| (*id, example.name.as_str())))
            .collect();
        let mut breakdown = Breakdown::of(traces, contract, None)
            .named(|trace| names.get(&trace).map(|name| (*name).to_owned()));
        if let Some(signals) = &run.signals {
            breakdown = breakdown.with_logs(signals);
        }
        let mut operations: Vec<MethodView> = Vec::new();
        let mut slowest: Vec<&CallTime<'_>> = Vec::new();
        for group in groups(&breakdown, By::Language, None) {
            let step = group.step.map(|step| shown(step, NAME));
            let method = shown(group.method, NAME);
            let same = |known: &MethodView| known.step == step && known.method == method;
            let place = operations.iter().position(same).unwrap_or_else(|| {
                operations.push(MethodView {
                    step: step.clone(),
                    method: method.clone(),
                    rows: Vec::new(),
                    slowest: FlameView::default(),
                });
                slowest.push(group.worst());
                operations.len() - 1
            });
            if group.worst().total_ns >= slowest[place].total_ns {
                slowest[place] = group.worst();
            }
            if operations[place].rows.len() < ROWS {
                let row = row(&breakdown, &group);
                operations[place].rows.push(row);
            }
        }
        operations.truncate(OPERATIONS);
        for (operation, time) in operations.iter_mut().zip(slowest) {
            operation.slowest = FlameView::of(&breakdown, time, spans);
        }
        let place = |row: &RowView| {
            let mut names = examples.iter().map(|example| shown(&example.name, NAME));
            names
                .position(|name| name == row.example)
                .unwrap_or(usize::MAX)
        };
        for operation in &mut operations {
            operation.rows.sort_by_cached_key(place);
        }
        let stages = model.stages().map(|(_, stage)| StageView {
            title: &stage.title,
            about: &stage.about,
        });
        Self {
            stages: stages.collect(),
            operations,
        }
    }
}

impl FlameView {
    fn of<'t>(breakdown: &Breakdown<'t>, time: &CallTime<'t>, spans: &SpanBlock) -> Self {
        let mut view = Self {
            example: shown(breakdown.example(time), NAME),
            total: time.total_ns,
            ..Self::default()
        };
        let mut below_left_out = usize::MAX;
        for frame in breakdown.frames(time) {
            let length = frame.to_ns - frame.from_ns;
            if frame.depth > below_left_out {
                view.left_out += 1;
                continue;
            }
            below_left_out = usize::MAX;
            if length < time.total_ns / SHORTEST || view.depths.len() == FRAMES {
                below_left_out = frame.depth;
                view.left_out += 1;
                continue;
            }
            view.depths.push(frame.depth);
            view.starts.push(frame.from_ns);
            view.lengths.push(length);
            view.waited.push(frame.waited_ns);
            view.names.push(shown(frame.span.name(), NAME));
            view.stages.push(frame.stage.map(StageId::index));
            let place = spans.place(Some(frame.span.trace_id()), Some(frame.span.id()));
            view.spans.push(place);
        }
        let lines = breakdown.logged(time);
        view.lines_left_out = lines.len().saturating_sub(LINES);
        let lines = lines.iter().take(LINES).map(|logged| LineView {
            stage: logged.stage.map(StageId::index),
            at: logged.at_ns,
            text: shown(&words::log_line(&logged.line), LINE),
            may_be_of_another: logged.may_be_of_another,
        });
        view.lines = lines.collect();
        view
    }
}

fn row<'t>(breakdown: &Breakdown<'t>, group: &Group<'_, 't>) -> RowView {
    let calls = group.calls.len() as u64;
    let slowest = group.worst();
    let first = breakdown.reasons(slowest).into_iter().next();
    let places = Model::builtin().stages().map(|(id, _)| id);
    let parts = places.enumerate().filter_map(|(place, id)| {
        let own = group.stages.iter().find(|stage| stage.stage == id)?;
        Some((place, own.sum_ns / calls))
    });
    RowView {
        example: shown(&group.key, NAME),
        calls: group.calls.len(),
        total: group.sum_ns() / calls,
        parts: parts.collect(),
        unexplained: group.unexplained.sum_ns / calls,
        reason: first.map(|reason| ReasonView {
            name: reason.name,
            says: reason.says,
            ns: reason.ns,
            of: slowest.total_ns,
            guess: reason.is_guess,
        }),
    }
}
