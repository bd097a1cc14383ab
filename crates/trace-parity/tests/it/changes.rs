//! Before against after, baselines and times.

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
fn what_changed_is_said_once() {
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
fn times_are_told_apart() {
    let verdict = judged(&capture("five-languages.jsonl"), None);
    let timing = timing(&verdict);
    let connect = &timing[0];
    let outliers: Vec<&str> = connect
        .examples
        .iter()
        .filter(|example| example.outlier)
        .map(|example| example.example.as_str())
        .collect();
    // The first call loads code: half a second in Java, twenty milliseconds in Node.
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
    for example in timing(&verdict).iter().flat_map(|step| &step.examples) {
        assert!(example.client.median > 0, "{example:?}");
        assert_eq!((example.server, example.gap), (None, None), "{example:?}");
    }
}
