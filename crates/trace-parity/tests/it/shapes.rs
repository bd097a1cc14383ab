//! Traces of shapes that break recursion and quadratic loops.

use std::fmt::Write as _;

use trace_parity::{Contract, Input, judge, read};

/// A tenth of it without optimisation: what recurses or is quadratic shows all the same.
const SPANS: u64 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

fn checked(parent: impl Fn(u64) -> u64) {
    let mut bytes = String::from("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
    for id in 1..=SPANS {
        let comma = if id == 1 { "" } else { "," };
        let _ = write!(
            bytes,
            "{comma}{{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"{id:016x}\",\"parentSpanId\":\"{:016x}\",\"name\":\"s\",\"startTimeUnixNano\":{},\"endTimeUnixNano\":{}}}",
            parent(id),
            1_000_000 + id,
            10_000_000 + SPANS - id
        );
    }
    bytes.push_str("]}]}]}");
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: bytes.as_bytes(),
    }]);
    assert_eq!((traces.span_count() as u64, problems), (SPANS, vec![]));
    let trace = traces.iter().next().expect("there is one");
    assert_eq!(trace.tree().len() as u64, SPANS);
    let verdict = judge(&traces, &[], Some(&Contract::builtin()), None);
    assert_eq!(verdict.examples.len(), 1);
}

#[test]
fn a_chain_a_million_spans_deep() {
    checked(|id| id - 1);
}

#[test]
fn a_parent_with_a_million_children() {
    checked(|id| u64::from(id > 1));
}

#[test]
fn a_million_orphans() {
    checked(|id| if id == 1 { 0 } else { SPANS + id });
}
