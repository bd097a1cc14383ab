//! Programs of the kinds that people have, run for real by `exec`, each with its right verdict.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Finished, alone, root, skipped_without_tutorial_ports, xtask};

/// A program and its verdict.
struct Program {
    name: &'static str,
    /// The words of its command; `{}` is the folder of prepared programs.
    command: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// Severity, rule and a part of the message, of each finding that is no information.
    findings: &'static [(&'static str, &'static str, &'static str)],
}

const UNTRACED: &str = "6 calls reached the server without any context";
const NO_SERVER: &str = "and the server recorded nothing";

const fn program(name: &'static str, command: &'static str) -> Program {
    Program {
        name,
        command,
        env: &[],
        findings: &[],
    }
}

const PROGRAMS: &[Program] = &[
    Program {
        findings: &[("error", "untraced-calls", UNTRACED)],
        ..program("half-async", "{}/venv/bin/python {}/python/half_async.py")
    },
    Program {
        findings: &[("error", "client-unseen", "no client RPC span")],
        ..program(
            "wrong-instrumentor",
            "{}/venv/bin/python {}/python/all_async.py sync",
        )
    },
    program("aio", "{}/venv/bin/python {}/python/all_async.py aio"),
    program(
        "both-instrumentors",
        "{}/venv/bin/python {}/python/all_async.py both",
    ),
    Program {
        findings: &[(
            "error",
            "orphan-span",
            "the client's span of this call of `Search` never arrived",
        )],
        ..program("cancelled", "{}/venv/bin/python {}/python/cancelled.py")
    },
    Program {
        findings: &[(
            "warning",
            "call-failed",
            "`ListPrivilegeGroups` ended UNIMPLEMENTED",
        )],
        ..program("failing", "{}/venv/bin/python {}/python/failing.py")
    },
    Program {
        findings: &[
            ("error", "orphan-span", "`Connect` never arrived"),
            ("error", "orphan-span", "`ShowCollections` never arrived"),
        ],
        ..program("forked", "{}/venv/bin/python {}/python/forked.py")
    },
    Program {
        findings: &[("error", "status-differs", "the server did the work twice")],
        ..program(
            "insert-twice",
            "{}/venv/bin/python {}/python/insert_twice.py",
        )
    },
    Program {
        findings: &[("error", "export-refused", "")],
        ..program("refused", "{}/venv/bin/python {}/python/refused.py")
    },
    Program {
        findings: &[("warning", "call-failed", "`Connect` ended UNAVAILABLE")],
        ..program(
            "nobody-listens",
            "{}/venv/bin/python {}/python/nobody_listens.py",
        )
    },
    Program {
        findings: &[("error", "client-unseen", "right under the span `program`")],
        ..program(
            "own-provider",
            "{}/venv/bin/python {}/python/own_provider.py",
        )
    },
    Program {
        findings: &[(
            "warning",
            "call-failed",
            "`Insert` ended RESOURCE_EXHAUSTED",
        )],
        ..program("big-insert", "{}/venv/bin/python {}/python/big_insert.py")
    },
    Program {
        findings: &[("error", "client-unseen", "go to Milvus's REST API")],
        ..program("rest", "{}/venv/bin/python {}/python/rest.py")
    },
    program(
        "short-deadline",
        "{}/venv/bin/python {}/python/short_deadline.py",
    ),
    program("searches", "{}/venv/bin/python {}/python/searches.py"),
    program("retriever", "{}/venv/bin/python {}/python/retriever.py"),
    program("go", "{}/go/program ok"),
    program("go-missing", "{}/go/program missing"),
    program("go-cancelled", "{}/go/program cancelled"),
    Program {
        findings: &[("warning", "sdk-unknown", "absent from")],
        ..program("go-own-instance", "{}/go/program own-instance")
    },
    Program {
        findings: &[("error", "client-unseen", "no client RPC span")],
        ..program("go-nowhere", "{}/go/program nowhere")
    },
    Program {
        findings: &[(
            "error",
            "no-spans",
            "its client is traced, and its export failed",
        )],
        ..program("go-not-utf8", "{}/go/program not-utf8")
    },
    Program {
        env: &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")],
        findings: &[("error", "no-spans", "")],
        ..program("go-wrong-port", "{}/go/program ok")
    },
    program(
        "node-flush",
        "node --import {}/node/tracing.mjs {}/node/flush.mjs",
    ),
    Program {
        findings: &[("warning", "call-failed", "`ListPrivilegeGroups`")],
        ..program(
            "node-unimplemented",
            "node --import {}/node/tracing.mjs {}/node/unimplemented.mjs",
        )
    },
    Program {
        findings: &[("warning", "call-failed", NO_SERVER)],
        ..program(
            "node-unavailable",
            "node --import {}/node/tracing.mjs {}/node/unavailable.mjs",
        )
    },
    Program {
        findings: &[
            ("error", "wrong-parent", "was over"),
            ("error", "wrong-parent", "was over"),
        ],
        ..program(
            "node-callbacks",
            "node --import {}/node/tracing.mjs {}/node/callbacks.mjs",
        )
    },
    Program {
        findings: &[("error", "client-unseen", "go to Milvus's REST API")],
        ..program(
            "node-rest",
            "node --require @opentelemetry/auto-instrumentations-node/register {}/node/rest.mjs",
        )
    },
    Program {
        findings: &[("error", "client-unseen", "no client RPC span")],
        ..program(
            "node-direct-grpc",
            "node --import {}/node/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js {}/node/direct-grpc.mjs",
        )
    },
    program(
        "node-edot",
        "node --import {}/node/node_modules/@elastic/opentelemetry-node/import.mjs {}/node/basic.mjs",
    ),
    Program {
        env: &[("OTEL_NODE_RESOURCE_DETECTORS", "env,serviceinstance")],
        ..program(
            "node-own-instance",
            "node --import {}/node/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js {}/node/basic.mjs",
        )
    },
    Program {
        env: &[("OTEL_DENO", "true")],
        findings: &[
            ("warning", "attribute-type", "is a double `0`"),
            ("warning", "attribute-type", "is a double `19530`"),
        ],
        ..program(
            "deno",
            "{}/node/node_modules/.bin/deno run --allow-all --preload {}/node/deno.mjs {}/node/basic.mjs",
        )
    },
    Program {
        findings: &[("warning", "call-failed", NO_SERVER)],
        ..program(
            "java-nobody-listens",
            "java -javaagent:{}/../../examples/java/target/opentelemetry-javaagent.jar -Dotel.exporter.otlp.protocol=grpc -cp {}/../../examples/java/target/lib/* {}/java/Down.java",
        )
    },
];

/// Installs what the programs need, unless that is done; returns their folder.
fn prepared() -> String {
    let folder = root().join("target/milvus-otel/tests/programs");
    let sources = root().join("xtask/tests/programs");
    let path = folder.display().to_string();
    std::fs::create_dir_all(&folder).expect("a folder");
    let run = |program: &str, words: &[&str], within: &Path| {
        let output = Command::new(program)
            .args(words)
            .current_dir(within)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {told}");
    };
    for language in ["python", "node", "go", "java"] {
        let from = sources.join(language).display().to_string();
        run("cp", &["--recursive", "--update", &from, &path], root());
    }
    let venv = folder.join("venv");
    if !venv.join("bin/python").is_file() {
        run("python3", &["-m", "venv", "venv"], &folder);
    }
    let requirements = [
        "install",
        "--quiet",
        "--requirement",
        "python/requirements.txt",
    ];
    run("venv/bin/pip", &requirements, &folder);
    run("npm", &["ci", "--silent"], &folder.join("node"));
    run("go", &["build", "-o", "program", "."], &folder.join("go"));
    let java = xtask(&["prepare", "--example", "java"]).finish();
    assert_eq!(java.code(), Some(0), "{}", java.stderr);
    path
}

fn exec(folder: &str, program: &Program) -> Finished {
    let command = program.command.replace("{}", folder);
    let mut arguments = vec!["exec", "--format", "json", "--name", program.name, "--"];
    arguments.extend(command.split(' '));
    let run = xtask(&arguments).folder(&PathBuf::from(folder).join("node"));
    let run = program
        .env
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value));
    run.finish()
}

/// What is wrong with a verdict; empty if it is the right one.
fn differences(program: &Program, run: &Finished) -> String {
    let report: Value = match serde_json::from_str(&run.stdout) {
        Ok(report) => report,
        Err(_) => return format!("{}: no verdict: {}", program.name, run.stderr),
    };
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let found: Vec<[String; 3]> = report["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|finding| ["severity", "rule", "message"].map(|key| text(finding, key)))
        .filter(|[severity, ..]| severity != "info")
        .collect();
    let is_error = program
        .findings
        .iter()
        .any(|(severity, ..)| *severity == "error");
    let is_right = found.len() == program.findings.len()
        && found.iter().zip(program.findings).all(
            |([severity, rule, message], (wanted, by, part))| {
                severity == wanted && rule == by && message.contains(part)
            },
        );
    let code = run.code();
    if is_right && code == Some(i32::from(is_error)) {
        return String::new();
    }
    format!(
        "{}: exit {code:?}: {found:#?}\n{}\n",
        program.name, run.stderr
    )
}

#[test]
#[ignore = "installs the packages of four languages and starts Milvus 33 times"]
fn slow_each_program_has_its_verdict() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = prepared();
    let wrong: String = PROGRAMS
        .iter()
        .map(|program| differences(program, &exec(&folder, program)))
        .collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
#[ignore = "runs each right program ten times"]
fn slow_right_programs_raise_no_alarm_in_ten_runs() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = prepared();
    let up = xtask(&["up"]).finish();
    assert_eq!(up.code(), Some(0), "{}", up.stderr);
    let right = || {
        PROGRAMS
            .iter()
            .filter(|program| program.findings.is_empty())
    };
    let wrong: String = (0..10)
        .flat_map(|_| right())
        .map(|program| differences(program, &exec(&folder, program)))
        .collect();
    let down = xtask(&["down"]).finish();
    assert_eq!(down.code(), Some(0), "{}", down.stderr);
    assert!(wrong.is_empty(), "{wrong}");
}
