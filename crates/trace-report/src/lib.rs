//! Renders a filled [`Run`]: for a terminal, for programs, for CI systems.
//!
//! Every reporter is a function from that one value to bytes. It reads no clock and no file, so the same run always
//! gives the same bytes.

mod breakdown;
pub mod escape;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod run;
mod terminal;
mod tree;
mod words;
mod wrap;

pub use breakdown::{
    BREAKDOWN_SCHEMA, breakdown, breakdown_changes, breakdown_changes_json, breakdown_json,
};
pub use escape::Charset;
pub use github::github;
pub use html::{html, raw_spans};
pub use json::{SCHEMA, SCHEMA_ID, json};
pub use junit::junit;
pub use markdown::markdown;
pub use run::{ExampleRun, Note, NoteKind, Phase, Run, Subject};
pub use terminal::{Detail, TerminalStyle, terminal};
pub use tree::{Beside, tree, tree_with};
pub use wrap::wrap;
