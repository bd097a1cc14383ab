//! The program `milvus-otel` as pip installs it, in a folder that is no checkout.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::{root, skip, skipped_without_tutorial_ports, xtask};

/// Under `crates/trace-parity/tests/data`.
const CAPTURES: [&str; 10] = [
    "five-languages.jsonl",
    "java-context-lost.jsonl",
    "cases/base.jsonl",
    "cases/brave-otlp.bin",
    "cases/empty.jsonl",
    "cases/jaeger-single.json",
    "cases/node-unimplemented.jsonl.gz",
    "cases/py-half-async.jsonl.gz",
    "cases/py-openinference.jsonl.gz",
    "cases/server-only.jsonl",
];

/// The program in a folder of the user's.
struct Installed {
    program: &'static Path,
    folder: tempfile::TempDir,
}

/// Builds the wheel and installs it into an environment, once; `None` where there is no Python.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        if Command::new("python3").arg("--version").output().is_err() {
            skip("`python3` is not on PATH");
            return None;
        }
        let built = xtask(&["wheel", "--debug"]).finish();
        assert_eq!(built.code(), Some(0), "{}", built.stderr);
        let wheel = built.stdout.split("  ").next().expect("a path");
        let environment = root().join("target/milvus-otel/tests/wheel");
        let mut venv = Command::new("python3");
        successful(venv.args(["-m", "venv", "--clear"]).arg(&environment));
        let mut pip = Command::new(environment.join("bin/pip"));
        successful(pip.args(["install", "--quiet"]).arg(root().join(wheel)));
        Some(environment.join("bin/milvus-otel"))
    });
    program.as_deref()
}

impl Installed {
    fn new() -> Option<Self> {
        Some(Self {
            program: program()?,
            folder: tempfile::tempdir().expect("a temporary folder"),
        })
    }

    /// The program in the user's folder, without Rust on PATH.
    fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(self.program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env(
                "MILVUS_OTEL_CACHE",
                root().join("target/milvus-otel/tests/cache"),
            )
            .output()
            .expect("it starts")
    }
}

fn successful(command: &mut Command) {
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_installed_program_judges_as_the_checkout_does() {
    let Some(installed) = Installed::new() else {
        return;
    };
    for capture in CAPTURES {
        let capture = root().join("crates/trace-parity/tests/data").join(capture);
        let capture = capture.display().to_string();
        // The only difference is the command that the reader is told to type; it may shift where a line is broken.
        let named = |text: &str| text.replace("cargo xtask", "milvus-otel");
        let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for format in ["json", "junit", "github", "text", "markdown"] {
            let arguments = ["compare", &capture, "--format", format];
            let here = xtask(&arguments).finish();
            let there = installed.run(&arguments);
            assert_eq!(here.status.code(), there.status.code(), "{capture}");
            let (here, there) = (here.stdout, text(&there.stdout));
            match format {
                "text" => assert_eq!(named(&on_one_line(&here)), on_one_line(&there)),
                _ => assert_eq!(named(&here), there, "{capture}, {format}"),
            }
        }
    }
    let explained = installed.run(&["explain", "context-lost"]);
    assert!(text(&explained.stdout).starts_with("# context-lost\n"));
    let nothing = installed.run(&["report"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(
        text(&nothing.stderr),
        "error: no run is called `latest`\n\nhint: `milvus-otel list` shows the runs that are kept\n"
    );
    let help = text(&installed.run(&["exec", "--help"]).stdout);
    assert!(
        help.contains("milvus-otel exec -- ") && !help.contains("{program}"),
        "{help}"
    );
    // Nothing is left in a folder where nothing ran.
    let left = std::fs::read_dir(installed.folder.path()).expect("it is there");
    assert_eq!(left.count(), 0);
}

#[test]
fn a_service_in_a_foreign_folder_is_ended_and_judged() {
    let _turn = support::alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let Some(installed) = Installed::new() else {
        return;
    };
    let run = installed.run(&[
        "exec",
        "--for",
        "1s",
        "--name",
        "waiting",
        "--format",
        "json",
        "--",
        "sh",
        "-c",
        "echo up; exec sleep 600",
    ]);
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(report["examples"][0]["name"], "waiting");
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    // It was asked to end: it didn't fail, and had nothing to say.
    assert_eq!(report["findings"][0]["rule"], "no-spans");
    let own = installed.folder.path().join(".milvus-otel");
    let kept = |path: &str| own.join(path).is_file();
    assert!(kept(".gitignore") && kept("runs/latest/report.html"));
    let log = std::fs::read_to_string(own.join("runs/latest/logs/waiting.log"));
    assert_eq!(log.expect("a log"), "up\n");
}

#[test]
fn the_wheel_offers_the_server_that_the_launcher_installs() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is there");
    let project = read("crates/milvus-otel-cli/pyproject.toml");
    let requirements = read("crates/harness/milvus/requirements.txt");
    let mut lines = requirements.lines().filter(|line| !line.starts_with('#'));
    let server = lines.next().expect("a package");
    assert_eq!(lines.next(), None);
    assert!(
        project.contains(&format!("server = [\"{server}\"]")),
        "{project}"
    );
    let maturin = |text: &str| {
        let (_, rest) = text.split_once("maturin==").expect("a pin");
        rest.split('"').next().map(str::to_owned)
    };
    assert_eq!(maturin(&project), maturin(&read("xtask/src/wheel.rs")));
}

#[test]
#[ignore = "slow: builds with optimization"]
fn slow_the_wheel_is_small() {
    let built = xtask(&["wheel"]).finish();
    assert_eq!(built.code(), Some(0), "{}", built.stderr);
    let wheel = built.stdout.split("  ").next().expect("a path");
    let size = Path::new(root())
        .join(wheel)
        .metadata()
        .expect("it is there")
        .len();
    assert!(size < 15_000_000, "{size} bytes");
}
