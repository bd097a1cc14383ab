//! A run as GitHub Actions annotations: the workflow commands `::error`, `::warning` and `::notice`.

use trace_parity::{Finding, Outcome, Severity};

use crate::escape;
use crate::run::Run;
use crate::words::{self, Counts};

/// GitHub shows ten errors and ten warnings of a step and drops the rest without a word.
const SHOWN_OF_EACH: usize = 10;
/// Columns of an annotation's text.
const MESSAGE: usize = 2_000;
/// Columns of its title.
const TITLE: usize = 200;

/// A line for each finding that is a warning or worse, and one for the verdict.
pub fn github(run: &Run) -> String {
    let mut out = String::new();
    for (severity, command) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        let all: Vec<&Finding> = run
            .verdict
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .collect();
        let shown = if all.len() > SHOWN_OF_EACH {
            SHOWN_OF_EACH - 1
        } else {
            all.len()
        };
        for finding in &all[..shown] {
            out.push_str(&annotation(
                command,
                &words::title(finding),
                &words::body(run, finding),
            ));
        }
        let left = Counts::of(all[shown..].iter().copied());
        if left != Counts::default() {
            out.push_str(&annotation(
                command,
                &format!("and {left} more"),
                &["the report has them all".to_owned()],
            ));
        }
    }
    let command = if run.verdict.outcome == Outcome::CouldNotRun {
        "error"
    } else {
        "notice"
    };
    out.push_str(&annotation(
        command,
        words::outcome(run.verdict.outcome),
        &[words::summary(run).join(", ")],
    ));
    out
}

fn annotation(command: &str, title: &str, lines: &[String]) -> String {
    let title = escape::github_property(&format!("milvus-otel: {title}"), TITLE);
    let lines: Vec<String> = lines
        .iter()
        .map(|line| escape::github_data(line, MESSAGE))
        .collect();
    format!("::{command} title={title}::{}\n", lines.join("%0A"))
}
