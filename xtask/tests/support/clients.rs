//! Clients of other versions than the examples', which the tests install once.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{root, xtask};

/// The Python example's versions of opentelemetry-python, and those that send trace flags 03.
const PYTHON: [(&str, &str); 2] = [("1.33.1", "1.45.2"), ("0.54b1", "0.66b2")];

/// Runs a command, which has to succeed.
pub(crate) fn run(program: &str, words: &[&str], within: &Path) {
    let output = Command::new(program)
        .args(words)
        .current_dir(within)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {told}");
}

/// The Python whose opentelemetry-python sends trace flags 03.
pub(crate) fn newer_python() -> PathBuf {
    let folder = root().join("target/milvus-otel/tests/newer-python");
    std::fs::create_dir_all(&folder).expect("a folder");
    let requirements = root().join("examples-py/requirements.in");
    let mut requirements = std::fs::read_to_string(requirements).expect("the example's packages");
    for (old, new) in PYTHON {
        requirements = requirements.replace(&format!("=={old}"), &format!("=={new}"));
    }
    std::fs::write(folder.join("requirements.txt"), requirements).expect("a file");
    installed(&folder, "requirements.txt")
}

/// The Python of a folder, with the packages of its file.
pub(crate) fn installed(folder: &Path, requirements: &str) -> PathBuf {
    let python = folder.join("venv/bin/python");
    if !python.is_file() {
        run("python3", &["-m", "venv", "venv"], folder);
    }
    let install = ["install", "--quiet", "--requirement", requirements];
    run("venv/bin/pip", &install, folder);
    python
}

/// The folders of the Java example, and of the one with the newest agent and SDK.
pub(crate) fn javas() -> [PathBuf; 2] {
    let both = ["--example", "java", "--example", "java-newest"];
    let arguments = [&["prepare", "--examples", "examples-java/cures"][..], &both].concat();
    let prepared = xtask(&arguments).finish();
    assert_eq!(prepared.code(), Some(0), "{}", prepared.stderr);
    ["java", "java-newest"].map(|name| {
        let examples = root().join("target/milvus-otel/examples");
        examples.join(name).join("target")
    })
}
