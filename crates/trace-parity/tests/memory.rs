//! Reading takes at most ten times the input's size in memory, even for JSON made to be expensive. Protobuf made to be expensive takes
//! more, because two to ten bytes of it can fill an entry of the store.

use std::fs;
use std::path::Path;

use trace_parity::{Input, read};

/// Bytes of an empty store and a full list of problems.
const ANYWAY: u64 = 128 * 1024;

const TIMES: u64 = 10;

const TIMES_DENSEST: u64 = 15;

fn check(what: &str, times: u64, bytes: &[u8]) {
    let peak = allocation_counter::measure(|| {
        let _ = read(&[Input { label: None, bytes }]);
    });
    let allowed = ANYWAY + times * bytes.len() as u64;
    println!(
        "{what}: {:.1} times",
        peak.bytes_max as f64 / bytes.len() as f64
    );
    assert!(
        peak.bytes_max <= allowed,
        "{what}: {} bytes for {}",
        peak.bytes_max,
        bytes.len()
    );
}

/// Large enough to make the fixed cost negligible.
const SIZE: usize = 400_000;

/// `before`, different elements up to [`SIZE`] bytes, and `after`.
fn filled(before: &str, element: impl Fn(u64) -> String, after: &str) -> Vec<u8> {
    let mut text = before.to_owned();
    for number in 1.. {
        text.push_str(&element(number));
        if text.len() > SIZE {
            break;
        }
        text.push(',');
    }
    text.push_str(after);
    text.into_bytes()
}

#[test]
fn the_densest_json() {
    let spans = r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#;
    let span = format!(
        r#"{spans}{{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","#
    );
    let attributes = format!(r#"{span}"attributes":["#);
    let array = format!(r#"{attributes}{{"key":"a","value":{{"arrayValue":{{"values":["#);
    let events = format!(r#"{span}"events":["#);
    let jaeger = r#"{"data":[{"processes":{"1":{}},"spans":["#;
    type Element = fn(u64) -> String;
    let cases: [(&str, &str, Element, &str); 13] = [
        (
            "spans",
            spans,
            |n| format!(r#"{{"traceId":"{n:032x}","spanId":"{n:016x}"}}"#),
            "]}]}]}",
        ),
        (
            "resources",
            r#"{"resourceSpans":["#,
            |n| format!(r#"{{"resource":{{"attributes":[{{"key":"{n}"}}]}}}}"#),
            "]}",
        ),
        (
            "empty resources",
            r#"{"resourceSpans":["#,
            |_| "{}".to_owned(),
            "]}",
        ),
        (
            "scopes",
            r#"{"resourceSpans":[{"scopeSpans":["#,
            |n| format!(r#"{{"scope":{{"name":"{n}"}}}}"#),
            "]}]}",
        ),
        (
            "attributes",
            &attributes,
            |n| format!(r#"{{"key":"{n:x}"}}"#),
            "]}]}]}]}",
        ),
        (
            "empty attributes",
            &attributes,
            |_| "{}".to_owned(),
            "]}]}]}]}",
        ),
        (
            "values",
            &array,
            |n| format!(r#"{{"intValue":{n}}}"#),
            "]}}}]}]}]}]}",
        ),
        ("empty values", &array, |_| "{}".to_owned(), "]}}}]}]}]}]}"),
        (
            "events",
            &events,
            |n| format!(r#"{{"name":"{n:x}"}}"#),
            "]}]}]}]}",
        ),
        ("empty events", &events, |_| "{}".to_owned(), "]}]}]}]}"),
        (
            "Jaeger's spans",
            jaeger,
            |n| format!(r#"{{"traceID":"{n:x}","spanID":"1","processID":"1"}}"#),
            "]}]}",
        ),
        (
            "Jaeger's tags",
            r#"{"data":[{"spans":[{"tags":["#,
            |n| format!(r#"{{"key":"{n:x}"}}"#),
            "]}]}]}",
        ),
        (
            "unknown fields",
            r#"{"resourceSpans":[],"#,
            |n| format!(r#""{n}":1"#),
            "}",
        ),
    ];
    for (what, before, element, after) in cases {
        check(what, TIMES, &filled(before, element, after));
    }
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        out.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(content);
    out
}

/// `head` and different elements up to [`SIZE`] bytes, nested in the fields `around`, the innermost first.
fn nested(around: &[u8], head: &[u8], element: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    let mut content = head.to_vec();
    let mut number = 0;
    while content.len() < SIZE {
        number += 1;
        content.extend(element(number));
    }
    for &outer in around {
        content = field(outer, &content);
    }
    content
}

#[test]
fn the_densest_protobuf() {
    let id = |number: u64| number.to_be_bytes();
    let ids = [field(1, &[1; 16]), field(2, &[1; 8])].concat();
    let in_request = [2, 1];
    let in_span = [2, 2, 1];
    let own_trace = |number| [id(number), id(number)].concat();
    let span = |trace: &[u8], number| field(2, &[field(1, trace), field(2, &id(number))].concat());
    check(
        "spans of one trace",
        TIMES_DENSEST,
        &nested(&in_request, &[], |n| span(&[1; 16], n)),
    );
    check(
        "spans of many traces",
        TIMES_DENSEST,
        &nested(&in_request, &[], |n| span(&own_trace(n), n)),
    );
    check(
        "resources",
        TIMES_DENSEST,
        &nested(&[], &[], |_| field(1, &[])),
    );
    check(
        "scopes",
        TIMES_DENSEST,
        &nested(&[1], &[], |n| {
            field(2, &field(1, &field(1, format!("{n:x}").as_bytes())))
        }),
    );
    check(
        "attributes",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |_| field(9, &field(1, b"a"))),
    );
    check(
        "attributes of many names",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |n| {
            field(9, &field(1, format!("{n:x}").as_bytes()))
        }),
    );
    check(
        "empty attributes",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |_| field(9, &[])),
    );
    check(
        "events",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |_| field(11, &field(2, b"a"))),
    );
    check(
        "empty events",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |_| field(11, &[])),
    );
    let named = |n: u64| field(1, &field(1, format!("{n:x}").as_bytes()));
    check(
        "resources of many names",
        TIMES_DENSEST,
        &nested(&[], &[], |n| field(1, &field(1, &named(n)))),
    );
    check(
        "events of many names",
        TIMES_DENSEST,
        &nested(&in_span, &ids, |n| {
            field(11, &field(3, &field(1, format!("{n:x}").as_bytes())))
        }),
    );
}

#[test]
fn a_real_capture() {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/five-languages.jsonl");
    check(
        "a real capture",
        TIMES,
        &fs::read(capture).expect("the capture is there"),
    );
}
