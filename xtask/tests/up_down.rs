//! A stack that stays up on the tutorial's ports, and a program written without this project.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::{alone, assert_nothing_left, root, skipped_without_tutorial_ports, xtask};

#[test]
fn a_program_that_uses_the_tutorials_ports_is_traced_after_up() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let prepared = xtask(&["prepare", "--example", "py"]).finish();
    assert_eq!(prepared.code(), Some(0), "{}", prepared.stderr);

    let up = xtask(&["up"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    assert!(
        up.stdout.contains("http://localhost:19530"),
        "{}",
        up.stdout
    );
    let again = xtask(&["up"]).finish();
    assert!(
        again.stdout.starts_with("already up, untouched"),
        "{}",
        again.stdout
    );

    let python = root().join("target/milvus-otel/examples/py/venv/bin/python");
    let program = Command::new(python)
        .arg("quick_setup.py")
        .current_dir(root().join("examples-py"))
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("MILVUS_URI")
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&program.stdout);
    assert!(
        program.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&program.stderr)
    );
    let id = said
        .lines()
        .find_map(|line| line.strip_prefix("trace_id="))
        .expect("a trace id");

    let shown = support::until("the server's spans have come", || {
        let shown = xtask(&["trace", id]).finish();
        shown.stdout.contains("standalone").then_some(shown.stdout)
    });
    assert!(shown.contains("test_milvus_otel"), "{shown}");
    assert!(
        shown.contains("/milvus.proto.milvus.MilvusService/Connect"),
        "{shown}"
    );

    let down = xtask(&["down"]).finish();
    assert!(
        down.stdout.starts_with("stopped: Milvus"),
        "{}",
        down.stdout
    );
    assert_nothing_left(&up.mark);
    let status = xtask(&["status"]).finish();
    assert!(
        status.stdout.starts_with("nothing is up"),
        "{}",
        status.stdout
    );
    let again = xtask(&["down"]).finish();
    assert_eq!(
        (again.code(), again.stdout.as_str()),
        (Some(0), "nothing is up\n")
    );
}

/// The process of the stack that `up` with this mark started.
fn process(mark: &str, of: &str) -> u32 {
    support::Processes::of(mark).with(of).expect("it runs")
}

#[test]
fn status_shows_processes_start_time_addresses_and_memory() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let up = xtask(&["up"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let status = xtask(&["status"]).finish();
    let keeper = process(&up.mark, "keep-stack");
    let down = xtask(&["down"]).finish();
    assert!(down.status.success(), "{}", down.stderr);
    assert_nothing_left(&up.mark);

    let lines: Vec<&str> = status.stdout.lines().collect();
    let [first, milvus, otlp, captured, memory] = lines[..] else {
        panic!("{}", status.stdout);
    };
    let since = first.strip_prefix("up since 20").expect("a time");
    assert!(
        since.contains(&format!("Z: Milvus 2.3.5 embedded (process {keeper})")),
        "{first}"
    );
    assert_eq!(milvus, "  Milvus     http://localhost:19530");
    assert_eq!(
        otlp,
        "  OTLP       http://localhost:4317 (gRPC)  http://localhost:4318 (HTTP)"
    );
    assert!(
        captured.starts_with("  captured   target/milvus-otel/runs/20"),
        "{captured}"
    );
    let megabytes = memory
        .strip_prefix("  memory     ")
        .and_then(|rest| rest.strip_suffix(" MB"))
        .and_then(|number| number.parse::<u64>().ok());
    assert!(
        megabytes.is_some_and(|size| (50..4_000).contains(&size)),
        "{memory}"
    );
}

#[test]
fn down_removes_what_a_killed_stack_left() {
    let _turn = alone();
    // In the second case the guard is killed with the keeper, so that nothing is left to end Milvus.
    for with_guard in [false, true] {
        if skipped_without_tutorial_ports() {
            return;
        }
        let up = xtask(&["up", "--auth"]).finish();
        assert!(up.status.success(), "{}", up.stderr);
        let milvus = process(&up.mark, "milvus run standalone");
        let guard = process(&up.mark, "guard --grace-ms");
        if with_guard {
            support::signal(guard, "-KILL");
        }
        support::signal(process(&up.mark, "keep-stack"), "-KILL");

        let status = support::until("the keeper is gone", || {
            let status = xtask(&["status"]).finish();
            status.stdout.starts_with("nothing is up").then_some(status)
        });
        assert_eq!(
            status.stdout,
            "nothing is up; the last stack ended by itself, and `cargo xtask down` clears what it left\n"
        );
        if with_guard {
            let left = support::Processes::of(&up.mark);
            assert_eq!(left.with("milvus run standalone"), Some(milvus));
        }
        let down = xtask(&["down"]).finish();
        assert_eq!(down.code(), Some(0), "{}", down.stderr);
        assert!(
            down.stdout
                .starts_with("cleared what was left: Milvus 2.3.5 embedded, up since 20"),
            "{}",
            down.stdout
        );
        assert_nothing_left(&up.mark);
        let state = root().join("target/milvus-otel");
        let data = std::fs::read_dir(state.join("milvus/data"))
            .expect("a folder")
            .flatten();
        let folders = data.filter(|entry| entry.path().is_dir()).count();
        assert_eq!(folders, 0, "no data is left");
        assert!(!state.join("stack.json").exists() && !state.join("stack.token").exists());
        let again = xtask(&["down"]).finish();
        assert_eq!(again.stdout, "nothing is up\n");
    }
}

#[test]
fn a_signal_while_the_stack_boots_stops_it() {
    let _turn = alone();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        if skipped_without_tutorial_ports() {
            return;
        }
        let mut up = xtask(&["up"]).start();
        up.until("Milvus starts", |there| there.with("milvus run standalone"));
        up.signal(signal);
        let ended = up.finish();
        assert_eq!(ended.code(), Some(code), "{}", ended.stderr);
        let down = xtask(&["down"]).finish();
        assert_eq!(down.stdout, "nothing is up\n", "{}", down.stderr);
    }
}

/// Bytes of all files in a folder; files that vanish meanwhile count as 0.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |file| file.len()),
            _ => 0,
        })
        .sum()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// In a separate checkout, so that nothing else writes to it meanwhile.
#[test]
#[ignore = "takes minutes"]
fn slow_fifty_times_up_and_down_leave_nothing() {
    const TIMES: usize = 50;
    /// The most that one run may take on disk. Each has the spans of a stack that was up for a moment.
    const RUN_BYTES: u64 = 2 << 20;
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let checkout = support::Checkout::kept();
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let round = || {
        let up = checkout
            .xtask(&["up"])
            .env("TMPDIR", &temporary.path().display().to_string())
            .finish();
        assert!(up.status.success(), "{}", up.stderr);
        let server_id = format!(
            "/tmp/milvus/server_id_{}",
            process(&up.mark, "milvus run standalone")
        );
        assert!(Path::new(&server_id).exists());
        let down = checkout.xtask(&["down"]).finish();
        assert!(
            down.stdout.starts_with("stopped: Milvus"),
            "{}{}",
            down.stdout,
            down.stderr
        );
        assert_nothing_left(&up.mark);
        assert!(
            !skipped_without_tutorial_ports(),
            "every port is free again"
        );
    };
    round();
    let runs = checkout.state().join("runs");
    let outside_runs = || size(&checkout.state()) - size(&runs);
    let shared = || -> BTreeSet<String> {
        let folders = ["/tmp", "/run/milvus"].map(Path::new);
        folders.into_iter().flat_map(names).collect()
    };
    let (before, shared_before) = (outside_runs(), shared());
    let entries_before = names(&checkout.state());
    for _ in 1..TIMES {
        round();
    }
    assert_eq!(
        names(temporary.path()),
        BTreeSet::new(),
        "no temporary file"
    );
    // Other programs may write here too, but under other names.
    let of_milvus = |name: &&String| name.contains("milvus") || name.contains("etcd");
    let after = shared();
    let left: Vec<&String> = after.difference(&shared_before).filter(of_milvus).collect();
    assert_eq!(left.len(), 0, "left outside of the checkout: {left:?}");
    assert_eq!(names(&checkout.state()), entries_before);
    let (after, kept) = (outside_runs(), names(&runs).len());
    eprintln!(
        "{TIMES} rounds: {before} bytes before, {after} after; {kept} names in runs, {} bytes",
        size(&runs)
    );
    assert!(
        after < before + (1 << 20),
        "{before} bytes before, {after} after"
    );
    assert!(
        kept <= 22,
        "the newest 20, `latest`, and the one that was being made: {kept}"
    );
    assert!(
        size(&runs) < 22 * RUN_BYTES,
        "{} bytes of runs",
        size(&runs)
    );
}
