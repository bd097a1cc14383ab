//! Real captures, taken apart.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use trace_breakdown::{Breakdown, By, Model, Side, groups};
use trace_parity::{Contract, Input, Traces, read};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-parity/tests/data")
}

fn traces(path: &Path) -> Traces {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (traces, _) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    traces
}

/// Every capture of the repository.
fn captures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [data(), data().join("cases"), own()] {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
        found.extend(entries.map(|entry| entry.unwrap().path()));
    }
    found.retain(|path| path.to_string_lossy().contains(".json"));
    assert!(found.len() > 30, "{found:?}");
    found.sort();
    found
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn stages_add_up_in_every_call_of_every_capture() {
    let contract = Contract::builtin();
    let mut calls = 0;
    for path in captures() {
        let traces = traces(&path);
        for contract in [None, Some(&contract)] {
            let breakdown = Breakdown::of(&traces, contract, None);
            for time in breakdown.calls() {
                let told: u64 = time.stages.iter().map(|stage| stage.ns).sum();
                let place = format!("{}: {:?}", path.display(), time.call.span);
                assert_eq!(told + time.unexplained_ns, time.total_ns, "{place}");
                let path = breakdown.path(time);
                let mut at = 0;
                for stretch in &path {
                    assert_eq!(stretch.from_ns, at, "{place}");
                    at = stretch.to_ns;
                }
                assert_eq!(at, time.total_ns, "{place}");
                for stage in &time.stages {
                    assert!(stage.ns <= stage.all_ns, "{place}: {stage:?}");
                }
                calls += 1;
            }
        }
    }
    assert!(calls > 500, "{calls} calls");
}

#[test]
fn little_of_searches_and_inserts_is_unexplained() {
    let traces = traces(&data().join("five-languages.jsonl"));
    let contract = Contract::builtin();
    let breakdown = Breakdown::of(&traces, Some(&contract), None);
    for step in ["search", "insert"] {
        let all = groups(&breakdown, By::Step, Some(step));
        let [group] = all.as_slice() else {
            panic!("{step}: {all:?}")
        };
        assert_eq!(group.calls.len(), 5, "{step}");
        for time in &group.calls {
            assert!(
                time.unexplained_ns * 100 <= time.total_ns * 3,
                "{step} {}: {} of {}",
                breakdown.example(time),
                time.unexplained_ns,
                time.total_ns
            );
        }
    }
}

/// The reasons that `tests/slow/slow_searches.py` makes searches slow for, and the stage that each of them makes the longest; none where
/// it is the program's own time, or where many stages share it.
const SLOW_FOR: [(&str, Option<&str>); 11] = [
    ("consistency-wait", Some("consistency")),
    ("no-index", Some("brute-force")),
    ("filter", Some("filter")),
    ("long-expression", Some("plan")),
    ("large-answer", None),
    ("requery", Some("requery")),
    ("queue", Some("query-queue")),
    ("slow-client", Some("response")),
    ("server-stood-still", None),
    ("slow-link", None),
    ("first-after-load", None),
];

#[test]
fn each_slow_search_is_told_by_its_reason() {
    let traces = traces(&own().join("slow-searches.jsonl.gz"));
    let breakdown = Breakdown::of(&traces, None, None);
    for (expected, stage) in SLOW_FOR {
        let in_case = |time: &&trace_breakdown::CallTime<'_>| {
            let id = time.call.span.trace_id();
            let trace = traces.iter().find(|trace| trace.id() == id);
            let roots = trace.map(|trace| trace.roots()).unwrap_or_default();
            time.call.method == "Search" && roots.iter().any(|root| root.name() == expected)
        };
        let calls = breakdown.calls().iter().filter(in_case);
        let slowest = calls.max_by_key(|time| time.total_ns).expect(expected);
        let reasons = breakdown.reasons(slowest);
        let named: Vec<&str> = reasons.iter().map(|reason| reason.name).collect();
        assert_eq!(named.first(), Some(&expected), "{named:?}");
        let longest = slowest.stages.iter().max_by_key(|stage| stage.ns);
        let longest = longest.map(|stage| Model::builtin().stage(stage.stage).name.as_str());
        assert!(
            stage.is_none() || longest == stage,
            "{expected}: {longest:?}"
        );
        assert!(
            slowest.unexplained_ns * 100 <= slowest.total_ns * 3,
            "{expected}"
        );
    }
}

/// A line per stage, in hundredths of a millisecond.
fn told(breakdown: &Breakdown<'_>, by: By, only: Option<&str>) -> String {
    let model = Model::builtin();
    let mut text = String::new();
    let shown = |ns: u64| format!("{:9.2}", ns as f64 / 1e6);
    for group in groups(breakdown, by, only) {
        let _ = writeln!(
            text,
            "{} {} {} x{}{}",
            group.step.unwrap_or("-"),
            group.method,
            group.key,
            group.calls.len(),
            shown(group.total.median)
        );
        for stage in &group.stages {
            let _ = writeln!(
                text,
                "  {:<20}{}{}",
                model.stage(stage.stage).name,
                shown(stage.spread.median),
                shown(stage.all_ns)
            );
        }
        if group.unexplained.sum_ns > 0 {
            let _ = writeln!(
                text,
                "  {:<20}{}",
                "unexplained",
                shown(group.unexplained.spread.median)
            );
        }
    }
    text
}

#[test]
fn five_languages() {
    let traces = traces(&data().join("five-languages.jsonl"));
    let contract = Contract::builtin();
    let breakdown = Breakdown::of(&traces, Some(&contract), None);
    insta::assert_snapshot!("search", told(&breakdown, By::Language, Some("search")));
    insta::assert_snapshot!("operations", told(&breakdown, By::Step, None));
    let server = |time: &trace_breakdown::CallTime<'_>| time.ns_on(Model::builtin(), Side::Server);
    for time in breakdown.calls() {
        let answered = time.call.server.map_or(0, |span| span.duration_ns());
        assert!(server(time) <= answered, "{:?}", time.call.span);
    }
}

#[test]
fn the_load_is_found_in_a_trace_of_the_servers_own() {
    let traces = traces(&own().join("slow-searches.jsonl.gz"));
    let breakdown = Breakdown::of(&traces, None, None);
    let calls = breakdown.calls().iter();
    let loads = calls.filter(|time| time.call.method == "LoadCollection");
    let found: Vec<Option<(&str, bool)>> = loads
        .map(|time| {
            let load = time.elsewhere?;
            Some((load.span.name(), load.span.duration_ns() > time.total_ns))
        })
        .collect();
    // Two collections are filled, and one of them is loaded again, and once more.
    assert_eq!(found, [Some(("LoadCollection", true)); 4]);
}
