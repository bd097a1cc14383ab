//! The runner's command line: parses arguments, calls the harness, prints what comes back.

mod cli;
mod commands;
mod develop;
mod doctor;
mod exec;
mod interrupt;
mod matrix;
mod place;
mod progress;
mod report;
mod stacks;
mod terminal;
mod test;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::set_detail(cli.verbosity.into());
    let outcome = match cli.command {
        Command::Guard(guard) => {
            let grace = std::time::Duration::from_millis(guard.grace_ms);
            return supervise::guard::run(grace, &guard.program, &guard.afterwards);
        }
        Command::KeepStack(arguments) => commands::keep_stack(arguments),
        Command::RunAll(arguments) => commands::run_all(arguments),
        Command::Run(arguments) => commands::run(arguments),
        Command::Exec(arguments) => exec::exec(&arguments),
        Command::Compare(arguments) => commands::compare(&arguments),
        Command::Diff(arguments) => commands::diff(&arguments),
        Command::Accept(arguments) => commands::accept(&arguments),
        Command::Trace(arguments) => commands::trace(&arguments),
        Command::Explain(arguments) => commands::explain(&arguments),
        Command::Report(arguments) => commands::report(&arguments),
        Command::List => commands::list(),
        Command::Up(arguments) => commands::up(arguments),
        Command::Down => commands::down(),
        Command::Status => commands::status(),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Prepare(arguments) => commands::prepare(&arguments),
        Command::Matrix(arguments) => matrix::matrix(arguments),
        Command::Bisect(arguments) => matrix::bisect(arguments),
        Command::Check => develop::check(),
        Command::Bench(arguments) => develop::bench(&arguments),
        Command::Test(arguments) => test::test(&arguments),
    };
    outcome.unwrap_or_else(|failure| {
        terminal::print_failure(&failure);
        ExitCode::from(failure.exit_code())
    })
}
