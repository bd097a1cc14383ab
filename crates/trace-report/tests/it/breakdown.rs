//! Where the time of calls goes, as text and as JSON.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;
use trace_breakdown::{Breakdown, By};
use trace_parity::{Contract, Input, Traces, read};
use trace_report::{
    Detail, TerminalStyle, breakdown, breakdown_changes, breakdown_changes_json, breakdown_json,
    escape,
};

use crate::build::trace_id;
use crate::spans::{CLIENT, INTERNAL, SERVER, SpanSpec, logged, span, traces};

/// A real run of five languages.
fn five_languages() -> Traces {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../trace-parity/tests/data/five-languages.jsonl"
    );
    let bytes = std::fs::read(path).unwrap();
    let input = Input {
        label: None,
        bytes: &bytes,
    };
    read(&[input]).0
}

fn show(by: By, only: Option<&str>, change: impl FnOnce(&mut TerminalStyle)) -> String {
    let mut style = TerminalStyle::default();
    change(&mut style);
    let (traces, contract) = (five_languages(), Contract::builtin());
    let taken = Breakdown::of(&traces, Some(&contract), None);
    breakdown(&taken, by, only, &style)
}

#[test]
fn a_step() {
    assert_snapshot!(show(By::Step, Some("search"), |_| ()));
}

#[test]
fn languages_side_by_side() {
    assert_snapshot!(show(By::Language, Some("search"), |_| ()));
}

#[test]
fn one_call_with_every_stage() {
    let shown = show(By::Call, Some("search"), |style| {
        style.width = 120;
        style.detail = Detail::Verbose;
    });
    let (first, _) = shown.split_once("\nSearch").unwrap();
    assert_snapshot!(first);
}

#[test]
fn quiet_is_a_line_per_operation() {
    let shown = show(By::Step, None, |style| style.detail = Detail::Quiet);
    assert_snapshot!(shown);
}

/// A search that waits for its timestamp for so many milliseconds.
fn search(id: u64, wait: u64) -> [SpanSpec; 6] {
    const METHOD: &str = "milvus.proto.milvus.MilvusService/Search";
    let start = id * 1_000;
    let own = |number: u64, parent: u64, name: &str, start: u64, end: u64| SpanSpec {
        service: "standalone".to_owned(),
        ..span(id + number, id + parent, name, INTERNAL, start, end)
    };
    [
        span(id, 1, METHOD, CLIENT, start, start + wait + 10),
        span(id + 1, id, METHOD, SERVER, start + 1, start + wait + 9),
        own(2, 1, "Proxy-Search", start + 1, start + wait + 9),
        own(3, 2, "SearchTask", start + 1, start + wait + 9),
        own(4, 3, "Proxy-Search-Execute", start + 1, start + wait + 9),
        own(5, 4, "Delegator-waitTSafe", start + 2, start + 2 + wait),
    ]
}

fn searches(waits: &[u64]) -> Traces {
    let mut spans = vec![span(1, 0, "program", INTERNAL, 0, 1_000_000)];
    for (number, wait) in (1..).zip(waits) {
        spans.extend(search(number * 10, *wait));
    }
    traces(&spans)
}

#[test]
fn the_stage_that_became_slower_is_named() {
    let [before, after] = [[1, 2, 3, 4, 5, 6], [31, 32, 33, 34, 35, 36]].map(|w| searches(&w));
    let [old, new] = [&before, &after].map(|traces| Breakdown::of(traces, None, None));
    let style = TerminalStyle::default();
    assert_snapshot!("slower", breakdown_changes(&old, &new, None, &style));
    assert_snapshot!("faster", breakdown_changes(&new, &old, None, &style));
    let few = searches(&[40]);
    let few = Breakdown::of(&few, None, None);
    assert_snapshot!("too_few", breakdown_changes(&old, &few, None, &style));
}

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(trace_report::BREAKDOWN_SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn json_satisfies_its_schema() {
    let check = |text: &str| {
        let document: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<String> = validator()
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        document
    };
    let (traces, contract) = (five_languages(), Contract::builtin());
    let taken = Breakdown::of(&traces, Some(&contract), None);
    for by in [By::Step, By::Language, By::Call, By::Collection] {
        let document = check(&breakdown_json(&taken, by, None));
        for group in document["groups"].as_array().unwrap() {
            let stages = group["stages"].as_array().unwrap().iter();
            let sum: u64 = stages.map(|stage| stage["sum_ns"].as_u64().unwrap()).sum();
            let unexplained = group["unexplained"]["sum_ns"].as_u64().unwrap();
            assert_eq!(group["sum_ns"], sum + unexplained);
        }
    }
    check(&breakdown_changes_json(&taken, &taken, None));
    let mut wrong: Value = serde_json::from_str(&breakdown_json(&taken, By::Step, None)).unwrap();
    wrong["groups"][0]["calls"] = 0.into();
    assert!(!validator().is_valid(&wrong));
}

#[test]
fn lines_of_logs_are_told_in_their_stages() {
    // The second search begins in the last moments of the first.
    let mut spans = vec![span(1, 0, "program", INTERNAL, 0, 1_000_000)];
    spans.extend(search(10, 500));
    let mut second = search(20, 5);
    for span in &mut second {
        let length = span.end - span.start;
        span.start = 10_506 + (span.start - 20_000);
        span.end = span.start + length;
    }
    spans.extend(second);
    let traces = traces(&spans);
    let signals = logged(
        trace_id(0x36),
        &[
            (9_999, "proxy/impl.go:2500", "before the call"),
            (10_001, "proxy/meta_cache.go:846", "no shard cache"),
            (
                10_001,
                "querynodev2/services.go:700",
                "received\n\x1b[31msearch",
            ),
            (10_100, "delegator/delegator.go:400", "waiting for tsafe"),
            (10_200, "unknown/file.go:1", "in some folder"),
            (10_507, "proxy/impl.go:2600", "done"),
            (10_800, "proxy/impl.go:2500", "after the call"),
        ],
    );
    let taken = Breakdown::of(&traces, None, None).with_logs(&signals);
    let text = breakdown(&taken, By::Call, None, &TerminalStyle::default());
    assert_snapshot!(text);

    let document: Value = serde_json::from_str(&breakdown_json(&taken, By::Call, None)).unwrap();
    assert!(validator().is_valid(&document));
    let lines = document["groups"][0]["slowest"]["logs"].as_array().unwrap();
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            let shared = line["may_be_of_another_call"].as_bool().unwrap();
            format!("{} {} {shared}", line["at_ns"], line["stage"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "1000000 \"route\" false",
            "1000000 \"route\" false",
            "100000000 \"consistency\" false",
            "200000000 \"consistency\" false",
            "507000000 \"segments-undivided\" true",
        ]
    );
}

proptest! {
    /// Whatever names are in a trace, lines are short and nothing acts on the terminal.
    #[test]
    fn names_of_a_trace_do_no_harm(name in any::<String>()) {
        let mut spans = vec![span(1, 0, &name, INTERNAL, 0, 1_000_000)];
        spans.push(span(2, 1, &name, INTERNAL, 9_000, 20_000));
        let mut call = search(10, 500);
        call[0].parent = 2;
        call[0].attributes.push(("db.collection.name".to_owned(), name.as_str().into()));
        spans.extend(call);
        let traces = traces(&spans);
        let signals = logged(trace_id(0x36), &[(10_100, &name, &name)]);
        let taken = Breakdown::of(&traces, None, None).with_logs(&signals);
        let style = TerminalStyle::default();
        for by in [By::Step, By::Language, By::Call, By::Collection] {
            let text = breakdown(&taken, by, None, &style);
            prop_assert!(!text.is_empty());
            for line in text.lines() {
                prop_assert_eq!(line, escape::visible(line, trace_report::Charset::Unicode));
                prop_assert!(escape::columns(line) <= style.width, "{}", line);
            }
        }
    }
}
