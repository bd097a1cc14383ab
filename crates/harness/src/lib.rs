//! Stacks, examples, programs and the life of a run.
//!
//! Emits [`Event`]s for progress and fills a `trace_report::Run` for the reporters. Nothing here knows one
//! language: an example is described by its `example.toml`.
//!
//! `run` uses `stack`, `stack` uses `spans` and `prepare`, and all of them use the files beside them.

pub mod assets;
pub mod diagnostics;
pub mod event;
pub mod folder;
pub mod manifest;
pub mod prepare;
pub mod run;
pub mod signals;
pub mod spans;
pub mod stack;
pub mod time;
pub mod workspace;

/// Stands in messages for the command that the user types; [`Workspace::program`] is that command.
pub const PROGRAM: &str = "{program}";

pub use event::{Event, Events, Phase};
pub use folder::RunFolder;
pub use manifest::SECRET_FLAG;
pub use prepare::example::Example;
pub use prepare::preflight::missing_need;
pub use run::baseline::{Changes, accept, baseline_file, changes, since_baseline};
pub use run::examples::{Options, run_all};
pub use run::exec::{Exec, exec};
pub use run::history::{KeptRun, LastTimes, last_times, list, prune};
pub use run::judge::{
    CaptureArgument, Judged, Rules, Selection, compare, contract, signals_beside, since,
    spans_named, stretch,
};
pub use run::trace::{Showing, trace};
pub use stack::bring_up::StackChoice;
pub use stack::external::{External, ExternalSettings};
pub use stack::faults::builtin as builtin_faults;
pub use stack::jaeger::Backend;
pub use stack::keeper::{Down, KEEPER_COMMAND, clear_docker, down, has_left_something, keep, up};
pub use stack::session::{WireOptions, Witnessing};
pub use stack::set_up::prepare;
pub use stack::state::{Kept, StackState, status};
pub use workspace::Workspace;
