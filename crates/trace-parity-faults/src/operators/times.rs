//! Starts and ends.

use crate::edit::{Edit, Expected};

const HOUR_NS: i64 = 3_600_000_000_000;

fn reverse(edit: &mut Edit<'_>, index: usize) {
    let (start, end) = (edit.start(index), edit.end(index));
    edit.set(index, "startTimeUnixNano", end.to_string());
    edit.set(index, "endTimeUnixNano", start.to_string());
}

pub(super) fn reverse_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reverse(edit, place.call);
    Some(edit.at(&place, place.call))
}

pub(super) fn reverse_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reverse(edit, place.server);
    Some(edit.at(&place, place.server))
}

pub(super) fn reverse_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    reverse(edit, root);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

fn hour(edit: &mut Edit<'_>) -> i64 {
    if edit.random.below(2) == 0 {
        HOUR_NS
    } else {
        -HOUR_NS
    }
}

pub(super) fn move_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, by) = (edit.call()?, hour(edit));
    edit.capture.spans[place.call].shift(by);
    Some(edit.at(&place, place.call))
}

pub(super) fn move_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, by) = (edit.call()?, hour(edit));
    edit.capture.spans[place.server].shift(by);
    Some(edit.at(&place, place.server))
}

pub(super) fn zero_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "startTimeUnixNano", "0");
    Some(edit.at(&place, place.call))
}
