//! One trace in a terminal.

use insta::assert_snapshot;
use proptest::prelude::*;
use trace_parity::{Kind, LogLine, WireTime};
use trace_report::{Beside, Detail, TerminalStyle, escape, tree, tree_with};

use crate::spans::{CLIENT, INTERNAL, SERVER, SpanSpec, span, traces};

fn show(spans: &[SpanSpec], change: impl FnOnce(&mut TerminalStyle)) -> String {
    let mut style = TerminalStyle::default();
    change(&mut style);
    let traces = traces(spans);
    let trace = traces.iter().next().expect("one trace");
    tree(&trace, &style)
}

fn rpc(id: u64, method: &str, start: u64, end: u64) -> [SpanSpec; 3] {
    let name = format!("milvus.proto.milvus.MilvusService/{method}");
    let work = format!("Proxy-{method}");
    let server = SpanSpec {
        service: "standalone".to_owned(),
        ..span(id + 2, id + 1, &work, INTERNAL, start + 1, end)
    };
    [
        span(id, 1, &name, CLIENT, start, end),
        span(id + 1, id, &name, SERVER, start, end),
        server,
    ]
}

fn scenario() -> Vec<SpanSpec> {
    let mut spans = vec![span(1, 0, "test_milvus_otel", INTERNAL, 0, 4000)];
    spans.extend(rpc(10, "Connect", 5, 9));
    spans.extend(rpc(20, "CreateCollection", 10, 200));
    for poll in 0..14 {
        spans.extend(rpc(
            100 + 10 * poll,
            "GetLoadingProgress",
            200 + 100 * poll,
            203 + 100 * poll,
        ));
    }
    spans.extend(rpc(300, "Search", 2000, 2012));
    spans
}

#[test]
fn polls_are_folded() {
    assert_snapshot!(show(&scenario(), |_| ()));
}

#[test]
fn logs_stand_below_their_spans() {
    let spans = scenario();
    let traces = traces(&spans);
    let trace = traces.iter().next().expect("one trace");
    let line = |time: u64, level: &'static str, text: &'static str| LogLine {
        time_ns: trace.roots()[0].start_ns() + time * 1_000_000,
        level,
        source: "proxy/impl.go:2500",
        text,
        is_server: true,
    };
    let mut beside = Beside::default();
    for span in trace.spans() {
        let own = match span.name() {
            "Proxy-Search" => vec![
                line(2002, "INFO", "searching"),
                line(2011, "ERROR", "failed\n\x1b[31mto search"),
            ],
            "Proxy-GetLoadingProgress" => vec![line(201, "DEBUG", "received")],
            _ => continue,
        };
        beside.logs.insert(span.id(), own);
    }
    let search = trace.spans().find(|span| span.name().ends_with("/Search"));
    let wire = WireTime {
        after_ns: 400_000,
        took_ns: 9_500_000,
        sent: 2,
    };
    let calls = search.filter(|span| span.kind() == Kind::Client);
    beside.wire.extend(calls.map(|span| (span.id(), wire)));
    let style = TerminalStyle::default();
    assert_snapshot!(tree_with(&trace, None, &beside, &style));
    let search = trace.spans().find(|span| span.name().ends_with("/Search"));
    assert_snapshot!(tree_with(&trace, search.as_ref(), &beside, &style));
}

#[test]
fn wide_verbose_ascii() {
    let output = show(&scenario(), |style| {
        style.width = 120;
        style.ascii = true;
        style.detail = Detail::Verbose;
    });
    assert_eq!(output.matches("GetLoadingProgress").count(), 3 * 14);
    assert!(output.is_ascii());
    assert_snapshot!(output.lines().take(12).collect::<Vec<_>>().join("\n"));
}

#[test]
fn failures_and_orphans_are_marked() {
    let mut spans = scenario();
    spans[4].error = Some("collection \x1b[31mnot found\n".to_owned());
    spans.push(span(999, 998, "left alone", INTERNAL, 3000, 3001));
    assert_snapshot!(show(&spans, |_| ()));
}

#[test]
fn a_failing_poll_is_not_folded_away() {
    let mut spans = scenario();
    let failing = spans
        .iter()
        .position(|span| span.id == 150)
        .expect("the sixth poll");
    spans[failing].error = Some("unavailable".to_owned());
    let output = show(&spans, |_| ());
    assert!(
        output.contains("×5") && output.contains("×8") && output.contains("unavailable"),
        "{output}"
    );
}

#[test]
fn very_deep_and_very_wide() {
    let deep: Vec<SpanSpec> = (1..=20_000)
        .map(|id| span(id, id - 1, "down", INTERNAL, id, 40_000 - id))
        .collect();
    let output = show(&deep, |_| ());
    assert_eq!(output.lines().count(), 1 + 1 + 500 + 1);
    assert!(
        output.ends_with("and 19500 spans more; `-v` shows more\n"),
        "{output}"
    );
    assert!(output.lines().all(|line| escape::columns(line) <= 80));

    let mut wide = vec![span(1, 0, "root", INTERNAL, 0, 1)];
    wide.extend(
        (2..=20_000).map(|id| span(id, 1, &format!("child {}", id % 7), INTERNAL, id, id + 1)),
    );
    let output = show(&wide, |_| ());
    assert_eq!(output.lines().count(), 1 + 1 + 500 + 1);
}

#[test]
fn a_cycle_ends() {
    let spans = [
        span(1, 2, "chicken", INTERNAL, 0, 10),
        span(2, 1, "egg", INTERNAL, 1, 9),
    ];
    let output = show(&spans, |_| ());
    assert_eq!(output.lines().count(), 1 + 1 + 2, "{output}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_span_of_any_forest_is_printed(parents in prop::collection::vec(0_u64..40, 1..40), names in prop::collection::vec(0_u8..3, 40), name in any::<String>(), width in 0_usize..150) {
        let spans: Vec<SpanSpec> = parents
            .iter()
            .zip(names)
            .enumerate()
            .map(|(index, (parent, kind))| {
                let id = index as u64 + 1;
                span(id, *parent, &format!("{kind}{name}"), INTERNAL, id % 5, id)
            })
            .collect();
        let whole = show(&spans, |style| {
            style.detail = Detail::Verbose;
            style.width = width;
        });
        prop_assert!(whole.lines().all(|line| escape::columns(line) <= width.max(40)), "{whole}");
        let rows = whole.lines().skip_while(|line| !line.is_empty()).skip(1);
        let rows = rows.filter(|line| !line.contains("its parent ")).count();
        prop_assert_eq!(rows, spans.len(), "{}", whole);

        // If polls are folded, the counts of all lines add up to all spans.
        let folded = show(&spans, |_| ());
        prop_assert!(!folded.contains(" more"), "{folded}");
    }
}
