//! Causes real failures around a run: each has its message, and the next run recovers where that is possible.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{
    Checkout, Finished, ShellExample, alone, findings, root, skip, skipped_without_tutorial_ports,
    xtask,
};

/// A failure's message without the parts that differ from machine to machine.
fn told(run: &Finished, checkout: &Path) -> String {
    let text = run
        .stderr
        .replace(&checkout.display().to_string(), "[CHECKOUT]");
    let text = between(&text, "held by process ", ")", "[PID] ([NAME]");
    let text = between(&text, "things: ", " MB free", "[FREE]");
    between(&text, "    the stack: ", " MB free", "[FREE]")
}

/// `text` with the part between two words of one line replaced.
fn between(text: &str, before: &str, after: &str, name: &str) -> String {
    let line = |line: &str| match line.split_once(before) {
        Some((head, rest)) => match rest.split_once(after) {
            Some((_, tail)) => format!("{head}{before}{name}{after}{tail}"),
            None => line.to_owned(),
        },
        None => line.to_owned(),
    };
    text.lines().map(|one| line(one) + "\n").collect()
}

/// Removes quoted log lines, which differ from run to run.
fn without_detail(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// A small in-memory file system, unmounted when dropped.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Prints the reason and returns `None` if this user may not mount.
    fn at(folder: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("it can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self {
                at: folder.to_owned(),
            }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                skip(&format!("no file system can be mounted: {}", why.trim()));
                None
            }
            Err(error) => {
                skip(&format!("no file system can be mounted: {error}"));
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// A `PATH` whose only program is `python3`, the given script.
fn only_python(folder: &Path, script: &str) -> String {
    let program = folder.join("python3");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .expect("it can be made executable");
    folder.display().to_string()
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let _turn = alone();
    if skipped_without_tutorial_ports() || !cfg!(target_os = "linux") {
        return;
    }
    let _holder = TcpListener::bind(("127.0.0.1", 19530)).expect("it was free");
    let up = xtask(&["up"]).finish();
    assert_eq!(up.code(), Some(2), "{}", up.stdout);
    insta::assert_snapshot!(told(&up, root()));
}

#[test]
fn a_path_without_python_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let empty = tempfile::tempdir().expect("a temporary folder");
    let path = empty.path().display().to_string();
    let run = checkout.xtask(&["up"]).env("PATH", &path).finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    insta::assert_snapshot!(told(&run, folder.path()));
}

#[test]
fn a_python_without_venv_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let bin = tempfile::tempdir().expect("a temporary folder");
    // The message of Debian's python3 without python3-venv.
    let script = "echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1";
    let path = only_python(bin.path(), script);
    let run = checkout.xtask(&["up"]).env("PATH", &path).finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    insta::assert_snapshot!(told(&run, folder.path()));
}

#[test]
fn a_full_disk_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let Some(_mounted) = Mounted::at(&checkout.state(), "size=64m") else {
        return;
    };
    let run = checkout.xtask(&["up"]).finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    insta::assert_snapshot!(told(&run, folder.path()));
}

#[test]
fn a_disk_that_fills_up_is_reported_and_the_next_run_recovers() {
    let _turn = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let Some(_mounted) = Mounted::at(&checkout.state(), "size=700m") else {
        return;
    };
    // A stack that was prepared before needs less room.
    let milvus = checkout.state().join("milvus");
    std::fs::create_dir_all(&milvus).expect("it can be made");
    let mut run = checkout.xtask(&["prepare"]).start();
    run.until("packages are installed", |there| there.with("pip install"));
    let taken = checkout.state().join("taken");
    let mut file = std::fs::File::create(&taken).expect("it can be made");
    let piece = vec![1; 1 << 20];
    while file.write_all(&piece).is_ok() {}
    drop(file);
    let run = run.finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    insta::assert_snapshot!(between(
        &without_detail(&told(&run, folder.path())),
        "preparing `milvus`: `",
        "` exited",
        "[COMMAND]"
    ));

    std::fs::remove_file(&taken).expect("it was there");
    let again = checkout.xtask(&["prepare"]).finish();
    assert_eq!(again.code(), Some(0), "{}", again.stderr);
}

#[test]
fn a_read_only_target_is_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let Some(_mounted) = Mounted::at(&checkout.folder.join("target"), "ro,size=8g") else {
        return;
    };
    for command in [&["up"][..], &["prepare"]] {
        let run = checkout.xtask(command).finish();
        assert_eq!(run.code(), Some(2), "{}", run.stdout);
        insta::allow_duplicates! { insta::assert_snapshot!(told(&run, folder.path())) };
    }
}

/// Prepares the checkout's stack, whatever state it is in, and brings it up and down.
fn mended(checkout: &Checkout) {
    let example = ShellExample::new("odd", "exit 3", 60);
    let arguments = ["run-all", "--format", "json", "--examples", example.path()];
    let run = checkout.xtask(&arguments).finish();
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert_eq!(
        findings(&run.json()),
        [("odd".to_owned(), "example-failed".to_owned())]
    );
}

#[test]
fn an_interrupted_preparation_is_completed_by_the_next() {
    let _turn = alone();
    let checkout = Checkout::kept();
    mended(&checkout);
    let milvus = checkout.state().join("milvus");
    let server = milvus.join("bin/milvus");

    // Killed while unpacking: the server is truncated, its marker is from an earlier time, and a library is missing.
    let whole = std::fs::metadata(&server).expect("it is there").len();
    let file = std::fs::File::options()
        .write(true)
        .open(&server)
        .expect("it is there");
    file.set_len(whole / 2).expect("it can be cut");
    drop(file);
    std::fs::remove_file(milvus.join("bin/libatomic.so.1")).expect("it was there");
    std::fs::remove_file(milvus.join("prepared.json")).expect("it was there");

    // The network fails during the download, and pip's cache is empty.
    let cache = tempfile::tempdir().expect("a temporary folder");
    let cut_off = checkout
        .xtask(&["prepare"])
        .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        .env("PIP_RETRIES", "1")
        .env("PIP_CACHE_DIR", &cache.path().display().to_string())
        .finish();
    assert_eq!(cut_off.code(), Some(2), "{}", cut_off.stdout);
    assert!(
        cut_off.stderr.contains("NewConnectionError"),
        "{}",
        cut_off.stderr
    );
    insta::assert_snapshot!(without_detail(&told(&cut_off, &checkout.folder)));

    mended(&checkout);
    assert_eq!(
        std::fs::metadata(&server).expect("it is there").len(),
        whole
    );
    assert!(milvus.join("bin/libatomic.so.1").is_file());
}

#[test]
fn a_damaged_server_is_reported_with_its_fix() {
    let _turn = alone();
    let checkout = Checkout::kept();
    mended(&checkout);
    let library = checkout.state().join("milvus/bin/libatomic.so.1");
    let kept = std::fs::read(&library).expect("it is there");
    std::fs::write(&library, b"").expect("it can be written");
    let example = ShellExample::new("odd", "exit 3", 60);
    let run = checkout
        .xtask(&["run-all", "--examples", example.path()])
        .finish();
    std::fs::write(&library, kept).expect("it can be written");
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    assert!(
        run.stderr.contains("error while loading shared libraries"),
        "{}",
        run.stderr
    );
    let text = without_detail(&told(&run, &checkout.folder));
    insta::assert_snapshot!(between(&text, "runs/", "/logs", "[RUN]"));
}

#[test]
fn parallel_runs_in_one_checkout_and_another_do_not_disturb_each_other() {
    let _turn = alone();
    let other = Checkout::kept();
    mended(&other);
    let prepared = xtask(&["prepare", "--example", "py"]).finish();
    assert_eq!(prepared.code(), Some(0), "{}", prepared.stderr);
    let py = ["run-all", "--format", "json", "--example", "py"];
    let failing = ShellExample::new("odd", "exit 3", 60);
    let elsewhere = ["run-all", "--format", "json", "--examples", failing.path()];
    let running = [
        xtask(&py).start(),
        xtask(&py).start(),
        other.xtask(&elsewhere).start(),
    ];
    let [one, two, three] = running.map(support::Running::finish);
    assert_eq!(one.code(), Some(0), "{}\n{}", one.stdout, one.stderr);
    assert_eq!(two.code(), Some(0), "{}\n{}", two.stdout, two.stderr);
    assert_eq!(three.code(), Some(1), "{}\n{}", three.stdout, three.stderr);
    let runs = [&one, &two, &three].map(|run| run.json()["run"].to_string());
    assert!(runs[0] != runs[1] && runs[1] != runs[2] && runs[0] != runs[2]);
}

#[test]
fn a_clock_that_went_back_is_reported_and_harms_nothing() {
    let _turn = alone();
    let checkout = Checkout::kept();
    let future = checkout.state().join("runs/29991231T235959Z-00000a");
    std::fs::create_dir_all(&future).expect("it can be made");
    mended(&checkout);
    let report = checkout.xtask(&["report"]).finish();
    let doctor = checkout.xtask(&["doctor"]).finish();
    std::fs::remove_dir_all(&future).expect("it was there");
    assert_eq!(report.code(), Some(0), "{}", report.stderr);
    assert!(
        !report.stdout.contains("2999"),
        "the newest is the one that was made last"
    );
    let told = "s behind the newest run, `29991231T235959Z-00000a`\n       cure: set the clock";
    assert!(doctor.stdout.contains(told), "{}", doctor.stdout);
}

/// In the user's own checkout, prepared from scratch.
#[test]
#[ignore = "prepares a stack from nothing"]
fn slow_a_run_does_not_need_root() {
    let _turn = alone();
    let is_root = Command::new("id").arg("-u").output();
    if !is_root.is_ok_and(|output| output.stdout == b"0\n") {
        skip("only root can become another user, and everything else runs without root then");
        return;
    }
    // This user's server ran before. It must leave the files it shares usable for the other user's server.
    mended(&Checkout::kept());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Checkout::at(folder.path());
    let example = ShellExample::new("odd", "id -un; exit 3", 60);
    let owned = Command::new("chown")
        .args(["-R", "nobody"])
        .arg(folder.path())
        .arg(example.path())
        .status();
    assert!(owned.is_ok_and(|status| status.success()));
    let nobody = [
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "--no-new-privs",
    ];
    let run = checkout
        .xtask(&[
            "run-all",
            "--auth",
            "--format",
            "json",
            "--examples",
            example.path(),
        ])
        .env("HOME", &folder.path().display().to_string())
        .by("setpriv", &nobody)
        .finish();
    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(
        findings(&run.json()),
        [("odd".to_owned(), "example-failed".to_owned())]
    );
    let log = checkout.state().join("runs/latest/logs/odd.log");
    assert_eq!(
        std::fs::read_to_string(log).expect("its output"),
        "nobody\n"
    );
}
