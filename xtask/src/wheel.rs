//! `wheel`: the program `milvus-otel` as a package for pip.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use harness::Workspace;
use milvus_otel_cli::place::{relative, workspace};
use milvus_otel_cli::terminal;
use supervise::{Failure, IoContext, Result};

use crate::cli::Wheel;

/// Builds a wheel around a Rust program; as pinned in the crate's `pyproject.toml`.
const MATURIN: &str = "maturin==1.16.0";

pub(crate) fn wheel(arguments: Wheel) -> Result<ExitCode> {
    let workspace = workspace()?;
    let (profile, folder) = match arguments.debug {
        true => ("dev", "wheels/debug"),
        false => ("release", "wheels"),
    };
    let folder = workspace.root().join("target").join(folder);
    remove_wheels(&folder)?;
    let manifest = workspace.root().join("crates/milvus-otel-cli/Cargo.toml");
    let mut build = Command::new(maturin(&workspace)?);
    build.args(["build", "--quiet", "--profile", profile]);
    build.arg("--manifest-path").arg(&manifest);
    build.arg("--out").arg(&folder);
    succeed(&mut build)?;
    for wheel in wheels_in(&folder) {
        let size = wheel.metadata().at("read", &wheel)?.len();
        let megabytes = size as f64 / 1e6;
        let line = format!("{}  {megabytes:.1} MB\n", relative(&wheel).display());
        terminal::print_text(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// The program of that name, installed the first time.
fn maturin(workspace: &Workspace) -> Result<PathBuf> {
    let environment = workspace.state().join(MATURIN.replace("==", "-"));
    let program = environment.join("bin").join("maturin");
    if program.is_file() {
        return Ok(program);
    }
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    succeed(
        Command::new(environment.join("bin").join("pip")).args(["install", "--quiet", MATURIN]),
    )?;
    Ok(program)
}

fn remove_wheels(folder: &Path) -> Result<()> {
    for old in wheels_in(folder) {
        std::fs::remove_file(&old).at("remove", &old)?;
    }
    Ok(())
}

fn wheels_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect()
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("can't run `{command:?}`: {error}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("`{command:?}` ended with {status}"))),
    }
}
