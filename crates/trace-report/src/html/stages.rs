//! Where the time of each operation goes, as the page draws it.

use std::collections::HashMap;

use serde::Serialize;
use trace_breakdown::{Breakdown, By, Group, Model, groups};
use trace_parity::{Contract, TraceId, Traces, Verdict};

use super::spans::shown;

/// Columns of a name.
const NAME: usize = 200;
/// Operations, and examples of one operation, that are on the page.
const OPERATIONS: usize = 60;
const ROWS: usize = 40;

#[derive(Serialize)]
pub(super) struct StagesView {
    /// In the order of a call; parts name them by their places.
    stages: Vec<StageView>,
    operations: Vec<OperationView>,
}

#[derive(Serialize)]
struct StageView {
    title: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct OperationView {
    step: Option<String>,
    method: String,
    rows: Vec<RowView>,
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
    pub(super) fn of(verdict: &Verdict, traces: &Traces) -> Self {
        let model = Model::builtin();
        let contract = Contract::builtin();
        let contract = Some(&contract).filter(|_| !verdict.steps.is_empty());
        let examples = &verdict.examples;
        let names: HashMap<TraceId, &str> = examples
            .iter()
            .flat_map(|example| example.traces.iter().map(|id| (*id, example.name.as_str())))
            .collect();
        let breakdown = Breakdown::of(traces, contract, None)
            .named(|trace| names.get(&trace).map(|name| (*name).to_owned()));
        let mut operations: Vec<OperationView> = Vec::new();
        for group in groups(&breakdown, By::Language, None) {
            let step = group.step.map(|step| shown(step, NAME));
            let method = shown(group.method, NAME);
            let same = |known: &OperationView| known.step == step && known.method == method;
            let place = operations.iter().position(same).unwrap_or_else(|| {
                operations.push(OperationView {
                    step: step.clone(),
                    method: method.clone(),
                    rows: Vec::new(),
                });
                operations.len() - 1
            });
            if operations[place].rows.len() < ROWS {
                let row = row(&breakdown, &group);
                operations[place].rows.push(row);
            }
        }
        operations.truncate(OPERATIONS);
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
