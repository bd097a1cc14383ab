//! Faults put into a clean capture on purpose, and whether each is found: the proof that the rules see what they are for.
//!
//! Every operator breaks one thing in one example at a place that a seed picks. It is found when exactly one finding of warning or worse
//! comes of it, by the operator's rule, at the right example, step and span.

mod capture;
mod operators;
mod scale;
mod variation;

use std::fmt::Write as _;

use trace_parity::{
    Contract, Delivery, ExampleFacts, Exit, Finding, Input, Outcome, Rule, RunFacts, Severity,
    SpanId, Verdict, judge, read,
};

use capture::Capture;
pub use operators::OPERATORS;
pub use scale::scaled;
pub use variation::variation;

/// One way to break a capture.
#[derive(Clone, Copy)]
pub struct Operator {
    pub name: &'static str,
    /// The rule that should find it.
    pub rule: Rule,
    apply: fn(&mut Edit<'_>) -> Option<Expected>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operator({})", self.name)
    }
}

/// A capture that an operator works on, and where.
struct Edit<'c> {
    capture: Capture,
    clean: &'c Clean,
    example: usize,
    random: Random,
}

/// Where the finding should be; what is left out may be anything.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// `Some(None)` where no step is right.
    step: Option<Vec<Option<String>>>,
    spans: Option<Vec<SpanId>>,
    /// Less or more than the rule's own severity.
    severity: Option<Severity>,
    /// No example is right.
    nobodys: bool,
    bytes: Option<Vec<u8>>,
}

/// A clean capture and what is known of it.
struct Clean {
    capture: Capture,
    verdict: Verdict,
    facts: RunFacts,
}

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

/// A capture that faults can't be tried on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotClean(pub String);

impl std::fmt::Display for NotClean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the capture has findings of its own: {}", self.0)
    }
}

impl std::error::Error for NotClean {}

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

impl Clean {
    fn new(bytes: &[u8]) -> Result<Self, NotClean> {
        let (traces, problems) = read(&[Input { label: None, bytes }]);
        let contract = Contract::builtin();
        let alone = judge(&traces, &problems, Some(&contract), None);
        let run = traces
            .iter()
            .flat_map(|trace| trace.spans())
            .find_map(|span| {
                let mut attributes = span.resource_attributes();
                attributes
                    .find(|(key, _)| *key == "milvus_otel.run")
                    .map(|(_, run)| run.to_string())
            });
        let facts = RunFacts {
            run,
            examples: alone
                .examples
                .iter()
                .map(|example| ExampleFacts {
                    name: example.name.clone(),
                    exit: Exit::Code(0),
                    trace_id: example.trace_id,
                })
                .collect(),
            delivery: Some(Delivery::default()),
            ..RunFacts::default()
        };
        let verdict = judge(&traces, &problems, Some(&contract), Some(&facts));
        match verdict
            .findings
            .iter()
            .find(|finding| finding.severity > Severity::Info)
        {
            Some(finding) => Err(NotClean(finding.message.clone())),
            None if verdict.outcome == Outcome::CouldNotRun => {
                Err(NotClean("it holds no example".to_owned()))
            }
            None => Ok(Clean {
                capture: Capture::parse(bytes),
                verdict,
                facts,
            }),
        }
    }
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

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub fn new(seed: u64, operator: &str, example: &str) -> Self {
        let text = operator.bytes().chain(example.bytes());
        Random(text.fold(seed, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which isn't zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }
}
