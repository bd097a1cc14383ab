//! `test`: every test, how many ran, and which could not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use milvus_otel_cli::place::workspace;
use serde_json::{Value, json};
use supervise::{Failure, Result};

use crate::cli::{SlowSuite, Test};

/// Debian packages that some tests need.
const PACKAGES: &[&str] = &["chromium", "docker-compose", "docker.io"];

/// Debian packages that only the slow tests need.
const SLOW_PACKAGES: &[&str] = &["debootstrap", "nginx"];

/// When the tests of a step run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// With `--install`: they need what it installs.
    Install,
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
];

/// The suites of slow tests: their names in `docs/slow-tests.json`, and cargo's packages.
const SLOW_SUITES: &[(SlowSuite, &str, &str)] = &[
    (SlowSuite::Engine, "engine", "trace-parity"),
    (SlowSuite::Capture, "capture", "otlp-capture"),
    (SlowSuite::Client, "client", "milvus-otel-tests"),
    (SlowSuite::Witness, "witness", "grpc-witness"),
    (SlowSuite::Runs, "runs", "xtask"),
];

/// How many tests ran and failed, by the closing lines of the test runner.
#[derive(Clone, Copy, Default)]
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
    let steps = STEPS
        .iter()
        .filter(|step| arguments.suite.is_empty() && applies(step.when, arguments));
    for step in steps {
        if let Some(program) = absent(step.needs) {
            note_skipped(&list, &format!("{}: `{program}` is not on PATH", step.what))?;
            is_whole &= !arguments.install;
            continue;
        }
        let mut command = cargo(step.command, root, &list, arguments.install);
        if !run_counted(&mut command, &mut tally)? {
            is_whole = false;
            break;
        }
    }
    let may_go_on = is_whole;
    for (name, package) in slow_suites(arguments).filter(|_| may_go_on) {
        let before = read(&list)?.lines().count();
        let began = Instant::now();
        let line = format!(
            "cargo test --locked --package {package} --all-features -- --ignored --show-output slow_"
        );
        let mut command = cargo(&line, root, &list, arguments.install);
        let mut own = Tally::default();
        let passed = run_counted(&mut command, &mut own)?;
        let skipped = read(&list)?;
        let suite = Suite {
            name,
            passed,
            tally: own,
            skipped: skipped.lines().skip(before).map(str::to_owned).collect(),
            took: began.elapsed(),
        };
        suite.keep(root)?;
        tally.passed += own.passed;
        tally.failed += own.failed;
        is_whole &= passed;
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
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Those that were asked for, or all with `--slow`, as name and package.
fn slow_suites(arguments: &Test) -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = arguments.slow && arguments.suite.is_empty();
    let suites = SLOW_SUITES.iter();
    suites
        .filter(move |(suite, ..)| all || arguments.suite.contains(suite))
        .map(|(_, name, package)| (*name, *package))
}

fn applies(when: When, arguments: &Test) -> bool {
    match when {
        When::Always => true,
        When::Install => arguments.install,
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

fn cargo(line: &str, root: &Path, skipped: &Path, no_skip: bool) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cargo"));
    command
        .args(words)
        .current_dir(root)
        .env(test_support::SKIPPED_FILE, skipped);
    if no_skip {
        command.env(test_support::NO_SKIP, "1");
    }
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

/// The last result of each slow suite, where a reader of the repository sees it.
const SLOW_RESULTS: &str = "docs/slow-tests.json";

/// What one suite of slow tests came to.
struct Suite {
    name: &'static str,
    passed: bool,
    tally: Tally,
    /// Why tests could not run.
    skipped: Vec<String>,
    took: Duration,
}

impl Suite {
    /// Puts it in the place of its last result, with date and commit. What passed last stays when a suite fails.
    fn keep(&self, root: &Path) -> Result<()> {
        let path = root.join(SLOW_RESULTS);
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::new(format!(
                "can't keep a result in `{}`: {error}",
                path.display()
            ))
        };
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            let output = command.args(arguments).current_dir(root).output();
            output
                .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .map_err(|error| cant_run(&command, &error))
        };
        let commit = git(&["rev-parse", "HEAD"])?;
        let edited = git(&["status", "--porcelain", "--", ".", ":!docs/slow-tests.json"])?;
        let date = harness::time::now();
        let mut suites: BTreeMap<String, Value> = match std::fs::read(&path) {
            Ok(bytes) => {
                let mut kept: Value =
                    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
                serde_json::from_value(kept["suites"].take()).map_err(|error| wrong(&error))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(wrong(&error)),
        };
        let last_passed = match self.passed {
            true => json!({ "date": date, "commit": commit }),
            false => suites
                .get(self.name)
                .map_or(Value::Null, |last| last["last_passed"].clone()),
        };
        let result = json!({
            "passed": self.passed,
            "ran": self.tally.passed + self.tally.failed,
            "failed": self.tally.failed,
            "skipped": self.skipped,
            "seconds": self.took.as_secs(),
            "date": date,
            "commit": commit,
            "edited_since_commit": !edited.is_empty(),
            "last_passed": last_passed,
            "processors": std::thread::available_parallelism().map_or(0, usize::from),
        });
        suites.insert(self.name.to_owned(), result);
        let all = json!({ "schema": "milvus-otel.slow-tests/3", "suites": suites });
        std::fs::write(&path, format!("{all:#}\n")).map_err(|error| wrong(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

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

    #[test]
    fn every_package_with_slow_tests_is_in_a_suite() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crates = std::fs::read_dir(root.join("crates")).expect("a folder of crates");
        let crates = crates.map(|entry| entry.expect("a crate").path());
        let has_slow_tests = |folder: &PathBuf| has_slow_tests(&folder.join("tests"));
        let slow = crates.chain([root.join("xtask")]).filter(has_slow_tests);
        let name = |folder: PathBuf| folder.file_name().expect("a name").to_owned();
        let slow: BTreeSet<_> = slow.map(name).collect();
        let known = SLOW_SUITES
            .iter()
            .map(|(_, _, package)| OsString::from(package));
        assert_eq!(slow, known.collect());
    }

    fn has_slow_tests(folder: &Path) -> bool {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| {
            has_slow_tests(&path)
                || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("fn slow_"))
        })
    }
}
