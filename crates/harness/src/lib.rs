//! Stacks, examples, child processes and the life of a run.
//!
//! Emits [`Event`]s for progress and fills a `trace_report::Run` for the reporters. Nothing here knows one
//! language: an example is what its `example.toml` says.

mod ask;
mod authorization;
mod baseline;
mod compare;
mod compose;
mod disk;
mod doctor;
mod embedded;
mod environment;
mod event;
mod example;
mod exec;
mod external;
mod failure;
mod fetch;
mod fingerprint;
mod folder;
mod follow;
pub mod guard;
mod history;
mod http;
mod jaeger;
mod life;
mod locks;
mod log;
mod manifest;
pub mod matrix;
mod ports;
mod preflight;
mod prepare;
mod process;
mod processes;
mod project;
mod reports;
mod run;
mod running;
mod session;
mod set_up;
mod stack;
mod tls;
mod trace;
mod workspace;

pub use baseline::{accept, baseline_file, changes, since_baseline};
pub use compare::{CaptureArgument, Judged, compare, contract};
pub use doctor::{Check, Examination, Status, doctor};
pub use event::{Event, Events, Phase};
pub use example::Example;
pub use exec::{Exec, exec};
pub use external::{External, ExternalSettings};
pub use failure::{Failure, Interrupt, Result};
pub use folder::RunFolder;
pub use history::{KeptRun, LastTimes, last_times, list, prune};
pub use manifest::SECRET_FLAG;
pub use preflight::missing_need;
pub use process::GUARD_COMMAND;
pub use run::{Options, run_all};
pub use running::{Backend, StackChoice};
pub use set_up::prepare;
pub use stack::{
    Down, KEEPER_COMMAND, Kept, StackState, clear_docker, down, has_left_something, keep, status,
    up,
};
pub use trace::trace;
pub use workspace::Workspace;
