//! Runs to render: consistent ones, and one for each kind of failure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use trace_parity::{
    Cell, ExampleOutcome, ExampleVerdict, Exit, Finding, ObservedDivergence, OperationCell,
    OperationRow, Outcome, Rule, Severity, SignalCell, SignalRow, SignalState, SpanId, StepRow,
    TraceId, Verdict,
};
use trace_report::{ExampleRun, Note, NoteKind, Phase, Run, Subject};

pub(crate) const EXAMPLES: [&str; 5] = ["py", "go", "node", "java", "rust"];

/// Text that would break a format, or control the program that shows it.
pub(crate) const NASTY: [&str; 24] = [
    "",
    " ",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'`",
    "]]>",
    "<![CDATA[",
    "&amp;&#x3c;",
    "::error::gone\n::set-output name=a::b",
    "\n::stop-commands::x",
    "##[add-path]/tmp",
    "| a | b |\n|---|---|",
    "a\\|b\\",
    "```\n# heading\n```",
    "``` `` `",
    "- [ ] task\n\n1. one\n> quote",
    "[a](javascript:alert(1)) ![](http://example.org/x.png)",
    "@org/team #1 GH-2 org/repo#3 https://example.org www.example.org",
    "<https://example.org> <!-- comment",
    "\x1b[31m\x1b]0;title\x07\x1b[2J",
    "\u{202e}txet\u{2066}\u{200f}",
    "\0\u{1}\u{fffe}\u{ffff}\u{feff}",
    "\r\n\u{85}\u{2028}\u{2029}",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
];

/// Each step's name, and the calls that each of [`EXAMPLES`] makes in it.
const STEPS: [(&str, [&[&str]; 5]); 8] = [
    (
        "connect",
        [
            &["Connect"],
            &["Connect"],
            &["Connect"],
            &["Connect"],
            &["Connect"],
        ],
    ),
    (
        "has_collection",
        [
            &["DescribeCollection"],
            &["DescribeCollection"],
            &["DescribeCollection"],
            &["HasCollection"],
            &["HasCollection"],
        ],
    ),
    ("drop_existing", [&[], &[], &[], &[], &[]]),
    (
        "create",
        [
            &[
                "CreateCollection",
                "CreateIndex",
                "DescribeIndex",
                "LoadCollection",
            ],
            &[
                "CreateCollection",
                "CreateIndex",
                "DescribeIndex",
                "LoadCollection",
            ],
            &[
                "CreateCollection",
                "CreateIndex",
                "DescribeIndex",
                "LoadCollection",
            ],
            &["CreateCollection", "CreateIndex", "LoadCollection"],
            &["CreateCollection", "CreateIndex", "LoadCollection"],
        ],
    ),
    (
        "wait_loaded",
        [
            &["GetLoadingProgress"],
            &["GetLoadingProgress"],
            &["GetLoadState"],
            &["GetLoadState"],
            &["GetLoadState"],
        ],
    ),
    (
        "insert",
        [
            &["Insert"],
            &["Insert"],
            &["Insert"],
            &["Insert"],
            &["Insert"],
        ],
    ),
    (
        "search",
        [
            &["Search"],
            &["Search"],
            &["Search"],
            &["Search"],
            &["Search"],
        ],
    ),
    (
        "drop",
        [
            &["DropCollection"],
            &["DropCollection"],
            &["DropCollection"],
            &["DropCollection"],
            &["DropCollection"],
        ],
    ),
];

pub(crate) fn trace_id(number: u8) -> TraceId {
    TraceId([
        0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47,
        number,
    ])
}

pub(crate) fn span_id(number: u8) -> SpanId {
    SpanId([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, number])
}

/// Five consistent examples.
pub(crate) fn consistent() -> Run {
    Run {
        program: "cargo xtask".to_owned(),
        arguments: vec!["run-all".to_owned()],
        subject: Subject::Examples,
        notes: Vec::new(),
        id: Some("20261122T101502Z-4f2a9c".to_owned()),
        folder: Some(PathBuf::from("target/milvus-otel/runs/latest")),
        stack: Some("Milvus 2.3.5 embedded".to_owned()),
        verdict: Verdict {
            outcome: Outcome::Consistent,
            examples: EXAMPLES
                .iter()
                .enumerate()
                .map(|(i, name)| example_verdict(name, i))
                .collect(),
            steps: STEPS
                .iter()
                .map(|(name, methods)| step(name, methods))
                .collect(),
            operations: Vec::new(),
            findings: Vec::new(),
            signals: Vec::new(),
            expected_divergences: vec![
                divergence(
                    "opentelemetry.instrumentation.grpc",
                    "prefix \"/\"",
                    &["py"],
                ),
                divergence(
                    "@opentelemetry/instrumentation-grpc",
                    "prefix \"grpc.\"",
                    &["node"],
                ),
            ],
        },
        signals: None,
        wall_seconds: Some(15.24),
        phases: vec![
            phase("preflight", 0.21),
            phase("prepare", 0.02),
            phase("stack up", 2.4),
            phase("examples", 10.8),
            phase("settle", 0.71),
            phase("compare", 0.04),
            phase("stack down", 1.06),
        ],
        examples: EXAMPLES.iter().map(|name| example_run(name)).collect(),
    }
}

pub(crate) fn finding(rule: Rule, example: &str, step: Option<&str>, message: &str) -> Finding {
    Finding {
        rule,
        severity: Severity::Error,
        example: Some(example.to_owned()),
        step: step.map(str::to_owned),
        trace_id: Some(trace_id(3)),
        span_id: Some(span_id(0xb7)),
        subject: None,
        message: message.to_owned(),
        hint: None,
        count: 1,
        input_line: None,
    }
}

/// The run with these findings, the resulting verdict, and the named examples failing.
pub(crate) fn failing(mut run: Run, findings: Vec<Finding>) -> Run {
    run.verdict.outcome = Outcome::Inconsistent;
    for finding in &findings {
        for example in &mut run.verdict.examples {
            if Some(&example.name) == finding.example.as_ref()
                && finding.severity == Severity::Error
            {
                example.outcome = ExampleOutcome::Fail;
                example.rules.push((finding.rule, ExampleOutcome::Fail));
            }
        }
    }
    run.verdict.findings = findings;
    run
}

/// A run with a Java agent whose context the server drops.
pub(crate) fn context_lost() -> Run {
    let mut run = consistent();
    run.verdict.examples[3].joined = 0;
    for row in &mut run.verdict.steps {
        if let Some(cell) = &mut row.cells[3] {
            cell.joined = 0;
            cell.server_ns = 0;
            cell.differs = true;
        }
    }
    let lost = Finding {
        count: 17,
        span_id: None,
        hint: Some(
            "the server dropped the `traceparent` header. The Java agent 2.26 and later set a flag that otel-go before \
             v1.42 refuses: pin the agent to 2.25.0"
                .to_owned(),
        ),
        ..finding(
            Rule::ContextLost,
            "java",
            None,
            "none of 17 client calls has its server span; for 17 of them an unclaimed server span of the same method \
             and time stands in a trace of its own",
        )
    };
    failing(run, vec![lost])
}

/// A run in which an example ended before its last step.
pub(crate) fn example_failed() -> Run {
    let mut run = consistent();
    run.examples[2].exit = Exit::Code(1);
    run.examples[2].seconds = 3.02;
    run.examples[2].log_tail = vec![
        "\x1b[32mconnected\x1b[0m to 127.0.0.1:19530".to_owned(),
        "\tError: insert: 9 rows instead of 10".to_owned(),
        "    at main (/src/index.js:61:11)".to_owned(),
    ];
    for row in &mut run.verdict.steps[5..] {
        row.cells[2] = None;
    }
    let failed = Finding {
        trace_id: None,
        span_id: None,
        hint: Some("its last lines are below; run it alone with `{program} run node`".to_owned()),
        ..finding(
            Rule::ExampleFailed,
            "node",
            None,
            "exited with code 1 after 3.0 s",
        )
    };
    failing(run, vec![failed])
}

/// A run in which Milvus never became ready.
pub(crate) fn could_not_run() -> Run {
    let mut run = consistent();
    run.verdict = Verdict {
        outcome: Outcome::CouldNotRun,
        examples: EXAMPLES
            .iter()
            .map(|name| ExampleVerdict {
                outcome: ExampleOutcome::CouldNotRun,
                trace_id: None,
                traces: Vec::new(),
                spans: 0,
                client_rpcs: 0,
                joined: 0,
                other_calls: Vec::new(),
                language: None,
                rules: Vec::new(),
                name: (*name).to_owned(),
            })
            .collect(),
        steps: Vec::new(),
        operations: Vec::new(),
        findings: Vec::new(),
        signals: Vec::new(),
        expected_divergences: Vec::new(),
    };
    run.phases.truncate(3);
    run.wall_seconds = Some(31.0);
    for example in &mut run.examples {
        example.exit = Exit::NotStarted;
        example.seconds = 0.0;
        example.log_tail.clear();
        example.log = None;
    }
    run
}

/// Two programs judged without a contract: one on a framework whose spans have no call below them.
pub(crate) fn with_operations() -> Run {
    let mut run = consistent();
    run.subject = Subject::Programs;
    run.arguments = vec!["exec".to_owned()];
    run.verdict.steps.clear();
    run.verdict.expected_divergences.clear();
    run.verdict.examples.truncate(2);
    let calls = |joined: u64, calls: u64| OperationCell {
        calls,
        joined,
        ..OperationCell::default()
    };
    let told = |name: &str, form: &str, spans: u64, without_calls: u64| OperationCell {
        spans,
        without_calls,
        names: vec![name.to_owned()],
        forms: vec![form.to_owned()],
        ..calls(2, 2)
    };
    let unseen = OperationCell {
        calls: 0,
        joined: 0,
        ..told("VectorStoreRetriever", "OpenInference", 1, 1)
    };
    let row = |name: &str, cells: [Option<OperationCell>; 2]| OperationRow {
        name: name.to_owned(),
        cells: cells.to_vec(),
    };
    run.verdict.operations = vec![
        row("create", [Some(calls(2, 2)), Some(calls(1, 2))]),
        row(
            "insert",
            [
                Some(told("milvus.insert", "database conventions", 2, 1)),
                None,
            ],
        ),
        row("search", [Some(unseen), Some(calls(1, 1))]),
        row("other calls", [Some(calls(9, 9)), Some(calls(7, 7))]),
    ];
    run
}

/// The clean run with metrics and logs of some examples.
pub(crate) fn with_signals() -> Run {
    let mut run = consistent();
    let number = |state: SignalState, text: &str| SignalCell {
        state,
        name: None,
        text: text.to_owned(),
        takes: None,
    };
    let missing = |takes: &str| SignalCell {
        takes: Some(takes.to_owned()),
        ..number(SignalState::Missing, "")
    };
    let named = |state: SignalState, name: &str, text: &str| SignalCell {
        name: Some(name.to_owned()),
        ..number(state, text)
    };
    let interceptor = || missing("add a client interceptor that records the histogram");
    run.verdict.signals = vec![
        SignalRow {
            name: "rpc duration".to_owned(),
            cells: vec![
                interceptor(),
                named(SignalState::There, "rpc.client.duration", "22"),
                interceptor(),
                named(SignalState::Differs, "rpc.client.duration", "15"),
                named(SignalState::Renamed, "rpc.client.call.duration", "19"),
            ],
        },
        SignalRow {
            name: "log ids".to_owned(),
            cells: vec![
                number(SignalState::There, "9 of 9"),
                missing("log through otelslog, with a LoggerProvider set"),
                number(SignalState::There, "9 of 9"),
                number(SignalState::There, "12 of 14"),
                number(SignalState::There, "9 of 9"),
            ],
        },
    ];
    run
}

/// Every string of a finished run replaced by `text`.
pub(crate) fn hostile(text: &str) -> Run {
    let mut run = context_lost();
    let any = || text.to_owned();
    run.stack = Some(any());
    run.verdict.examples[0].name = any();
    run.verdict.examples[0].language = Some(any());
    run.verdict.steps[1].name = any();
    for cell in run.verdict.steps[1].cells.iter_mut().flatten() {
        cell.rpcs = vec![any()];
    }
    run.verdict.operations = vec![OperationRow {
        name: any(),
        cells: vec![Some(OperationCell {
            spans: 1,
            names: vec![any()],
            forms: vec![any()],
            ..OperationCell::default()
        })],
    }];
    run.verdict.findings.push(Finding {
        example: Some(any()),
        step: Some(any()),
        subject: Some(any()),
        hint: Some(any()),
        ..finding(Rule::SpanName, text, None, text)
    });
    run.verdict.expected_divergences[0] = ObservedDivergence {
        scope: any(),
        rule: Rule::SpanName,
        subject: any(),
        reason: any(),
        examples: vec![any()],
    };
    run.verdict.signals = with_signals().verdict.signals;
    run.verdict.signals[0].name = any();
    run.verdict.signals[0].cells[0] = SignalCell {
        state: SignalState::Differs,
        name: Some(any()),
        text: any(),
        takes: Some(any()),
    };
    run.arguments = vec![any()];
    run.notes = vec![Note {
        kind: NoteKind::General,
        example: Some(any()),
        text: any(),
    }];
    run.phases[0].name = any();
    run.examples[0].name = any();
    run.examples[0].command = vec![any(), any()];
    run.examples[0].exit = Exit::Signal(9);
    run.examples[0].versions = BTreeMap::from([(any(), any())]);
    run.examples[0].log_tail = vec![any(), any()];
    run.examples[0].log = Some(PathBuf::from(text));
    run
}

fn example_verdict(name: &str, index: usize) -> ExampleVerdict {
    let differs = matches!(name, "py" | "node");
    ExampleVerdict {
        name: name.to_owned(),
        outcome: if differs {
            ExampleOutcome::ExpectedDivergence
        } else {
            ExampleOutcome::Pass
        },
        language: Some(name.to_owned()),
        trace_id: Some(trace_id(index as u8)),
        spans: 174,
        client_rpcs: 17,
        joined: 17,
        traces: vec![trace_id(index as u8)],
        other_calls: Vec::new(),
        rules: if differs {
            vec![(Rule::SpanName, ExampleOutcome::ExpectedDivergence)]
        } else {
            Vec::new()
        },
    }
}

fn step(name: &str, methods: &[&[&str]; 5]) -> StepRow {
    let polls = [14, 11, 9, 8, 7];
    let cells = methods.iter().enumerate().map(|(index, methods)| {
        let polling = name == "wait_loaded";
        let count = if polling {
            polls[index]
        } else {
            methods.len() as u64
        };
        (!methods.is_empty()).then(|| Cell {
            rpcs: methods.iter().map(|&method| method.to_owned()).collect(),
            count,
            polling,
            joined: count,
            through: Vec::new(),
            attempts: 0,
            client_ns: count * 2_340_000 + index as u64 * 100_000,
            server_ns: count * 1_910_000,
            wire_ns: 0,
            differs: name == "has_collection" && index >= 3,
            calls: Vec::new(),
        })
    });
    StepRow {
        name: name.to_owned(),
        cells: cells.collect(),
    }
}

fn divergence(scope: &str, subject: &str, examples: &[&str]) -> ObservedDivergence {
    ObservedDivergence {
        scope: scope.to_owned(),
        rule: Rule::SpanName,
        subject: subject.to_owned(),
        reason: "the instrumentation writes it before the method's name".to_owned(),
        examples: examples.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn phase(name: &str, seconds: f64) -> Phase {
    Phase {
        name: name.to_owned(),
        seconds,
    }
}

fn example_run(name: &str) -> ExampleRun {
    ExampleRun {
        name: name.to_owned(),
        command: vec![name.to_owned(), "quick_setup".to_owned()],
        exit: Exit::Code(0),
        seconds: 4.2,
        versions: BTreeMap::from([
            ("opentelemetry-api".to_owned(), "1.33.1".to_owned()),
            ("pymilvus".to_owned(), "2.5.9".to_owned()),
        ]),
        log_tail: vec!["trace_id=4bf92f3577b34da6a3ce929d0e0e4700".to_owned()],
        log: Some(PathBuf::from(format!(
            "target/milvus-otel/runs/latest/logs/{name}.log"
        ))),
    }
}
