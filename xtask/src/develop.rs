//! `check` and `bench`: what a contributor calls besides the tests.

use std::process::ExitCode;

use harness::Example;
use milvus_otel_cli::interrupt::block_on;
use milvus_otel_cli::place::workspace;
use supervise::{Failure, Result};
use xshell::{Shell, cmd};

use crate::cli::{Bench, Benchmark};

pub(crate) fn check() -> Result<ExitCode> {
    let workspace = workspace()?;
    let shell = shell(workspace.root())?;
    cargo(cmd!(shell, "cargo fmt --all --check"))?;
    cargo(cmd!(
        shell,
        "cargo clippy --locked --workspace --all-targets --all-features -- --deny warnings"
    ))?;
    cargo(
        cmd!(
            shell,
            "cargo doc --locked --workspace --no-deps --all-features"
        )
        .env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    let programs = workspace.root().join("programs");
    for example in Example::select(&workspace, &[programs], &[])? {
        check_example(&shell, &example)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check_example(shell: &Shell, example: &Example) -> Result<()> {
    let missing = block_on(async |_| Ok(harness::missing_need(example).await))?;
    if let Some(missing) = missing {
        println!("skipped: checks of `{}`: {missing}", example.name);
        return Ok(());
    }
    shell.create_dir(&example.state).map_err(failed)?;
    let _in_folder = shell.push_dir(&example.folder);
    for command in &example.check.commands {
        let Some((program, arguments)) = command.split_first() else {
            continue;
        };
        cargo(shell.cmd(program).args(arguments))?;
    }
    Ok(())
}

/// The cargo command of each benchmark.
fn benchmark(what: Benchmark) -> &'static str {
    match what {
        Benchmark::Client => {
            "bench --package milvus-otel-tests --bench client --bench milvus --no-fail-fast"
        }
        Benchmark::Compare => "bench --package trace-parity-faults",
        Benchmark::Capture => "bench --package otlp-capture --bench load",
        Benchmark::Witness => "bench --package grpc-witness --bench nginx",
        Benchmark::Faults => "run --release --package trace-parity-faults --example faults",
    }
}

pub(crate) fn bench(arguments: &Bench) -> Result<ExitCode> {
    let workspace = workspace()?;
    let shell = shell(workspace.root())?;
    let command = benchmark(arguments.what).split_whitespace();
    let own = &arguments.arguments;
    cargo(cmd!(shell, "cargo {command...} -- {own...}"))?;
    Ok(ExitCode::SUCCESS)
}

fn shell(root: &std::path::Path) -> Result<Shell> {
    let shell = Shell::new().map_err(failed)?;
    shell.change_dir(root);
    Ok(shell)
}

fn cargo(command: xshell::Cmd<'_>) -> Result<()> {
    command.run().map_err(failed)
}

fn failed(error: xshell::Error) -> Failure {
    Failure::new(error.to_string())
}
