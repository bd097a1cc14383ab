//! Searches that are slow for known reasons, made for real and explained.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{alone, root, xtask};

const PROGRAM: &str = "crates/trace-breakdown/tests/slow/slow_searches.py";

/// Python with the versions that `examples-py` pins.
fn python() -> String {
    let environment = root().join("target/milvus-otel/tests/slow-searches");
    let python = environment.join("bin/python");
    if !environment.join("complete").is_file() {
        let requirements = root().join("examples-py/requirements.txt");
        let made = Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment)
            .status();
        assert!(made.is_ok_and(|status| status.success()), "a venv is made");
        let installed = Command::new(environment.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "--requirement",
            ])
            .arg(requirements)
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "pip installs"
        );
        std::fs::write(environment.join("complete"), "").expect("it can be written");
    }
    python.to_string_lossy().into_owned()
}

/// The names of the traces' roots, by trace id.
fn roots(capture: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = capture
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let mut roots = Vec::new();
    for line in lines {
        let resources = line["resourceSpans"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let scopes = resources
            .iter()
            .flat_map(|group| group["scopeSpans"].as_array().cloned().unwrap_or_default());
        for scope in scopes {
            for span in scope["spans"].as_array().into_iter().flatten() {
                if text(&span["parentSpanId"]).is_empty() {
                    roots.push((text(&span["traceId"]), text(&span["name"])));
                }
            }
        }
    }
    roots
}

#[test]
#[ignore = "fills two collections, which takes minutes: cargo xtask test --slow"]
fn slow_each_slow_search_is_told_by_its_reason() {
    let _turn = alone();
    let python = python();
    let run = xtask(&[
        "exec",
        "--name",
        "slow-searches",
        "--format",
        "json",
        "--",
        &python,
        PROGRAM,
    ])
    .finish();
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
    let id = run.json()["run"]
        .as_str()
        .expect("a run has an id")
        .to_owned();
    let folder = root().join("target/milvus-otel/runs").join(&id);
    let roots = roots(&std::fs::read_to_string(folder.join("capture.jsonl")).expect("a capture"));

    let told = xtask(&[
        "breakdown",
        &id,
        "--step",
        "search",
        "--by",
        "call",
        "--format",
        "json",
    ])
    .finish();
    assert_eq!(told.code(), Some(0), "{}", told.stderr);
    let told = told.json();
    let mut wrong = Vec::new();
    for expected in [
        "consistency-wait",
        "no-index",
        "filter",
        "long-expression",
        "large-answer",
        "requery",
        "queue",
        "slow-client",
        "server-stood-still",
        "slow-link",
        "first-after-load",
    ] {
        let (trace, _) = roots
            .iter()
            .find(|(_, name)| name == expected)
            .expect(expected);
        let calls = told["groups"].as_array().expect("groups").iter();
        let calls = calls.map(|group| &group["slowest"]);
        let slowest = calls
            .filter(|call| call["trace_id"] == trace.as_str())
            .max_by_key(|call| call["total_ns"].as_u64())
            .expect(expected);
        if slowest["reasons"][0]["name"] != expected {
            wrong.push(format!("{expected}: {}", slowest["reasons"]));
        }
    }
    assert!(wrong.is_empty(), "run {id}: {wrong:#?}");
}
