//! A Milvus client whose every call is part of an OpenTelemetry trace.
//!
//! Three parts, each of use without the others:
//!
//! - [`GrpcTraceLayer`], a tower layer that makes one CLIENT span per RPC and sends its context along, for any gRPC
//!   client over tower (tonic 0.13 and 0.14 alike);
//! - [`MilvusClient`] (feature `client`), a client for Milvus over that layer;
//! - [`Telemetry`] (feature `telemetry`), which sets OpenTelemetry up from its standard environment variables and
//!   flushes at shutdown.

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

/// The name of this crate's instrumentation scope.
pub const SCOPE_NAME: &str = env!("CARGO_PKG_NAME");
