//! A stack that stays, on the tutorial's ports, and a program that knows nothing of us.

mod support;

use std::net::TcpListener;
use std::process::Command;

use support::{alone, assert_nothing_left, root, skipped_without_tutorial_ports, xtask};

#[test]
fn a_program_with_the_ports_of_the_tutorial_is_traced_after_up() {
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

#[test]
fn a_taken_port_is_named() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let _holder = TcpListener::bind(("127.0.0.1", 19530)).expect("it was free");
    let up = xtask(&["up"]).finish();
    assert_eq!(up.code(), Some(2), "{}", up.stdout);
    let expected = "error: ports that Milvus needs are taken: 19530 (proxy), held by process ";
    assert!(
        up.stderr.starts_with(expected) || !cfg!(target_os = "linux"),
        "{}",
        up.stderr
    );
    assert!(
        up.stderr
            .contains("\n\nhint: another Milvus may be running"),
        "{}",
        up.stderr
    );
}
