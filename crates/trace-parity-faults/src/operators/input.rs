//! The records as they are written.

use crate::edit::{Edit, Expected};
use trace_parity::Severity;

/// Lines whose spans are all this example's or nobody's, and that hold a call, a server span of a call or the root.
fn own_lines(edit: &Edit<'_>) -> Vec<usize> {
    let trace = edit.trace();
    let others: Vec<String> = edit
        .clean
        .verdict
        .examples
        .iter()
        .filter_map(|example| example.trace_id.map(|id| id.to_string()))
        .filter(|id| *id != trace)
        .collect();
    let calls = edit.calls();
    let mut lines: Vec<usize> = calls
        .iter()
        .flat_map(|place| [place.call, place.server])
        .chain(edit.root())
        .map(|index| edit.capture.spans[index].line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let foreign = |line: usize| {
        let mut spans = edit.capture.spans.iter().filter(|entry| entry.line == line);
        spans.any(|entry| others.iter().any(|other| other == entry.text("traceId")))
    };
    lines.retain(|&line| !foreign(line));
    lines
}

/// The capture's bytes with the one line's text changed.
fn rewritten(edit: &Edit<'_>, line: usize, change: impl Fn(&str) -> String, last: bool) -> Vec<u8> {
    let bytes = edit.capture.bytes();
    let text = String::from_utf8_lossy(&bytes);
    let mut numbers: Vec<usize> = edit.capture.spans.iter().map(|entry| entry.line).collect();
    numbers.dedup();
    let mut out = Vec::new();
    let mut kept = None;
    for (number, text) in numbers.iter().zip(text.lines()) {
        if *number != line {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        } else if last {
            kept = Some(change(text));
        } else {
            out.extend_from_slice(change(text).as_bytes());
            out.push(b'\n');
        }
    }
    out.extend(kept.unwrap_or_default().into_bytes());
    out
}

fn broken(bytes: Vec<u8>) -> Expected {
    Expected {
        severity: Some(Severity::Error),
        bytes: Some(bytes),
        ..Expected::default()
    }
}

pub(super) fn truncate(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    // Early enough that something which the scenario needs is lost.
    let cut = |text: &str| text.chars().take(40).collect();
    Some(broken(rewritten(edit, line, cut, true)))
}

pub(super) fn corrupt(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    let corrupt = |text: &str| text.replacen("\"resource\":", "\"resource\"", 1);
    Some(broken(rewritten(edit, line, corrupt, false)))
}

pub(super) fn corrupt_id(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.server, "spanId", "0X");
    Some(Expected {
        severity: Some(Severity::Error),
        ..Expected::default()
    })
}

pub(super) fn unknown_field(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "spanColour", "blue");
    Some(Expected {
        nobodys: true,
        ..Expected::default()
    })
}

pub(super) fn duplicate_record(edit: &mut Edit<'_>) -> Option<Expected> {
    let lines = own_lines(edit);
    let line = *edit.random.pick(&lines)?;
    let own = |edit: &Edit<'_>, entry: &crate::capture::Entry| {
        entry.line == line && entry.text("traceId") == edit.trace()
    };
    let mut copies: Vec<_> = edit
        .capture
        .spans
        .iter()
        .filter(|entry| own(edit, entry))
        .cloned()
        .collect();
    let last = edit.capture.spans.iter().map(|entry| entry.line).max()?;
    copies.iter_mut().for_each(|entry| entry.line = last + 1);
    edit.capture.spans.extend(copies);
    Some(Expected {
        severity: Some(Severity::Info),
        ..Expected::default()
    })
}
