//! Faults put into a clean capture on purpose, and whether each is found: the proof that the rules see what they are for.
//!
//! Every operator breaks one thing in one example at a place that a seed picks. It is found when exactly one finding of warning or worse
//! comes of it, by the operator's rule, at the right example, step and span.

mod capture;
mod edit;
mod mutations;
mod operators;
mod random;
mod scale;
mod signals;
mod variation;

use std::fmt::Write as _;

use trace_parity::{Contract, Finding, Input, Rule, Severity, Verdict, judge, read};

pub use edit::{NotClean, Operator};
pub use mutations::{Field, MUTATIONS, Mutant, Mutation};
pub use operators::OPERATORS;
pub use random::Random;
pub use scale::scaled;
pub use signals::{SIGNAL_FAULTS, SignalFault, SignalFiles, SignalPlace};
pub use variation::variation;

use edit::{Clean, Edit, Expected};

/// One operator at one place.
#[derive(Clone, Debug)]
pub struct Trial {
    pub operator: &'static str,
    pub rule: Rule,
    pub example: String,
    pub seed: u64,
    /// Why it doesn't count as found; `None` where it does.
    pub missed: Option<String>,
}

/// All trials of a capture.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub examples: Vec<String>,
    pub trials: Vec<Trial>,
}

/// Tries every operator on every example of `capture`, once per seed. The capture is OTLP JSON lines of one run.
///
/// # Errors
/// The capture is not clean.
pub fn matrix(capture: &[u8], seeds: &[u64]) -> Result<Matrix, NotClean> {
    let clean = Clean::new(capture)?;
    let examples: Vec<String> = clean
        .verdict
        .examples
        .iter()
        .map(|example| example.name.clone())
        .collect();
    let mut trials = Vec::new();
    for operator in OPERATORS {
        for example in 0..examples.len() {
            trials.extend(
                seeds
                    .iter()
                    .filter_map(|&seed| trial(&clean, operator, example, seed)),
            );
        }
    }
    Ok(Matrix { examples, trials })
}

/// `None` where the example has no place for the operator.
fn trial(clean: &Clean, operator: &Operator, example: usize, seed: u64) -> Option<Trial> {
    let name = &clean.verdict.examples[example].name;
    let mut edit = Edit {
        capture: clean.capture.clone(),
        clean,
        example,
        random: Random::new(seed, operator.name, name),
    };
    let expected = (operator.apply)(&mut edit)?;
    let bytes = expected
        .bytes
        .clone()
        .unwrap_or_else(|| edit.capture.bytes());
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let verdict = judge(
        &traces,
        &problems,
        Some(&Contract::builtin()),
        Some(&clean.facts),
    );
    Some(Trial {
        operator: operator.name,
        rule: operator.rule,
        example: name.clone(),
        seed,
        missed: missed(operator.rule, name, &expected, &verdict),
    })
}

fn missed(rule: Rule, example: &str, expected: &Expected, verdict: &Verdict) -> Option<String> {
    let severity = expected.severity.unwrap_or(rule.severity());
    let counted = |finding: &&Finding| {
        finding.severity > Severity::Info || finding.rule == rule && finding.severity == severity
    };
    let findings: Vec<&Finding> = verdict.findings.iter().filter(counted).collect();
    let [finding] = findings.as_slice() else {
        let all: Vec<String> = findings.iter().map(|finding| described(finding)).collect();
        return Some(format!("{} findings: {}", findings.len(), all.join("; ")));
    };
    let right_example = if expected.nobodys {
        finding.example.is_none()
    } else {
        finding.example.as_deref() == Some(example)
    };
    let right = finding.rule == rule
        && finding.severity == severity
        && right_example
        && expected
            .step
            .as_ref()
            .is_none_or(|steps| steps.contains(&finding.step))
        && expected
            .spans
            .as_ref()
            .is_none_or(|spans| finding.span_id.is_some_and(|span| spans.contains(&span)));
    (!right).then(|| format!("{}, expected {expected:?}", described(finding)))
}

fn described(finding: &Finding) -> String {
    format!(
        "{:?} {} at {} {} {}: {}",
        finding.severity,
        finding.rule,
        finding.example.as_deref().unwrap_or("-"),
        finding.step.as_deref().unwrap_or("-"),
        finding
            .span_id
            .map_or_else(|| "-".to_owned(), |id| id.to_string()),
        finding.message
    )
}

impl Matrix {
    pub fn missed(&self) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(|trial| trial.missed.is_some())
    }

    /// A Markdown table: an operator a row, an example a column, found of tried in each cell.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!("| operator | rule | {} |\n", self.examples.join(" | "));
        let _ = writeln!(out, "|---|---|{}", "---|".repeat(self.examples.len()));
        for operator in OPERATORS {
            let _ = write!(out, "| {} | `{}` |", operator.name, operator.rule);
            for example in &self.examples {
                let own =
                    |trial: &&Trial| trial.operator == operator.name && trial.example == *example;
                let tried = self.trials.iter().filter(own).count();
                let found = self
                    .trials
                    .iter()
                    .filter(own)
                    .filter(|trial| trial.missed.is_none())
                    .count();
                let _ = match tried {
                    0 => write!(out, " – |"),
                    _ => write!(out, " {found}/{tried} |"),
                };
            }
            out.push('\n');
        }
        let found = self.trials.len() - self.missed().count();
        let _ = writeln!(
            out,
            "\n{found} of {} faults found, by {} operators.",
            self.trials.len(),
            OPERATORS.len()
        );
        out
    }
}
