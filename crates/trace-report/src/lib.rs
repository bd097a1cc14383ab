//! Renders a filled [`Run`]: terminal, JSON and more.

mod run;

pub use run::{ExampleRun, Phase, Run};
