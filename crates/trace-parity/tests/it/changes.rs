//! Diffs, baselines and times.

use trace_parity::{Contract, Input, Traces, against_baseline, baseline, diff, read, timing};

use crate::support::{capture, judged};

fn traces(bytes: &[u8]) -> Traces {
    read(&[Input { label: None, bytes }]).0
}

fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(capture("five-languages.jsonl")).expect("it is text");
    assert!(text.contains(from), "{from}");
    text.replace(from, to).into_bytes()
}

#[test]
fn a_run_against_itself_is_unchanged() {
    let capture = capture("five-languages.jsonl");
    assert_eq!(
        diff(&traces(&capture), &traces(&capture), &Contract::builtin()),
        []
    );
}

#[test]
fn each_change_is_reported_once() {
    let before = traces(&capture("five-languages.jsonl"));
    let check = |from: &str, to: &str, expected: &[&str]| {
        let changes = diff(&before, &traces(&changed(from, to)), &Contract::builtin());
        let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected, "{from} to {to}");
    };
    check(
        "0.54b1",
        "0.60b0",
        &[
            "renamed py scope: opentelemetry.instrumentation.grpc 0.54b1 -> opentelemetry.instrumentation.grpc 0.60b0",
        ],
    );
    check(
        "\"network.peer.port\"",
        "\"net.sock.peer.port\"",
        &["renamed java calls attribute: network.peer.port (int) -> net.sock.peer.port (int)"],
    );
    check(
        "\"name\":\"/milvus.proto.milvus.MilvusService/Search\"",
        "\"name\":\"Search\"",
        &["renamed py search/Search name: /milvus.proto.milvus.MilvusService/Search -> Search"],
    );
}

/// The diff between the small capture and a copy with `change` applied to each trace.
fn said(change: impl Fn(&mut Vec<serde_json::Value>)) -> Vec<String> {
    let base = capture("cases/base.jsonl");
    let mut after = Vec::new();
    for line in base
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let mut line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        for group in line["resourceSpans"].as_array_mut().expect("groups") {
            for scope in group["scopeSpans"].as_array_mut().expect("scopes") {
                change(scope["spans"].as_array_mut().expect("spans"));
            }
        }
        after.extend(format!("{line}\n").into_bytes());
    }
    let changes = diff(&traces(&base), &traces(&after), &Contract::builtin());
    changes.iter().map(ToString::to_string).collect()
}

fn is_client_call(span: &serde_json::Value, method: &str) -> bool {
    span["kind"] == 3
        && span["name"]
            .as_str()
            .is_some_and(|name| name.ends_with(&format!("MilvusService/{method}")))
}

#[test]
fn every_kind_of_change_is_reported() {
    use serde_json::json;
    let of = |method: &'static str, change: &dyn Fn(&mut serde_json::Value)| {
        said(|spans| {
            for span in spans.iter_mut().filter(|span| is_client_call(span, method)) {
                change(span);
            }
        })
    };
    let mut all = Vec::new();
    let mut told = |what: &str, changes: Vec<String>| {
        assert!(!changes.is_empty(), "{what}");
        all.push(format!("{what}:\n  {}", changes.join("\n  ")));
    };
    told(
        "a search fails",
        of("Search", &|span| {
            span["status"] = json!({"code": 2, "message": "no"});
        }),
    );
    told(
        "another kind",
        of("Search", &|span| span["kind"] = json!(1)),
    );
    told(
        "an event",
        of("Insert", &|span| {
            span["events"] = json!([{"name": "retry", "timeUnixNano": "1"}]);
        }),
    );
    told(
        "a link",
        of(
            "Insert",
            &|span| span["links"] = json!([{"traceId": "00000000000000000000000000000001", "spanId": "0000000000000001"}]),
        ),
    );
    told(
        "another value",
        of("Insert", &|span| {
            for pair in span["attributes"].as_array_mut().expect("attributes") {
                if pair["key"] == "rpc.method" {
                    pair["value"] = json!({"stringValue": "insert"});
                }
            }
        }),
    );
    told(
        "three times",
        said(|spans| {
            let calls: Vec<_> = spans
                .iter()
                .filter(|span| is_client_call(span, "Insert"))
                .cloned()
                .collect();
            for (number, call) in calls.iter().flat_map(|call| [(1, call), (2, call)]) {
                let mut again = call.clone();
                again["spanId"] = json!(format!("{:016x}", 0xaa00 + number));
                spans.push(again);
            }
        }),
    );
    told(
        "a span that is no call",
        said(|spans| {
            let roots: Vec<_> = spans
                .iter()
                .filter(|span| span["name"] == "test_milvus_otel")
                .cloned()
                .collect();
            for root in roots {
                let mut own = root.clone();
                own["parentSpanId"] = root["spanId"].clone();
                own["spanId"] = json!("000000000000bb00");
                own["name"] = json!("prepare rows");
                spans.push(own);
            }
        }),
    );
    told(
        "the root fails",
        said(|spans| {
            for span in spans
                .iter_mut()
                .filter(|span| span["name"] == "test_milvus_otel")
            {
                span["status"] = json!({"code": 2});
            }
        }),
    );
    told(
        "another order",
        said(|spans| {
            for span in spans
                .iter_mut()
                .filter(|span| is_client_call(span, "Search"))
            {
                span["startTimeUnixNano"] = json!("1700000000000000001");
            }
        }),
    );
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_baseline_is_small_and_the_same_from_run_to_run() {
    let contract = Contract::builtin();
    let text = baseline(&traces(&capture("five-languages.jsonl")), &contract, None);
    insta::assert_snapshot!(text);
    assert_eq!(against_baseline(&text, &text), None);
    let other = baseline(&traces(&changed("0.54b1", "0.60b0")), &contract, None);
    insta::assert_snapshot!(against_baseline(&text, &other).expect("they differ"), @r"
      [py]
    - scope opentelemetry.instrumentation.grpc 0.54b1
    + scope opentelemetry.instrumentation.grpc 0.60b0
    ");
}

#[test]
fn times_of_client_server_and_gap_are_separate() {
    let verdict = judged(&capture("five-languages.jsonl"), None);
    let timing = timing(&verdict);
    let connect = &timing[0];
    let outliers: Vec<&str> = connect
        .examples
        .iter()
        .filter(|example| example.outlier)
        .map(|example| example.example.as_str())
        .collect();
    // The first call loads code, which takes half a second in Java and twenty milliseconds in Node.js.
    assert_eq!(
        (connect.step.as_str(), outliers),
        ("connect", vec!["node", "java"])
    );
    for example in timing.iter().flat_map(|step| &step.examples) {
        assert!(
            example.runs == 1 && example.client.median == example.client.worst,
            "{example:?}"
        );
        let gap = example.gap.expect("each call has its server span");
        assert!(gap.median <= example.client.median, "{example:?}");
    }
}

#[test]
fn a_call_without_its_server_span_has_no_gap() {
    let verdict = judged(&capture("java-context-lost.jsonl"), None);
    let timing = timing(&verdict);
    let examples = timing.iter().flat_map(|step| &step.examples);
    assert!(examples.clone().next().is_some());
    for example in examples {
        assert!(example.client.median > 0, "{example:?}");
        assert_eq!((example.server, example.gap), (None, None), "{example:?}");
    }
}
