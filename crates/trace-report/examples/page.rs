//! Judges captures and writes the page: `cargo run -p trace-report --example page -- CAPTURE… > report.html`.

use std::io::{self, BufWriter};

use trace_parity::{Contract, Input, judge, read};
use trace_report::{Run, html};

fn main() -> io::Result<()> {
    let mut raw = Vec::new();
    for path in std::env::args().skip(1) {
        raw.extend(std::fs::read(path)?);
    }
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &raw,
    }]);
    let verdict = judge(&traces, &problems, Some(&Contract::builtin()), None);
    let run = Run::comparison("cargo xtask", verdict);
    html(&run, &traces, &raw, BufWriter::new(io::stdout().lock()))
}
