//! pymilvus in virtual environments under `target/`, made when a test first needs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions that this client is compared with: the tutorial's and the newest.
pub const VERSIONS: [&str; 2] = ["2.5.9", "3.0.2"];

/// The Python of an environment that has that version of pymilvus; why there is none, where Python or the package index
/// can't be had.
pub fn installed(version: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/milvus-otel-tests")
        .join(format!("pymilvus-{version}"));
    let python = folder.join("bin/python");
    // Written last, so that an installation that was cut off is made again.
    let whole = folder.join("whole");
    if whole.exists() {
        return Ok(python);
    }
    let parent = folder.parent().expect("it has one");
    fs::create_dir_all(parent).map_err(|error| format!("`{}`: {error}", parent.display()))?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    finish(make)?;
    let mut install = Command::new(&python);
    // pymilvus 2.5 imports `pkg_resources`, which later versions of setuptools don't have.
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    install.args([&format!("pymilvus=={version}"), "setuptools<80"]);
    finish(install)?;
    fs::write(&whole, "").map_err(|error| format!("`{}`: {error}", whole.display()))?;
    Ok(python)
}

fn finish(mut command: Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {errors}"))
}

/// Runs a script to its end, and returns what it printed.
pub fn run(python: &Path, script: &Path, arguments: &[&str]) -> String {
    let output = Command::new(python)
        .arg(script)
        .args(arguments)
        .output()
        .expect("Python can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", script.display());
    String::from_utf8(output.stdout).expect("it prints text")
}
