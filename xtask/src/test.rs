//! `test`: every test, how many ran, and which could not.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use milvus_otel_cli::place::workspace;
use serde_json::json;
use supervise::{Failure, Result};

use crate::cli::Test;

/// Debian packages that some tests need.
const PACKAGES: &[&str] = &["chromium", "docker-compose", "docker.io"];

/// Debian packages that only the slow tests need.
const SLOW_PACKAGES: &[&str] = &["debootstrap"];

/// When the tests of a step run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// With `--install`: they need what it installs.
    Install,
    /// With `--slow`.
    Slow,
}

/// One call of cargo, and the programs without which it can't run.
struct Step {
    when: When,
    what: &'static str,
    command: &'static str,
    needs: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step {
        when: When::Always,
        what: "all tests but the slow ones",
        command: "cargo test --locked --workspace --all-features",
        needs: &[],
    },
    Step {
        when: When::Always,
        what: "the report's page in a browser",
        command: "cargo test --locked --package trace-report -- --ignored the_page_works_in_a_browser",
        needs: &["chromium", "node", "npm"],
    },
    Step {
        when: When::Install,
        what: "the Rust client against the real Milvus",
        command: "cargo test --locked --package milvus-otel-tests --test milvus -- --ignored",
        needs: &[],
    },
    Step {
        when: When::Slow,
        what: "the slow tests",
        command: "cargo test --locked --workspace --all-features -- --ignored slow_",
        needs: &[],
    },
];

/// How many tests ran and failed, by the closing lines of the test runner.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

pub(crate) fn test(arguments: &Test) -> Result<ExitCode> {
    let workspace = workspace()?;
    let root = workspace.root();
    if arguments.install {
        install(arguments.slow)?;
    }
    let list = skipped_list(&workspace.state())?;
    let mut tally = Tally::default();
    let mut is_whole = true;
    for step in STEPS.iter().filter(|step| applies(step.when, arguments)) {
        if let Some(program) = absent(step.needs) {
            note_skipped(&list, &format!("{}: `{program}` is not on PATH", step.what))?;
            is_whole &= !arguments.install;
            continue;
        }
        let mut command = cargo(step.command, root);
        command.env(test_support::SKIPPED_FILE, &list);
        if arguments.install {
            command.env(test_support::NO_SKIP, "1");
        }
        if !run_counted(&mut command, &mut tally)? {
            is_whole = false;
            break;
        }
    }
    let skipped = read(&list)?;
    for why in skipped.lines() {
        println!("skipped: {why}");
    }
    println!(
        "{} ran, {} skipped",
        tally.passed + tally.failed,
        skipped.lines().count()
    );
    if is_whole && arguments.slow {
        keep_slow_result(root, &tally, &skipped)?;
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn applies(when: When, arguments: &Test) -> bool {
    match when {
        When::Always => true,
        When::Install => arguments.install,
        When::Slow => arguments.slow,
    }
}

fn install(slow: bool) -> Result<()> {
    let packages = PACKAGES
        .iter()
        .chain(slow.then_some(SLOW_PACKAGES).into_iter().flatten());
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet"]);
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(packages);
    for command in [&mut update, &mut install] {
        let status = command
            .status()
            .map_err(|error| cant_run(command, &error))?;
        if !status.success() {
            return Err(Failure::new(format!("`{command:?}` ended with {status}")));
        }
    }
    Ok(())
}

/// An empty list for the reasons of skipped tests.
fn skipped_list(state: &Path) -> Result<PathBuf> {
    let path = state.join("skipped-tests.txt");
    std::fs::create_dir_all(state)
        .and_then(|()| std::fs::write(&path, ""))
        .map_err(|error| Failure::new(format!("can't write `{}`: {error}", path.display())))?;
    Ok(path)
}

fn read(list: &Path) -> Result<String> {
    std::fs::read_to_string(list)
        .map_err(|error| Failure::new(format!("can't read `{}`: {error}", list.display())))
}

fn note_skipped(list: &Path, why: &str) -> Result<()> {
    let text = format!("{}{why}\n", read(list)?);
    std::fs::write(list, text)
        .map_err(|error| Failure::new(format!("can't write `{}`: {error}", list.display())))
}

/// The first of `programs` that isn't on PATH.
fn absent(programs: &[&'static str]) -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let there = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    programs.iter().copied().find(|program| !there(program))
}

fn cargo(line: &str, root: &Path) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cargo"));
    command.args(words).current_dir(root);
    command
}

/// Runs cargo with its output passed on line by line, and counts the tests; returns whether it succeeded.
fn run_counted(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cant_run(command, &error))?;
    let failed =
        |error: &std::io::Error| Failure::new(format!("reading the tests' output: {error}"));
    let output = child.stdout.take().expect("standard output is piped");
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .map_err(|error| failed(&error))?
        > 0
    {
        // Whoever reads may have gone; the tests are still counted.
        let _ = std::io::stdout().write_all(&line);
        tally.count(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().map_err(|error| cant_run(command, &error))?;
    Ok(status.success())
}

fn cant_run(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("can't run `{command:?}`: {error}"))
}

impl Tally {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 3 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some((_, numbers)) = line
            .strip_prefix("test result: ")
            .and_then(|result| result.split_once(". "))
        else {
            return;
        };
        for part in numbers.split("; ") {
            let Some((Ok(number), what)) = part
                .split_once(' ')
                .map(|(number, what)| (number.parse::<u64>(), what))
            else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => {}
            }
        }
    }
}

/// Keeps the last result of the slow tests where a reader of the repository sees it.
fn keep_slow_result(root: &Path, tally: &Tally, skipped: &str) -> Result<()> {
    let path = root.join("docs/slow-tests.json");
    let commit = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(root)
        .output()
        .map_err(|error| Failure::new(format!("can't run `git`: {error}")))?;
    let result = json!({
        "schema": "milvus-otel.slow-tests/1",
        "date": harness::time::now(),
        "commit": String::from_utf8_lossy(&commit.stdout).trim(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "ran": tally.passed + tally.failed,
        "skipped": skipped.lines().collect::<Vec<_>>(),
    });
    std::fs::write(&path, format!("{result:#}\n"))
        .map_err(|error| Failure::new(format!("can't write `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_the_runners_closing_lines() {
        let check = |line: &str, passed: u64, failed: u64| {
            let mut tally = Tally::default();
            tally.count(line);
            assert_eq!((tally.passed, tally.failed), (passed, failed), "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.51s\n",
            12,
            0,
        );
        check(
            "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n",
            7,
            2,
        );
        check("test a_test ... ok\n", 0, 0);
    }
}
