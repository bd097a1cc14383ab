//! Renders a filled [`Run`]: as text for a terminal, as JSON.
//!
//! Every reporter is a function from that one value to bytes. It reads no clock and no file, so the same run always
//! gives the same bytes.

pub mod escape;
mod json;
mod run;
mod terminal;
mod words;

pub use escape::Charset;
pub use json::{SCHEMA, SCHEMA_ID, json};
pub use run::{ExampleRun, Phase, Run};
pub use terminal::{Detail, TerminalStyle, terminal};
