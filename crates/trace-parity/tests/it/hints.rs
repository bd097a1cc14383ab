//! Each finding's hint lists exactly the causes that the evidence allows.

use trace_parity::{Contract, ExampleFacts, Exit, Input, RunFacts, Verdict, judge, read};

use crate::support::capture;

/// A capture, with text replaced.
struct Case {
    file: &'static str,
    changes: &'static [(&'static str, &'static str)],
    by: By,
}

enum By {
    /// As in `exec`: no contract, one program, the run's own server.
    Exec,
    /// As in `compare --contract none`: no contract and no run facts.
    Alone,
    Contract,
}

use By::{Alone, Exec};

fn verdict(case: &Case) -> Verdict {
    let bytes = capture(&format!("cases/{}", case.file));
    let bytes = if case.changes.is_empty() {
        bytes
    } else {
        let mut text = unpacked(&bytes);
        for (from, to) in case.changes {
            assert!(text.contains(from), "{}: {from}", case.file);
            text = text.replace(from, to);
        }
        text.into_bytes()
    };
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let run = traces
        .iter()
        .flat_map(|trace| trace.spans())
        .find_map(|span| {
            let mut attributes = span.resource_attributes();
            attributes.find(|(key, _)| *key == "milvus_otel.run")
        });
    let facts = RunFacts {
        run: run.map(|(_, run)| run.to_string()),
        examples: vec![ExampleFacts {
            name: "program".to_owned(),
            exit: Exit::Code(0),
            trace_id: None,
        }],
        server_is_own: true,
        ..RunFacts::default()
    };
    match case.by {
        By::Exec => judge(&traces, &problems, None, Some(&facts)),
        By::Alone => judge(&traces, &problems, None, None),
        By::Contract => judge(&traces, &problems, Some(&Contract::builtin()), None),
    }
}

pub(crate) fn unpacked(bytes: &[u8]) -> String {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(bytes.to_vec()).expect("text");
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text)
        .expect("gzip");
    text
}

/// `wanted` are parts of the hint; those after `!` are absent.
fn check(case: &Case, rule: &str, subject: Option<&str>, wanted: &[&str]) {
    let verdict = verdict(case);
    let place = format!("{} {:?}", case.file, case.changes);
    let findings: Vec<_> = verdict
        .findings
        .iter()
        .filter(|finding| finding.rule.name() == rule)
        .filter(|finding| subject.is_none() || finding.subject.as_deref() == subject)
        .collect();
    let hints: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding.hint.as_deref())
        .collect();
    assert!(
        !hints.is_empty(),
        "{place}: no {rule} in {:#?}",
        verdict.findings
    );
    for part in wanted {
        let (is_wanted, part) = part
            .strip_prefix('!')
            .map_or((true, *part), |part| (false, part));
        assert_eq!(
            hints[0].contains(part),
            is_wanted,
            "{place}: {part:?} in {:?}",
            hints[0]
        );
    }
}

#[test]
fn hints_follow_the_evidence() {
    const JAVA: &str = "../java-context-lost.jsonl";
    const REST: &str = "node-http-only.jsonl.gz";
    let of = |file, changes, by| Case { file, changes, by };
    let java = |changes| of(JAVA, changes, Alone);

    check(
        &of("py-own-provider.jsonl.gz", &[], Exec),
        "client-unseen",
        None,
        &[
            "isn't the global one",
            "trace.set_tracer_provider",
            "!guess",
        ],
    );

    // Trace flags, by the versions of sender and receiver.
    check(
        &java(&[]),
        "context-lost",
        None,
        &[
            "agent 2.33.1 sends trace flags 03",
            "flags-01.jar",
            "agent 2.25.0",
            "!guess",
        ],
    );
    check(
        &java(&[("\"2.33.1\"", "\"2.26.0\"")]),
        "context-lost",
        None,
        &["agent 2.26.0 sends"],
    );
    check(
        &java(&[
            ("\"flags\":259", "\"flags\":257"),
            ("\"2.33.1\"", "\"2.25.0\""),
        ]),
        "context-lost",
        None,
        &["!03", "a guess: the W3C propagator isn't set", "a proxy"],
    );
    check(
        &java(&[("semver:0.38.0", "0.67.0")]),
        "context-lost",
        None,
        &["!1.42", "propagator", "proxy"],
    );
    let python = |changes| of("py-openinference.jsonl.gz", changes, Alone);
    check(
        &python(&[]),
        "context-lost",
        None,
        &[
            "opentelemetry-python 1.45.2 sends trace flags 03",
            "is_trace_id_random",
            "!guess",
        ],
    );
    check(
        &python(&[("\"1.45.2\"", "\"1.33.1\"")]),
        "context-lost",
        None,
        &["!03", "!random", "propagator"],
    );
    check(
        &python(&[("\"1.45.2\"", "\"1.41.1\"")]),
        "context-lost",
        None,
        &["!03"],
    );
    check(
        &python(&[("\"telemetry.sdk.version\"", "\"version\"")]),
        "context-lost",
        None,
        &["opentelemetry-python of an unknown version", "guess", "!{"],
    );
    let go = java(&[
        ("\"flags\":259", "\"flags\":257"),
        ("\"stringValue\":\"java\"", "\"stringValue\":\"go\""),
    ]);
    check(
        &go,
        "context-lost",
        None,
        &[
            "otel.SetTextMapPropagator(propagation.TraceContext{})",
            "proxy",
        ],
    );

    // Untraced clients.
    check(
        &of(REST, &[], Exec),
        "client-unseen",
        None,
        &["REST", "Proxy-", "!guess"],
    );
    let unseen = |changes| of(REST, changes, Exec);
    const NO_REST: (&str, &str) = ("/v2/vectordb/", "/elsewhere/");
    check(
        &unseen(&[NO_REST]),
        "client-unseen",
        None,
        &["never reached Milvus", "!guess"],
    );
    let alone = |changes| of(REST, changes, Alone);
    check(
        &alone(&[NO_REST]),
        "client-unseen",
        None,
        &["never reached", "--require", "instrumentation/hook.mjs"],
    );
    let as_python = &[
        NO_REST,
        ("\"stringValue\":\"nodejs\"", "\"stringValue\":\"python\""),
        ("\"2.12.0\"", "\"1.45.2\""),
    ];
    check(
        &alone(as_python),
        "client-unseen",
        None,
        &["GrpcAioInstrumentorClient", "!0.54b1", "!require"],
    );
    let as_java = &[
        NO_REST,
        ("\"stringValue\":\"nodejs\"", "\"stringValue\":\"java\""),
    ];
    check(
        &alone(as_java),
        "client-unseen",
        None,
        &["-javaagent:opentelemetry-javaagent.jar", "!2.6.22"],
    );
    let agent = &[
        NO_REST,
        ("\"stringValue\":\"nodejs\"", "\"stringValue\":\"java\""),
        ("telemetry.sdk.name", "telemetry.distro.name"),
    ];
    check(
        &alone(agent),
        "client-unseen",
        None,
        &["2.6.22", "2.6.17", "milvus-grpc-tracing.jar", "!2.6.21"],
    );
    let as_go = &[
        NO_REST,
        ("\"stringValue\":\"nodejs\"", "\"stringValue\":\"go\""),
    ];
    check(
        &alone(as_go),
        "client-unseen",
        None,
        &["DialOptions", "never reached"],
    );
    let as_rust = &[
        NO_REST,
        ("\"stringValue\":\"nodejs\"", "\"stringValue\":\"rust\""),
    ];
    check(&alone(as_rust), "client-unseen", None, &["cargo tree"]);
    check(
        &of("py-half-async.jsonl.gz", &[], Exec),
        "untraced-calls",
        None,
        &["GrpcAioInstrumentorClient", "guess", "!another program"],
    );
    check(
        &of("py-half-async.jsonl.gz", &[], Alone),
        "untraced-calls",
        None,
        &["another program"],
    );

    // The context of another tracer.
    check(
        &of("node-dd-and-otel.jsonl.gz", &[], Exec),
        "context-replaced",
        None,
        &["Datadog", "DD_TRACE_PROPAGATION_STYLE_INJECT", "!guess"],
    );
    check(
        &of("node-dd-and-otel.jsonl.gz", &[("dd=t.dm", "nr=t.dm")], Exec),
        "context-replaced",
        None,
        &["New Relic", "!Datadog"],
    );
    check(
        &of("node-dd-and-otel.jsonl.gz", &[("dd=t.dm", "zz=t.dm")], Exec),
        "context-replaced",
        None,
        &["guess", "a proxy that traces"],
    );

    // Structure.
    check(
        &of("node-callbacks.jsonl.gz", &[], Exec),
        "wrong-parent",
        None,
        &["callback", "!two instrumentations"],
    );
    check(
        &of("py-fork-child-lost.jsonl.gz", &[], Exec),
        "orphan-span",
        None,
        &["forked child", "force_flush"],
    );
    check(
        &of(
            "py-fork-child-lost.jsonl.gz",
            &[("\"python\"", "\"go\"")],
            Exec,
        ),
        "orphan-span",
        None,
        &["!fork", "sampling"],
    );
    check(
        &of("remote-root.jsonl", &[], Exec),
        "orphan-span",
        None,
        &["TRACEPARENT"],
    );
    check(
        &of("node-flush-operate.jsonl.gz", &[], By::Contract),
        "orphan-span",
        None,
        &["!flush"],
    );
    check(
        &of("rust-otel-background.jsonl", &[], Alone),
        "orphan-span",
        None,
        &["tracing", "withholds", "parent: None"],
    );
    check(
        &of(
            "rust-otel-background.jsonl",
            &[("\"rust\"", "\"go\"")],
            Alone,
        ),
        "orphan-span",
        None,
        &["!withholds"],
    );
    check(
        &of("brave-otlp.bin", &[], Alone),
        "duplicate-span-id",
        None,
        &["supportsJoin(false)", "!seed"],
    );
    check(
        &of("kinds-shifted-python.jsonl.gz", &[], Alone),
        "wrong-kind",
        Some("every kind"),
        &["ops-tracing", "!when it is started"],
    );
    check(
        &of("rust-otel-last-exit.jsonl", &[], Alone),
        "bad-time",
        Some("late event"),
        &["last exit"],
    );
    check(
        &of(
            "rust-otel-last-exit.jsonl",
            &[("\"rust\"", "\"go\"")],
            Alone,
        ),
        "bad-time",
        Some("late event"),
        &["!tracing-opentelemetry"],
    );
    check(
        &python(&[]),
        "several-traces",
        None,
        &["OpenInference", "opentelemetry-instrumentation-langchain"],
    );
    check(
        &python(&[("openinference.instrumentation.langchain", "my.wrapper")]),
        "several-traces",
        None,
        &["`my.wrapper`", "!OpenInference"],
    );
    check(
        &of("five-through-zipkin.jsonl.gz", &[], Alone),
        "span-name",
        Some("lower case"),
        &["Zipkin", "OTLP"],
    );
    check(
        &of("five-through-zipkin.jsonl.gz", &[], By::Contract),
        "span-name",
        Some("lower case"),
        &["Zipkin"],
    );

    // Vocabulary and outcomes.
    check(
        &of("micrometer-names.jsonl.gz", &[], Alone),
        "attribute-missing",
        Some("rpc.grpc.status_code"),
        &["Micrometer", "`grpc.status_code` (text)"],
    );
    let failed = &[(
        "\"grpc.status_code\",\"value\":{\"stringValue\":\"OK\"}",
        "\"grpc.status_code\",\"value\":{\"stringValue\":\"NOT_FOUND\"}",
    )];
    check(
        &of("micrometer-names.jsonl.gz", failed, Alone),
        "status-differs",
        None,
        &["Micrometer"],
    );
    check(
        &of("rust-otel-text-code-ok.jsonl", &[], Alone),
        "attribute-type",
        Some("rpc.grpc.status_code"),
        &["unsigned", "i64"],
    );
    check(
        &of(
            "rust-otel-text-code-ok.jsonl",
            &[("\"rust\"", "\"go\"")],
            Alone,
        ),
        "attribute-type",
        Some("rpc.grpc.status_code"),
        &["!i64"],
    );
    check(
        &of("rust-otel-text-code-ok.jsonl", &[], Alone),
        "status-differs",
        None,
        &["tonic-tracing-opentelemetry"],
    );
    check(
        &of("rust-otel-key-twice.jsonl", &[], Alone),
        "attribute-value",
        Some("rpc.grpc.status_code"),
        &["Rust's SDK"],
    );
    check(
        &of(
            "rust-otel-key-twice.jsonl",
            &[("\"rust\"", "\"go\"")],
            Alone,
        ),
        "attribute-value",
        Some("rpc.grpc.status_code"),
        &["OTLP wants them unique", "!Rust"],
    );
    check(
        &of("v072-dup.otlp.jsonl.gz", &[], By::Contract),
        "attribute-renamed",
        None,
        &["neither `rpc/dup`", "!else take"],
    );
    check(
        &of("dropped-attr.jsonl", &[], By::Contract),
        "attribute-missing",
        None,
        &["droppedAttributesCount` is 3"],
    );
    check(
        &of("root-without-event.jsonl.gz", &[], Exec),
        "unmarked-error",
        None,
        &["no exception event"],
    );
    check(
        &of("py-insert-twice.jsonl.gz", &[], Exec),
        "status-differs",
        None,
        &["pymilvus tried again", "twice"],
    );
    check(
        &of(
            "py-insert-twice.jsonl.gz",
            &[("\"python\"", "\"go\"")],
            Exec,
        ),
        "status-differs",
        None,
        &["!pymilvus", "idempotent"],
    );
    check(
        &of("node-unimplemented.jsonl.gz", &[], Exec),
        "call-failed",
        None,
        &["Node's SDK makes a success of UNIMPLEMENTED"],
    );
    check(
        &of("nosrv-unavailable.jsonl", &[], Exec),
        "call-failed",
        None,
        &["server listens"],
    );
    check(
        &of("java-never-reached.jsonl.gz", &[], Exec),
        "call-failed",
        None,
        &["SENT event"],
    );
}

#[test]
fn a_capture_from_zipkin_has_one_finding() {
    for by in [Alone, By::Contract] {
        let verdict = verdict(&Case {
            file: "five-through-zipkin.jsonl.gz",
            changes: &[],
            by,
        });
        let loud: Vec<_> = verdict
            .findings
            .iter()
            .filter(|finding| finding.severity == trace_parity::Severity::Error)
            .map(|finding| (finding.rule.name(), finding.message.as_str()))
            .collect();
        assert_eq!(loud.len(), 1, "{loud:#?}");
        assert!(
            loud[0]
                .1
                .ends_with("numbers are text: the capture passed through Zipkin")
        );
    }
}
