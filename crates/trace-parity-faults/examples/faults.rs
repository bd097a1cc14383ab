//! Tries every fault operator on a capture and prints the page of `docs/fault-matrix.md`:
//! `cargo run --release -p trace-parity-faults --example faults -- [CAPTURE [SEEDS]]`.

use std::process::ExitCode;

use trace_parity_faults::matrix;

const CAPTURE: &str = "crates/trace-parity/tests/data/five-languages.jsonl";
const SEEDS: u64 = 20;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| CAPTURE.to_owned());
    let seeds = arguments
        .next()
        .map_or(Ok(SEEDS), |seeds| seeds.parse::<u64>())?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let matrix = matrix(&bytes, &(0..seeds).collect::<Vec<u64>>())?;
    println!(
        "# The fault matrix

Each operator breaks one thing in one example of a clean capture, at a place chosen by a seed. The fault counts as found if it causes
exactly one finding of warning or worse (information for a repeated record), with the rule in this table, at the right example, step and
span, and no finding for any other example.

Seeds 0 to {} for each of {} examples, on `{path}`. `cargo xtask bench faults` prints this page.
",
        seeds.saturating_sub(1),
        matrix.examples.len(),
    );
    print!("{}", matrix.table());
    for trial in matrix.missed() {
        eprintln!("{trial:?}");
    }
    let all_found = matrix.missed().next().is_none();
    Ok(if all_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
