//! Compares the transcoder with OTLP's descriptors, as interpreted by protobuf's reflection.

use super::{Malformed, json_to_protobuf, protobuf_to_json};
use crate::schema::{Kind, Label, Message, Signal};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig as Config, any, prop_assert_eq, proptest};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use protobuf_wire::{
    put_bytes_field, put_fixed32_field, put_fixed64_field, put_nested_field, put_varint,
    put_varint_field,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(opentelemetry_proto::DESCRIPTORS).expect("descriptors of OTLP")
});

fn descriptor(signal: Signal) -> MessageDescriptor {
    let (package, name) = match signal {
        Signal::Traces => ("trace", "Trace"),
        Signal::Metrics => ("metrics", "Metrics"),
        Signal::Logs => ("logs", "Logs"),
    };
    let name = format!("opentelemetry.proto.collector.{package}.v1.Export{name}ServiceRequest");
    POOL.get_message_by_name(&name).expect("a request")
}

#[test]
fn the_tables_are_the_definitions() {
    fn describe(
        table: &Message,
        descriptor: &MessageDescriptor,
        seen: &mut BTreeMap<String, (String, String)>,
    ) {
        if seen.contains_key(descriptor.full_name()) {
            return;
        }
        let mut ours = String::new();
        for field in table.fields {
            let kind = match field.kind {
                Kind::Id(_) => "Bytes".to_owned(),
                Kind::Enum(values) => format!("{values:?}"),
                Kind::Message(inner) => inner.name.to_owned(),
                kind => format!("{kind:?}"),
            };
            ours += &format!(
                "{} {} {kind} {:?}\n",
                field.number,
                field.name(),
                field.label
            );
        }
        let mut theirs = String::new();
        for field in descriptor.fields() {
            let kind = match field.kind() {
                prost_reflect::Kind::Enum(e) => {
                    let values: Vec<_> = e
                        .values()
                        .map(|v| (v.name().to_owned(), v.number()))
                        .collect();
                    format!("{values:?}")
                }
                prost_reflect::Kind::Message(m) => m
                    .full_name()
                    .trim_start_matches(|c: char| !c.is_ascii_uppercase())
                    .to_owned(),
                kind => format!("{kind:?}"),
            };
            let label = match field.containing_oneof() {
                _ if field.is_list() => Label::Repeated,
                Some(oneof) if oneof.is_synthetic() => Label::Explicit,
                Some(_) => Label::Oneof,
                None => Label::Implicit,
            };
            theirs += &format!(
                "{} {} {} {label:?}\n",
                field.number(),
                field.json_name(),
                capitalized(&kind)
            );
        }
        seen.insert(descriptor.full_name().to_owned(), (ours, theirs));
        for field in table.fields {
            let inner = descriptor.get_field(field.number).map(|field| field.kind());
            if let (Kind::Message(table), Some(prost_reflect::Kind::Message(descriptor))) =
                (field.kind, inner)
            {
                describe(table, &descriptor, seen);
            }
        }
    }
    fn capitalized(name: &str) -> String {
        name[..1].to_uppercase() + &name[1..]
    }

    let mut seen = BTreeMap::new();
    for signal in Signal::ALL {
        describe(signal.request(), &descriptor(signal), &mut seen);
    }
    assert!(seen.len() > 25, "{:?}", seen.keys());
    for (name, (ours, theirs)) in seen {
        assert_eq!(ours, theirs, "{name}");
    }
}

fn line_of(signal: Signal, request: &[u8]) -> Result<String, Malformed> {
    let mut line = Vec::new();
    protobuf_to_json(signal, request, &mut line)
        .map(|_| String::from_utf8(line).expect("JSON is UTF-8"))
}

/// A request in protobuf's own JSON mapping, with OTLP's ids.
fn reference(signal: Signal, request: &[u8]) -> Value {
    let message = DynamicMessage::decode(descriptor(signal), request).expect("a request");
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(true)
        .use_enum_numbers(true);
    let mut json = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("JSON");
    hex_ids(&mut json);
    json
}

fn hex_ids(json: &mut Value) {
    match json {
        Value::Array(elements) => elements.iter_mut().for_each(hex_ids),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text)
                        if ["traceId", "spanId", "parentSpanId"].contains(&name.as_str()) =>
                    {
                        let bytes = BASE64_STANDARD.decode(&*text).expect("base64");
                        *text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    }
                    _ => hex_ids(value),
                }
            }
        }
        _ => {}
    }
}

/// Generates requests of every valid shape from arbitrary bytes: fields in any order and number,
/// messages in pieces, numbers packed or not, unknown fields and groups in between.
struct Maker<'a> {
    entropy: std::slice::Iter<'a, u8>,
}

impl Maker<'_> {
    fn byte(&mut self) -> u8 {
        self.entropy.next().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u64 {
        const EDGES: [u64; 8] = [
            0,
            1,
            127,
            128,
            u32::MAX as u64,
            i64::MAX as u64,
            u64::MAX,
            0x7ff8_0000_0000_0000,
        ];
        match self.byte() {
            edge @ 0..128 => EDGES[usize::from(edge % 8)],
            _ => (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte())),
        }
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', '"', '\\', '\n', '\u{1}', 'é', '\u{2028}', '😀'];
        (0..self.byte() % 8)
            .map(|_| LETTERS[usize::from(self.byte() % 8)])
            .collect()
    }

    fn message(&mut self, table: &'static Message, out: &mut Vec<u8>, depth: u32) {
        let mut positions: Vec<u8> = (0..self.byte() % 12).map(|_| self.byte()).collect();
        if self.byte().is_multiple_of(2) {
            positions.sort_by_key(|position| usize::from(*position) % (table.fields.len() + 1));
        }
        for position in positions {
            match table
                .fields
                .get(usize::from(position) % (table.fields.len() + 1))
            {
                Some(field) => self.field(field, out, depth),
                None => self.unknown(out),
            }
        }
    }

    fn field(&mut self, field: &'static crate::schema::Field, out: &mut Vec<u8>, depth: u32) {
        let number = field.number;
        let is_packed = field.label == Label::Repeated
            && field.kind.is_number()
            && self.byte().is_multiple_of(2);
        match field.kind {
            _ if is_packed => {
                let mut packed = Vec::new();
                for _ in 0..self.byte() % 4 {
                    match field.kind {
                        Kind::Uint64 => put_varint(&mut packed, self.word()),
                        _ => packed.extend(self.word().to_le_bytes()),
                    }
                }
                put_bytes_field(out, number, &packed);
            }
            Kind::Message(_) if depth == 0 => put_bytes_field(out, number, b""),
            Kind::Message(inner) => {
                let nested = put_nested_field::<()>(out, number, |out| {
                    self.message(inner, out, depth - 1);
                    Ok(())
                });
                nested.expect("nothing fails");
            }
            Kind::String => put_bytes_field(out, number, self.text().as_bytes()),
            Kind::Bytes => put_bytes_field(out, number, &self.word().to_be_bytes()),
            Kind::Id(length) => {
                let id = [self.word().to_be_bytes(), self.word().to_be_bytes()].concat();
                put_bytes_field(
                    out,
                    number,
                    &id[..length * usize::from(!self.byte().is_multiple_of(8))],
                );
            }
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => {
                put_fixed64_field(out, number, self.word());
            }
            Kind::Fixed32 => put_fixed32_field(out, number, self.word() as u32),
            Kind::Bool
            | Kind::Int32
            | Kind::Sint32
            | Kind::Uint32
            | Kind::Int64
            | Kind::Uint64
            | Kind::Enum(_) => {
                put_varint_field(out, number, self.word());
            }
        }
    }

    fn unknown(&mut self, out: &mut Vec<u8>) {
        match self.byte() % 3 {
            0 => put_varint_field(out, 99, self.word()),
            1 => put_bytes_field(out, 1001, b"\xff"),
            _ => {
                put_varint(out, 99 << 3 | 3);
                put_varint_field(out, 1, self.word());
                put_varint(out, 99 << 3 | 4);
            }
        }
    }
}

fn request_from(entropy: &[u8]) -> (Signal, Vec<u8>) {
    let mut maker = Maker {
        entropy: entropy.iter(),
    };
    let signal = Signal::ALL[usize::from(maker.byte() % 3)];
    let mut request = Vec::new();
    // Use most of the entropy for deeply nested content.
    for _ in 0..2 {
        maker.message(signal.request(), &mut request, 12);
    }
    (signal, request)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_request_is_written_as_the_definitions_say(entropy in vec(any::<u8>(), 0..4000)) {
        let (signal, request) = request_from(&entropy);
        let line = line_of(signal, &request).expect("a request");
        let json: Value = serde_json::from_str(&line).expect("JSON");
        prop_assert_eq!(json, reference(signal, &request));
    }

    #[test]
    fn a_line_read_back_is_the_same_line(entropy in vec(any::<u8>(), 0..4000)) {
        let (signal, request) = request_from(&entropy);
        let line = line_of(signal, &request).expect("a request");
        let mut protobuf = Vec::new();
        json_to_protobuf(signal, line.as_bytes(), &mut protobuf).expect("a line");
        prop_assert_eq!(line_of(signal, &protobuf).expect("a request"), line);
    }

    #[test]
    fn what_the_definitions_take_is_taken_as_they_do(
        bytes in vec(any::<u8>(), 0..64),
        at in any::<usize>(),
        entropy in vec(any::<u8>(), 0..1000),
    ) {
        let (signal, mut request) = request_from(&entropy);
        let at = at % (request.len() + 1);
        request.splice(at..(at + bytes.len() / 2).min(request.len()), bytes);
        let line = line_of(signal, &request);
        // The definitions don't limit the length of ids. The converse doesn't hold either: a value
        // that a later one replaces isn't checked.
        let is_length = matches!(&line, Err(error) if error.to_string().contains(" bytes, not "));
        if !is_length && DynamicMessage::decode(descriptor(signal), &request[..]).is_ok() {
            let json: Value = serde_json::from_str(&line.expect("a request")).expect("JSON");
            prop_assert_eq!(json, reference(signal, &request));
        }
    }
}

/// A trace request with this content as its span.
fn with_span(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

fn with_value(value: &str) -> String {
    with_span(&format!(r#"{{"attributes":[{{"value":{value}}}]}}"#))
}

fn line_of_json(request: &str) -> Result<String, Malformed> {
    let mut protobuf = Vec::new();
    json_to_protobuf(Signal::Traces, request.as_bytes(), &mut protobuf)?;
    line_of(Signal::Traces, &protobuf)
}

#[test]
fn json_is_taken_as_proto3_allows() {
    fn check(wrap: fn(&str) -> String, given: &str, expected: &str) {
        assert_eq!(
            line_of_json(&wrap(given)).expect(given),
            wrap(expected),
            "{given}"
        );
    }
    for (given, expected) in [
        ("{}", "{}"),
        (
            r#"{"traceId":"0AF7651916CD43DD8448EB211C80319C","spanId":""}"#,
            r#"{"traceId":"0af7651916cd43dd8448eb211c80319c"}"#,
        ),
        (
            r#"{"name":"cut \ud83d, \ude00\\ud83d"}"#,
            r#"{"name":"cut �, �\\ud83d"}"#,
        ),
        (r#"{"name":"\ud83d\ude00\udc00"}"#, r#"{"name":"😀�"}"#),
        (r#"{"kind":3}"#, r#"{"kind":3}"#),
        (r#"{"kind":"3"}"#, r#"{"kind":3}"#),
        (r#"{"kind":77}"#, r#"{"kind":77}"#),
        (r#"{"kind":"SPAN_KIND_CLIENT"}"#, r#"{"kind":3}"#),
        (
            r#"{"start_time_unix_nano":5}"#,
            r#"{"startTimeUnixNano":"5"}"#,
        ),
        (
            r#"{"startTimeUnixNano":1e3}"#,
            r#"{"startTimeUnixNano":"1000"}"#,
        ),
        (
            r#"{"endTimeUnixNano":"18446744073709551615"}"#,
            r#"{"endTimeUnixNano":"18446744073709551615"}"#,
        ),
        (
            r#"{"name":null,"attributes":null,"status":null,"kind":null}"#,
            "{}",
        ),
        (r#"{"attributes":[],"status":{}}"#, r#"{"status":{}}"#),
        (r#"{"later":{"a":[1]},"name":"x"}"#, r#"{"name":"x"}"#),
        (
            r#"{"name":"x","spanId":"b7ad6b7169203331"}"#,
            r#"{"spanId":"b7ad6b7169203331","name":"x"}"#,
        ),
    ] {
        check(with_span, given, expected);
    }
    for (given, expected) in [
        (r#"{"doubleValue":"NaN"}"#, r#"{"doubleValue":"NaN"}"#),
        (
            r#"{"doubleValue":"-Infinity"}"#,
            r#"{"doubleValue":"-Infinity"}"#,
        ),
        (r#"{"doubleValue":1}"#, r#"{"doubleValue":1.0}"#),
        (r#"{"doubleValue":"2.5"}"#, r#"{"doubleValue":2.5}"#),
        (
            r#"{"intValue":"-9223372036854775808"}"#,
            r#"{"intValue":"-9223372036854775808"}"#,
        ),
        (r#"{"bytesValue":"-_8"}"#, r#"{"bytesValue":"+/8="}"#),
        (r#"{"bytesValue":"+/8="}"#, r#"{"bytesValue":"+/8="}"#),
        (r#"{"arrayValue":{}}"#, r#"{"arrayValue":{}}"#),
        (
            r#"{"arrayValue":{"values":[{"boolValue":false},{}]}}"#,
            r#"{"arrayValue":{"values":[{"boolValue":false},{}]}}"#,
        ),
        (
            r#"{"stringValue":null,"intValue":1}"#,
            r#"{"intValue":"1"}"#,
        ),
        // Unset, not zero.
        (r#"{"doubleValue":null}"#, "{}"),
    ] {
        check(with_value, given, expected);
    }
}

#[test]
fn what_otlp_was_before_0_15_becomes_what_it_is() {
    for (signal, resource, old, new, records) in [
        (
            Signal::Traces,
            "resourceSpans",
            "instrumentationLibrarySpans",
            "scopeSpans",
            "spans",
        ),
        (
            Signal::Metrics,
            "resourceMetrics",
            "instrumentationLibraryMetrics",
            "scopeMetrics",
            "metrics",
        ),
        (
            Signal::Logs,
            "resourceLogs",
            "instrumentation_library_logs",
            "scopeLogs",
            "logRecords",
        ),
    ] {
        let request = |list: &str, scope: &str| {
            format!(
                r#"{{"{resource}":[{{"resource":{{}},"{list}":[{{"{scope}":{{"name":"x"}},"{records}":[{{}}]}}],"schemaUrl":"u"}}]}}"#
            )
        };
        let expected = request(new, "scope");
        let mut protobuf = Vec::new();
        json_to_protobuf(
            signal,
            request(old, "instrumentationLibrary").as_bytes(),
            &mut protobuf,
        )
        .expect(old);
        assert_eq!(line_of(signal, &protobuf).expect(old), expected);

        // In protobuf the list had the number 1000, so it comes after the schema URL.
        let mut old_protobuf = Vec::new();
        let nested = put_nested_field::<()>(&mut old_protobuf, 1, |out| {
            put_bytes_field(out, 1, b"");
            put_bytes_field(out, 3, b"u");
            put_bytes_field(out, 1000, b"\x0a\x03\x0a\x01x\x12\x00");
            Ok(())
        });
        nested.expect("nothing fails");
        assert_eq!(line_of(signal, &old_protobuf).expect(old), expected);
    }
}

#[test]
fn json_of_another_shape_is_refused_with_its_place() {
    let spans = [
        "5",
        "null",
        r#"{"traceId":"0X"}"#,
        r#"{"traceId":"abc"}"#,
        r#"{"traceId":"b7ad6b7169203331"}"#,
        r#"{"traceId":"0x07651916cd43dd8448eb211c80319c"}"#,
        r#"{"parentSpanId":"0af7651916cd43dd8448eb211c80319c"}"#,
        r#"{"links":[{"spanId":"00"}]}"#,
        r#"{"kind":"CLIENT"}"#,
        r#"{"kind":2147483648}"#,
        r#"{"startTimeUnixNano":-1}"#,
        r#"{"startTimeUnixNano":"18446744073709551616"}"#,
        r#"{"startTimeUnixNano":1.5}"#,
        r#"{"startTimeUnixNano":" 1"}"#,
        r#"{"droppedLinksCount":4294967296}"#,
        r#"{"attributes":[null]}"#,
        r#"{"attributes":{}}"#,
        r#"{"name":5}"#,
        r#"{"name":["x"]}"#,
        r#"{"status":"OK"}"#,
        r#"{"name":"x","name":"y"}"#,
        r#"{"name":"x"#,
    ];
    let values = [
        r#"{"doubleValue":"inf"}"#,
        r#"{"doubleValue":"1e999"}"#,
        r#"{"boolValue":"true"}"#,
        r#"{"boolValue":1}"#,
        r#"{"bytesValue":"%"}"#,
        r#"{"stringValue":"a","intValue":1}"#,
    ];
    let nested = format!(
        "{}1{}",
        r#"{"arrayValue":{"values":["#.repeat(40),
        "]}}".repeat(40)
    );
    let requests = spans
        .map(with_span)
        .into_iter()
        .chain(values.map(with_value))
        .chain([
            with_value(&nested),
            "[]".to_owned(),
            "{} {}".to_owned(),
            String::new(),
        ]);
    let mut report = String::new();
    for request in requests {
        let error = line_of_json(&request).expect_err(&request);
        report += &format!("{request:.120}\n    {error}\n");
    }
    insta::assert_snapshot!(report);
}

#[test]
fn malformed_protobuf_is_refused_with_its_place() {
    let span = |span: &[u8]| {
        let mut request = Vec::new();
        let nested = put_nested_field::<()>(&mut request, 1, |out| {
            put_nested_field(out, 2, |out| {
                put_bytes_field(out, 2, span);
                Ok(())
            })
        });
        nested.expect("nothing fails");
        request
    };
    let mut deep = Vec::new();
    for _ in 0..60 {
        let (mut value, mut array) = (Vec::new(), Vec::new());
        put_bytes_field(&mut array, 1, &deep);
        put_bytes_field(&mut value, 5, &array);
        deep = value;
    }
    let mut attribute = Vec::new();
    put_bytes_field(&mut attribute, 2, &deep);
    let mut nested = Vec::new();
    put_bytes_field(&mut nested, 9, &attribute);

    let cases: [(&str, Vec<u8>); 16] = [
        ("text", b"hello".to_vec()),
        ("field number 0", span(b"\0\0")),
        ("a varint cut off", span(b"\x30\xff")),
        (
            "a varint of 11 bytes",
            span(b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ),
        ("a length past the end", span(b"\x2a\x09name")),
        ("64 bits cut off", span(b"\x39\0\0\0")),
        ("32 bits cut off", span(b"\x85\x01\0\0")),
        ("a name of the type varint", span(b"\x28\x01")),
        ("a trace id of 8 bytes", span(b"\x0a\x08abcdefgh")),
        ("a link's span id of 1 byte", span(b"\x6a\x03\x12\x01a")),
        ("an attribute of the type varint", span(b"\x48\x01")),
        ("a name that isn't UTF-8", span(b"\x2a\x03ab\xff")),
        ("the end of a group", span(b"\x4c")),
        ("a group that doesn't end", span(b"\x9b\x06\x08\x01")),
        ("groups without end", span(&b"\x9b\x06".repeat(40))),
        ("values in values", span(&nested)),
    ];
    let mut report = String::new();
    for (what, request) in cases {
        let mut line = b"before".to_vec();
        let error = protobuf_to_json(Signal::Traces, &request, &mut line).expect_err(what);
        assert_eq!(line, b"before", "{what}");
        report += &format!("{what}: {error}\n");
    }
    insta::assert_snapshot!(report);
}
