//! What happens to captures in the field, against verdicts that were judged by hand.

use std::fmt::Write as _;
use std::io::Read;

use trace_parity::{Contract, Input, Outcome, Severity, Verdict, judge, read};
use trace_parity_faults::{Field, MUTATIONS, Mutant};

use crate::support::capture;

/// Captures of real runs, whether the scenario's contract is theirs, and how many seeds each mutation gets on it.
const CAPTURES: [(&str, bool, u64); 4] = [
    ("five-languages.jsonl", true, 4),
    ("cases/node-edot-instance-id.jsonl.gz", false, 1),
    ("cases/otelgrpc-0.61.otlp.jsonl.gz", false, 1),
    ("cases/py-half-async.jsonl.gz", false, 1),
];

/// A line a case: mutation, capture, seed, the picked example, outcome, and the findings of warning or worse.
const JUDGED: &str = include_str!("mutations.tsv");

fn unpacked(name: &str) -> Vec<u8> {
    let bytes = capture(name);
    if !name.ends_with(".gz") {
        return bytes;
    }
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut out)
        .expect("gzip");
    out
}

fn judged(mutant: &Mutant, contract: Option<&Contract>) -> Verdict {
    let inputs: Vec<Input<'_>> = mutant
        .inputs
        .iter()
        .map(|bytes| Input { label: None, bytes })
        .collect();
    let (traces, problems) = read(&inputs);
    judge(&traces, &problems, contract, None)
}

fn outcome(verdict: &Verdict) -> &'static str {
    match verdict.outcome {
        Outcome::Consistent => "consistent",
        Outcome::Inconsistent => "inconsistent",
        Outcome::CouldNotRun => "could-not-run",
    }
}

/// `rule@example` of each loud finding, each once, in order.
fn loud(verdict: &Verdict) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for finding in &verdict.findings {
        let mark = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "~",
            Severity::Info => continue,
        };
        let said = format!(
            "{mark}{}@{}",
            finding.rule,
            finding.example.as_deref().unwrap_or("-")
        );
        if !all.contains(&said) {
            all.push(said);
        }
    }
    all
}

/// Set `SHOW_MUTATIONS` to a file's name to write all cases there, with messages.
#[test]
fn mutations_are_judged_as_by_hand() {
    let contract = Contract::builtin();
    let mut lines = String::new();
    let mut shown = String::new();
    for (name, is_scenario, seeds) in CAPTURES {
        let bytes = unpacked(name);
        let contract = is_scenario.then_some(&contract);
        let field = Field::new(&bytes, contract);
        for mutation in MUTATIONS {
            for seed in 0..seeds {
                let Some(mutant) = field.mutant(mutation, seed) else {
                    continue;
                };
                let verdict = judged(&mutant, contract);
                let joined: u64 = verdict.examples.iter().map(|example| example.joined).sum();
                let calls: u64 = verdict
                    .examples
                    .iter()
                    .map(|example| example.client_rpcs)
                    .sum();
                let line = format!(
                    "{}\t{name}\t{seed}\t{}\t{}\t{}",
                    mutation.name,
                    mutant.example,
                    outcome(&verdict),
                    loud(&verdict).join(" "),
                );
                let _ = writeln!(shown, "{line}\t{joined}/{calls}");
                for finding in &verdict.findings {
                    let _ = writeln!(
                        shown,
                        "      {:?} {} {} ×{}: {}",
                        finding.severity,
                        finding.rule,
                        finding.example.as_deref().unwrap_or("-"),
                        finding.count,
                        finding.message.chars().take(260).collect::<String>()
                    );
                }
                lines.push_str(&line);
                lines.push('\n');
            }
        }
    }
    if let Some(path) = std::env::var_os("SHOW_MUTATIONS") {
        std::fs::write(path, shown).expect("a file that can be written");
    }
    let wrong: Vec<(&str, &str)> = lines
        .lines()
        .zip(JUDGED.lines())
        .filter(|(found, right)| found != right)
        .collect();
    let count = JUDGED.lines().count();
    assert_eq!(lines.lines().count(), count);
    assert!(count >= 200, "{count}");
    let falsely_consistent = wrong.iter().filter(|(found, right)| {
        found.contains("\tconsistent\t") && !right.contains("\tconsistent\t")
    });
    assert_eq!(falsely_consistent.count(), 0, "{wrong:#?}");
    assert!(
        20 * wrong.len() <= count,
        "{} of {count} are wrong: {wrong:#?}",
        wrong.len()
    );
}
