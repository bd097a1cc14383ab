//! All missing requirements are named in one message before anything starts.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::xtask;

#[test]
fn every_missing_toolchain_is_named_in_one_message() {
    // A PATH with only Python.
    let found = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let Ok(found) = found else {
        support::skip("python3 is not on PATH");
        return;
    };
    let python = String::from_utf8(found.stdout).expect("a UTF-8 path");
    let path = tempfile::tempdir().expect("a temporary folder");
    let wrapper = path.path().join("python3");
    std::fs::write(
        &wrapper,
        format!("#!/bin/sh\nexec {} \"$@\"\n", python.trim()),
    )
    .expect("written");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("executable");

    let run = xtask(&["run-all"])
        .env("PATH", path.path().to_str().expect("UTF-8"))
        .finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn a_missing_file_or_example_is_named() {
    let check = |arguments: &[&str], message: &str| {
        let run = xtask(arguments).finish();
        assert_eq!(run.code(), Some(2), "{arguments:?}: {}", run.stdout);
        assert_eq!(run.stderr, message, "{arguments:?}");
    };
    check(
        &["run", "cobol"],
        "error: no example is called `cobol`\n\nhint: there are: py, go, node, java, rust\n",
    );
    check(
        &["run-all", "--examples", "/no/such/folder"],
        "error: can't read `/no/such/folder`: No such file or directory (os error 2)\n",
    );
    check(
        &["compare", "/no/such/capture.jsonl"],
        "error: can't read `/no/such/capture.jsonl`: No such file or directory (os error 2)\n",
    );
    check(
        &["trace", "no-such-run"],
        "error: no run is called `no-such-run`\n\nhint: `cargo xtask list` shows the runs that are kept\n",
    );
    check(
        &[
            "compare",
            "--contract",
            "/no/such/contract.toml",
            "/dev/null",
        ],
        "error: can't read `/no/such/contract.toml`: No such file or directory (os error 2)\n",
    );
}

#[test]
fn called_from_elsewhere_xtask_uses_its_own_checkout() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let run = xtask(&["compare", "no-such.jsonl"])
        .folder(elsewhere.path())
        .finish();
    assert_eq!(run.code(), Some(2));
    assert!(
        run.stderr.starts_with("error: can't read `no-such.jsonl`"),
        "{}",
        run.stderr
    );
    let run = xtask(&["list"]).folder(elsewhere.path()).finish();
    assert_eq!(run.code(), Some(0), "{}", run.stderr);
}

#[test]
fn a_file_without_spans_cannot_be_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in [
        ("empty.jsonl", ""),
        ("noise.jsonl", "nothing\nof the kind\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let run = xtask(&["compare", path.to_str().expect("UTF-8")]).finish();
        assert_eq!(run.code(), Some(2), "{name}: {}", run.stdout);
        assert!(
            run.stdout.starts_with("could not run"),
            "{name}: {}",
            run.stdout
        );
    }
}
