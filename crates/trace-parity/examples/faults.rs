//! Tries every fault operator on a capture and prints the table: `cargo run --release -p trace-parity --features faults --example faults -- CAPTURE [SEEDS]`.

use std::process::ExitCode;

use trace_parity::faults::matrix;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("expected the path of a capture")?;
    let seeds = arguments.next().map_or(Ok(20), |seeds| seeds.parse())?;
    let seeds: Vec<u64> = (0..seeds).collect();
    let matrix = matrix(&std::fs::read(path)?, &seeds)?;
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
