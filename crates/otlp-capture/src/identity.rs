//! Identifies the sender of a request from its resources.

use crate::ledger::Program;
use protobuf_wire::{Reader, Value};
use serde::Deserialize;

/// The program that a protobuf request names; `None` if it has resources of several programs, as
/// from a Collector.
pub(crate) fn of_protobuf(request: &[u8]) -> Option<Program> {
    let mut programs = Programs::default();
    // Fields before a fault can still be read.
    for_each_message(request, 1, |resource_telemetry| {
        let mut program = Program::default();
        for_each_message(resource_telemetry, 1, |resource| {
            for_each_message(resource, 1, |attribute| {
                if let Some((key, value)) = text_attribute(attribute) {
                    program.note(key, value);
                }
            });
        });
        programs.note(program);
    });
    programs.only()
}

/// The program that a JSON request names, even if the request isn't valid OTLP.
pub(crate) fn of_json(request: &[u8]) -> Option<Program> {
    let request: Request = serde_json::from_slice(request).ok()?;
    let mut programs = Programs::default();
    for telemetry in request.resources {
        let mut program = Program::default();
        for attribute in telemetry.resource.attributes {
            program.note(&attribute.key, &attribute.value.text);
        }
        programs.note(program);
    }
    programs.only()
}

/// The noted program, if there is only one.
#[derive(Default)]
struct Programs {
    first: Option<Program>,
    are_several: bool,
}

impl Programs {
    fn note(&mut self, program: Program) {
        match &self.first {
            Some(first) => self.are_several |= *first != program,
            None => self.first = Some(program),
        }
    }

    fn only(self) -> Option<Program> {
        self.first
            .filter(|first| !self.are_several && *first != Program::default())
    }
}

impl Program {
    fn note(&mut self, key: &str, value: &str) {
        let place = match key {
            "milvus_otel.run" => &mut self.run,
            "service.instance.id" => &mut self.instance,
            "service.name" => &mut self.service,
            _ => return,
        };
        *place = Some(value.chars().take(MAX_NAME).collect());
    }
}

/// The length to which a name is truncated. Programs whose names agree up to there share an
/// account.
const MAX_NAME: usize = 200;

/// Calls `each` with every message in fields of this number.
fn for_each_message(message: &[u8], number: u32, mut each: impl FnMut(&[u8])) {
    for_each(message, |of, bytes| {
        if of == number {
            each(bytes);
        }
    });
}

/// An attribute's key and value, if the value is a string.
fn text_attribute(attribute: &[u8]) -> Option<(&str, &str)> {
    let (mut key, mut value) = (None, None);
    for_each(attribute, |number, bytes| match number {
        1 => key = str::from_utf8(bytes).ok(),
        2 => for_each(bytes, |number, bytes| {
            if number == 1 {
                value = str::from_utf8(bytes).ok();
            }
        }),
        _ => {}
    });
    Some((key?, value?))
}

/// Calls `each` with the number and content of every length-delimited field, up to the first fault.
fn for_each<'a>(message: &'a [u8], mut each: impl FnMut(u32, &'a [u8])) {
    let mut reader = Reader::new(message);
    while let Ok(Some(entry)) = reader.entry() {
        if let Value::Bytes(bytes) = entry.value {
            each(entry.number, bytes);
        }
    }
}

#[derive(Deserialize)]
struct Request {
    #[serde(
        alias = "resourceMetrics",
        alias = "resourceLogs",
        alias = "resource_spans",
        alias = "resource_metrics",
        alias = "resource_logs",
        rename = "resourceSpans"
    )]
    resources: Vec<Telemetry>,
}

#[derive(Deserialize)]
struct Telemetry {
    #[serde(default)]
    resource: Resource,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: AttributeValue,
}

#[derive(Default, Deserialize)]
struct AttributeValue {
    #[serde(default, rename = "stringValue", alias = "string_value")]
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Signal;
    use crate::transcode::json_to_protobuf;

    fn resource(attributes: &[(&str, &str)]) -> String {
        let attributes: Vec<String> = attributes
            .iter()
            .map(|(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#))
            .collect();
        format!(
            r#"{{"resource":{{"attributes":[{}]}}}}"#,
            attributes.join(",")
        )
    }

    #[test]
    fn a_request_names_its_program_in_either_encoding() {
        fn check(resources: &[String], expected: Option<(&str, &str, &str)>) {
            let json = format!(r#"{{"resourceSpans":[{}]}}"#, resources.join(","));
            let mut protobuf = Vec::new();
            json_to_protobuf(Signal::Traces, json.as_bytes(), &mut protobuf).expect(&json);
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let expected = expected.map(|(run, instance, service)| Program {
                run: some(run),
                instance: some(instance),
                service: some(service),
            });
            assert_eq!(of_protobuf(&protobuf), expected, "{json}");
            assert_eq!(of_json(json.as_bytes()), expected, "{json}");
        }
        let py = || {
            resource(&[
                ("service.name", "milvus-client"),
                ("milvus_otel.run", "r1"),
                ("other", "x"),
                ("service.instance.id", "py"),
            ])
        };
        let server = || resource(&[("service.name", "standalone")]);
        check(&[py()], Some(("r1", "py", "milvus-client")));
        check(&[py(), py()], Some(("r1", "py", "milvus-client")));
        check(&[server()], Some(("", "", "standalone")));
        check(&[py(), server()], None);
        check(&[resource(&[("other", "x")])], None);
        check(&["{}".to_owned()], None);
        check(&[], None);
    }

    #[test]
    fn what_stands_before_a_fault_is_read() {
        let json = r#"{"resource_spans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},
            "scopeSpans":[{"spans":[{"name":5}]}]}]}"#;
        let named = of_json(json.as_bytes()).and_then(|program| program.service);
        assert_eq!(named.as_deref(), Some("x"));
        assert_eq!(of_json(b"{\"resourceSpans\":["), None);
        assert_eq!(of_protobuf(b"hello"), None);
    }
}
