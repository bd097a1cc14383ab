//! A run as GitHub-flavoured Markdown, small enough for a comment on a pull request.

use trace_parity::{
    Cell, ExampleOutcome, Exit, Finding, Outcome, Severity, SignalState, StepRow, Verdict,
};

use crate::escape::{self, Charset};
use crate::run::{ExampleRun, Run};
use crate::words;
use crate::wrap::wrap;

/// GitHub takes comments of up to 65,536 characters; a frame around ours may need some.
const MOST_BYTES: usize = 60_000;
/// A table with more columns is not readable; examples become rows then.
const MOST_COLUMNS: usize = 8;
/// Columns of a name or a cell.
const NAME: usize = 60;
/// Columns of a line inside a block.
const LINE: usize = 100;
/// Columns of a message, over all its lines.
const TEXT: usize = 1_000;
/// Findings that are written out.
const FINDINGS: usize = 20;
/// Lines of a failed example's output.
const LOG_LINES: usize = 12;

/// The run as a Markdown fragment that begins with a heading of the third level.
///
/// Nothing in it links, mentions or loads anything, whatever the names in the traces are.
pub fn markdown(run: &Run) -> String {
    let mut sections = vec![heading(run), table(&run.verdict)];
    sections.extend(signals(&run.verdict));
    sections.extend(findings(run));
    sections.extend(notes(run));
    sections.extend(run.examples.iter().filter_map(log));
    sections.extend(expected(&run.verdict));
    sections.extend(versions(&run.examples));

    let mut out = String::new();
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if out.len() + section.len() > MOST_BYTES {
            out.push_str("\n*The rest is left out for its size.*\n");
            break;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(section);
    }
    out
}

fn heading(run: &Run) -> String {
    let mark = match run.verdict.outcome {
        Outcome::Consistent => "✅",
        Outcome::Inconsistent => "❌",
        Outcome::CouldNotRun => "⚠️",
    };
    let parts: Vec<String> = words::summary(run)
        .iter()
        .map(|part| escape::markdown(part, NAME))
        .collect();
    format!(
        "### {mark} milvus-otel: {}\n\n{}\n",
        words::outcome(run.verdict.outcome),
        parts.join(" · ")
    )
}

fn table(verdict: &Verdict) -> String {
    if verdict.outcome == Outcome::CouldNotRun || verdict.examples.is_empty() {
        return String::new();
    }
    if verdict.examples.len() > MOST_COLUMNS || verdict.steps.is_empty() {
        return rows_of_examples(verdict);
    }
    let mut rows = vec![header(verdict, "step")];
    rows.extend(verdict.steps.iter().map(|row| step(verdict, row)));
    let outcomes = verdict
        .examples
        .iter()
        .map(|example| outcome(example.outcome).to_owned());
    rows.push(
        std::iter::once("**verdict**".to_owned())
            .chain(outcomes)
            .collect(),
    );
    format_table(&rows)
}

/// A column for each example, behind that of the rows.
fn header(verdict: &Verdict, rows: &str) -> Vec<String> {
    let examples = verdict.examples.iter();
    let names = examples.map(|example| escape::code_span(&example.name, NAME));
    std::iter::once(rows.to_owned()).chain(names).collect()
}

fn step(verdict: &Verdict, row: &StepRow) -> Vec<String> {
    let cells = row
        .cells
        .iter()
        .zip(words::cells(row))
        .zip(&verdict.examples)
        .map(|((cell, text), example)| {
            let worst = words::worst_at(verdict, &example.name, &row.name);
            let text = match cell {
                Some(_) => escape::markdown(&text, NAME),
                None if worst == Some(Severity::Error) => "missing".to_owned(),
                None => "–".to_owned(),
            };
            let lost = |cell: &Cell| cell.joined < cell.count;
            match worst {
                Some(Severity::Error) => format!("❌ {text}"),
                _ if cell.as_ref().is_some_and(lost) => format!("❌ {text}"),
                Some(Severity::Warning) => format!("⚠️ {text}"),
                _ => text,
            }
        });
    std::iter::once(escape::code_span(&row.name, NAME))
        .chain(cells)
        .collect()
}

fn rows_of_examples(verdict: &Verdict) -> String {
    let mut rows = vec![
        ["example", "verdict", "client calls", "joined"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(verdict.examples.iter().map(|example| {
        vec![
            escape::code_span(&example.name, NAME),
            outcome(example.outcome).to_owned(),
            example.client_rpcs.to_string(),
            example.joined.to_string(),
        ]
    }));
    let counts = format_table(&rows);
    let operations = operations(verdict);
    if operations.is_empty() {
        return counts;
    }
    format!("{counts}\n{operations}")
}

/// What each program did, where no contract has steps; empty without a call.
fn operations(verdict: &Verdict) -> String {
    if verdict.operations.is_empty() || verdict.examples.len() > MOST_COLUMNS {
        return String::new();
    }
    let mut rows = vec![header(verdict, "operation")];
    rows.extend(verdict.operations.iter().map(|row| {
        let cells = row.cells.iter().map(|cell| match cell {
            None => "–".to_owned(),
            Some(cell) if cell.joined < cell.calls => {
                format!("❌ {}", escape::markdown(&words::operation(cell), NAME))
            }
            Some(cell) => escape::markdown(&words::operation(cell), NAME),
        });
        std::iter::once(escape::markdown(&row.name, NAME))
            .chain(cells)
            .collect()
    }));
    format_table(&rows)
}

/// What each example sent beside its spans, and what the missing would take.
fn signals(verdict: &Verdict) -> Option<String> {
    let mut rows = vec![header(verdict, "signal")];
    rows.extend(verdict.signals.iter().map(|row| {
        let cells = row.cells.iter().map(|cell| {
            let mark = match cell.state {
                SignalState::There => "✓ ",
                SignalState::Renamed => "~ ",
                SignalState::Missing => "",
                SignalState::Differs => "⚠️ ",
            };
            format!("{mark}{}", escape::markdown(&words::signal(cell), NAME))
        });
        std::iter::once(escape::markdown(&row.name, NAME))
            .chain(cells)
            .collect()
    }));
    let missing = words::missing_signals(verdict);
    let missing = missing.iter().map(|(text, examples)| {
        let examples: Vec<String> = examples
            .iter()
            .map(|name| escape::code_span(name, NAME))
            .collect();
        format!(
            "- {}: {}\n",
            examples.join(", "),
            escape::markdown(text, TEXT)
        )
    });
    let body = format!("{}\n{}", format_table(&rows), missing.collect::<String>());
    (rows.len() > 1).then(|| details("metrics and logs", &body))
}

fn outcome(outcome: ExampleOutcome) -> &'static str {
    match outcome {
        ExampleOutcome::Pass => "✅ passes",
        ExampleOutcome::ExpectedDivergence => "✅ as expected",
        ExampleOutcome::Fail => "❌ fails",
        ExampleOutcome::CouldNotRun => "⚠️ not run",
    }
}

fn format_table(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
        if index == 0 {
            out.push_str(&format!("|{}\n", " --- |".repeat(row.len())));
        }
    }
    out
}

fn findings(run: &Run) -> Vec<String> {
    let findings = run.verdict.findings.iter();
    let shown = findings.filter(|finding| finding.severity > Severity::Info);
    let mut sections: Vec<String> = shown
        .clone()
        .take(FINDINGS)
        .map(|one| finding(run, one))
        .collect();
    let left = words::Counts::of(shown.skip(FINDINGS));
    if left != words::Counts::default() {
        sections.push(format!("and {left} more\n"));
    }
    sections
}

fn finding(run: &Run, finding: &Finding) -> String {
    let mark = if finding.severity == Severity::Error {
        "❌"
    } else {
        "⚠️"
    };
    let mut title = format!("{mark} **{}**", finding.rule.name());
    let mut part = |word: &str, name: &Option<String>| {
        if let Some(name) = name {
            title.push_str(&format!("{word}{}", escape::code_span(name, NAME)));
        }
    };
    part(" in ", &finding.example);
    part(", step ", &finding.step);
    if finding.count > 1 {
        title.push_str(&format!(" ({} places)", finding.count));
    }
    let lines: Vec<String> = words::body(run, finding)
        .iter()
        .flat_map(|line| wrap(&escape::clipped(line, TEXT, Charset::Unicode), [LINE; 2]))
        .collect();
    format!("{title}\n\n{}", escape::fence(&lines))
}

/// A paragraph each.
fn notes(run: &Run) -> Vec<String> {
    let text = |note| escape::markdown(&words::note(note), TEXT);
    run.notes
        .iter()
        .take(FINDINGS)
        .map(|note| format!("ℹ️ {}\n", text(note)))
        .collect()
}

fn log(example: &ExampleRun) -> Option<String> {
    if example.exit.is_success() || example.exit == Exit::NotStarted {
        return None;
    }
    let skipped = example.log_tail.len().saturating_sub(LOG_LINES);
    let lines: Vec<String> = example.log_tail[skipped..]
        .iter()
        .map(|line| escape::log_line(line, LINE, Charset::Unicode))
        .collect();
    let name = escape::code_span(&example.name, NAME);
    Some(format!(
        "{name} {}; its last lines:\n\n{}",
        example.exit,
        escape::fence(&lines)
    ))
}

fn expected(verdict: &Verdict) -> Option<String> {
    let divergences = &verdict.expected_divergences;
    let lines = divergences.iter().map(|divergence| {
        let examples: Vec<String> = divergence
            .examples
            .iter()
            .map(|name| escape::code_span(name, NAME))
            .collect();
        format!(
            "- {}: {} {}: {}\n",
            examples.join(", "),
            divergence.rule.name(),
            escape::code_span(&divergence.subject, NAME),
            escape::markdown(&divergence.reason, 400),
        )
    });
    let title = words::plural(divergences.len(), "expected divergence");
    (!divergences.is_empty()).then(|| details(&title, &lines.collect::<String>()))
}

fn versions(examples: &[ExampleRun]) -> Option<String> {
    let lines: String = examples
        .iter()
        .filter(|example| !example.versions.is_empty())
        .map(|example| {
            let versions: Vec<String> = example
                .versions
                .iter()
                .map(|(name, version)| escape::code_span(&format!("{name} {version}"), NAME))
                .collect();
            format!(
                "- {}: {}\n",
                escape::code_span(&example.name, NAME),
                versions.join(", ")
            )
        })
        .collect();
    (!lines.is_empty()).then(|| details("versions", &lines))
}

fn details(title: &str, body: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{body}\n</details>\n")
}
