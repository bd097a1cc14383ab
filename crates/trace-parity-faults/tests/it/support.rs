//! The capture that the tests change, and its verdict.

use std::path::Path;

use trace_parity::{Contract, Input, RunFacts, Verdict, judge, read};

pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../trace-parity/tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn judged(bytes: &[u8], facts: Option<&RunFacts>) -> Verdict {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    judge(&traces, &problems, Some(&Contract::builtin()), facts)
}
