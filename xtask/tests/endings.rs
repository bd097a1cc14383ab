//! Whatever ends a run, the run says why and leaves nothing behind.

mod support;

use support::{ShellExample, alone, findings, latest_run};

/// A point in a run's life, recognized from outside.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Boot,
    Examples,
    Settling,
}

/// Starts a run and waits until it is at `stage`. The example's folder lives as long as what is returned.
fn run_to(stage: Stage) -> (ShellExample, support::Running) {
    // If an example exits without a span, the run waits for spans until the deadline, so it stays in `settle` for long.
    let script = match stage {
        Stage::Boot | Stage::Examples => "echo under way; sleep 600",
        Stage::Settling => "echo under way",
    };
    let example = ShellExample::new("sleeper", script, 600);
    let mut run = example.run_all(&[]).start();
    match stage {
        Stage::Boot => {
            run.until("Milvus starts", |there| there.with("milvus run standalone"));
        }
        Stage::Examples => {
            run.until("the example runs", |there| there.with("sleep 600"));
        }
        Stage::Settling => {
            let log = run.until("the example has a log", |there| {
                there.with("milvus run standalone")?;
                let log = latest_run().join("logs/sleeper.log");
                log.is_file().then_some(log)
            });
            run.until("the example has ended", |there| {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                (said.contains("under way") && there.with("under way").is_none()).then_some(())
            });
        }
    }
    (example, run)
}

/// Ends a run by `signal` at `stage`, and checks that nothing is left.
#[track_caller]
fn check_signal(stage: Stage, signal: &str, code: Option<i32>) {
    let (_example, run) = run_to(stage);
    run.signal(signal);
    let finished = run.finish();
    assert_eq!(
        finished.code(),
        code,
        "{stage:?} {signal}: {}",
        finished.stderr
    );
}

#[test]
fn a_signal_at_any_stage_leaves_nothing_behind() {
    let _turn = alone();
    for stage in [Stage::Boot, Stage::Examples, Stage::Settling] {
        check_signal(stage, "-INT", Some(130));
        check_signal(stage, "-TERM", Some(143));
        check_signal(stage, "-KILL", None);
    }
}

#[test]
fn an_interrupted_run_keeps_what_it_captured_and_says_why_there_is_no_verdict() {
    let _turn = alone();
    let example = ShellExample::new("sleeper", "sleep 600", 600);
    let mut run = example.run_all(&[]).start();
    let folder = run.until("Milvus's own spans are captured", |there| {
        there.with("sleep 600")?;
        let folder = latest_run();
        let capture = std::fs::metadata(folder.join("capture.jsonl")).ok()?;
        (capture.len() > 0).then_some(folder)
    });
    run.signal("-INT");
    assert_eq!(run.finish().code(), Some(130));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["failure"], "interrupted");
    let captured = std::fs::read_to_string(folder.join("capture.jsonl")).expect("a capture");
    assert!(
        captured.lines().count() > 0,
        "Milvus's own spans were captured"
    );
}

/// Runs one example alone and checks its exit code and findings.
#[track_caller]
fn check_example(script: &str, timeout: u64, rules: &[&str]) -> support::Finished {
    let example = ShellExample::new("odd", script, timeout);
    let run = example.run_all(&["--format", "json"]).finish();
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    let found: Vec<_> = findings(&run.json())
        .into_iter()
        .map(|(_, rule)| rule)
        .collect();
    assert_eq!(found, rules, "{script}");
    run
}

#[test]
fn each_way_an_example_can_fail_has_its_own_rule() {
    let _turn = alone();
    let run = check_example("echo tried; exit 3", 60, &["example-failed"]);
    assert_eq!(run.json()["examples"][0]["exit_code"], 3);

    check_example("echo hanging; sleep 600", 2, &["example-failed"]);
    let log = std::fs::read_to_string(latest_run().join("logs/odd.log")).expect("its output");
    assert!(log.starts_with("hanging\n"), "{log}");

    check_example("kill -9 $$", 60, &["example-failed"]);
    check_example("/no/such/program; exit $?", 60, &["example-failed"]);
    // It ran, but exported nothing.
    check_example("true", 60, &["no-spans"]);
}

#[test]
fn processes_that_an_example_leaves_behind_are_ended() {
    let _turn = alone();
    check_example("sleep 600 & exit 3", 60, &["example-failed"]);
    check_example("setsid sleep 600 & exit 3", 60, &["example-failed"]);
    check_example(
        "trap '' TERM; sleep 600 & sleep 600",
        2,
        &["example-failed"],
    );
    let log = std::fs::read_to_string(latest_run().join("logs/odd.log")).unwrap_or_default();
    assert_eq!(log, "", "ending a program on time is no fault of its own");
}

#[test]
fn a_milvus_that_dies_ends_the_run_and_its_last_log_lines_are_shown() {
    let _turn = alone();
    let example = ShellExample::new("sleeper", "sleep 600", 600);
    let mut run = example.run_all(&[]).start();
    let milvus = run.until("the example runs", |there| {
        there.with("sleep 600")?;
        there.with("milvus run standalone")
    });
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &milvus.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
    let finished = run.finish();
    assert_eq!(finished.code(), Some(2));
    let said = &finished.stderr;
    assert!(
        said.starts_with("error: Milvus ended during the run: it was ended by signal 9\n"),
        "{said}"
    );
    assert!(said.contains("hint: its log is in"), "{said}");
    assert!(
        said.lines().filter(|line| line.starts_with("    ")).count() >= 5,
        "{said}"
    );
}
