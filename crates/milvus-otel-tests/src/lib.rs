//! What the tests and benchmarks of `milvus-otel` have in common.

pub mod embedded;
pub mod spans;
