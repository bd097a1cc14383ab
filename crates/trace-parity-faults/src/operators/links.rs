//! Parents, ids and traces.

use crate::edit::{Edit, Expected};

pub(super) fn cut_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "parentSpanId", "");
    Some(edit.at(&place, place.call))
}

pub(super) fn cut_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.server, "parentSpanId", "");
    Some(edit.at(&place, place.server))
}

pub(super) fn cut_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    edit.set(inner, "parentSpanId", "");
    Some(edit.at(&place, inner))
}

pub(super) fn invent_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let id = edit.new_id();
    edit.set(place.call, "parentSpanId", id);
    Some(edit.at(&place, place.call))
}

pub(super) fn invent_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let id = edit.new_id();
    edit.set(place.server, "parentSpanId", id);
    Some(edit.at(&place, place.server))
}

pub(super) fn invent_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    let id = edit.new_id();
    edit.set(inner, "parentSpanId", id);
    Some(edit.at(&place, inner))
}

fn reparent(edit: &mut Edit<'_>, child: usize, parent: usize) {
    let id = edit.capture.spans[parent].text("spanId").to_owned();
    edit.set(child, "parentSpanId", id);
}

pub(super) fn call_under_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.call, first.call);
    Some(edit.at(&second, second.call))
}

pub(super) fn call_under_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.call, first.server);
    Some(edit.at(&second, second.call))
}

pub(super) fn server_under_other(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, second.server, first.call);
    Some(edit.at(&second, second.server))
}

pub(super) fn server_under_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, root) = (edit.call()?, edit.root()?);
    reparent(edit, place.server, root);
    Some(edit.at(&place, place.server))
}

pub(super) fn swap_servers(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    reparent(edit, first.server, second.call);
    reparent(edit, second.server, first.call);
    Some(Expected {
        step: Some(vec![first.step.clone(), second.step.clone()]),
        spans: Some(vec![edit.id(first.server), edit.id(second.server)]),
        ..Expected::default()
    })
}

pub(super) fn cycle_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reparent(edit, place.call, place.server);
    Some(Expected {
        spans: Some(vec![edit.id(place.call), edit.id(place.server)]),
        ..edit.at(&place, place.call)
    })
}

pub(super) fn cycle_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, top, children) = edit.inner(true)?;
    let child = *edit.random.pick(&children)?;
    reparent(edit, top, child);
    Some(Expected {
        spans: Some(vec![edit.id(top), edit.id(child)]),
        ..edit.at(&place, top)
    })
}

pub(super) fn cycle_self(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    reparent(edit, inner, inner);
    Some(edit.at(&place, inner))
}

pub(super) fn repeat_id_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    let id = edit.capture.spans[first.call].text("spanId").to_owned();
    edit.set(second.call, "spanId", id);
    Some(Expected {
        step: Some(vec![first.step.clone(), second.step.clone()]),
        ..edit.at(&first, first.call)
    })
}

pub(super) fn repeat_id_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    let work: Vec<usize> = edit
        .capture
        .subtree(place.server)
        .into_iter()
        .skip(1)
        .filter(|&index| index != inner)
        .collect();
    let other = *edit.random.pick(&work)?;
    let id = edit.capture.spans[other].text("spanId").to_owned();
    edit.set(inner, "spanId", id);
    Some(edit.at(&place, other))
}

pub(super) fn split_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.call, &trace);
    Some(edit.at(&place, place.call))
}

pub(super) fn split_call_cut(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.call, &trace);
    edit.set(place.call, "parentSpanId", "");
    Some(edit.at(&place, place.call))
}

pub(super) fn split_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let trace = edit.new_trace();
    edit.move_to_trace(place.server, &trace);
    Some(edit.at(&place, place.server))
}

fn reroot(edit: &mut Edit<'_>, server: usize) {
    let trace = edit.new_trace();
    edit.move_to_trace(server, &trace);
    edit.set(server, "parentSpanId", "");
}

pub(super) fn reroot_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    reroot(edit, place.server);
    Some(edit.at(&place, place.call))
}

pub(super) fn reroot_all(edit: &mut Edit<'_>) -> Option<Expected> {
    let children = edit.capture.children();
    let mut servers = Vec::new();
    for call in edit.client() {
        let entry = &edit.capture.spans[call];
        let key = (
            entry.text("traceId").to_owned(),
            entry.text("spanId").to_owned(),
        );
        let service = entry.service().to_owned();
        servers.extend(
            children
                .get(&key)
                .into_iter()
                .flatten()
                .filter(|&&child| edit.capture.spans[child].service() != service),
        );
    }
    for server in servers {
        reroot(edit, server);
    }
    Some(Expected {
        step: Some(vec![None]),
        ..Expected::default()
    })
}
