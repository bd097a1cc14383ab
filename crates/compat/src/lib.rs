//! The compatibility map: which versions keep a trace whole. Also `bisect` and `doctor`, which use it, and the failures map: what each
//! language makes of a failure.
//!
//! `matrix.toml` lists variants of the examples, which differ only in versions and settings. All run against one
//! Milvus, and each is captured and judged alone. The results stay in a folder per variant, so the map can be drawn
//! again without measuring, and an interrupted measurement can be continued.

mod around;
mod bisect;
mod conflict;
mod diagnosis;
pub mod doctor;
mod draw;
mod environment;
mod failures;
pub mod init;
mod known;
mod lab;
mod map;
mod markdown;
mod measure;
mod mend;
mod outcome;
mod page;
mod pins;
mod plan;
pub mod project;
mod record;
mod registry;
mod sent;
mod text;

pub use around::{Around, Leak, ScopeSpans};
pub use bisect::{BisectOptions, Bisection, Border, Probe, bisect};
pub use failures::{
    Attempt, Breach, CallSpan, Expectation, FAILURES_SCHEMA, FailureMap, FailureOptions, FaultCell,
    FaultRow, Round, Seen, failures, failures_map, failures_markdown, write_failures,
};
pub use known::{KnownBad, known_bad};
pub use map::{AxisInfo, Entry, Found, FoundFinding, JSON_SCHEMA, Language, Machine, Map, SCHEMA};
pub use markdown::markdown;
pub use measure::{MatrixOptions, matrix, unchanged_map, write_documentation, write_map};
pub use outcome::{Cause, Expected, Outcome};
pub use page::page;
pub use plan::Unmeasured;
pub use registry::{Proposal, proposals};
pub use sent::{Sent, SentState};
pub use text::{bisection_text, map_text};
