//! Calls of real runs, broken down: searches that are slow for known reasons, and the scenario in five languages.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Finished, alone, root, xtask};

const FOLDER: &str = "crates/trace-breakdown/tests/slow";

/// Reasons that the program makes searches slow for, against a server that answers at once.
const NEAR: [&str; 10] = [
    "consistency-wait",
    "no-index",
    "filter",
    "long-expression",
    "large-answer",
    "requery",
    "queue",
    "slow-client",
    "server-stood-still",
    "first-after-load",
];

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

/// The program's run, and what `breakdown` tells of each of its searches.
struct Told {
    run: String,
    roots: Vec<(String, String)>,
    groups: Vec<Value>,
}

impl Told {
    fn of(python: &str, exec: &[&str], case: &[&str]) -> Self {
        let program = format!("{FOLDER}/slow_searches.py");
        let begin = ["exec", "--name", "slow-searches", "--format", "json"];
        let run = xtask(&[&begin[..], exec, &["--", python, &program], case].concat()).finish();
        assert_eq!(run.code(), Some(0), "{}", run.stderr);
        let id = id_of(&run);
        let capture = root()
            .join("target/milvus-otel/runs")
            .join(&id)
            .join("capture.jsonl");
        let roots = roots(&std::fs::read_to_string(capture).expect("a capture"));
        let groups = groups(&id, &["--step", "search", "--by", "call"]);
        Self {
            run: id,
            roots,
            groups,
        }
    }

    /// The reasons for the slowest search below the root called `name`.
    fn reasons(&self, name: &str) -> &Value {
        let (trace, _) = self
            .roots
            .iter()
            .find(|(_, root)| root == name)
            .expect(name);
        let calls = self.groups.iter().map(|group| &group["slowest"]);
        let slowest = calls
            .filter(|call| call["trace_id"] == trace.as_str())
            .max_by_key(|call| call["total_ns"].as_u64());
        &slowest.expect(name)["reasons"]
    }

    /// That the reason is the first for the search that was made slow for it.
    fn check(&self, expected: &str, wrong: &mut Vec<String>) {
        let reasons = self.reasons(expected);
        let first = &reasons[0];
        println!("{expected}: {} first, {} ns", first["name"], first["ns"]);
        if first["name"] != expected {
            wrong.push(format!("{expected}, run {}: {reasons}", self.run));
        }
    }
}

#[test]
#[ignore = "fills two collections, which takes minutes: cargo xtask test --slow"]
fn slow_each_slow_search_is_told_by_its_reason() {
    let _turn = alone();
    let python = python();
    let mut wrong = Vec::new();
    let near = Told::of(&python, &[], &[]);
    for expected in NEAR {
        near.check(expected, &mut wrong);
    }
    let link = format!("{FOLDER}/slow-link.toml");
    let far = Told::of(&python, &["--fault", &link], &["slow-link"]);
    far.check("slow-link", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn id_of(run: &Finished) -> String {
    let id = run.json()["run"].as_str().map(str::to_owned);
    id.expect("a run has an id")
}

/// The groups of `breakdown RUN`.
fn groups(run: &str, arguments: &[&str]) -> Vec<Value> {
    let format = ["--format", "json"];
    let told = xtask(&[&["breakdown", run], arguments, &format[..]].concat()).finish();
    assert_eq!(told.code(), Some(0), "{}", told.stderr);
    told.json()["groups"].as_array().expect("groups").clone()
}

#[test]
#[ignore = "runs each language ten times: cargo xtask test --slow"]
fn slow_stages_add_up_in_every_call_of_fifty_runs() {
    const UNEXPLAINED: u64 = 3;
    let _turn = alone();
    let run = xtask(&["run-all", "--repeat", "10", "--format", "json"]).finish();
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
    let id = id_of(&run);

    let ns = |value: &Value| value.as_u64().expect("nanoseconds");
    let mut worst = [("Search", 0.0_f64), ("Insert", 0.0)];
    for call in groups(&id, &["--by", "call"]) {
        let stages = call["stages"].as_array().expect("stages").iter();
        let unexplained = ns(&call["unexplained"]["sum_ns"]);
        let told: u64 = stages.map(|stage| ns(&stage["sum_ns"])).sum();
        let total = ns(&call["slowest"]["total_ns"]);
        assert_eq!(told + unexplained, total, "{call}");
        let known = worst
            .iter_mut()
            .find(|(method, _)| call["method"] == *method);
        if let Some((method, worst)) = known {
            assert!(unexplained * 100 < total * UNEXPLAINED, "{method}: {call}");
            *worst = worst.max(unexplained as f64 * 100.0 / total as f64);
        }
    }
    println!("run {id}: unexplained at most, in percent: {worst:?}");

    for step in ["search", "insert"] {
        let languages = groups(&id, &["--step", step, "--by", "language"]);
        let calls: Vec<_> = languages.iter().map(|group| ns(&group["calls"])).collect();
        assert_eq!(calls, [10; 5], "{step}");
    }
}
