//! Every fault is found by the right rule at the right place, and causes no other finding.

use crate::support::capture;
use trace_parity_faults::{OPERATORS, matrix};

/// One place per operator and example; `bench faults` tries more.
const SEEDS: u64 = 1;

#[test]
fn every_fault_is_found() {
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let matrix = matrix(&capture("five-languages.jsonl"), &seeds).expect("the capture is clean");
    let missed: Vec<String> = matrix.missed().map(|trial| format!("{trial:?}")).collect();
    assert!(
        missed.is_empty(),
        "{} of {}:\n{}",
        missed.len(),
        matrix.trials.len(),
        missed.join("\n")
    );
    for operator in OPERATORS {
        for example in &matrix.examples {
            let tried = |trial: &&trace_parity_faults::Trial| {
                trial.operator == operator.name && trial.example == *example
            };
            assert!(
                matrix.trials.iter().any(|trial| tried(&trial)),
                "{} was not tried on {example}",
                operator.name
            );
        }
    }
}
