//! Milvus's messages, generated from the files under `proto/` (`tests/proto.rs` of `milvus-otel-tests` writes and checks them).

#![expect(unreachable_pub, reason = "generated code is public throughout")]

#[rustfmt::skip]
pub(crate) mod common;
#[rustfmt::skip]
pub(crate) mod milvus;
#[rustfmt::skip]
pub(crate) mod schema;
