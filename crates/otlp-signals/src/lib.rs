//! Reads what a run has beside its spans: metrics and logs as OTLP JSON, the log that Milvus writes, and its Prometheus pages.
//!
//! Pure: bytes in, a compact model and a list of problems out. What can't be read costs its own line alone.

mod json;
mod lines;
mod model;
mod otlp;
mod prometheus;
mod reader;
mod server_log;

pub use model::{
    Attributes, Exemplar, Kind, LogRecord, Metric, Point, Problem, Resource, Scope, Series,
    ServerLine, Signals, Temporality,
};
pub use prometheus::{Page, Sample};
pub use reader::Reader;
