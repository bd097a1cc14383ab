//! The output on a terminal, depending on its width, colors and characters, and on `-q` and `-v`.

mod support;

use std::process::Command;

use support::{Finished, root, skip, xtask};

/// A capture in which the server's spans of the Java example are in other traces.
const LOST: &str = "crates/trace-parity/tests/data/java-context-lost.jsonl";

fn compare(more: &[&str], environment: &[(&str, &str)]) -> Finished {
    let mut command = xtask(&[&["compare", LOST][..], more].concat());
    for (name, value) in environment {
        command = command.env(name, value);
    }
    let run = command.finish();
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    run
}

#[test]
fn quiet_prints_the_verdict_and_one_line_per_finding() {
    let run = compare(&["--quiet"], &[]);
    insta::assert_snapshot!(run.stdout);
    assert_eq!(run.stdout, compare(&["-q"], &[]).stdout);
}

#[test]
fn verbose_prints_more_and_quiet_with_verbose_is_an_error() {
    let (normal, verbose) = (compare(&[], &[]), compare(&["-v"], &[]));
    assert!(verbose.stdout.lines().count() > normal.stdout.lines().count());
    let both = xtask(&["compare", LOST, "-q", "-v"]).finish();
    assert_eq!(both.code(), Some(2));
}

#[test]
fn a_failing_run_ends_with_the_next_step() {
    let run = compare(&[], &[]);
    let last: Vec<&str> = run.stdout.lines().rev().take(2).collect();
    assert!(
        last.iter()
            .any(|line| line.starts_with("next: cargo xtask explain context-lost")),
        "{}",
        run.stdout
    );
}

#[test]
fn piped_output_has_no_color_and_80_columns_and_the_locale_selects_the_characters() {
    let utf_8 = compare(&["-v"], &[("COLUMNS", "200")]).stdout;
    assert!(!utf_8.contains('\u{1b}'));
    assert!(!utf_8.is_ascii());
    let ascii = compare(&["-v"], &[("LC_ALL", "C")]).stdout;
    assert!(ascii.is_ascii(), "{ascii}");
    for line in utf_8.lines().chain(ascii.lines()) {
        assert!(
            line.chars().count() <= 80 || line.contains("cargo xtask"),
            "{line}"
        );
    }
}

/// The output on a terminal with this many columns; `None` if no terminal can be made.
fn on_terminal(columns: u16, environment: &[(&str, &str)]) -> Option<String> {
    // Other implementations of `script` have other arguments.
    let known = Command::new("script").arg("--version").output();
    if !known.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("util-linux")) {
        skip("there is no `script` of util-linux to make a terminal");
        return None;
    }
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let line = format!("stty cols {columns} && {xtask} compare {LOST} -v");
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--command", &line, "/dev/null"])
        .current_dir(root())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR");
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.output().expect("`script` runs");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn output_fits_the_terminal() {
    let longest = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("cargo xtask"));
        lines.map(|line| line.trim_end().chars().count()).max()
    };
    let (Some(narrow), Some(wide), Some(plain)) = (
        on_terminal(60, &[("NO_COLOR", "1")]),
        on_terminal(140, &[("NO_COLOR", "1")]),
        on_terminal(140, &[]),
    ) else {
        return;
    };
    assert!(!narrow.contains('\u{1b}') && !wide.contains('\u{1b}'));
    assert!(plain.contains("\u{1b}["), "colors without NO_COLOR");
    assert!(longest(&narrow) <= Some(60), "{narrow}");
    assert!((Some(81)..=Some(140)).contains(&longest(&wide)), "{wide}");
}
