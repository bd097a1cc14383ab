//! Annotations, parsed by the rules of GitHub's runner.

use insta::assert_snapshot;
use proptest::prelude::*;
use trace_parity::{Rule, Severity};
use trace_report::{Run, github};

use crate::build;

#[test]
fn context_lost() {
    assert_snapshot!(github(&build::context_lost()));
}

#[test]
fn consistent() {
    assert_snapshot!(github(&build::consistent()));
}

#[test]
fn could_not_run() {
    assert_snapshot!(github(&build::could_not_run()));
}

#[test]
fn the_tenth_error_counts_the_rest() {
    let findings = (0..25)
        .map(|n| build::finding(Rule::OrphanSpan, "go", None, &format!("no {n}")))
        .collect();
    let output = github(&build::failing(build::consistent(), findings));
    let errors: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("::error"))
        .collect();
    assert_eq!(errors.len(), 10);
    assert_eq!(
        errors[9],
        "::error title=milvus-otel%3A and 16 errors more::the report has them all"
    );
}

#[derive(Debug, PartialEq)]
struct Command {
    name: String,
    title: String,
    message: String,
}

/// Parses a line as the runner does: name up to the first space, properties up to the next `::`, both unescaped.
fn parse(line: &str) -> Option<Command> {
    let (head, message) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, properties) = head.split_once(' ')?;
    let properties: Vec<&str> = properties.split(',').collect();
    let [title] = properties.as_slice() else {
        return None;
    };
    let (key, title) = title.split_once('=')?;
    let data = |text: &str| {
        text.replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%25", "%")
    };
    let property = |text: &str| data(&text.replace("%3A", ":").replace("%2C", ","));
    (key == "title").then(|| Command {
        name: name.to_owned(),
        title: property(title),
        message: data(message),
    })
}

fn parse_all(run: &Run) -> Vec<Command> {
    github(run)
        .lines()
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a command: {line}")))
        .collect()
}

#[test]
fn annotations_read_back_as_intended() {
    let run = build::failing(
        build::consistent(),
        vec![build::finding(
            Rule::SpanName,
            "a,b:c%d",
            Some("50%0A"),
            "100% of it, really: %0A::stop",
        )],
    );
    let first = &parse_all(&run)[0];
    assert_eq!(first.name, "error");
    assert_eq!(first.title, "milvus-otel: span-name in a,b:c%d, step 50%0A");
    assert!(
        first
            .message
            .starts_with("100% of it, really: %0A::stop\nat trace "),
        "{}",
        first.message
    );
}

fn names(run: &Run) -> Vec<String> {
    parse_all(run)
        .into_iter()
        .map(|command| command.name)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_adds_a_command(text in any::<String>()) {
        prop_assert_eq!(names(&build::hostile(&text)), ["error", "error", "notice"]);
    }
}

#[test]
fn nasty_text_adds_no_command() {
    for text in build::NASTY {
        assert_eq!(
            names(&build::hostile(text)),
            ["error", "error", "notice"],
            "{text:?}"
        );
    }
    let mut run = build::hostile("x");
    run.verdict.findings[1].severity = Severity::Warning;
    assert_eq!(names(&run), ["error", "warning", "notice"]);
}
