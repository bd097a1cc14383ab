//! The command line of a checkout: what `milvus-otel` has, and what needs the repository.

mod cli;
mod commands;
mod develop;
mod failures;
mod matrix;
mod test;
mod wheel;

use std::path::Path;
use std::process::ExitCode;

use harness::Workspace;
use milvus_otel_cli::Caller;
use supervise::Result;

use crate::cli::{Cli, Command};

const PROGRAM: &str = "cargo xtask";

fn main() -> ExitCode {
    let cli: Cli = milvus_otel_cli::parse(PROGRAM);
    let caller = Caller {
        program: PROGRAM,
        workspace: checkout,
    };
    let begun = milvus_otel_cli::begin(caller, cli.verbosity);
    milvus_otel_cli::end(begun.and_then(|()| match cli.command {
        Command::Common(command) => command.run(),
        Command::RunAll(arguments) => commands::run_all(arguments),
        Command::Run(arguments) => commands::run(arguments),
        Command::Prepare(arguments) => commands::prepare(&arguments),
        Command::Matrix(arguments) => matrix::matrix(arguments),
        Command::Failures(arguments) => failures::failures(arguments),
        Command::Bisect(arguments) => matrix::bisect(arguments),
        Command::Check => develop::check(),
        Command::Bench(arguments) => develop::bench(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Wheel(arguments) => wheel::wheel(arguments),
    }))
}

/// The checkout around a folder. Called by its path from elsewhere, the program belongs to the checkout that it was built in.
fn checkout(folder: &Path, program: &'static str) -> Result<Workspace> {
    Workspace::find(folder, program).or_else(|failure| {
        let own = std::env::current_exe().ok();
        own.and_then(|own| Workspace::find(&own, program).ok())
            .ok_or(failure)
    })
}
