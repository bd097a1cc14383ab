//! Five languages against one real Milvus, and a real program with each kind of fault.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{alone, findings, latest_run, root, xtask};

const LANGUAGES: [&str; 5] = ["py", "go", "node", "java", "rust"];

/// Prints the reason and returns `true` if this machine can't run all five.
fn skipped() -> bool {
    let needed = ["python3", "go", "node", "npm", "java", "mvn", "cargo"];
    let absent: Vec<_> = needed
        .into_iter()
        .filter(|tool| Command::new(tool).arg("--version").output().is_err())
        .collect();
    if absent.is_empty() {
        return false;
    }
    support::skip(&format!("not on PATH: {}", absent.join(", ")));
    true
}

#[test]
fn five_languages_are_consistent_and_compare_repeats_the_verdict() {
    if skipped() {
        return;
    }
    let _turn = alone();
    let run = xtask(&["run-all", "--format", "json"]).finish();
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    assert_eq!(report["verdict"], "consistent");
    assert_eq!(findings(&report), []);
    let examples = report["examples"].as_array().expect("examples");
    let names: Vec<_> = examples
        .iter()
        .map(|example| example["name"].as_str())
        .collect();
    assert_eq!(names, LANGUAGES.map(Some));
    for example in examples {
        assert_eq!(example["exit_code"], 0, "{example}");
        assert!(example["client_rpcs"].as_u64() >= Some(9), "{example}");
        assert_eq!(example["client_rpcs"], example["joined"], "{example}");
    }

    let folder = latest_run();
    let manifest = manifest(&folder);
    let scraped = manifest["server_metrics"].as_array().expect("files");
    let searches = |file: &Value| {
        let file = folder.join(file.as_str().expect("a path"));
        let page = std::fs::read_to_string(file).expect("a page of metrics");
        samples(&page, "milvus_proxy_req_count", "function_name=\"Search\"")
    };
    let searches: Vec<f64> = scraped.iter().map(searches).collect();
    // Milvus counts a request when it comes and when it is answered.
    assert_eq!(searches, [0.0, 2.0 * LANGUAGES.len() as f64]);
    // Python's and Node's gRPC instrumentation records no metrics.
    let languages = |signal: &str| instances(&folder.join(signal));
    assert_eq!(languages("metrics.jsonl"), ["go", "java", "rust"]);
    assert_eq!(
        languages("logs.jsonl"),
        ["go", "java", "node", "py", "rust"]
    );
    let capture = folder.join("capture.jsonl");
    let beside = compared(&capture);
    assert_eq!(judgement(&beside), judgement(&report));

    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let copy = elsewhere.path().join("copy.jsonl");
    std::fs::copy(&capture, &copy).expect("it can be copied");
    assert_eq!(judgement(&compared(&copy)), judgement(&report));
    let page = elsewhere.path().join("page.html");
    std::fs::copy(folder.join("report.html"), &page).expect("it can be copied");
    assert_eq!(judgement(&compared(&page)), judgement(&report));

    let run = folder.to_str().expect("a UTF-8 path");
    let unchanged = xtask(&["diff", run, run]).finish();
    assert_eq!(
        (unchanged.code(), unchanged.stdout.as_str()),
        (Some(0), "nothing changed\n")
    );
    let baseline = elsewhere.path().join("baseline.txt");
    let accepted = xtask(&["accept", "--output", baseline.to_str().expect("UTF-8")]).finish();
    assert_eq!(accepted.code(), Some(0), "{}", accepted.stderr);
    let baseline = std::fs::read_to_string(baseline).expect("a baseline");
    for language in LANGUAGES {
        assert!(baseline.contains(&format!("[{language}]\n")), "{baseline}");
    }
}

fn manifest(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

/// The programs whose telemetry a file of OTLP JSON has.
fn instances(file: &Path) -> Vec<String> {
    const KEY: &str = r#"{"key":"service.instance.id","value":{"stringValue":""#;
    let text = std::fs::read_to_string(file).expect("a file of the run");
    let after_key = text.split(KEY).skip(1);
    let names: BTreeSet<_> = after_key
        .filter_map(|rest| rest.split('"').next())
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The sum of a Prometheus metric's samples that have `label`.
fn samples(page: &str, metric: &str, label: &str) -> f64 {
    page.lines()
        .filter(|line| line.starts_with(metric) && line.contains(label))
        .map(|line| {
            let value = line.rsplit(' ').next().expect("a value");
            value.parse::<f64>().expect("a number")
        })
        .sum()
}

fn compared(capture: &Path) -> Value {
    let path = capture.to_str().expect("a UTF-8 path");
    let run = xtask(&["compare", path, "--format", "json"]).finish();
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
    run.json()
}

/// The parts of a report that make up its verdict. Only the run knows the rest, including the order of the examples.
fn judgement(report: &Value) -> Vec<Value> {
    let mut findings = report["findings"].as_array().expect("findings").clone();
    findings.sort_by_key(Value::to_string);
    let mut expected = report["expected_divergences"].clone();
    for divergence in expected.as_array_mut().expect("divergences") {
        divergence["examples"]
            .as_array_mut()
            .expect("examples")
            .sort_by_key(Value::to_string);
    }
    vec![
        report["verdict"].clone(),
        report["steps"].clone(),
        findings.into(),
        expected,
    ]
}

/// A change to one file of an example. The text to replace must exist.
struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// An example with one fault.
struct Fault {
    name: &'static str,
    /// The folder of the example that is changed.
    of: &'static str,
    edits: &'static [Edit],
    /// The only rule that must report it.
    rule: &'static str,
}

/// Outside the checkout, the Rust example needs only its manifest: its program is built in the checkout.
const OUTSIDE: &[Edit] = &[
    Edit {
        file: "example.toml",
        from: "\"Cargo.toml\", \"src\", \"examples\", \"../../Cargo.toml\", \"../../Cargo.lock\"",
        to: "",
    },
    Edit {
        file: "example.toml",
        from: "\"--locked\", \"--package\"",
        to: "\"--manifest-path\", \"{workspace}/Cargo.toml\", \"--locked\", \"--package\"",
    },
    Edit {
        file: "example.toml",
        from: "versions = ",
        to: "versions = [] #",
    },
];

const FAULTS: &[Fault] = &[
    Fault {
        name: "java-agent",
        of: "examples-java",
        edits: &[Edit {
            file: "pom.xml",
            from: "2.25.0",
            to: "2.33.1",
        }],
        rule: "context-lost",
    },
    Fault {
        name: "go-propagator",
        of: "examples-go",
        edits: &[
            Edit {
                file: "main.go",
                from: "\totel.SetTextMapPropagator(propagation.TraceContext{})\n",
                to: "",
            },
            Edit {
                file: "main.go",
                from: "\t\"go.opentelemetry.io/otel/propagation\"\n",
                to: "",
            },
        ],
        rule: "context-lost",
    },
    Fault {
        name: "py-uninstrumented",
        of: "examples-py",
        edits: &[Edit {
            file: "quick_setup.py",
            from: "    GrpcInstrumentorClient().instrument()\n",
            to: "",
        }],
        rule: "client-unseen",
    },
    Fault {
        name: "py-killed",
        of: "examples-py",
        edits: &[Edit {
            file: "quick_setup.py",
            from: "    provider.shutdown()",
            to: "    os.kill(os.getpid(), 9)\n    provider.shutdown()",
        }],
        rule: "example-failed",
    },
    Fault {
        name: "py-no-search",
        of: "examples-py",
        edits: &[Edit {
            file: "quick_setup.py",
            from: "client.search(COLLECTION, data=[query], limit=3, timeout=TIMEOUT)[0]",
            to: "[{\"id\": 1}] * 3",
        }],
        rule: "missing-step",
    },
    Fault {
        name: "rust-service",
        of: "crates/milvus-otel",
        edits: &[Edit {
            file: "example.toml",
            from: "[run.env]\n",
            to: "[run.env]\nOTEL_SERVICE_NAME = \"another-client\"\n",
        }],
        rule: "resource-mismatch",
    },
    Fault {
        name: "rust-elsewhere",
        of: "crates/milvus-otel",
        edits: &[Edit {
            file: "example.toml",
            from: "[run.env]\n",
            to: "[run.env]\nOTEL_EXPORTER_OTLP_ENDPOINT = \"http://127.0.0.1:9\"\n",
        }],
        rule: "no-spans",
    },
];

#[test]
fn each_fault_is_found_by_its_own_rule_and_no_other() {
    if skipped() {
        return;
    }
    let _turn = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for fault in FAULTS {
        plant(fault, folder.path());
    }
    let folder = folder.path().to_str().expect("a UTF-8 path");
    let mut arguments = vec!["run-all", "--format", "json", "--examples", folder];
    for fault in FAULTS {
        arguments.extend(["--example", fault.name]);
    }
    let run = xtask(&arguments).finish();
    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    let mut expected: Vec<(String, String)> = FAULTS
        .iter()
        .map(|fault| (fault.name.to_owned(), fault.rule.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(findings(&run.json()), expected, "{}", run.stdout);
}

/// Copies an example's tracked files and changes the copy.
fn plant(fault: &Fault, into: &Path) {
    let from = root().join(fault.of);
    let copy = into.join(fault.name);
    for file in tracked_files(&from) {
        let to = copy.join(&file);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("it can be made");
        std::fs::copy(from.join(&file), to).expect("it can be copied");
    }
    let outside = if fault.of == "crates/milvus-otel" {
        OUTSIDE
    } else {
        &[]
    };
    for edit in outside.iter().chain(fault.edits) {
        edit_file(&copy.join(edit.file), edit.from, edit.to);
    }
    let manifest = copy.join("example.toml");
    let text = std::fs::read_to_string(&manifest).expect("the file is there");
    let name = text
        .lines()
        .find(|line| line.starts_with("name = "))
        .expect("a name");
    edit_file(&manifest, name, &format!("name = {:?}", fault.name));
}

fn edit_file(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("the file is there");
    assert!(text.contains(from), "{} has no {from:?}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).expect("it can be written");
}

fn tracked_files(folder: &Path) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "--cached"])
        .output();
    let listed = String::from_utf8(listed.expect("git lists files").stdout).expect("UTF-8 paths");
    listed.lines().map(PathBuf::from).collect()
}
