//! One capture in every format, and broken input of every kind.

use std::io::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use trace_parity::{Contract, Input, Outcome, Problem, ProblemKind, Verdict, judge, read};

use crate::support::{capture, judged, text};

fn lines() -> Vec<Value> {
    let capture = capture("five-languages.jsonl");
    let lines = capture
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("the capture is JSON"))
        .collect()
}

fn jsonl(lines: &[Value]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| format!("{line}\n").into_bytes())
        .collect()
}

fn document() -> Value {
    let lines = lines();
    let groups = lines
        .iter()
        .flat_map(|line| line["resourceSpans"].as_array().expect("an array"))
        .cloned();
    json!({"resourceSpans": groups.collect::<Vec<Value>>()})
}

fn framed(messages: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let frame = |message: Vec<u8>| [&(message.len() as u32).to_be_bytes()[..], &message].concat();
    messages.flat_map(frame).collect()
}

fn requests() -> Vec<Vec<u8>> {
    let request = |line: &Value| {
        let request: ExportTraceServiceRequest =
            serde_json::from_value(line.clone()).expect("it is a request");
        request.encode_to_vec()
    };
    lines().iter().map(request).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn every_format_gives_the_same_verdict() {
    let original = capture("five-languages.jsonl");
    let expected = judged(&original, None);
    let check = |format: &str, bytes: &[u8]| {
        let (traces, problems) = read(&[Input { label: None, bytes }]);
        assert_eq!(problems, [], "{format}");
        let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
        assert_eq!(verdict, expected, "{format}:\n{}", text(&verdict));
    };
    check("one document", document().to_string().as_bytes());
    let pretty = serde_json::to_vec_pretty(&document()).expect("it is JSON");
    check("one document over many lines", &pretty);
    check(
        "with a byte order mark",
        &[b"\xef\xbb\xbf", &original[..]].concat(),
    );
    check(
        "with Windows line ends",
        String::from_utf8_lossy(&original)
            .replace('\n', "\r\n")
            .as_bytes(),
    );
    check(
        "Jaeger's query API v3",
        json!({"result": document()}).to_string().as_bytes(),
    );
    check("framed protobuf", &framed(requests().into_iter()));
    check("one protobuf message", &requests().concat());
    check(
        "framed, each message zstd",
        &framed(requests().iter().map(|message| zstd(message))),
    );
    check(
        "framed JSON",
        &framed(lines().iter().map(|line| line.to_string().into_bytes())),
    );
    check("gzip", &gzip(&original));
    check("zstd", &zstd(&original));
    check(
        "two zstd frames",
        &[
            zstd(&original[..line_end(&original)]),
            zstd(&original[line_end(&original)..]),
        ]
        .concat(),
    );
    check("gzip of protobuf", &gzip(&framed(requests().into_iter())));
}

fn line_end(bytes: &[u8]) -> usize {
    1 + bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("there are lines")
}

/// Applies `change` to every object of a value.
fn objects(value: &mut Value, change: &impl Fn(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(map);
            map.values_mut().for_each(|value| objects(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| objects(value, change)),
        _ => {}
    }
}

#[test]
fn every_form_of_proto3_json_is_read() {
    let expected = judged(&capture("five-languages.jsonl"), None);
    let check = |what: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut lines = lines();
        lines.iter_mut().for_each(|line| objects(line, &change));
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: &jsonl(&lines),
        }]);
        assert_eq!(problems, [], "{what}");
        let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
        assert_eq!(verdict, expected, "{what}:\n{}", text(&verdict));
    };
    check("numbers as numbers", &|map| {
        for key in [
            "startTimeUnixNano",
            "endTimeUnixNano",
            "timeUnixNano",
            "intValue",
        ] {
            if let Some(number) = map
                .get(key)
                .and_then(Value::as_str)
                .and_then(|text| text.parse::<i64>().ok())
            {
                map.insert(key.to_owned(), number.into());
            }
        }
    });
    check("enums by name", &|map| {
        const KINDS: [&str; 6] = [
            "UNSPECIFIED",
            "INTERNAL",
            "SERVER",
            "CLIENT",
            "PRODUCER",
            "CONSUMER",
        ];
        if let Some(kind) = map.get("kind").and_then(Value::as_u64) {
            map.insert(
                "kind".to_owned(),
                format!("SPAN_KIND_{}", KINDS[kind as usize]).into(),
            );
        }
    });
    check("enums as text", &|map| {
        if let Some(kind) = map.get("kind").and_then(Value::as_u64) {
            map.insert("kind".to_owned(), kind.to_string().into());
        }
    });
    check("the protocol's own names", &|map| {
        let snake = |key: &str| {
            let parts = key.chars().flat_map(|c| {
                let sign = c.is_ascii_uppercase().then_some('_');
                sign.into_iter().chain([c.to_ascii_lowercase()])
            });
            parts.collect::<String>()
        };
        *map = std::mem::take(map)
            .into_iter()
            .map(|(key, value)| (snake(&key), value))
            .collect();
    });
    check("nulls and empty lists", &|map| {
        if map.contains_key("spanId") {
            map.insert("links".to_owned(), Value::Null);
            map.insert("traceState".to_owned(), Value::Null);
            map.insert("droppedAttributesCount".to_owned(), 0.into());
            map.insert(
                "parentSpanId".to_owned(),
                map.get("parentSpanId").cloned().unwrap_or(Value::Null),
            );
        }
    });
    check("ids in base64", &|map| {
        for key in ["traceId", "spanId", "parentSpanId"] {
            if let Some(id) = map.get(key).and_then(Value::as_str) {
                let bytes: Vec<u8> = id
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| {
                        u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16)
                            .expect("hex")
                    })
                    .collect();
                map.insert(key.to_owned(), base64(&bytes).into());
            }
        }
    });
}

fn base64(bytes: &[u8]) -> String {
    let value = opentelemetry_proto::tonic::common::v1::AnyValue {
        value: Some(
            opentelemetry_proto::tonic::common::v1::any_value::Value::BytesValue(bytes.to_vec()),
        ),
    };
    let json = serde_json::to_value(value).expect("it is JSON");
    json["bytesValue"]
        .as_str()
        .expect("it is base64")
        .to_owned()
}

/// Converts a capture to the format of Jaeger's `/api/traces`.
fn jaeger(lines: &[Value]) -> Value {
    let mut traces: std::collections::BTreeMap<
        String,
        (Vec<Value>, serde_json::Map<String, Value>),
    > = Default::default();
    let tag = |pair: &Value| {
        let (kind, value) = pair["value"]
            .as_object()
            .and_then(|map| map.iter().next())
            .expect("a value");
        match kind.as_str() {
            "intValue" => {
                json!({"key": pair["key"], "type": "int64", "value": value.as_str().and_then(|text| text.parse::<i64>().ok())})
            }
            "boolValue" => json!({"key": pair["key"], "type": "bool", "value": value}),
            "stringValue" => json!({"key": pair["key"], "type": "string", "value": value}),
            other => panic!("the capture has no {other}"),
        }
    };
    let text = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let micros = |value: &Value| {
        value
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
            .expect("a time")
            / 1000
    };
    for group in lines.iter().flat_map(|line| list(&line["resourceSpans"])) {
        let attributes = list(&group["resource"]["attributes"]);
        let service = attributes
            .iter()
            .find(|pair| pair["key"] == "service.name")
            .expect("a service");
        let others: Vec<Value> = attributes
            .iter()
            .filter(|pair| pair["key"] != "service.name")
            .map(tag)
            .collect();
        let process = json!({"serviceName": service["value"]["stringValue"], "tags": others});
        for scope in list(&group["scopeSpans"]) {
            for span in list(&scope["spans"]) {
                let id = span["traceId"].as_str().expect("an id").to_owned();
                let (spans, processes) = traces.entry(id).or_default();
                let name = format!("p{}", processes.len() + 1);
                let known = processes
                    .iter()
                    .find(|(_, known)| **known == process)
                    .map(|(name, _)| name.clone());
                let name = known.unwrap_or(name);
                processes.insert(name.clone(), process.clone());
                let mut tags: Vec<Value> = list(&span["attributes"]).iter().map(tag).collect();
                const KINDS: [&str; 6] =
                    ["", "internal", "server", "client", "producer", "consumer"];
                tags.push(text(
                    "span.kind",
                    KINDS[span["kind"].as_u64().expect("a kind") as usize],
                ));
                tags.push(text(
                    "otel.scope.name",
                    scope["scope"]["name"].as_str().unwrap_or_default(),
                ));
                tags.push(text(
                    "otel.scope.version",
                    scope["scope"]["version"].as_str().unwrap_or_default(),
                ));
                let parent = span["parentSpanId"].as_str().filter(|id| !id.is_empty());
                let references: Vec<Value> = parent
                    .map(|parent| json!({"refType": "CHILD_OF", "traceID": span["traceId"], "spanID": parent}))
                    .into_iter()
                    .collect();
                let logs: Vec<Value> = list(&span["events"])
                    .iter()
                    .map(|event| {
                        let mut fields =
                            vec![text("event", event["name"].as_str().unwrap_or_default())];
                        fields.extend(list(&event["attributes"]).iter().map(tag));
                        json!({"timestamp": micros(&event["timeUnixNano"]), "fields": fields})
                    })
                    .collect();
                let (start, end) = (
                    micros(&span["startTimeUnixNano"]),
                    micros(&span["endTimeUnixNano"]),
                );
                spans.push(json!({
                    "traceID": span["traceId"], "spanID": span["spanId"], "operationName": span["name"],
                    "references": references, "startTime": start, "duration": end - start, "tags": tags,
                    "logs": logs, "processID": name, "warnings": null,
                }));
            }
        }
    }
    let data = traces.into_iter().map(|(id, (spans, processes))| {
        json!({"traceID": id, "spans": spans, "processes": processes, "warnings": null})
    });
    json!({"data": data.collect::<Vec<Value>>(), "total": 0, "limit": 0, "offset": 0, "errors": null})
}

/// Removes the only differences that Jaeger's JSON causes: times in microseconds and the order of traces.
fn without_times(mut verdict: Verdict) -> Verdict {
    let mut order: Vec<usize> = (0..verdict.examples.len()).collect();
    order.sort_by_key(|&index| verdict.examples[index].name.clone());
    verdict.examples.sort_by(|a, b| a.name.cmp(&b.name));
    for row in &mut verdict.steps {
        row.cells = order
            .iter()
            .map(|&index| row.cells[index].clone())
            .collect();
        for cell in row.cells.iter_mut().flatten() {
            (cell.client_ns, cell.server_ns) = (0, 0);
        }
    }
    for expected in &mut verdict.expected_divergences {
        expected.examples.sort();
    }
    verdict.findings.sort_by_key(|finding| {
        (
            finding.example.clone(),
            finding.step.clone(),
            finding.message.clone(),
        )
    });
    verdict
}

#[test]
fn jaeger_json_gives_the_same_verdict() {
    for name in ["five-languages.jsonl", "java-context-lost.jsonl"] {
        let capture = capture(name);
        let lines: Vec<Value> = capture
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("it is JSON"))
            .collect();
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: jaeger(&lines).to_string().as_bytes(),
        }]);
        assert_eq!(problems, [], "{name}");
        let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
        let mut expected = judged(&capture, None);
        // Jaeger's JSON has no trace flags, but the agent's version implies 03.
        if name.starts_with("java") {
            assert!(
                verdict.findings[0]
                    .hint
                    .as_deref()
                    .is_some_and(|hint| hint.contains("agent 2.33.1 sends trace flags 03"))
            );
            expected.findings[0]
                .hint
                .clone_from(&verdict.findings[0].hint);
        }
        assert_eq!(without_times(verdict), without_times(expected), "{name}");
    }
}

fn problems(bytes: &[u8]) -> (usize, Vec<Problem>) {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    (traces.span_count(), problems)
}

const SPAN: &str = r#"{"traceId":"2688e0266604f39ba07d80f382fd4c0f","spanId":"dcc9ea956b85349b","name":"a","startTimeUnixNano":"1","endTimeUnixNano":"2"}"#;

fn request(spans: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{}},"scopeSpans":[{{"scope":{{}},"spans":[{spans}]}}]}}]}}"#
    )
}

#[test]
fn an_unreadable_record_loses_only_itself() {
    let other = SPAN.replace("dcc9", "dcc8");
    let check = |spans: &str, kind: ProblemKind, message: &str| {
        let input = format!(
            "{}\n{}\n",
            request(SPAN),
            request(&format!("{spans},{other}"))
        );
        let (count, problems) = problems(input.as_bytes());
        let kept = if kind == ProblemKind::UnknownField {
            3
        } else {
            2
        };
        assert_eq!(count, kept, "{spans}");
        let [problem] = problems.as_slice() else {
            panic!("{spans}: {problems:?}")
        };
        assert_eq!(
            (problem.kind, problem.line, problem.message.as_str()),
            (kind, Some(2), message),
            "{spans}"
        );
    };
    let span = |from: &str, to: &str| SPAN.replace("dcc9", "dcc7").replace(from, to);
    let lost = ProblemKind::LostSpan;
    check(
        &span("dcc7ea956b85349b", "0X"),
        lost,
        "expected a span's `spanId` to be 8 bytes in hex, found `0X`",
    );
    check(
        &span("\"1\"", "\"soon\""),
        lost,
        "expected a span's `startTimeUnixNano` to be nanoseconds, found `soon`",
    );
    check(
        &span("\"1\"", "-1"),
        lost,
        "expected a span's `startTimeUnixNano` to be nanoseconds, found `-1`",
    );
    check(
        &span("\"1\"", "{}"),
        lost,
        "expected a span's `startTimeUnixNano` to be nanoseconds, found an object or array",
    );
    check(
        &span("\"a\"", "1"),
        lost,
        "expected a span's `name` to be a string, found `1`",
    );
    check(
        &span("\"name\":\"a\"", "\"kind\":9"),
        lost,
        "expected a span's `kind` to be a kind, found `9`",
    );
    check(
        &span("\"name\":\"a\"", "\"attributes\":{}"),
        lost,
        "expected `attributes` to be an array, found an object",
    );
    let unknown = span("\"name\"", "\"x\":1,\"name\"");
    check(
        &unknown,
        ProblemKind::UnknownField,
        "unknown field `x` in a span",
    );
}

#[test]
fn broken_files() {
    let whole = request(SPAN);
    let check = |bytes: &[u8], count: usize, expected: &str| {
        let (spans, problems) = problems(bytes);
        let said: Vec<String> = problems
            .iter()
            .map(|problem| format!("{:?} {:?} {}", problem.kind, problem.line, problem.message))
            .collect();
        assert_eq!(
            (spans, said.join("\n").as_str()),
            (count, expected),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    };
    check(b"", 0, "");
    check(b"\n\n", 0, "");
    check(whole.as_bytes(), 1, "");
    let cut = format!("{whole}\n{}", &whole[..60]);
    check(
        cut.as_bytes(),
        1,
        "LostRecord Some(2) the record breaks off at column 60",
    );
    check(
        format!("{whole}\nhello\n{whole}").as_bytes(),
        1,
        "OtherText Some(2) a line is not JSON",
    );
    check(b"hello", 0, "LostRecord Some(1) a line is not JSON");
    check(
        b"{}",
        0,
        "LostRecord Some(1) a JSON document without `resourceSpans`",
    );
    check(b"{\"resourceLogs\":[]}", 0, "");
    check(b"[]", 0, "");
    check(
        &[0x1f, 0x8b, 8, 0, 1],
        0,
        "LostRecord None the gzip stream breaks off: unexpected end of file",
    );
    check(
        &framed([requests()[0].clone(), vec![0x0a, 200]].into_iter())[..],
        3,
        "LostRecord None the record is not OTLP protobuf, or breaks off",
    );
    check(b"\x00\x01\x02", 0, "LostRecord Some(1) a line is not JSON");
}

#[test]
fn a_bomb_does_not_fill_memory() {
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    let (count, problems) = problems(&bomb);
    assert_eq!(count, 0);
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("200 times its own size")),
        "{problems:?}"
    );
}

#[test]
fn nothing_to_judge() {
    assert_eq!(judged(b"", None).outcome, Outcome::CouldNotRun);
}
