//! The program `milvus-otel`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use milvus_otel_cli::{Caller, Verbosity, terminal};
use supervise::{IoContext, Result};

const NAME: &str = "milvus-otel";

/// Runs a program against a traced Milvus, and says whether its traces are whole
#[derive(Debug, Parser)]
#[command(name = NAME, version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Installed,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Installed {
    #[command(flatten)]
    Common(Box<milvus_otel_cli::Command>),
    /// Print the completions of a shell
    #[command(
        after_help = "Example: {program} completions bash > ~/.local/share/bash-completion/completions/{program}"
    )]
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(after_help = "Example: {program} man ~/.local/share/man/man1")]
    Man {
        /// The folder that they are written to
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli: Cli = milvus_otel_cli::parse(NAME);
    let caller = Caller {
        program: NAME,
        workspace: milvus_otel_cli::place::here,
    };
    let begun = milvus_otel_cli::begin(caller, cli.verbosity);
    milvus_otel_cli::end(begun.and_then(|()| match cli.command {
        Installed::Common(command) => command.run(),
        Installed::Completions { shell } => Ok(completions(shell)),
        Installed::Man { folder } => man(&folder),
    }))
}

fn command() -> clap::Command {
    milvus_otel_cli::cli::named(Cli::command(), NAME)
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), NAME, &mut script);
    terminal::print(&script);
    ExitCode::SUCCESS
}

fn man(folder: &std::path::Path) -> Result<ExitCode> {
    std::fs::create_dir_all(folder).at("make", folder)?;
    clap_mangen::generate_to(command(), folder).at("write to", folder)?;
    Ok(ExitCode::SUCCESS)
}
