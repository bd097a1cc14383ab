//! Real inputs: each layout, wrapper and dialect gives the same spans as the plain capture, or an error that names it.

use std::fmt::Write as _;

use serde_json::{Value, json};
use trace_parity::{Input, Kind, Outcome, Problem, ProblemKind, Span, Status, Traces, read};

use crate::support::{capture, judged, text};

fn case(name: &str) -> Vec<u8> {
    capture(&format!("cases/{name}"))
}

fn opened(bytes: &[u8]) -> (Traces, Vec<Problem>) {
    read(&[Input { label: None, bytes }])
}

fn requests() -> Vec<Value> {
    let base = case("base.jsonl");
    let lines = base.split(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("the capture is JSON"))
        .collect()
}

/// Every `resourceSpans` element of the plain capture.
fn groups() -> Vec<Value> {
    let of = |request: &Value| request["resourceSpans"].as_array().expect("groups").clone();
    requests().iter().flat_map(of).collect()
}

/// All data of each span, except its place in the input.
pub(crate) fn dump(traces: &Traces) -> String {
    let mut out = String::new();
    for span in traces.iter().flat_map(|trace| trace.spans()) {
        let links: Vec<String> = span.links().map(|link| format!("{link:?}")).collect();
        let events: Vec<String> = span.events().map(|event| format!("{event:?}")).collect();
        let _ = writeln!(
            out,
            "{} {} {:?} {:?} {} {}..{} {} {:?} flags {:x} state {:?} {:?} links {links:?} events {events:?} dropped {} {} {} \
             scope {} {} {:?} {} {} resource {:?} {} {}",
            span.trace_id(),
            span.id(),
            span.parent_id(),
            span.name(),
            span.kind(),
            span.start_ns(),
            span.end_ns(),
            span.status(),
            span.status_message(),
            span.flags(),
            span.trace_state(),
            span.attributes(),
            span.dropped_attributes(),
            span.dropped_events(),
            span.dropped_links(),
            span.scope_name(),
            span.scope_version(),
            span.scope_attributes(),
            span.scope_schema_url(),
            span.scope_dropped_attributes(),
            span.resource_attributes(),
            span.resource_schema_url(),
            span.resource_dropped_attributes(),
        );
    }
    out
}

/// Changes every value with the key `key`, at any depth.
fn each(value: &mut Value, key: &str, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if name == key {
                    change(value);
                }
                each(value, key, change);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, key, change)),
        _ => {}
    }
}

fn renamed(value: &Value, names: &[(&str, &str)]) -> Value {
    let mut text = value.to_string();
    for (from, to) in names {
        text = text.replace(&format!("\"{from}\":"), &format!("\"{to}\":"));
    }
    serde_json::from_str(&text).expect("it is JSON still")
}

fn base64_of_hex(value: &mut Value) {
    use base64::Engine as _;
    let hex = value.as_str().expect("an id");
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect();
    *value = base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .into();
}

fn long(value: &mut Value) {
    let nanos: u64 = value.as_str().expect("text").parse().expect("a number");
    let halves = [nanos as u32, (nanos >> 32) as u32].map(u32::cast_signed);
    *value = json!({"low": halves[0], "high": halves[1], "unsigned": true});
}

#[test]
fn every_layout_gives_the_same_spans() {
    let expected = judged(&case("base.jsonl"), None);
    assert_eq!(expected.outcome, Outcome::Consistent, "{}", text(&expected));
    let spans = dump(&opened(&case("base.jsonl")).0);
    let check_text = |what: &str, bytes: &[u8]| {
        let (traces, problems) = opened(bytes);
        assert!(
            problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::OtherText),
            "{what}: {problems:?}"
        );
        assert_eq!(dump(&traces), spans, "{what}");
        problems
    };
    let check = |what: &str, bytes: &[u8]| {
        assert_eq!(check_text(what, bytes), [], "{what}");
        let verdict = judged(bytes, None);
        assert_eq!(verdict, expected, "{what}: {}", text(&verdict));
    };
    let all = requests();
    let compact: Vec<String> = all.iter().map(Value::to_string).collect();
    let pretty: Vec<String> = all.iter().map(|one| format!("{one:#}")).collect();
    check("two documents on one line", compact.concat().as_bytes());
    check("with spaces between", compact.join("  \t ").as_bytes());
    check("an array of requests", json!(all).to_string().as_bytes());
    check("a pretty array", format!("{:#}", json!(all)).as_bytes());
    check("pretty documents", pretty.join("\n").as_bytes());
    check("pretty, no line feed between", pretty.concat().as_bytes());
    check(
        "pretty, then a line",
        format!("{}\n{}\n", pretty[0], compact[1..].concat()).as_bytes(),
    );
    check(
        "a line, then pretty",
        format!("{}\n{}", compact[0], pretty[1..].concat()).as_bytes(),
    );
    let sequence = |texts: &[String]| -> String {
        texts.iter().map(|text| format!("\u{1e}{text}\n")).collect()
    };
    check("RFC 7464", sequence(&compact).as_bytes());
    check("RFC 7464, pretty", sequence(&pretty).as_bytes());
    check("blank lines", compact.join("\n\r\n\n").as_bytes());
    let groups = groups();
    let lines = |lines: &[String]| lines.join("\n");
    let group_lines: Vec<String> = groups.iter().map(Value::to_string).collect();
    check("Java's logging-otlp", lines(&group_lines).as_bytes());
    let behind = |prefix: &str| -> Vec<String> {
        group_lines
            .iter()
            .map(|line| format!("{prefix}{line}"))
            .collect()
    };
    check("behind INFO:", lines(&behind("INFO: ")).as_bytes());
    check(
        "behind a thread's name",
        lines(&behind(
            "12:00:00.123 [main] INFO i.o.e.l.o.OtlpJsonLoggingSpanExporter -- ",
        ))
        .as_bytes(),
    );
    check(
        "behind brackets",
        lines(&behind("[main] INFO exporter - ")).as_bytes(),
    );
    check_text(
        "between the lines of a log",
        lines(&behind(
            "Nov 27, 2026 1:00:00 PM io.opentelemetry.Exporter export\nINFO: ",
        ))
        .as_bytes(),
    );
    check(
        "Tempo, version 1",
        json!({"batches": groups}).to_string().as_bytes(),
    );
    check(
        "Tempo, version 2",
        json!({"trace": {"resourceSpans": groups}, "metrics": {}, "status": "COMPLETE"})
            .to_string()
            .as_bytes(),
    );
    let mut in_base64 = json!({"batches": groups});
    for key in ["traceId", "spanId", "parentSpanId"] {
        each(&mut in_base64, key, &base64_of_hex);
    }
    check("Tempo, ids in base64", in_base64.to_string().as_bytes());
    let old = [
        ("scopeSpans", "instrumentationLibrarySpans"),
        ("scope", "instrumentationLibrary"),
    ];
    check(
        "before OTLP 0.15",
        renamed(&json!({"resourceSpans": groups}), &old)
            .to_string()
            .as_bytes(),
    );
    check(
        "Tempo before 1.5",
        renamed(&json!({"batches": groups}), &old)
            .to_string()
            .as_bytes(),
    );
    let mut longs = json!({"resourceSpans": groups});
    for key in ["startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"] {
        each(&mut longs, key, &long);
    }
    check("protobuf.js longs", longs.to_string().as_bytes());
    let mut floats = json!({"resourceSpans": groups});
    each(&mut floats, "flags", &|flags| {
        *flags = json!(flags.as_f64());
    });
    check("numbers with a point", floats.to_string().as_bytes());
}

#[test]
fn a_truncated_document_loses_only_itself() {
    let all = requests();
    let check = |what: &str, bytes: &str, line: u64, lost: usize| {
        let (traces, problems) = opened(bytes.as_bytes());
        let whole = opened(&case("base.jsonl")).0.span_count();
        let places: Vec<_> = problems
            .iter()
            .map(|problem| (problem.kind, problem.line))
            .collect();
        assert_eq!(
            places,
            [(ProblemKind::LostRecord, Some(line))],
            "{what}: {problems:?}"
        );
        assert_eq!(traces.span_count(), whole - lost, "{what}");
    };
    let one = opened(all[0].to_string().as_bytes()).0.span_count();
    let (first, rest) = (
        all[0].to_string(),
        all[1..]
            .iter()
            .map(|one| format!("{one}\n"))
            .collect::<String>(),
    );
    let cut = |text: &str| text[..text.find("\"spans\"").expect("spans")].to_owned();
    check("a cut line", &format!("{}\n{rest}", cut(&first)), 1, one);
    check(
        "a cut line at the end",
        &format!("{rest}{}", cut(&first)),
        all.len() as u64,
        one,
    );
    let pretty = format!("{:#}", all[0]);
    let broken = cut(&pretty);
    let lines = broken.lines().count() as u64;
    check(
        "a cut pretty document",
        &format!("{broken}\n{rest}"),
        lines + 1,
        one,
    );
}

#[test]
fn invalid_unicode_loses_only_a_character() {
    let span = |note: &[u8]| {
        [
            br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":""#
                .as_slice(),
            note,
            b"\"}]}]}]}",
        ]
        .concat()
    };
    let check = |note: &[u8], expected: &str| {
        let (traces, problems) = opened(&span(note));
        let name = traces
            .iter()
            .flat_map(|trace| trace.spans())
            .map(|span| span.name().to_owned());
        assert_eq!(name.collect::<Vec<_>>(), [expected], "{problems:?}");
        assert_eq!(problems, []);
    };
    check(br"cut \ud83d", "cut \u{fffd}");
    check(br"\uDE00 first", "\u{fffd} first");
    check(br"\ud83d\u0041", "\u{fffd}A");
    check(br"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}");
    check(br"\ud83d\n", "\u{fffd}\n");
    check(br"a\\ud83d", "a\\ud83d");
    check(br"\\\ud83d", "\\\u{fffd}");
    check(b"caf\xe9", "caf\u{fffd}");
    check(b"\xed\xa0\xbd", "\u{fffd}\u{fffd}\u{fffd}");
}

/// The only span of a document.
fn only(traces: &Traces) -> Span<'_> {
    let mut spans = traces.iter().flat_map(|trace| trace.spans());
    let span = spans.next().expect("a span");
    assert!(spans.next().is_none());
    span
}

fn with_value(value: &Value) -> String {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "00000000000000000000000000000001", "spanId": "0000000000000001",
        "attributes": [{"key": "k", "value": value}, {"key": "other", "value": {"intValue": "1"}}]}]}]}]})
    .to_string()
}

#[test]
fn a_value_nested_too_deeply_loses_only_itself() {
    let levels = [
        (r#"{"arrayValue":{"values":["#, "]}}"),
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}"),
    ];
    for (depth, lost) in [(1, 0), (30, 0), (32, 0), (33, 1), (200, 1), (20_000, 1)] {
        let level = |index: usize| levels[index % levels.len()];
        let open: String = (0..depth).map(|index| level(index).0).collect();
        let close: String = (0..depth).rev().map(|index| level(index).1).collect();
        let value = format!(r#"{open}{{"stringValue":"inside"}}{close}"#);
        let json = with_value(&json!("HERE")).replace("\"HERE\"", &value);
        let (traces, problems) = opened(json.as_bytes());
        assert_eq!(only(&traces).attributes().count(), 2, "{depth}");
        let kinds: Vec<ProblemKind> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(
            kinds,
            vec![ProblemKind::LostValue; lost],
            "{depth}: {problems:?}"
        );
    }
}

#[test]
fn null_leaves_a_value_unset() {
    let unset = dump(&opened(with_value(&json!({})).as_bytes()).0);
    for kind in [
        "string", "bool", "int", "double", "bytes", "array", "kvlist",
    ] {
        let value = json!({format!("{kind}Value"): null});
        let (traces, problems) = opened(with_value(&value).as_bytes());
        assert_eq!((dump(&traces), problems), (unset.clone(), vec![]), "{kind}");
    }
    let (traces, _) = opened(with_value(&Value::Null).as_bytes());
    assert_eq!(dump(&traces), unset);
}

/// A Jaeger trace with a root and a second span that has these references and tags.
fn jaeger(references: &Value, tags: &Value) -> Value {
    let span = |id: &str, references: &Value, tags: &Value| {
        json!({"traceID": "0af7651916cd43dd8448eb211c80319c", "spanID": id, "operationName": id,
            "references": references, "startTime": 1, "duration": 2, "tags": tags, "processID": "p1",
            "process": {"serviceName": "inline", "tags": []}, "warnings": null})
    };
    json!({"traceID": "0af7651916cd43dd8448eb211c80319c",
        "spans": [span("0000000000000001", &json!([]), &json!([])), span("0000000000000002", references, tags)],
        "processes": {"p1": {"serviceName": "s", "tags": []}}, "warnings": null})
}

#[test]
fn jaeger_references_make_the_parent_and_links() {
    const OWN: &str = "0af7651916cd43dd8448eb211c80319c";
    const FOREIGN: &str = "ffffffffffffffffffffffffffffffff";
    let check = |references: &[(&str, &str, &str)], parent: Option<&str>, links: &[&str]| {
        let references: Vec<Value> = references
            .iter()
            .map(|(kind, trace, span)| json!({"refType": kind, "traceID": trace, "spanID": span}))
            .collect();
        let (traces, problems) = opened(
            jaeger(&json!(references), &json!([]))
                .to_string()
                .as_bytes(),
        );
        assert_eq!(problems, []);
        let span = traces
            .iter()
            .flat_map(|trace| trace.spans())
            .find(|span| span.name() == "0000000000000002");
        let span = span.expect("the span");
        assert_eq!(
            span.parent_id().map(|id| id.to_string()).as_deref(),
            parent,
            "{references:?}"
        );
        let linked: Vec<String> = span.links().map(|link| link.span_id.to_string()).collect();
        assert_eq!(linked, links, "{references:?}");
    };
    let (one, nine) = ("0000000000000001", "0000000000000009");
    check(&[("CHILD_OF", OWN, one)], Some(one), &[]);
    check(
        &[("CHILD_OF", FOREIGN, nine), ("CHILD_OF", OWN, one)],
        Some(one),
        &[nine],
    );
    check(&[("CHILD_OF", FOREIGN, nine)], None, &[nine]);
    check(&[("FOLLOWS_FROM", OWN, one)], Some(one), &[]);
    check(
        &[("FOLLOWS_FROM", OWN, nine), ("CHILD_OF", OWN, one)],
        Some(one),
        &[nine],
    );
    check(
        &[("FOLLOWS_FROM", FOREIGN, nine), ("FOLLOWS_FROM", OWN, one)],
        Some(one),
        &[nine],
    );
    // A link to a missing span isn't a parent; a child of a missing span stays an orphan.
    check(&[("FOLLOWS_FROM", OWN, nine)], None, &[]);
    check(&[("CHILD_OF", OWN, nine)], Some(nine), &[]);
    check(&[], None, &[]);
}

#[test]
fn jaeger_tags_decide_kind_and_status() {
    let tag = |key: &str, value: Value| json!({"key": key, "type": "string", "value": value});
    let check = |tags: Value, kind: Kind, status: Status, left: &[&str]| {
        let (traces, _) = opened(
            json!({"data": [jaeger(&json!([]), &tags)]})
                .to_string()
                .as_bytes(),
        );
        let span = traces
            .iter()
            .flat_map(|trace| trace.spans())
            .find(|span| span.name() == "0000000000000002");
        let span = span.expect("the span");
        let keys: Vec<&str> = span.attributes().map(|(key, _)| key).collect();
        assert_eq!(
            (span.kind(), span.status(), keys.as_slice()),
            (kind, status, left),
            "{tags}"
        );
    };
    let none = Kind::Unspecified;
    check(json!([tag("error", json!(true))]), none, Status::Error, &[]);
    check(
        json!([tag("error", json!("false"))]),
        none,
        Status::Unset,
        &[],
    );
    check(
        json!([
            tag("error", json!(true)),
            tag("otel.scope.name", json!("s"))
        ]),
        none,
        Status::Unset,
        &["error"],
    );
    check(
        json!([
            tag("error", json!(true)),
            tag("otel.status_code", json!("OK"))
        ]),
        none,
        Status::Ok,
        &["error"],
    );
    check(
        json!([
            tag("otel.status_code", json!("ERROR")),
            tag("error", json!(true))
        ]),
        none,
        Status::Error,
        &[],
    );
    check(
        json!([
            tag("span.kind", json!("x")),
            tag("span.kind", json!("client")),
            tag("span.kind", json!("server"))
        ]),
        Kind::Client,
        Status::Unset,
        &[],
    );
    check(
        json!([
            tag("span.kind", json!("server")),
            tag("span.kind", json!("client"))
        ]),
        Kind::Server,
        Status::Unset,
        &[],
    );
}

#[test]
fn jaeger_traces_in_any_wrapper() {
    let one: Value = serde_json::from_slice(&case("jaeger-single.json")).expect("JSON");
    let expected = judged(&case("jaeger-single.json"), None);
    assert_eq!(expected.outcome, Outcome::Consistent, "{}", text(&expected));
    let spans = dump(&opened(&case("jaeger-single.json")).0);
    let check = |what: &str, document: Value| {
        let (traces, problems) = opened(document.to_string().as_bytes());
        assert_eq!((dump(&traces), problems), (spans.clone(), vec![]), "{what}");
    };
    check(
        "an answer of the query API",
        json!({"data": [one], "total": 0, "errors": null}),
    );
    check("an array of traces", json!([one]));
    check("an array of answers", json!([{"data": [one]}]));
    let mut inline = one.clone();
    let processes = inline["processes"].take();
    for span in inline["spans"].as_array_mut().expect("spans") {
        let name = span["processID"].take();
        span["process"] = processes[name.as_str().expect("a name")].clone();
    }
    check("with the process in each span", inline);
}

#[test]
fn jaeger_files_of_real_runs() {
    let judge = |name: &str| {
        let verdict = judged(&case(name), None);
        let rules: Vec<String> = verdict
            .findings
            .iter()
            .filter(|finding| finding.severity > trace_parity::Severity::Info)
            .map(|finding| finding.rule.to_string())
            .collect();
        rules
    };
    for name in [
        "link-to-parent.jaeger-v1.json.gz",
        "root-link.jaeger-v3.json.gz",
        "error-attr.jaeger-v1.json.gz",
    ] {
        assert_eq!(judge(name), [""; 0], "{name}");
    }
    let (traces, _) = opened(&case("negative.jaeger-v1.json.gz"));
    let warned: Vec<&str> = traces
        .iter()
        .flat_map(|trace| trace.spans())
        .flat_map(|span| span.warnings())
        .collect();
    assert!(
        matches!(warned.as_slice(), [one] if one.starts_with("Negative duration detected")),
        "{warned:?}"
    );
}

#[test]
fn an_unknown_format_is_named() {
    let check = |bytes: &[u8], expected: &str| {
        let (traces, problems) = opened(bytes);
        assert_eq!(traces.span_count(), 0, "{expected}");
        let said: Vec<&str> = problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        assert!(
            matches!(said.as_slice(), [one] if one.contains(expected)),
            "{expected}: {said:?}"
        );
        assert_eq!(problems[0].kind, ProblemKind::LostRecord);
    };
    check(
        &case("nan.jaeger-v1.json"),
        "Jaeger answered with an error: failed writing HTTP response",
    );
    check(
        br#"{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}"#,
        "error: trace not found",
    );
    check(&case("python-console.txt"), "Python's ConsoleSpanExporter");
    check(
        br#"{"Name":"a","SpanContext":{"TraceID":"1"}}"#,
        "Go's stdouttrace",
    );
    check(
        br#"{"traces":[{"traceID":"1","rootServiceName":"a"}]}"#,
        "search result of Tempo",
    );
    check(
        br#"{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001"}"#,
        "outside `resourceSpans`",
    );
    check(
        b"ResourceSpans #0\nResource SchemaURL:\n",
        "the Collector's debug exporter",
    );
    check(b"Activity.TraceId: 1\n", ".NET's console exporter");
    check(b"<html><body>Jaeger UI</body></html>", "a web page");
    check(b"PK\x03\x04rest", "`unzip FILE`");
    check(b"\xfd7zXZ\0rest", "`xz --decompress FILE`");
    check(b"BZh91AY", "`bunzip2 FILE`");
    check(b"\xff\xfe{\0\"\0", "UTF-16");
    check(b"{\0\"\0r\0", "UTF-16");
    check(b"\x28\xb5\x2f\xfd\x04\x00", "zstd");
    check(b"{\"a\":1}", "a JSON document without `resourceSpans`");
    check(b"just text", "a line is not JSON");
}

#[test]
fn zipkin_spans_are_read() {
    let bytes = case("zipkin-trace.json");
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    let expected = dump(&opened(&bytes).0);
    insta::assert_snapshot!(expected);
    let lines: String = document
        .as_array()
        .expect("spans")
        .iter()
        .map(|span| format!("{span}\n"))
        .collect();
    for (what, text) in [
        ("an array of traces", json!([document]).to_string()),
        ("a span a line", lines),
    ] {
        let (traces, problems) = opened(text.as_bytes());
        assert_eq!(
            (dump(&traces), problems),
            (expected.clone(), vec![]),
            "{what}"
        );
    }
}

#[test]
fn a_request_within_a_log_record_is_read() {
    let (traces, problems) = opened(&case("otlp-stdout-lambda.txt"));
    assert_eq!(problems, []);
    assert!(traces.span_count() > 0);
    let old = opened(&case("old-library-spans.json")).0;
    assert_eq!(only(&old).scope_name(), "old");
}

#[test]
fn named_inputs_are_kept_apart_and_unnamed_ones_are_merged() {
    let bytes = case("base.jsonl");
    let gz = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).expect("a Vec takes everything");
        encoder.finish().expect("a Vec takes everything")
    };
    let whole = opened(&bytes).0;
    let check = |labels: [Option<&str>; 2], traces: usize, spans: usize| {
        let inputs =
            [(labels[0], &bytes), (labels[1], &gz)].map(|(label, bytes)| Input { label, bytes });
        let (read, problems) = read(&inputs);
        assert_eq!(problems, []);
        assert_eq!(
            (read.iter().count(), read.span_count()),
            (traces, spans),
            "{labels:?}"
        );
    };
    let (traces, spans) = (whole.iter().count(), whole.span_count());
    check([Some("a"), Some("b")], 2 * traces, 2 * spans);
    check([Some("a"), None], 2 * traces, 2 * spans);
    check([None, None], traces, spans);
    // A folder of rotated files is one input in several parts.
    check([Some("a"), Some("a")], traces, spans);
}

#[test]
fn a_span_knows_where_it_was_written() {
    let base = case("base.jsonl");
    let lines = [&b"\n"[..], &base].concat();
    let (traces, _) = read(&[
        Input {
            label: Some("x"),
            bytes: b"{\"resourceSpans\":[]}",
        },
        Input {
            label: Some("y"),
            bytes: &lines,
        },
    ]);
    let mut places: Vec<(usize, Option<u64>)> = traces
        .iter()
        .flat_map(|trace| trace.spans())
        .map(|span| (span.input(), span.line()))
        .collect();
    places.sort_unstable();
    places.dedup();
    let expected: Vec<_> = (2..)
        .map(|line| (1, Some(line)))
        .take(requests().len())
        .collect();
    assert_eq!(places, expected);
    assert!(traces.iter().all(|trace| trace.input_name() == Some("y")));
}
