//! Steps and calls.

use super::place::Place;
use super::words::rename_rpc;
use crate::edit::{Edit, Expected};

const SERVICE: &str = "milvus.proto.milvus.MilvusService";

/// The steps that the example has, in order, each with its calls.
fn steps(edit: &Edit<'_>) -> Vec<(String, Vec<Place>)> {
    let mut steps: Vec<(String, Vec<Place>)> = Vec::new();
    for place in edit.calls() {
        let name = place.step.clone().unwrap_or_default();
        match steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, places)) => places.push(place),
            None => steps.push((name, vec![place])),
        }
    }
    steps
}

pub(super) fn lose_step(edit: &mut Edit<'_>) -> Option<Expected> {
    let contract = trace_parity::Contract::builtin();
    let required: Vec<(String, Vec<Place>)> = steps(edit)
        .into_iter()
        .filter(|(name, _)| !contract.is_optional(name))
        .collect();
    let (name, places) = edit.random.pick(&required)?.clone();
    let gone: Vec<usize> = places
        .iter()
        .flat_map(|place| edit.capture.subtree(place.call))
        .collect();
    edit.capture.remove(&gone);
    Some(Expected {
        step: Some(vec![Some(name)]),
        ..Expected::default()
    })
}

pub(super) fn repeat_step(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    let places: Vec<Place> = edit
        .calls()
        .into_iter()
        .filter(|place| {
            ["CreateCollection", "Insert", "Search", "DropCollection"]
                .contains(&place.method.as_str())
        })
        .collect();
    let place = edit.random.pick(&places)?.clone();
    // After everything else, within the root.
    let last = edit
        .calls()
        .iter()
        .map(|place| edit.end(place.call))
        .max()?;
    let length = edit.end(place.call) - edit.start(place.call);
    let by = i64::try_from(last + 1_000_000 - edit.start(place.call)).ok()?;
    let copies = edit.copy(&place, by);
    let end = edit.end(root).max(last + length + 2_000_000);
    edit.set(root, "endTimeUnixNano", end.to_string());
    Some(edit.at(&place, copies[0]))
}

pub(super) fn swap_steps(edit: &mut Edit<'_>) -> Option<Expected> {
    // Optional steps and what the scenario begins with can stand at other places as well.
    let steps: Vec<(String, Vec<Place>)> = steps(edit)
        .into_iter()
        .filter(|(name, _)| {
            ["create", "wait_loaded", "insert", "search", "drop"].contains(&name.as_str())
        })
        .collect();
    let at = edit.random.below(steps.len().checked_sub(1)?);
    let ((first, before), (second, behind)) = (&steps[at], &steps[at + 1]);
    let start = |places: &[Place]| places.iter().map(|place| edit.start(place.call)).min();
    let end = |places: &[Place]| places.iter().map(|place| edit.end(place.call)).max();
    let back = i64::try_from(start(behind)? - start(before)?).ok()?;
    let forth = i64::try_from(end(behind)? - end(before)?).ok()?;
    let moves: Vec<(usize, i64)> = before
        .iter()
        .map(|place| (place, forth))
        .chain(behind.iter().map(|place| (place, -back)))
        .flat_map(|(place, by)| {
            edit.capture
                .subtree(place.call)
                .into_iter()
                .map(move |index| (index, by))
        })
        .collect();
    for (index, by) in moves {
        edit.capture.spans[index].shift(by);
    }
    Some(Expected {
        step: Some(vec![Some(first.clone()), Some(second.clone())]),
        ..Expected::default()
    })
}

pub(super) fn add_rpc(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let copies = edit.copy(&place, 1);
    rename_rpc(edit, copies[0], "Flush");
    for &index in &copies[1..] {
        if edit.capture.spans[index].text("name").contains(SERVICE) {
            rename_rpc(edit, index, "Flush");
        }
    }
    Some(Expected {
        spans: Some(vec![edit.id(copies[0])]),
        ..Expected::default()
    })
}
