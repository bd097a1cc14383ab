//! Fills the verdict from what the stages before it left.

use std::collections::HashMap;

use crate::divergence::ShownDivergence;
use crate::draft::Draft;
use crate::facts::Exit;
use crate::ids::TraceId;
use crate::rule::{Rule, Severity};
use crate::traces::Value;
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;
use crate::wire::WireTime;

use super::model::{
    Cell, CellCall, ExampleOutcome, ExampleVerdict, Finding, ObservedDivergence, Outcome, StepRow,
    Verdict, note,
};
use super::operations::operations;
use super::signals::signals;

/// The verdict over the findings that stand and the divergences that were shown.
pub(crate) fn assemble(view: &View<'_>, drafts: &[Draft], expected: &[ShownDivergence]) -> Verdict {
    let seen = Seen::new(view.examples.len(), drafts, expected);
    let findings = findings(view, drafts);
    Verdict {
        outcome: outcome(view, &findings),
        examples: (0..)
            .zip(&view.examples)
            .map(|(index, example)| example_verdict(view, index, example, &seen))
            .collect(),
        steps: if view.scenario {
            steps(view, &seen)
        } else {
            Vec::new()
        },
        operations: if view.scenario {
            Vec::new()
        } else {
            operations(view)
        },
        findings,
        signals: signals(view, drafts),
        expected_divergences: observed(view, expected),
    }
}

/// What each example is judged by.
struct Seen<'d> {
    /// Per example.
    drafts: Vec<Vec<&'d Draft>>,
    /// Per example, the rules whose difference was expected.
    expected: Vec<Vec<Rule>>,
}

impl<'d> Seen<'d> {
    fn new(examples: usize, drafts: &'d [Draft], expected: &[ShownDivergence]) -> Self {
        let mut seen = Seen {
            drafts: vec![Vec::new(); examples],
            expected: vec![Vec::new(); examples],
        };
        for (draft, example) in drafts
            .iter()
            .filter_map(|draft| Some((draft, draft.example?)))
        {
            seen.drafts[example as usize].push(draft);
        }
        for expected in expected {
            seen.expected[expected.example as usize].push(expected.rule);
        }
        seen
    }
}

fn outcome(view: &View<'_>, findings: &[Finding]) -> Outcome {
    let told = view.facts.is_some_and(|facts| !facts.examples.is_empty());
    if view.examples.is_empty() && !told {
        Outcome::CouldNotRun
    } else if findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        Outcome::Inconsistent
    } else {
        Outcome::Consistent
    }
}

/// Folds drafts of one rule about one subject of one step of one example, and puts the worst first.
fn findings(view: &View<'_>, drafts: &[Draft]) -> Vec<Finding> {
    let mut order: Vec<&Draft> = drafts.iter().collect();
    order.sort_by_key(|draft| {
        let example = draft.example.unwrap_or(u32::MAX);
        let start = draft
            .span
            .map(|span| (view.traces.record(span).start, span));
        (
            std::cmp::Reverse(draft.severity),
            example,
            start,
            draft.rule,
            draft.input_line,
        )
    });
    let mut folded: Vec<Finding> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for draft in order {
        let key = (
            draft.rule,
            draft.severity,
            draft.example,
            draft.step,
            &draft.subject,
            &draft.hint,
        );
        if let Some(&place) = places.get(&key).filter(|_| draft.subject.is_some()) {
            folded[place].count += draft.count;
        } else {
            places.insert(key, folded.len());
            folded.push(finding(view, draft));
        }
    }
    folded
}

fn finding(view: &View<'_>, draft: &Draft) -> Finding {
    let span = draft.span.map(|span| view.traces.span(span));
    let example = draft
        .example
        .map(|example| &view.examples[example as usize]);
    Finding {
        rule: draft.rule,
        severity: draft.severity,
        example: example.map(|example| example.name.clone()),
        step: view.step_name(draft.step).map(str::to_owned),
        trace_id: span.map(|span| span.trace_id()),
        span_id: span.map(|span| span.id()),
        subject: draft.subject.clone(),
        message: draft.message.clone(),
        hint: draft.hint.clone(),
        count: draft.count,
        input_line: draft.input_line,
    }
}

fn example_verdict(
    view: &View<'_>,
    index: u32,
    example: &Example<'_>,
    seen: &Seen<'_>,
) -> ExampleVerdict {
    let mut rules: Vec<(Rule, ExampleOutcome)> = Vec::new();
    let mut note = |rule: Rule, outcome: ExampleOutcome| match rules
        .iter_mut()
        .find(|(known, _)| *known == rule)
    {
        Some((_, known)) => *known = outcome.max(*known),
        None => rules.push((rule, outcome)),
    };
    for &rule in &seen.expected[index as usize] {
        note(rule, ExampleOutcome::ExpectedDivergence);
    }
    for draft in &seen.drafts[index as usize] {
        match draft.severity {
            Severity::Error => note(draft.rule, ExampleOutcome::Fail),
            Severity::Warning | Severity::Info => note(draft.rule, ExampleOutcome::Pass),
        }
    }
    let never_ran = example
        .facts
        .is_some_and(|facts| facts.exit == Exit::NotStarted);
    if never_ran {
        note(Rule::ExampleFailed, ExampleOutcome::CouldNotRun);
    }
    rules.sort_unstable();
    let worst = rules.iter().map(|&(_, outcome)| outcome).max();
    let calls = view.calls_of(example);
    let first = example
        .traces
        .first()
        .map(|&trace| view.traces.traces[trace as usize].first);
    let root = example.root.or(first).map(|span| view.traces.span(span));
    let language = root.and_then(|root| {
        let mut attributes = root.resource_attributes();
        attributes
            .find(|(key, _)| *key == "telemetry.sdk.language")
            .and_then(|(_, value)| Value::as_str(value).map(str::to_owned))
    });
    let spans = example
        .traces
        .iter()
        .map(|&trace| u64::from(view.traces.traces[trace as usize].len));
    ExampleVerdict {
        name: example.name.clone(),
        outcome: worst.unwrap_or(ExampleOutcome::Pass),
        language,
        trace_id: root.map(|root| root.trace_id()),
        traces: traces_of(view, example),
        spans: spans.sum(),
        client_rpcs: calls.len() as u64,
        joined: calls.iter().filter(|call| call.server().is_some()).count() as u64,
        other_calls: calls
            .iter()
            .filter(|call| call.step.is_none())
            .map(|call| cell_call(view, call))
            .collect(),
        rules,
    }
}

/// The root's trace first.
fn traces_of(view: &View<'_>, example: &Example<'_>) -> Vec<TraceId> {
    let main = example.root.map(|root| view.traces.record(root).trace);
    let others = example
        .traces
        .iter()
        .copied()
        .filter(|&trace| Some(trace) != main);
    main.into_iter()
        .chain(others)
        .map(|trace| view.traces.trace(trace).id())
        .collect()
}

fn steps(view: &View<'_>, seen: &Seen<'_>) -> Vec<StepRow> {
    let mut rows: Vec<StepRow> = (0..)
        .zip(&view.contract.steps)
        .map(|(step, declared)| StepRow {
            name: declared.name.clone(),
            cells: (0..)
                .zip(&view.examples)
                .map(|(index, example)| cell(view, step, example, &seen.drafts[index]))
                .collect(),
        })
        .collect();
    for row in &mut rows {
        mark_unlike(row);
    }
    rows
}

fn cell(view: &View<'_>, step: u16, example: &Example<'_>, drafts: &[&Draft]) -> Option<Cell> {
    let mut cell = Cell {
        polling: view.contract.steps[usize::from(step)].polling,
        ..Cell::default()
    };
    for call in view
        .calls_of(example)
        .iter()
        .filter(|call| call.step == Some(step))
    {
        note(&mut cell.rpcs, call.method);
        cell.count += 1;
        cell.attempts += u64::from(call.attempts);
        for name in view.through_names(call) {
            note(&mut cell.through, name);
        }
        cell.joined += u64::from(call.server().is_some());
        let told = cell_call(view, call);
        let on_wire = told.wire.map_or(0, |wire| wire.took_ns);
        cell.wire_ns = cell.wire_ns.saturating_add(on_wire);
        cell.calls.push(told);
        let time = |span: u32| view.traces.span(span).duration_ns();
        cell.client_ns = cell.client_ns.saturating_add(time(call.span));
        cell.server_ns = cell.server_ns.saturating_add(call.server().map_or(0, time));
    }
    let points_here =
        |draft: &&Draft| draft.severity >= Severity::Warning && draft.step == Some(step);
    cell.differs = drafts.iter().any(points_here);
    (cell.count > 0).then_some(cell)
}

fn cell_call(view: &View<'_>, call: &Call<'_>) -> CellCall {
    let ids = |span: u32| {
        let span = view.traces.span(span);
        (span.trace_id(), span.id())
    };
    let number = view.call_of.get(&call.span);
    let sent = number.zip(view.wire.as_ref());
    let start_ns = view.traces.span(call.span).start_ns();
    CellCall {
        wire: sent.and_then(|(number, wire)| WireTime::of(start_ns, wire.of(*number))),
        client: ids(call.span),
        server: call.server().map(ids),
        elsewhere: call
            .answer
            .span()
            .filter(|_| call.server().is_none())
            .map(ids),
    }
}

/// Marks the cells whose own RPCs are others than most examples'.
fn mark_unlike(row: &mut StepRow) {
    let mut tally: Vec<(Vec<String>, usize)> = Vec::new();
    let sorted = |cell: &Cell| {
        let mut rpcs = cell.rpcs.clone();
        rpcs.sort_unstable();
        rpcs
    };
    for rpcs in row.cells.iter().flatten().map(sorted) {
        match tally.iter_mut().find(|(known, _)| *known == rpcs) {
            Some((_, count)) => *count += 1,
            None => tally.push((rpcs, 1)),
        }
    }
    let all: usize = tally.iter().map(|(_, count)| count).sum();
    let Some((usual, _)) = tally.into_iter().find(|(_, count)| 2 * count > all) else {
        return;
    };
    for cell in row.cells.iter_mut().flatten() {
        cell.differs |= sorted(cell) != usual;
    }
}

/// What was set aside, as the verdict shows it.
fn observed(view: &View<'_>, expected: &[ShownDivergence]) -> Vec<ObservedDivergence> {
    expected
        .chunk_by(|a, b| a.divergence == b.divergence)
        .map(|same| {
            let divergence = &view.contract.divergences[same[0].divergence];
            let name = |e: &ShownDivergence| view.examples[e.example as usize].name.clone();
            ObservedDivergence {
                scope: divergence.scope.clone(),
                rule: divergence.rule,
                subject: divergence.subject.clone(),
                reason: divergence.reason.clone(),
                examples: same.iter().map(name).collect(),
            }
        })
        .collect()
}
