//! The page in a real browser: writes pages, then tests them with Node.js and Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build;
use crate::story::{self, Story};

/// Run by `cargo xtask test`. Needs Node.js, Debian's Chromium, and one `npm ci`.
#[test]
#[ignore = "needs Node.js and Chromium: cargo xtask test --install"]
fn the_page_works_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let pages = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    write_pages(&pages);
    if !folder.join("node_modules").exists() {
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder));
    }
    run(Command::new("npm")
        .arg("test")
        .current_dir(&folder)
        .env("PAGES", &pages));
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn write_pages(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let stories = [
        ("consistent", story::of(build::consistent())),
        (
            "spans-alone",
            story::of(build::consistent()).without_signals(),
        ),
        (
            "logs",
            story::of(build::consistent()).logging("slow search: 512 ms"),
        ),
        ("context-lost", story::of(build::context_lost())),
        ("witnessed", story::witnessed(build::consistent())),
        ("example-failed", story::of(build::example_failed())),
        (
            "could-not-run",
            Story {
                run: build::could_not_run(),
                raw: Vec::new(),
            },
        ),
        (
            "no-spans",
            Story {
                run: build::context_lost(),
                raw: Vec::new(),
            },
        ),
        ("hostile", story::hostile(&build::NASTY.join(" "))),
        ("large", story::large(20_000)),
        ("huge", story::large(100_000)),
    ];
    for (name, story) in stories {
        fs::write(folder.join(name).with_extension("html"), story.page()).unwrap();
        fs::write(folder.join(name).with_extension("jsonl"), &story.raw).unwrap();
    }
}
