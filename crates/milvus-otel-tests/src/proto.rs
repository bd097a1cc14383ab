//! Milvus's messages, as `milvus-otel` has them.

#[rustfmt::skip]
#[path = "../../milvus-otel/src/proto/common.rs"]
pub mod common;
#[rustfmt::skip]
#[path = "../../milvus-otel/src/proto/milvus.rs"]
pub mod milvus;
#[rustfmt::skip]
#[path = "../../milvus-otel/src/proto/schema.rs"]
pub mod schema;
