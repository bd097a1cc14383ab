//! The commands of the installable program `milvus-otel`, which `cargo xtask` has as well.
//!
//! A program parses its arguments with [`parse`], says who is calling with [`begin`], runs a [`Command`], and turns what came of
//! it into an exit code with [`end`].

mod breakdown;
pub mod browser;
pub mod cli;
mod commands;
mod doctor;
mod exec;
mod init;
pub mod interrupt;
mod name;
pub mod place;
pub mod progress;
pub mod report;
pub mod stacks;
pub mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use supervise::Result;

pub use cli::{Command, Verbosity};
pub use place::Caller;

/// Parses the arguments of `program`, or prints its help and exits.
pub fn parse<C: CommandFactory + FromArgMatches>(program: &str) -> C {
    let matches = cli::named(C::command(), program).get_matches();
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Says who is calling and how much he wants to read, once, before any command runs.
///
/// # Errors
/// `MILVUS_OTEL_LOG` isn't a level.
pub fn begin(caller: Caller, verbosity: Verbosity) -> Result<()> {
    place::set_caller(caller);
    terminal::set_detail(verbosity.into());
    harness::diagnostics::start(verbosity.verbose > 1)
}

/// Prints a failure; returns the exit code.
pub fn end(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|failure| {
        terminal::print_failure(&failure);
        ExitCode::from(failure.exit_code())
    })
}

impl Command {
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Guard(guard) => {
                let grace = std::time::Duration::from_millis(guard.grace_ms);
                Ok(supervise::guard::run(
                    grace,
                    guard.interrupt,
                    &guard.program,
                    &guard.afterwards,
                ))
            }
            Self::KeepStack => commands::keep_stack(),
            Self::Exec(arguments) => exec::exec(*arguments),
            Self::Compare(arguments) => commands::compare(&arguments),
            Self::Diff(arguments) => commands::diff(&arguments),
            Self::Breakdown(arguments) => breakdown::breakdown(&arguments),
            Self::Accept(arguments) => commands::accept(&arguments),
            Self::Trace(arguments) => commands::trace(&arguments),
            Self::Explain(arguments) => commands::explain(&arguments),
            Self::Report(arguments) => commands::report(&arguments),
            Self::List => commands::list(),
            Self::Up(arguments) => commands::up(&arguments),
            Self::Down => commands::down(),
            Self::Status => commands::status(),
            Self::Doctor(arguments) => doctor::doctor(&arguments),
            Self::Init(arguments) => init::init(&arguments),
        }
    }
}
