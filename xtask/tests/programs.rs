//! Programs of the kinds that people have, run for real by `exec`, each with its right verdict.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Finished, alone, root, skipped_without_tutorial_ports, xtask};

/// A program and its verdict.
struct Program {
    name: &'static str,
    /// One of [`LAUNCHERS`], a name and arguments.
    command: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// Severity, rule and a part of the message, of each finding that is no information.
    findings: &'static [(&'static str, &'static str, &'static str)],
}

/// What starts a program called `NAME`; `{}` is the folder of prepared programs.
const LAUNCHERS: &[(&str, &str)] = &[
    ("python", "{}/venv/bin/python {}/python/NAME.py"),
    ("go", "{}/go/program NAME"),
    (
        "node-grpc",
        "node --import {}/node/tracing.mjs {}/node/NAME.mjs",
    ),
    (
        "node-require",
        "node --require @opentelemetry/auto-instrumentations-node/register {}/node/NAME.mjs",
    ),
    (
        "node-import",
        "node --import {}/node/node_modules/@opentelemetry/auto-instrumentations-node/build/src/register.js {}/node/NAME.mjs",
    ),
    (
        "node-edot",
        "node --import {}/node/node_modules/@elastic/opentelemetry-node/import.mjs {}/node/NAME.mjs",
    ),
    // Datadog's tracer needs a newer Node than the examples do.
    ("node-22", "{}/node/node_modules/.bin/node {}/node/NAME.mjs"),
    (
        "deno",
        "{}/node/node_modules/.bin/deno run --allow-all --preload {}/node/deno.mjs {}/node/NAME.mjs",
    ),
    (
        "java",
        "java -javaagent:{}/../../examples/java/target/opentelemetry-javaagent.jar -Dotel.exporter.otlp.protocol=grpc -cp {}/../../examples/java/target/lib/* {}/java/NAME.java",
    ),
];

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

impl Program {
    const fn env(self, env: &'static [(&'static str, &'static str)]) -> Self {
        Self { env, ..self }
    }

    const fn finds(self, findings: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { findings, ..self }
    }
}

const PROGRAMS: &[Program] = &[
    program("half-async", "python half_async").finds(&[("error", "untraced-calls", UNTRACED)]),
    program("wrong-instrumentor", "python all_async sync").finds(&[(
        "error",
        "client-unseen",
        "no client RPC span",
    )]),
    program("aio", "python all_async aio"),
    program("both-instrumentors", "python all_async both"),
    program("cancelled", "python cancelled").finds(&[(
        "error",
        "orphan-span",
        "the client's span of this call of `Search` never arrived",
    )]),
    program("failing", "python failing").finds(&[(
        "warning",
        "call-failed",
        "`ListPrivilegeGroups` ended UNIMPLEMENTED",
    )]),
    program("forked", "python forked").finds(&[
        ("error", "orphan-span", "`Connect` never arrived"),
        ("error", "orphan-span", "`ShowCollections` never arrived"),
    ]),
    program("insert-twice", "python insert_twice").finds(&[(
        "error",
        "status-differs",
        "the server did the work twice",
    )]),
    program("refused", "python refused").finds(&[("error", "export-refused", "")]),
    program("nobody-listens", "python nobody_listens").finds(&[(
        "warning",
        "call-failed",
        "`Connect` ended UNAVAILABLE",
    )]),
    program("own-provider", "python own_provider").finds(&[(
        "error",
        "client-unseen",
        "right under the span `program`",
    )]),
    program("big-insert", "python big_insert").finds(&[(
        "warning",
        "call-failed",
        "`Insert` ended RESOURCE_EXHAUSTED",
    )]),
    program("rest", "python rest").finds(&[("error", "client-unseen", "go to Milvus's REST API")]),
    program("short-deadline", "python short_deadline"),
    program("searches", "python searches"),
    program("retriever", "python retriever"),
    program("go", "go ok"),
    program("go-missing", "go missing"),
    program("go-cancelled", "go cancelled"),
    program("go-own-instance", "go own-instance").finds(&[(
        "warning",
        "sdk-unknown",
        "absent from",
    )]),
    program("go-nowhere", "go nowhere").finds(&[("error", "client-unseen", "no client RPC span")]),
    program("go-not-utf8", "go not-utf8").finds(&[(
        "error",
        "no-spans",
        "its client is traced, and its export failed",
    )]),
    program("go-wrong-port", "go ok")
        .env(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")])
        .finds(&[("error", "no-spans", "")]),
    program("node-flush", "node-grpc flush"),
    program("node-unimplemented", "node-grpc unimplemented").finds(&[(
        "warning",
        "call-failed",
        "`ListPrivilegeGroups`",
    )]),
    program("node-unavailable", "node-grpc unavailable").finds(&[(
        "warning",
        "call-failed",
        NO_SERVER,
    )]),
    program("node-callbacks", "node-grpc callbacks").finds(&[
        ("error", "wrong-parent", "was over"),
        ("error", "wrong-parent", "was over"),
    ]),
    program("node-rest", "node-require rest").finds(&[(
        "error",
        "client-unseen",
        "go to Milvus's REST API",
    )]),
    program("node-direct-grpc", "node-import direct-grpc").finds(&[(
        "error",
        "client-unseen",
        "no client RPC span",
    )]),
    program("node-edot", "node-edot basic"),
    program("node-own-instance", "node-import basic")
        .env(&[("OTEL_NODE_RESOURCE_DETECTORS", "env,serviceinstance")]),
    program("node-datadog", "node-22 datadog").finds(&[("error", "context-replaced", "dd=")]),
    program("deno", "deno basic")
        .env(&[("OTEL_DENO", "true")])
        .finds(&[
            ("warning", "attribute-type", "is a double `0`"),
            ("warning", "attribute-type", "is a double `19530`"),
        ]),
    program("java-nobody-listens", "java Down").finds(&[("warning", "call-failed", NO_SERVER)]),
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
    let mut words = program.command.split(' ');
    let (launcher, name) = (words.next(), words.next().expect("a name"));
    let mut launchers = LAUNCHERS.iter();
    let start = launchers.find_map(|(known, start)| (Some(*known) == launcher).then_some(start));
    let start = start
        .expect("a launcher")
        .replace("NAME", name)
        .replace("{}", folder);
    let mut arguments = vec!["exec", "--format", "json", "--name", program.name, "--"];
    arguments.extend(start.split(' ').chain(words));
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
    assert!(up.status.success(), "{}", up.stderr);
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
