//! Child processes that never outlive the process that started them. Also locks, free ports, the ends of logs, and questions to
//! command-line tools.
//!
//! An executable that uses this crate must call [`guard::run`] if its first argument is [`GUARD_COMMAND`], because guards are
//! processes of the same executable.

pub mod ask;
pub mod disk;
mod failure;
pub mod guard;
pub mod locks;
pub mod log;
pub mod ports;
mod process;
pub mod processes;

pub use failure::{Failure, Interrupt, IoContext, Result, chain};
pub use process::{Exit, Filter, GRACE, GUARD_COMMAND, Output, Process, Program, Supervisor};
