//! The compatibility map: which versions keep a trace whole; and what looks versions up in it.
//!
//! `matrix.toml` lists variants of the examples. Each is made by changing versions and settings only, runs against one
//! Milvus, is captured alone and judged alone. What came of it stays in a folder of its own, so that the map can be
//! drawn again without measuring, and an interrupted one goes on where it stopped.

mod bisect;
mod diagnosis;
pub mod doctor;
mod draw;
mod environment;
mod known;
mod lab;
mod map;
mod markdown;
mod measure;
mod mend;
mod outcome;
mod page;
mod plan;
pub mod project;
mod record;
mod registry;
mod text;

pub use bisect::{BisectOptions, Bisection, Border, Probe, bisect};
pub use known::{KnownBad, known_bad};
pub use map::{AxisInfo, Entry, Found, FoundFinding, JSON_SCHEMA, Language, Machine, Map, SCHEMA};
pub use markdown::markdown;
pub use measure::{MatrixOptions, matrix, unchanged_map, write_documentation, write_map};
pub use outcome::{Cause, Expected, Outcome};
pub use page::page;
pub use plan::Unmeasured;
pub use registry::{Proposal, proposals};
pub use text::{bisection_text, map_text};
