//! What the tests and benchmarks of `milvus-otel` have in common.

pub mod embedded;
pub mod fake;
pub mod proto;
pub mod pymilvus;
pub mod receiver;
pub mod server;
pub mod service;
pub mod spans;

/// Says that a test was skipped and why, past the test runner, which keeps to itself what a passing test prints.
pub fn skip(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
