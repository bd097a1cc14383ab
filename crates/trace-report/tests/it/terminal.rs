//! Whole outputs for a terminal.

use insta::assert_snapshot;
use proptest::prelude::*;
use trace_parity::{ExampleOutcome, ExampleVerdict, Exit, Finding, Rule, Severity};
use trace_report::{Detail, Run, TerminalStyle, escape, terminal};

use crate::build;

fn plain(run: &Run) -> String {
    terminal(run, &TerminalStyle::default())
}

fn with(run: &Run, change: impl FnOnce(&mut TerminalStyle)) -> String {
    let mut style = TerminalStyle::default();
    change(&mut style);
    terminal(run, &style)
}

#[test]
fn consistent() {
    assert_snapshot!(plain(&build::consistent()));
}

#[test]
fn metrics_and_logs() {
    assert_snapshot!(plain(&build::with_signals()));
}

#[test]
fn metrics_and_logs_verbose() {
    let output = with(&build::with_signals(), |style| {
        style.detail = Detail::Verbose;
    });
    assert!(
        output.contains("missing: py, node  rpc duration: add a client interceptor"),
        "{output}"
    );
}

#[test]
fn consistent_in_color() {
    assert_snapshot!(with(&build::consistent(), |style| style.color = true));
}

#[test]
fn consistent_verbose_and_wide() {
    assert_snapshot!(with(&build::consistent(), |style| {
        style.detail = Detail::Verbose;
        style.width = 132;
    }));
}

/// The second run of each is slower, and Node's first call takes 36 ms longer.
#[test]
fn times_of_repeats() {
    let mut run = build::consistent();
    let judged = run.verdict.examples.clone();
    for example in judged {
        let name = format!("{}-2", example.name);
        run.verdict
            .examples
            .push(ExampleVerdict { name, ..example });
    }
    for row in &mut run.verdict.steps {
        let again = row.cells.clone().into_iter().map(|cell| {
            let mut cell = cell?;
            cell.client_ns += 1_000_000;
            Some(cell)
        });
        row.cells.extend(again.collect::<Vec<_>>());
    }
    for column in [2, 7] {
        let cell = run.verdict.steps[0].cells[column].as_mut();
        cell.expect("it connects").client_ns += 36_000_000;
    }
    let output = with(&run, |style| {
        style.detail = Detail::Verbose;
        style.width = 132;
    });
    let times = output.split("\n\n");
    let times: Vec<&str> = times
        .skip_while(|block| !block.starts_with("client time"))
        .take_while(|block| !block.starts_with("phases"))
        .collect();
    assert_snapshot!(times.join("\n\n"));
}

#[test]
fn consistent_in_ascii() {
    let output = with(&build::consistent(), |style| style.ascii = true);
    assert!(output.is_ascii());
    assert_snapshot!(output);
}

#[test]
fn context_lost() {
    assert_snapshot!(plain(&build::context_lost()));
}

#[test]
fn context_lost_quiet() {
    assert_snapshot!(with(&build::context_lost(), |style| style.detail = Detail::Quiet));
}

#[test]
fn example_failed() {
    assert_snapshot!(plain(&build::example_failed()));
}

#[test]
fn could_not_run() {
    assert_snapshot!(plain(&build::could_not_run()));
}

#[test]
fn missing_step_and_vocabulary() {
    let mut run = build::consistent();
    run.verdict.steps[6].cells[1] = None;
    let renamed = Finding {
        severity: Severity::Warning,
        subject: Some("rpc.system".to_owned()),
        hint: Some("upgrade the other examples or pin this one".to_owned()),
        ..build::finding(
            Rule::AttributeRenamed,
            "rust",
            Some("search"),
            "`rpc.system` is `rpc.system.name` here and in no other example",
        )
    };
    let info = Finding {
        severity: Severity::Info,
        ..build::finding(
            Rule::ServerWorkDiffers,
            "go",
            Some("insert"),
            "one span `proxy-Insert` fewer",
        )
    };
    let run = build::failing(
        run,
        vec![
            build::finding(
                Rule::MissingStep,
                "go",
                Some("search"),
                "no `Search` call was seen",
            ),
            renamed,
            info,
        ],
    );
    assert_snapshot!(plain(&run));
}

#[test]
fn repeats_are_printed_in_blocks() {
    let mut run = build::consistent();
    let five = run.verdict.examples.clone();
    for repeat in 2..=3 {
        for example in &five {
            let name = format!("{}-{repeat}", example.name);
            run.verdict.examples.push(trace_parity::ExampleVerdict {
                name,
                ..example.clone()
            });
        }
    }
    for row in &mut run.verdict.steps {
        row.cells = [row.cells.clone(), row.cells.clone(), row.cells.clone()].concat();
    }
    assert_snapshot!(plain(&run));
}

#[test]
fn no_contract_counts_what_was_seen() {
    let mut run = build::consistent();
    run.id = None;
    run.folder = None;
    run.stack = None;
    run.wall_seconds = None;
    run.phases.clear();
    run.examples.clear();
    run.verdict.steps.clear();
    run.verdict.expected_divergences.clear();
    run.verdict.examples.truncate(1);
    run.verdict.examples[0].outcome = ExampleOutcome::Pass;
    assert_snapshot!(plain(&run));
}

#[test]
fn no_contract_tells_operations() {
    assert_snapshot!(plain(&build::with_operations()));
}

#[test]
fn a_hanging_and_a_killed_example() {
    let mut run = build::consistent();
    run.examples[0].exit = Exit::TimedOut;
    run.examples[0].seconds = 120.0;
    run.examples[1].exit = Exit::Signal(9);
    run.examples[1].log_tail = (1..=40).map(|line| format!("line {line}")).collect();
    let findings = vec![
        build::finding(Rule::ExampleFailed, "py", None, "was ended after 120 s"),
        build::finding(Rule::ExampleFailed, "go", None, "was ended by signal 9"),
    ];
    assert_snapshot!(plain(&build::failing(run, findings)));
}

#[test]
fn one_reason_is_printed_once() {
    let mut run = build::consistent();
    for divergence in &mut run.verdict.expected_divergences {
        divergence.reason = "the instrumentation writes it before the name".to_owned();
    }
    let output = plain(&run);
    let expected: Vec<&str> = output
        .lines()
        .skip_while(|line| !line.starts_with("expected"))
        .collect();
    assert_snapshot!(expected.join("\n"));
}

#[test]
fn hostile_names() {
    assert_snapshot!(plain(&build::hostile(
        "<b>|\x1b[31m\r\n::error::\u{202e}`end`"
    )));
}

#[test]
fn very_many_findings_are_truncated() {
    let findings = (0..50)
        .map(|n| {
            build::finding(
                Rule::OrphanSpan,
                "go",
                None,
                &format!("parent {n} never arrived"),
            )
        })
        .collect();
    let output = plain(&build::failing(build::consistent(), findings));
    assert!(
        output.contains("and 30 errors more; `-v` shows all"),
        "{output}"
    );
    assert_eq!(output.matches("orphan-span in go").count(), 20);
}

#[test]
fn a_huge_name_stays_small() {
    let output = plain(&build::hostile(&"x".repeat(1 << 20)));
    // The path of the log isn't truncated, because it comes from the run's own folder.
    let without_path: usize = output.lines().map(str::len).filter(|len| *len <= 80).sum();
    assert!(without_path < 20_000, "{without_path}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_acts_on_the_terminal(text in any::<String>(), width in 0_usize..150, ascii in any::<bool>()) {
        for detail in [Detail::Quiet, Detail::Normal, Detail::Verbose] {
            let style = TerminalStyle { width, ascii, color: false, detail };
            let mut run = build::hostile(&text);
            run.folder = None;
            run.examples[0].log = None;
            let output = terminal(&run, &style);
            let limit = width.max(40);
            for line in output.lines() {
                prop_assert!(escape::columns(line) <= limit || line.contains("cargo xtask") || line.contains("log: "), "{line}");
            }
            prop_assert!(output.chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(!ascii || output.is_ascii());
        }
    }
}
