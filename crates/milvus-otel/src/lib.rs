//! A Milvus client whose every call is part of an OpenTelemetry trace.
//!
//! ```no_run
//! use milvus_otel::{MilvusClient, Telemetry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = Telemetry::from_env()?;
//! let client = MilvusClient::connect("http://localhost:19530").await?;
//! for hit in &client.search("films", [[0.1, 0.2, 0.3]]).limit(3).output_fields(["title"]).await?[0] {
//!     println!("{} {} {}", hit.id, hit.score, hit.fields["title"]);
//! }
//! telemetry.shutdown()?;
//! # Ok(())
//! # }
//! ```
//!
//! Three parts, each of use without the others:
//!
//! - [`GrpcTraceLayer`], a tower layer that makes one CLIENT span per RPC and sends its context along, for any gRPC
//!   client over tower (tonic 0.13 and 0.14 alike);
//! - [`MilvusClient`], a client for Milvus over that layer;
//! - [`Telemetry`], which sets OpenTelemetry up from its standard environment variables and flushes at shutdown.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `client` (default) | [`MilvusClient`] |
//! | `telemetry` (default) | [`Telemetry`] |
//! | `tls` | TLS for the client |
//! | `metrics` | the durations of calls and of operations that have spans, as metrics; [`Telemetry`] exports them where `OTEL_METRICS_EXPORTER` is `otlp` |
//! | `logs` | `Telemetry::log_layer`, which makes events of `tracing` log records |
//! | `tracing` | `Telemetry::tracing_layer`, for programs that use the crate `tracing` |
//! | `otlp-http`, `otlp-gzip`, `otlp-tls` | further ways of sending for `Telemetry` |
//!
//! The only version of Milvus that the client was tried on is 2.3.5.
//!
//! Rust 1.90 or later.

#![deny(missing_docs)]

#[cfg(feature = "client")]
pub mod client;
pub mod layer;
#[cfg(feature = "client")]
mod proto;
mod semconv;
#[cfg(feature = "telemetry")]
pub mod telemetry;

#[cfg(feature = "client")]
pub use client::{Error, MilvusClient, Result};
pub use layer::GrpcTraceLayer;
#[cfg(feature = "telemetry")]
pub use telemetry::Telemetry;

/// The version of OpenTelemetry that this crate works with.
///
/// A program with another minor version of its own has two sets of globals: what the one sets up, the other never sees,
/// and the client's spans are lost without a word. Either take this one, or have the same version in your `Cargo.toml`.
/// A new minor version here is a breaking change of this crate, too.
pub use opentelemetry;
/// The version of prost whose messages [`MilvusClient::raw_call`] takes.
///
/// A new minor version here is a breaking change of this crate, too. For `#[derive(prost::Message)]` without a
/// dependency of your own, say `#[prost(prost_path = "milvus_otel::prost")]`.
#[cfg(feature = "client")]
pub use prost;
/// The version of tonic that [`MilvusClient`] is built on; [`GrpcTraceLayer`] wraps the channels of others as well.
///
/// A new minor version here is a breaking change of this crate, too.
#[cfg(feature = "client")]
pub use tonic;

/// The name of this crate's instrumentation scope.
pub const SCOPE_NAME: &str = env!("CARGO_PKG_NAME");

pub(crate) fn scope() -> opentelemetry::InstrumentationScope {
    opentelemetry::InstrumentationScope::builder(SCOPE_NAME)
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

#[cfg(all(doctest, feature = "client", feature = "telemetry"))]
#[doc = include_str!("../README.md")]
struct Readme;
