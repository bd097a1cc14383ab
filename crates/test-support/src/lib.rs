//! Lets a test say that it can't run here, so that CI can't pass by skipping it.

use std::fs::File;
use std::io::Write;

/// Set by `cargo xtask test`: the file that collects the reasons of skipped tests, one per line.
pub const SKIPPED_FILE: &str = "MILVUS_OTEL_SKIPPED";

/// Set by `cargo xtask test --install`: a skipped test fails.
pub const NO_SKIP: &str = "MILVUS_OTEL_NO_SKIP";

/// Whether a skipped test fails.
#[must_use]
pub fn must_run() -> bool {
    std::env::var_os(NO_SKIP).is_some()
}

/// Reports that the calling test can't run here, and why. The test returns afterwards.
///
/// # Panics
///
/// If [`NO_SKIP`] is set, or the file that [`SKIPPED_FILE`] names can't be written.
pub fn skip(why: &str) {
    assert!(!must_run(), "this test can't be skipped in CI: {why}");
    // The test runner captures `eprintln!` of a passing test, but not direct writes. Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    let Some(path) = std::env::var_os(SKIPPED_FILE) else {
        return;
    };
    // One write per line, so that lines of tests in other processes don't mix.
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{why}\n").as_bytes()))
        .expect("the list of skipped tests can be written");
}
