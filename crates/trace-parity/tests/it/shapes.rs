//! Traces with shapes that break recursive and quadratic algorithms.

use std::fmt::Write as _;

use trace_parity::{Contract, Input, judge, read};

fn checked(spans: u64, parent: impl Fn(u64) -> u64) {
    let mut bytes = String::from("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
    for id in 1..=spans {
        let comma = if id == 1 { "" } else { "," };
        let _ = write!(
            bytes,
            "{comma}{{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"{id:016x}\",\"parentSpanId\":\"{:016x}\",\"name\":\"s\",\"startTimeUnixNano\":{},\"endTimeUnixNano\":{}}}",
            parent(id),
            1_000_000 + id,
            10_000_000 + spans - id
        );
    }
    bytes.push_str("]}]}]}");
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: bytes.as_bytes(),
    }]);
    assert_eq!((traces.span_count() as u64, problems), (spans, vec![]));
    let trace = traces.iter().next().expect("there is one");
    assert_eq!(trace.tree().len() as u64, spans);
    let verdict = judge(&traces, &[], Some(&Contract::builtin()), None);
    assert_eq!(verdict.examples.len(), 1);
}

/// Without run facts or instance ids, every trace is a separate program.
#[test]
fn many_programs() {
    const PROGRAMS: u64 = 10_000;
    let mut lines = String::new();
    for program in 1..=PROGRAMS {
        // A root without a call, and at the same time a server trace that belongs to no call.
        for (service, name, trace) in [
            ("worker", "work", program),
            (
                "standalone",
                "milvus.proto.milvus.MilvusService/Insert",
                PROGRAMS + program,
            ),
        ] {
            let _ = writeln!(
                lines,
                "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\"stringValue\":\"{service}\"}}}}]}},\"scopeSpans\":[{{\"spans\":[{{\"traceId\":\"{trace:032x}\",\"spanId\":\"{trace:016x}\",\"name\":\"{name}\",\"startTimeUnixNano\":{},\"endTimeUnixNano\":{}}}]}}]}}]}}",
                1_000 * program,
                1_000 * PROGRAMS,
            );
        }
    }
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: lines.as_bytes(),
    }]);
    let verdict = judge(&traces, &problems, None, None);
    assert_eq!(verdict.examples.len() as u64, PROGRAMS);
    let unseen = verdict
        .findings
        .iter()
        .filter(|finding| finding.rule.name() == "client-unseen");
    assert_eq!(unseen.count() as u64, PROGRAMS);
}

/// A child that ends before it starts, under one of two spans that share an id and one of which does too.
#[test]
fn times_that_run_backwards_under_a_repeated_id() {
    let span = |id: u8, parent: &str, start: u64, end: u64| {
        format!(
            "{{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"{id:016x}\",\"parentSpanId\":\"{parent}\",\"name\":\"s\",\"startTimeUnixNano\":{start},\"endTimeUnixNano\":{end}}}"
        )
    };
    let check = |twins: [(u64, u64); 2], child: (u64, u64), expected: usize| {
        let [first, second] = twins.map(|(start, end)| span(1, "", start, end));
        let child = span(2, "0000000000000001", child.0, child.1);
        let bytes = format!(
            "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{first},{second},{child}]}}]}}]}}"
        );
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: bytes.as_bytes(),
        }]);
        let trace = traces.iter().next().expect("there is one");
        let parents: Vec<_> = trace
            .spans()
            .filter_map(|span| Some(span.parent()?.start_ns() as usize))
            .collect();
        assert_eq!(parents, [expected]);
        let _ = judge(&traces, &problems, Some(&Contract::builtin()), None);
    };
    check([(100, 50), (200, 300)], (110, 40), 100);
    check([(100, 50), (90, 300)], (110, 40), 100);
    check([(100, 150), (90, 300)], (110, 140), 100);
}

/// Enough to show recursion and quadratic work; `test --slow` uses a million.
const MANY: u64 = 100_000;

const MILLION: u64 = 1_000_000;

fn chain(id: u64) -> u64 {
    id - 1
}

fn one_parent(id: u64) -> u64 {
    u64::from(id > 1)
}

fn orphan(id: u64) -> u64 {
    if id == 1 { 0 } else { 2 * MILLION + id }
}

#[test]
fn a_long_chain() {
    checked(MANY, chain);
}

#[test]
fn a_parent_with_many_children() {
    checked(MANY, one_parent);
}

#[test]
fn many_orphans() {
    checked(MANY, orphan);
}

#[test]
#[ignore = "takes a minute"]
fn slow_a_chain_a_million_spans_deep() {
    checked(MILLION, chain);
}

#[test]
#[ignore = "takes a minute"]
fn slow_a_parent_with_a_million_children() {
    checked(MILLION, one_parent);
}

#[test]
#[ignore = "takes a minute"]
fn slow_a_million_orphans() {
    checked(MILLION, orphan);
}
