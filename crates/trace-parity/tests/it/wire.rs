//! Verdicts on captures together with the records of a witness. The records are made from the captures' client spans, changed as each
//! case says.

use std::collections::BTreeMap;
use std::sync::Arc;

use trace_parity::{
    Delivery, ExampleFacts, Exit, Input, Kind, Rule, RunFacts, Wire, WireCall, WireError, judge,
    read,
};

use crate::support::capture;

/// The wire of a client that sends each call once, with its own context.
fn as_sent(bytes: &[u8], flags: &str) -> Vec<WireCall> {
    let (traces, _) = read(&[Input { label: None, bytes }]);
    let spans = traces.iter().flat_map(|trace| trace.spans());
    let service = "milvus.proto.milvus.MilvusService/";
    spans
        .filter(|span| span.kind() == Kind::Client)
        .filter_map(|span| {
            let (_, method) = span.name().split_once(service)?;
            let traceparent = format!("00-{}-{}-{flags}", span.trace_id(), span.id());
            let header = ("traceparent".to_owned(), vec![traceparent]);
            // The server's spans of the same names call other servers.
            (span.service_name() == Some("milvus-client")).then(|| WireCall {
                connection: 1,
                headers_unix_nano: span.start_ns() + 1,
                end_unix_nano: span.start_ns() + 2,
                path: format!("/{service}{method}"),
                context: BTreeMap::from([header]),
                grpc_status: Some(0),
                fault: None,
                stripped: Vec::new(),
            })
        })
        .collect()
}

/// Findings of `exec` that say how calls fared, with their counts.
fn check(
    name: &str,
    flags: &str,
    change: impl Fn(&mut Vec<WireCall>),
    expected: &[(Rule, u64, &str)],
) {
    let bytes = capture(name);
    let mut calls = as_sent(&bytes, flags);
    assert!(!calls.is_empty(), "{name}");
    change(&mut calls);
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let spans = traces.iter().flat_map(|trace| trace.spans());
    let mut attributes = spans.flat_map(|span| {
        let attributes = span.resource_attributes();
        attributes.map(|(key, value)| (key.to_owned(), value.to_string()))
    });
    let run = attributes.find(|(key, _)| key == "milvus_otel.run");
    let facts = RunFacts {
        run: run.map(|(_, run)| run),
        examples: vec![ExampleFacts {
            name: "program".to_owned(),
            exit: Exit::Code(0),
            trace_id: None,
        }],
        server_is_own: true,
        delivery: Some(Delivery::default()),
        wire: Some(Arc::new(Wire { calls })),
        ..RunFacts::default()
    };
    let verdict = judge(&traces, &problems, None, Some(&facts));
    let found: Vec<_> = verdict
        .findings
        .iter()
        .filter(|finding| finding.rule.family() == Rule::NoServerSpan.family())
        .collect();
    let said: Vec<(Rule, u64)> = found
        .iter()
        .map(|finding| (finding.rule, finding.count))
        .collect();
    let rules: Vec<(Rule, u64)> = expected
        .iter()
        .map(|&(rule, count, _)| (rule, count))
        .collect();
    assert_eq!(said, rules, "{name}: {found:#?}");
    for (found, (_, _, text)) in found.iter().zip(expected) {
        let hint = found.hint.as_deref().unwrap_or_default();
        assert!(!hint.contains("a guess"), "{hint}");
        let both = format!("{}\n{hint}", found.message);
        assert!(both.contains(text), "{name}: {both}");
    }
}

#[test]
fn a_whole_trace_agrees_with_its_wire() {
    check("cases/base.jsonl", "01", |_| (), &[]);
}

#[test]
fn a_lost_context_has_one_definite_cause() {
    const LOST: &str = "java-context-lost.jsonl";
    let all = capture(LOST);
    let count = as_sent(&all, "03").len() as u64;
    let agent = "the Java agent 2.33.1 sent trace flags 03";
    check(LOST, "03", |_| (), &[(Rule::ContextIgnored, count, agent)]);
    let second = |calls: &mut Vec<WireCall>| {
        for call in calls {
            let values = call.context.get_mut("traceparent").expect("a context");
            values.push(format!("00-{:032x}-{:016x}-01", 1, 2));
        }
    };
    let several = "several `traceparent` headers";
    check(
        LOST,
        "01",
        second,
        &[(Rule::ContextIgnored, count, several)],
    );
    let nothing = |calls: &mut Vec<WireCall>| {
        for call in calls {
            call.context.clear();
        }
    };
    let propagator = "without any trace context";
    check(
        LOST,
        "01",
        nothing,
        &[(Rule::ContextNotSent, count, propagator)],
    );
    let stripped = |calls: &mut Vec<WireCall>| {
        for call in calls {
            call.fault = Some("context-stripped".to_owned());
            call.stripped = vec!["traceparent".to_owned()];
        }
    };
    let fault = "the fault `context-stripped` removed it";
    check(
        LOST,
        "01",
        stripped,
        &[(Rule::ContextChanged, count, fault)],
    );
    let b3 = |calls: &mut Vec<WireCall>| {
        for call in calls {
            call.context = BTreeMap::from([("b3".to_owned(), vec!["0".to_owned()])]);
        }
    };
    check(
        LOST,
        "01",
        b3,
        &[(Rule::ContextNotSent, count, "writes `b3`")],
    );
    let foreign = |calls: &mut Vec<WireCall>| {
        for call in calls {
            let other = format!("00-{:032x}-{:016x}-01", 1, 2);
            let state = ("tracestate".to_owned(), vec!["dd=s:1".to_owned()]);
            call.context = BTreeMap::from([("traceparent".to_owned(), vec![other]), state]);
        }
    };
    check(
        LOST,
        "01",
        foreign,
        &[(Rule::ContextChanged, count, "Datadog's tracer")],
    );
}

#[test]
fn calls_without_a_span_are_told_by_what_they_carried() {
    let base = capture("cases/base.jsonl");
    let first = as_sent(&base, "01").remove(0);
    let untraced = |calls: &mut Vec<WireCall>| {
        let mut call = first.clone();
        call.headers_unix_nano -= 1_000_000_000;
        call.context.clear();
        calls.push(call);
    };
    let expected = (Rule::UnseenCall, 1, "without `traceparent`: 1 `");
    check("cases/base.jsonl", "01", untraced, &[expected]);
    let lost = |calls: &mut Vec<WireCall>| {
        let mut call = first.clone();
        call.headers_unix_nano -= 1_000_000_000;
        let other = format!("00-{:032x}-{:016x}-01", 1, 2);
        call.context.insert("traceparent".to_owned(), vec![other]);
        calls.push(call);
    };
    let expected = (Rule::UnseenCall, 1, "whose span never arrived");
    check("cases/base.jsonl", "01", lost, &[expected]);
}

#[test]
fn a_call_that_is_sent_again_under_one_span_is_told() {
    let again = |calls: &mut Vec<WireCall>| {
        let mut call = calls[2].clone();
        calls[2].grpc_status = Some(14);
        call.headers_unix_nano += 1;
        calls.push(call);
    };
    let expected = (
        Rule::HiddenRetry,
        1,
        "was sent 2 times, with gRPC status 14, 0",
    );
    check("cases/base.jsonl", "01", again, &[expected]);
}

#[test]
fn a_file_of_records_is_read_or_refused() {
    let first = r#"{"witness":{"schema":"milvus-otel.wire/1","mends":false}}"#;
    let call = r#"{"call":{"connection":1,"headers_unix_nano":5,"path":"/a.B/C","context":{"b3":["0"]},"grpc_status":null}}"#;
    let read = |lines: &[&str]| Wire::read(&lines.join("\n")).map(|wire| wire.calls.len());
    assert_eq!(read(&[first, call, r#"{"end":{}}"#, ""]), Ok(1));
    // The last line is being written.
    assert_eq!(read(&[first, call, r#"{"call":{"conn"#]), Ok(1));
    assert_eq!(read(&[call, first, ""]), Err(WireError::NoSchema));
    let other = r#"{"witness":{"schema":"milvus-otel.wire/9"}}"#;
    let schema = WireError::Schema("milvus-otel.wire/9".to_owned());
    assert_eq!(read(&[other, ""]), Err(schema));
    let refused = read(&[first, "{}", ""]).expect_err("no record");
    assert!(
        refused.to_string().starts_with("line 2 is not a record"),
        "{refused}"
    );
}
