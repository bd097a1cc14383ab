//! Child processes that never outlive the process that started them, and what goes with that: locks, free ports, the ends of
//! logs, questions to tools.
//!
//! The executable that uses it must run [`guard::run`] when its first argument is [`GUARD_COMMAND`]: the guards are processes
//! of that same executable.

pub mod ask;
pub mod disk;
mod failure;
pub mod guard;
pub mod locks;
pub mod log;
pub mod ports;
mod process;
pub mod processes;

pub use failure::{Failure, Interrupt, IoContext, Result};
pub use process::{Exit, Filter, GRACE, GUARD_COMMAND, Output, Process, Program, Supervisor};
