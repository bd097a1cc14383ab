//! Tests and benchmarks of `milvus-otel`.
