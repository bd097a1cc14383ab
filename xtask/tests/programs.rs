//! Programs of the kinds that people have, run for real by `exec`, each with its right verdict.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::clients::{self, run};
use support::{
    Expected, Finished, alone, are_expected, root, skipped_without_tutorial_ports, told, xtask,
};

/// A program and its verdict.
struct Program {
    name: &'static str,
    /// One of [`LAUNCHERS`], a name and arguments.
    command: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// Of `exec`.
    options: &'static [&'static str],
    /// Severity, rule and a part of the message, of each finding that is no information.
    findings: &'static [Expected],
}

/// What starts a program called `NAME`; `{}` is the folder of prepared programs, `{root}` the checkout.
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
    (
        "python-example",
        "{}/venv/bin/python {root}/examples-py/NAME.py",
    ),
    (
        "python-newer",
        "{root}/target/milvus-otel/tests/newer-python/venv/bin/python {root}/examples-py/NAME.py",
    ),
    (
        "java-example",
        "java -javaagent:{root}/target/milvus-otel/examples/java/target/opentelemetry-javaagent.jar -Dotel.javaagent.configuration-file={root}/examples-java/otel.properties -jar {root}/target/milvus-otel/examples/java/target/NAME.jar",
    ),
    (
        "java-newer-agent",
        "java -javaagent:{root}/target/milvus-otel/examples/java-newest/target/opentelemetry-javaagent.jar -Dotel.javaagent.configuration-file={root}/examples-java/otel.properties -jar {root}/target/milvus-otel/examples/java/target/NAME.jar",
    ),
    (
        "java-newer-sdk",
        "java -javaagent:{root}/target/milvus-otel/examples/java/target/opentelemetry-javaagent.jar -Dotel.javaagent.configuration-file={root}/examples-java/otel.properties -jar {root}/target/milvus-otel/examples/java-newest/target/NAME.jar",
    ),
];

const UNTRACED: &str = "6 calls reached the server without any context";
const NO_SERVER: &str = "and the server recorded nothing";

const fn program(name: &'static str, command: &'static str) -> Program {
    Program {
        name,
        command,
        env: &[],
        options: &[],
        findings: &[],
    }
}

impl Program {
    const fn env(self, env: &'static [(&'static str, &'static str)]) -> Self {
        Self { env, ..self }
    }

    const fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn finds(self, findings: &'static [Expected]) -> Self {
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

/// Programs that lose their context, and the cause that a witness shows.
const LOSSES: &[Program] = &[
    loses("async-client-untraced", "python half_async").finds(&[(
        "error",
        "unseen-call",
        "without `traceparent`: 1 `Connect`, 5 `Search`",
    )]),
    loses("wrong-instrumentor", "python all_async sync").finds(&[(
        "error",
        "unseen-call",
        "that no span tells of, without `traceparent`",
    )]),
    loses("own-provider", "python own_provider").finds(&[(
        "error",
        "unseen-call",
        "with a context whose span never arrived",
    )]),
    loses("python-b3", "python all_async aio")
        .env(&[("OTEL_PROPAGATORS", "b3")])
        .finds(&[("error", "context-not-sent", "carried `b3`")]),
    loses("python-b3multi", "python all_async aio")
        .env(&[("OTEL_PROPAGATORS", "b3multi")])
        .finds(&[("error", "context-not-sent", "carried `x-b3-sampled`")]),
    loses("python-baggage-only", "python all_async aio")
        .env(&[("OTEL_PROPAGATORS", "baggage")])
        .finds(&[("error", "context-not-sent", "without any trace context")]),
    loses("python-flags", "python-newer quick_setup").finds(&[(
        "error",
        "context-ignored",
        "-03`",
    )]),
    loses("python-stripped", "python-example quick_setup")
        .with(&["--fault", "context-stripped"])
        .finds(&[(
            "error",
            "context-changed",
            "the fault `context-stripped` removed it from `Search`",
        )]),
    loses("go-no-propagator", "go no-propagator").finds(&[(
        "error",
        "context-not-sent",
        "without any trace context",
    )]),
    loses("go-not-utf8", "go not-utf8").finds(&[(
        "error",
        "no-spans",
        "its client is traced, and its export failed",
    )]),
    loses("node-datadog", "node-22 datadog").finds(&[(
        "error",
        "context-changed",
        "with another context than their own",
    )]),
    loses("node-direct-grpc", "node-import direct-grpc").finds(&[(
        "error",
        "unseen-call",
        "without `traceparent`: 1 `GetVersion`",
    )]),
    loses("node-b3", "node-import basic")
        .env(&[("OTEL_PROPAGATORS", "b3")])
        .finds(&[("error", "context-not-sent", "carried `b3`")]),
    loses("node-jaeger", "node-import basic")
        .env(&[("OTEL_PROPAGATORS", "jaeger")])
        .finds(&[("error", "context-not-sent", "carried `uber-trace-id`")]),
    loses("node-no-propagator", "node-import basic")
        .env(&[("OTEL_PROPAGATORS", "none")])
        .finds(&[("error", "context-not-sent", "without any trace context")]),
    loses("java-b3", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "b3")])
        .finds(&[("error", "context-not-sent", "carried `b3`")]),
    loses("java-b3multi", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "b3multi")])
        .finds(&[("error", "context-not-sent", "carried `x-b3-sampled`")]),
    loses("java-jaeger", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "jaeger")])
        .finds(&[("error", "context-not-sent", "carried `uber-trace-id`")]),
    loses("java-xray", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "xray")])
        .finds(&[("error", "context-not-sent", "carried `x-amzn-trace-id`")]),
    loses("java-ottrace", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "ottrace")])
        .finds(&[("error", "context-not-sent", "carried `ot-tracer-sampled`")]),
    loses("java-no-propagator", "java-example quick-setup")
        .env(&[("OTEL_PROPAGATORS", "none")])
        .finds(&[("error", "context-not-sent", "without any trace context")]),
    loses("java-grpc-off", "java-example quick-setup")
        .env(&[("OTEL_INSTRUMENTATION_GRPC_ENABLED", "false")])
        .finds(&[(
            "error",
            "unseen-call",
            "that no span tells of, without `traceparent`",
        )]),
    loses("java-flags", "java-newer-agent quick-setup").finds(&[(
        "error",
        "context-ignored",
        "-03`",
    )]),
    loses("java-relocated-grpc", "java-newer-sdk quick-setup").finds(&[(
        "error",
        "unseen-call",
        "that no span tells of, without `traceparent`",
    )]),
];

const fn loses(name: &'static str, command: &'static str) -> Program {
    program(name, command).with(&["--witness"])
}

/// Installs what the programs need, unless that is done; returns their folder.
fn prepared() -> String {
    let folder = root().join("target/milvus-otel/tests/programs");
    let sources = root().join("xtask/tests/programs");
    let path = folder.display().to_string();
    std::fs::create_dir_all(&folder).expect("a folder");
    for language in ["python", "node", "go", "java"] {
        let from = sources.join(language).display().to_string();
        run("cp", &["--recursive", "--update", &from, &path], root());
    }
    clients::installed(&folder, "python/requirements.txt");
    clients::newer_python();
    run("npm", &["ci", "--silent"], &folder.join("node"));
    run("go", &["build", "-o", "program", "."], &folder.join("go"));
    clients::javas();
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
        .replace("{}", folder)
        .replace("{root}", &root().display().to_string());
    let mut arguments = vec!["exec", "--format", "json", "--name", program.name];
    arguments.extend(program.options);
    arguments.push("--");
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
    let found = told(&report);
    let is_error = program
        .findings
        .iter()
        .any(|(severity, ..)| *severity == "error");
    let is_right = are_expected(&found, program.findings);
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

#[test]
#[ignore = "installs the packages of four languages and runs programs against Milvus"]
fn slow_a_witness_tells_the_cause_of_each_lost_context() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = prepared();
    let up = xtask(&["up"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let mut wrong = String::new();
    for program in LOSSES {
        let run = exec(&folder, program);
        wrong += &differences(program, &run);
        for guess in run.stdout.lines().filter(|line| line.contains("guess")) {
            wrong += &format!("{}: a guess is left: {guess}\n", program.name);
        }
    }
    let down = xtask(&["down"]).finish();
    assert_eq!(down.code(), Some(0), "{}", down.stderr);
    assert!(wrong.is_empty(), "{wrong}");
}
