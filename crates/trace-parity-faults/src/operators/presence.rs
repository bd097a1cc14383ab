//! Spans that are gone.

use crate::edit::{Edit, Expected};

pub(super) fn drop_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let expected = edit.at(&place, place.server);
    edit.capture.remove(&[place.call]);
    Some(expected)
}

pub(super) fn drop_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let expected = edit.at(&place, place.call);
    edit.capture.remove(&[place.server]);
    Some(expected)
}

pub(super) fn drop_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, gone, children) = edit.inner(true)?;
    let expected = Expected {
        spans: Some(children.iter().map(|&child| edit.id(child)).collect()),
        ..edit.at(&place, gone)
    };
    edit.capture.remove(&[gone]);
    Some(expected)
}

pub(super) fn drop_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.capture.remove(&[root]);
    Some(Expected::default())
}

pub(super) fn lose_all(edit: &mut Edit<'_>) -> Option<Expected> {
    let gone = edit.client();
    edit.capture.remove(&gone);
    Some(Expected::default())
}

/// Without its instrumentation the client sends no context, so each server half is a trace of its own.
pub(super) fn uninstrumented(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    let expected = Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    };
    let calls: Vec<usize> = edit
        .client()
        .into_iter()
        .filter(|&index| index != root)
        .collect();
    for &call in &calls {
        for server in edit.capture.subtree(call).into_iter().skip(1).take(1) {
            edit.set(server, "parentSpanId", "");
            let trace = edit.new_trace();
            edit.move_to_trace(server, &trace);
        }
    }
    edit.capture.remove(&calls);
    Some(expected)
}

pub(super) fn take_out_core(edit: &mut Edit<'_>) -> Option<Expected> {
    let contract = trace_parity::Contract::builtin();
    let mut found = Vec::new();
    for place in edit.calls() {
        let core = contract.server_core(place.step.as_deref()?);
        let work = edit.capture.subtree(place.server);
        for &index in &work {
            let name = edit.capture.spans[index].text("name");
            let count = work
                .iter()
                .filter(|&&other| edit.capture.spans[other].text("name") == name)
                .count();
            let others = edit.calls();
            let again = others
                .iter()
                .filter(|other| other.step == place.step && other.method == place.method)
                .count();
            if core.iter().any(|core| core == name) && count == 1 && again == 1 {
                found.push((place.clone(), index));
            }
        }
    }
    let (place, gone) = edit.random.pick(&found)?.clone();
    let (id, parent) = (
        edit.capture.spans[gone].text("spanId").to_owned(),
        edit.capture.spans[gone].text("parentSpanId").to_owned(),
    );
    for index in edit.capture.subtree(gone) {
        if edit.capture.spans[index].text("parentSpanId") == id {
            edit.set(index, "parentSpanId", parent.clone());
        }
    }
    let expected = edit.at(&place, place.call);
    edit.capture.remove(&[gone]);
    Some(expected)
}
