//! What each program did where no contract says what it should do: a row for each operation.

use std::collections::HashMap;

use crate::intern::Str;
use crate::operations::{self, OperationForm};
use crate::traces::Traces;
use crate::view::View;
use crate::view::calls::Call;
use crate::view::examples::Example;
use crate::view::links::Side;

use super::model::{OperationCell, OperationRow, note};

/// The row of calls that are no operation's.
const OTHER: &str = "other calls";

/// Spans above a call that are looked at.
const LAYERS: usize = 64;

pub(super) fn operations(view: &View<'_>) -> Vec<OperationRow> {
    let reader = OperationReader::new(view.traces);
    let columns: Vec<Vec<Option<OperationCell>>> = view
        .examples
        .iter()
        .map(|example| column(view, &reader, example))
        .collect();
    let names = operations::operations().iter().map(|known| &*known.name);
    let rows = names
        .chain([OTHER])
        .enumerate()
        .map(|(row, name)| OperationRow {
            name: name.to_owned(),
            cells: columns.iter().map(|column| column[row].clone()).collect(),
        });
    rows.filter(|row| row.cells.iter().any(Option::is_some))
        .collect()
}

/// What one example did, by row.
fn column(
    view: &View<'_>,
    reader: &OperationReader,
    example: &Example<'_>,
) -> Vec<Option<OperationCell>> {
    let other = operations::operations().len();
    let mut cells: Vec<Option<OperationCell>> = vec![None; other + 1];
    // Each with its row, and whether a call is below it.
    let mut around: HashMap<u32, (usize, bool)> = HashMap::new();
    let spans = example
        .traces
        .iter()
        .flat_map(|&trace| view.traces.traces[trace as usize].spans());
    for span in spans.filter(|span| !reader.forms.is_empty() && is_own(view, *span)) {
        if let Some((row, form)) = reader.operation(view.traces, span) {
            around.insert(span, (row, false));
            let cell = cells[row].get_or_insert_default();
            cell.spans += 1;
            note(
                &mut cell.names,
                view.traces.str(view.traces.record(span).name),
            );
            note(&mut cell.forms, &form.name);
        }
    }
    for call in view.calls_of(example).iter().filter(|call| call.judged) {
        let mut nearest = None;
        for above in above(view.traces, call) {
            if let Some((row, has_call)) = around.get_mut(&above) {
                *has_call = true;
                nearest = nearest.or(Some(*row));
            }
        }
        let row = nearest.or_else(|| operations::by_method(call.method));
        let cell = cells[row.unwrap_or(other)].get_or_insert_default();
        cell.calls += 1;
        cell.joined += u64::from(call.server().is_some());
    }
    for (row, _) in around.into_values().filter(|(_, has_call)| !has_call) {
        cells[row].get_or_insert_default().without_calls += 1;
    }
    cells
}

/// The program's own span, and no call.
fn is_own(view: &View<'_>, span: u32) -> bool {
    view.links.side(span) == Side::Client && !view.call_of.contains_key(&span)
}

fn above<'t>(traces: &'t Traces, call: &Call<'_>) -> impl Iterator<Item = u32> + use<'t> {
    std::iter::successors(traces.parent(call.span), |&span| traces.parent(span)).take(LAYERS)
}

/// Reads operations off spans; has only the forms whose attribute occurs.
struct OperationReader {
    forms: Vec<(Str, Option<Str>, &'static OperationForm)>,
}

impl OperationReader {
    fn new(traces: &Traces) -> Self {
        let forms = operations::forms().iter().filter_map(|form| {
            let word = traces.strings.find(&form.word);
            Some((traces.strings.find(&form.attribute)?, word, form))
        });
        Self {
            forms: forms.collect(),
        }
    }

    fn operation(&self, traces: &Traces, span: u32) -> Option<(usize, &'static OperationForm)> {
        let record = traces.record(span);
        let text = |key: Str| {
            let attribute = traces.attribute(record.attributes, key)?;
            traces.value(attribute).as_str()
        };
        let is_of = |form: &OperationForm, value: &str| {
            form.values.is_empty()
                || form
                    .values
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(value))
        };
        let mut forms = self.forms.iter();
        let (_, word, form) =
            forms.find(|(key, _, form)| text(*key).is_some_and(|value| is_of(form, value)))?;
        let name = traces.str(record.name);
        let word = word.and_then(text).or_else(|| name.rsplit('.').next())?;
        Some((form.operation(word)?, form))
    }
}
