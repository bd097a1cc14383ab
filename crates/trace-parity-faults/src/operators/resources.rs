//! What resources say.

use super::words::rename_service;
use crate::edit::{Edit, Expected};

pub(super) fn rename_client(edit: &mut Edit<'_>) -> Option<Expected> {
    for index in edit.client() {
        rename_service(edit, index, "milvus-klient");
    }
    Some(Expected::default())
}

fn lose(edit: &mut Edit<'_>, spans: &[usize], key: &str) {
    for &index in spans {
        edit.capture.spans[index]
            .resource_attributes()
            .retain(|pair| pair["key"] != key);
    }
}

const IDENTITY: [&str; 4] = [
    "service.name",
    "application",
    "service.instance.id",
    "milvus_otel.run",
];

pub(super) fn lose_resource(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&IDENTITY)?;
    let client = edit.client();
    lose(edit, &client, key);
    Some(Expected::default())
}

pub(super) fn lose_resource_once(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&IDENTITY)?;
    let client = edit.client();
    let line = edit.capture.spans[*edit.random.pick(&client)?].line;
    let batch: Vec<usize> = client
        .into_iter()
        .filter(|&index| edit.capture.spans[index].line == line)
        .collect();
    lose(edit, &batch, key);
    Some(Expected::default())
}

pub(super) fn lose_sdk(edit: &mut Edit<'_>) -> Option<Expected> {
    let key = *edit.random.pick(&[
        "telemetry.sdk.name",
        "telemetry.sdk.language",
        "telemetry.sdk.version",
    ])?;
    let client = edit.client();
    lose(edit, &client, key);
    Some(Expected::default())
}
