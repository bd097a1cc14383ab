//! What the tests and benchmarks of `milvus-otel` have in common.

pub mod embedded;
pub mod fake;
pub mod proto;
pub mod pymilvus;
pub mod receiver;
pub mod server;
pub mod service;
pub mod spans;
