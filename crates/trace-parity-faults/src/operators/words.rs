//! Names, attributes, kinds and statuses.

use serde_json::json;

use crate::capture::find;
use crate::edit::{Edit, Expected};

pub(super) fn rename_rpc(edit: &mut Edit<'_>, index: usize, method: &str) {
    let name = edit.capture.spans[index].text("name").to_owned();
    let prefix = name
        .rsplit_once('/')
        .map_or("", |(prefix, _)| prefix)
        .to_owned();
    edit.set(index, "name", format!("{prefix}/{method}"));
    if let Some(pair) = find(edit.capture.spans[index].attributes(), "rpc.method") {
        pair["value"] = json!({"stringValue": method});
    }
}

pub(super) fn answer_otherwise(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    rename_rpc(edit, place.server, "Flush");
    Some(edit.at(&place, place.call))
}

pub(super) fn rename_service(edit: &mut Edit<'_>, index: usize, name: &str) {
    if let Some(pair) = find(
        edit.capture.spans[index].resource_attributes(),
        "service.name",
    ) {
        pair["value"] = json!({"stringValue": name});
    }
}

pub(super) fn rename_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    for index in edit.capture.subtree(place.server) {
        rename_service(edit, index, "milvus-2");
    }
    Some(edit.at(&place, place.call))
}

pub(super) fn rename_inner(edit: &mut Edit<'_>) -> Option<Expected> {
    let (place, inner, _) = edit.inner(false)?;
    for index in edit.capture.subtree(inner) {
        rename_service(edit, index, "milvus-2");
    }
    Some(edit.at(&place, inner))
}

pub(super) fn rename_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    edit.set(place.call, "name", "rpc");
    Some(edit.at(&place, place.call))
}

pub(super) fn rename_method(edit: &mut Edit<'_>) -> Option<Expected> {
    let (first, second) = edit.two_calls()?;
    let name = edit.capture.spans[second.call].text("name").to_owned();
    edit.set(first.call, "name", name);
    Some(edit.at(&first, first.call))
}

pub(super) fn rename_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.set(root, "name", "main");
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

const NAMED: [&str; 6] = [
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "rpc.grpc.status_code",
    "server.address",
    "server.port",
];

/// An attribute that the contract names and the call has.
fn named(edit: &mut Edit<'_>, call: usize, among: &[&'static str]) -> Option<&'static str> {
    let entry = &mut edit.capture.spans[call];
    let own: Vec<&'static str> = among
        .iter()
        .copied()
        .filter(|key| find(entry.attributes(), key).is_some())
        .collect();
    edit.random.pick(&own).copied()
}

pub(super) fn rename_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &NAMED)?;
    find(edit.capture.spans[place.call].attributes(), key)?["key"] = json!(format!("x.{key}"));
    Some(edit.at(&place, place.call))
}

pub(super) fn newer_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &["rpc.system", "rpc.grpc.status_code"])?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    *pair = match key {
        "rpc.system" => json!({"key": "rpc.system.name", "value": {"stringValue": "grpc"}}),
        _ => json!({"key": "rpc.response.status_code", "value": {"stringValue": "OK"}}),
    };
    Some(edit.at(&place, place.call))
}

pub(super) fn retype_attribute(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(edit, place.call, &["rpc.grpc.status_code", "server.port"])?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    let value = pair["value"]["intValue"].clone();
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    pair["value"] = json!({"stringValue": text});
    Some(edit.at(&place, place.call))
}

pub(super) fn change_value(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let key = named(
        edit,
        place.call,
        &[
            "rpc.system",
            "rpc.service",
            "rpc.method",
            "server.address",
            "server.port",
        ],
    )?;
    let pair = find(edit.capture.spans[place.call].attributes(), key)?;
    pair["value"] = match key {
        "rpc.system" => json!({"stringValue": "connect_rpc"}),
        "rpc.service" => json!({"stringValue": "milvus.proto.data.DataCoord"}),
        "rpc.method" => json!({"stringValue": "Flush"}),
        "server.address" => json!({"stringValue": "192.0.2.1"}),
        _ => json!({"intValue": "1"}),
    };
    Some(edit.at(&place, place.call))
}

pub(super) fn kind_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let kind = *edit.random.pick(&[1, 2, 4])?;
    edit.set(place.call, "kind", kind);
    Some(edit.at(&place, place.call))
}

pub(super) fn kind_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let kind = *edit.random.pick(&[1, 3, 5])?;
    edit.set(place.server, "kind", kind);
    Some(edit.at(&place, place.server))
}

pub(super) fn kind_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    edit.set(root, "kind", 3);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}

fn fail(edit: &mut Edit<'_>, index: usize, code: Option<i32>) {
    edit.set(
        index,
        "status",
        json!({"code": 2, "message": "no such collection"}),
    );
    if let Some(code) = code
        && let Some(pair) = find(
            edit.capture.spans[index].attributes(),
            "rpc.grpc.status_code",
        )
    {
        pair["value"] = json!({"intValue": code.to_string()});
    }
}

pub(super) fn status_call(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    let code = *edit.random.pick(&[None, Some(4), Some(14)])?;
    fail(edit, place.call, code);
    Some(edit.at(&place, place.call))
}

pub(super) fn status_server(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    fail(edit, place.server, Some(13));
    Some(edit.at(&place, place.call))
}

pub(super) fn status_both(edit: &mut Edit<'_>) -> Option<Expected> {
    let place = edit.call()?;
    fail(edit, place.call, Some(13));
    fail(edit, place.server, Some(13));
    Some(edit.at(&place, place.call))
}

pub(super) fn status_root(edit: &mut Edit<'_>) -> Option<Expected> {
    let root = edit.root()?;
    fail(edit, root, None);
    Some(Expected {
        spans: Some(vec![edit.id(root)]),
        ..Expected::default()
    })
}
