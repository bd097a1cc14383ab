//! The table with a row per step and a column per example, in blocks where it is wider than the screen.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use trace_parity::{
    ExampleOutcome, ExampleTiming, ExampleVerdict, OperationCell, OperationRow, Outcome, Severity,
    SignalCell, SignalState, Spread, Verdict, timing,
};

use super::layout::Page;
use super::style::Role;
use crate::escape;
use crate::run::Run;
use crate::words;

const LABEL_COLUMNS: RangeInclusive<usize> = 16..=28;
const CELL_COLUMNS: RangeInclusive<usize> = 8..=20;
const GAP: &str = "  ";

/// A row: its label, and a cell for each column.
pub(crate) struct TableRow {
    pub(crate) label: String,
    pub(crate) cells: Vec<(Role, String)>,
}

/// The aligned table: each example's calls in each step, and its vocabulary.
pub(super) fn outcome(page: &mut Page, run: &Run) {
    let verdict = &run.verdict;
    if verdict.outcome == Outcome::CouldNotRun {
        return;
    }
    let mut rows: Vec<TableRow> = verdict
        .steps
        .iter()
        .map(|row| step_row(page, verdict, row))
        .collect();
    let title = if rows.is_empty() { "" } else { "step" };
    if rows.is_empty() {
        rows.extend(counts(page, verdict));
        let operations = verdict.operations.iter();
        rows.extend(operations.map(|row| operation_row(page, row)));
    }
    rows.push(per_example(page, "vocabulary", verdict, vocabulary));
    if verdict.outcome != Outcome::Consistent {
        rows.push(per_example(page, "verdict", verdict, |_, example| {
            overall(example.outcome)
        }));
    }
    let examples: Vec<&str> = verdict.examples.iter().map(|e| e.name.as_str()).collect();
    print(page, title, &examples, &rows);
}

/// What each example sent beside its spans.
pub(super) fn signals(page: &mut Page, verdict: &Verdict) {
    if verdict.signals.is_empty() || verdict.outcome == Outcome::CouldNotRun {
        return;
    }
    // Names of metrics are wider than a column.
    let cell = |cell: &SignalCell| match cell.state {
        SignalState::There => (Role::Plain, cell.text.clone()),
        SignalState::Renamed => (Role::Known, format!("~ renamed, {}", cell.text)),
        SignalState::Missing => (Role::Faint, "missing".to_owned()),
        SignalState::Differs => (Role::Bad, format!("! {}", cell.text)),
    };
    let rows: Vec<TableRow> = verdict
        .signals
        .iter()
        .map(|row| TableRow {
            label: row.name.clone(),
            cells: row.cells.iter().map(cell).collect(),
        })
        .collect();
    let examples: Vec<&str> = verdict.examples.iter().map(|e| e.name.as_str()).collect();
    print(page, "signal", &examples, &rows);
}

type TimeOf = fn(&ExampleTiming) -> Option<Spread>;

/// The cells of the tables of times.
const TIMES: [(&str, TimeOf); 3] = [
    ("client time", |timing| Some(timing.client)),
    ("server time", |timing| timing.server),
    ("the gap between", |timing| timing.gap),
];

/// The time in each step's client calls, in the server's half of them, and between; of repeats, the median and the worst.
pub(super) fn times(page: &mut Page, verdict: &Verdict) {
    let steps = timing(verdict);
    let all: Vec<&ExampleTiming> = steps.iter().flat_map(|step| &step.examples).collect();
    let known: HashSet<&str> = all.iter().map(|timing| timing.example.as_str()).collect();
    let names = verdict.examples.iter().map(|example| example.name.as_str());
    let columns = words::distinct(names.filter(|name| known.contains(name)));
    let repeated = all.iter().any(|timing| timing.runs > 1);
    for (index, (title, time)) in TIMES.into_iter().enumerate() {
        let is_gap = index + 1 == TIMES.len();
        let rows: Vec<TableRow> = steps
            .iter()
            .map(|step| TableRow {
                label: format!(
                    "{}{}",
                    step.step,
                    if step.per_poll { ", a poll" } else { "" }
                ),
                cells: columns
                    .iter()
                    .map(|column| {
                        let timing = step.examples.iter().find(|known| known.example == *column);
                        let time = timing.and_then(|timing| Some((timing, time(timing)?)));
                        time.map_or_else(
                            || nothing(page),
                            |(timing, time)| spread(timing.runs, time, is_gap && timing.outlier),
                        )
                    })
                    .collect(),
            })
            .collect();
        let title = format!("{title}{}", if repeated { " (worst)" } else { "" });
        if !rows.is_empty() {
            print(page, &title, &columns, &rows);
        }
    }
    if all.iter().any(|timing| timing.outlier) {
        page.paragraph(
            "* ",
            "  ",
            "an outlier: over three times the others' median, and over five milliseconds more",
        );
    }
}

fn spread(runs: u64, time: Spread, outlier: bool) -> (Role, String) {
    let [median, worst] = [time.median, time.worst].map(words::nanoseconds);
    let mark = if outlier { "* " } else { "" };
    let role = if outlier { Role::Known } else { Role::Plain };
    match runs {
        1 => (role, format!("{mark}{median}")),
        _ => (role, format!("{mark}{median} ({worst})")),
    }
}

fn step_row(page: &Page, verdict: &Verdict, row: &trace_parity::StepRow) -> TableRow {
    let texts = words::cells(row);
    let cells =
        row.cells
            .iter()
            .zip(texts)
            .zip(&verdict.examples)
            .map(|((cell, text), example)| {
                let worst = words::worst_at(verdict, &example.name, &row.name);
                match (cell, worst) {
                    (None, Some(Severity::Error)) => (Role::Bad, "missing".to_owned()),
                    (None, _) => nothing(page),
                    (Some(_), Some(Severity::Error)) => (Role::Bad, format!("! {text}")),
                    (Some(_), Some(Severity::Warning)) => (Role::Warning, format!("! {text}")),
                    (Some(cell), _) if cell.joined < cell.count => (Role::Bad, text),
                    (Some(_), _) => (Role::Plain, text),
                }
            });
    TableRow {
        label: row.name.clone(),
        cells: cells.collect(),
    }
}

fn operation_row(page: &Page, row: &OperationRow) -> TableRow {
    let cell = |cell: &Option<OperationCell>| match cell {
        None => nothing(page),
        Some(cell) if cell.joined < cell.calls => (Role::Bad, words::operation(cell)),
        Some(cell) if cell.without_calls > 0 => (Role::Warning, words::operation(cell)),
        Some(cell) => (Role::Plain, words::operation(cell)),
    };
    TableRow {
        label: row.name.clone(),
        cells: row.cells.iter().map(cell).collect(),
    }
}

/// Without a contract there are no steps; these rows show the number of spans and calls.
fn counts(page: &Page, verdict: &Verdict) -> [TableRow; 3] {
    let row = |label: &str, count: fn(&ExampleVerdict) -> u64| {
        per_example(page, label, verdict, |_, example| {
            (Role::Plain, count(example).to_string())
        })
    };
    [
        row("spans", |e| e.spans),
        row("client calls", |e| e.client_rpcs),
        row("joined", |e| e.joined),
    ]
}

fn per_example(
    page: &Page,
    label: &str,
    verdict: &Verdict,
    cell: impl Fn(&Verdict, &ExampleVerdict) -> (Role, String),
) -> TableRow {
    let cells = verdict
        .examples
        .iter()
        .map(|example| match example.outcome {
            ExampleOutcome::CouldNotRun => nothing(page),
            _ => cell(verdict, example),
        });
    TableRow {
        label: label.to_owned(),
        cells: cells.collect(),
    }
}

fn vocabulary(verdict: &Verdict, example: &ExampleVerdict) -> (Role, String) {
    let found = verdict
        .findings
        .iter()
        .filter(|f| f.example.as_deref() == Some(&*example.name))
        .filter_map(|f| words::vocabulary(f.rule));
    let expected = verdict
        .expected_divergences
        .iter()
        .filter(|d| d.examples.contains(&example.name))
        .filter_map(|d| words::vocabulary(d.rule));
    let (found, expected) = (words::distinct(found), words::distinct(expected));
    match (found.as_slice(), expected.as_slice()) {
        ([], []) if example.trace_id.is_none() => (Role::Faint, "-".to_owned()),
        ([], []) => (Role::Good, "ok".to_owned()),
        ([], known) => (Role::Known, format!("~ {}", first_and_count(known))),
        (wrong, _) => (Role::Bad, format!("! {}", first_and_count(wrong))),
    }
}

fn first_and_count(words: &[&str]) -> String {
    match words {
        [only] => (*only).to_owned(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
        [] => String::new(),
    }
}

fn overall(outcome: ExampleOutcome) -> (Role, String) {
    let (role, word) = match outcome {
        ExampleOutcome::Pass => (Role::Good, "ok"),
        ExampleOutcome::ExpectedDivergence => (Role::Known, "~ expected"),
        ExampleOutcome::Fail => (Role::Bad, "! fails"),
        ExampleOutcome::CouldNotRun => (Role::Faint, "not run"),
    };
    (role, word.to_owned())
}

fn nothing(page: &Page) -> (Role, String) {
    let dash = if page.style.ascii { "-" } else { "–" };
    (Role::Faint, dash.to_owned())
}

/// As many columns side by side as fit, the others in blocks below.
pub(crate) fn print(page: &mut Page, title: &str, columns: &[&str], rows: &[TableRow]) {
    let charset = page.style.charset();
    let names: Vec<String> = columns
        .iter()
        .map(|name| escape::clipped(name, *CELL_COLUMNS.end(), charset))
        .collect();
    let labels = rows.iter().map(|row| row.label.as_str()).chain([title]);
    // On a narrow screen a column with its label still has to fit.
    let label_limit = (page.width() - GAP.len() - CELL_COLUMNS.end()).min(*LABEL_COLUMNS.end());
    let label_columns = widest(labels, *LABEL_COLUMNS.start()..=label_limit);
    let columns: Vec<usize> = (0..names.len())
        .map(|index| {
            let cells = rows
                .iter()
                .filter_map(|row| row.cells.get(index))
                .map(|(_, text)| text.as_str());
            widest(cells.chain([names[index].as_str()]), CELL_COLUMNS)
        })
        .collect();

    for block in blocks(&columns, page.width().saturating_sub(label_columns)) {
        page.gap();
        let header = names[block.clone()]
            .iter()
            .map(|name| (Role::Heading, name.clone()));
        let header: Vec<_> = header.collect();
        print_row(
            page,
            (Role::Heading, title),
            label_columns,
            &header,
            &columns[block.clone()],
        );
        for row in rows {
            let cells = row.cells.get(block.clone()).unwrap_or_default();
            print_row(
                page,
                (Role::Plain, &row.label),
                label_columns,
                cells,
                &columns[block.clone()],
            );
        }
    }
}

fn print_row(
    page: &mut Page,
    label: (Role, &str),
    label_columns: usize,
    cells: &[(Role, String)],
    columns: &[usize],
) {
    let mut pieces = padded(page, label.0, label.1, label_columns).to_vec();
    for ((role, text), columns) in cells.iter().zip(columns) {
        pieces.push((Role::Plain, GAP.to_owned()));
        pieces.extend(padded(page, *role, text, *columns));
    }
    page.line(&pieces);
}

fn padded(page: &Page, role: Role, text: &str, columns: usize) -> [(Role, String); 2] {
    let text = escape::clipped(text, columns, page.style.charset());
    let padding = " ".repeat(columns - escape::columns(&text));
    [(role, text), (Role::Plain, padding)]
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>, limits: RangeInclusive<usize>) -> usize {
    let widest = texts.map(escape::columns).max().unwrap_or(0);
    widest.clamp(*limits.start(), *limits.end())
}

/// Ranges of columns that fit into `room` together, at least one column each.
fn blocks(columns: &[usize], room: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    let mut used = 0;
    for (index, columns) in columns.iter().enumerate() {
        let needed = GAP.len() + columns;
        if index > start && used + needed > room {
            blocks.push(start..index);
            start = index;
            used = 0;
        }
        used += needed;
    }
    if start < columns.len() {
        blocks.push(start..columns.len());
    }
    blocks
}
