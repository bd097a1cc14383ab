//! Stacks other than the embedded one.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{alone, findings, latest_run, root, xtask};

#[test]
#[ignore = "slow: builds Jaeger first"]
fn slow_jaegers_traces_give_the_same_verdict_as_the_capture() {
    let _turn = alone();
    let arguments = [
        "run-all",
        "--backend",
        "jaeger",
        "--example",
        "py",
        "--example",
        "go",
    ];
    let run = xtask(&[&arguments[..], &["--format", "json"]].concat()).finish();
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.json()["verdict"], "consistent");
    assert!(
        run.stderr
            .contains("note: Jaeger has the same traces, and they come to the same verdict"),
        "{}",
        run.stderr
    );
    let read_back = latest_run().join("jaeger.jsonl").display().to_string();
    let again = xtask(&["compare", &read_back, "--format", "json"]).finish();
    assert_eq!(again.code(), Some(0), "{}", again.stderr);
    assert_eq!(again.json()["verdict"], "consistent");
    assert_eq!(findings(&again.json()), findings(&run.json()));
    for column in ["py", "go"] {
        let joined = |report: &serde_json::Value| {
            let steps = report["steps"].as_array().expect("steps").clone();
            let cells = steps
                .iter()
                .map(|step| step["cells"][column]["joined"].clone());
            cells.collect::<Vec<_>>()
        };
        assert_eq!(joined(&again.json()), joined(&run.json()), "{column}");
    }
}

/// A run whose example waits until `meanwhile` has done something to the run's own Jaeger: its process, and its command line.
fn with_jaeger(meanwhile: impl FnOnce(u32, &str)) -> support::Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let go = folder.path().join("go");
    let script = format!("until test -e {}; do sleep 0.1; done", go.display());
    let example = support::ShellExample::new("silent", &script, 600);
    let mut run = example
        .run_all(&["--backend", "jaeger", "--format", "json"])
        .start();
    let (jaeger, command) = run.until("the example runs", |there| {
        there.with("until test -e")?;
        let is_jaeger = |(_, command): &&(u32, String)| {
            command.contains("all-in-one") && !command.contains("guard")
        };
        there.0.iter().find(is_jaeger).cloned()
    });
    meanwhile(jaeger, &command);
    std::fs::write(&go, "").expect("it can be written");
    run.finish()
}

#[test]
#[ignore = "slow: builds Jaeger first"]
fn slow_a_jaeger_whose_traces_come_to_another_verdict_is_a_finding() {
    let _turn = alone();
    let run = with_jaeger(|_, command| {
        let run = latest_run();
        let run = run.file_name().expect("an id").to_str().expect("UTF-8");
        let attribute = |key: &str, value: &str| {
            format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
        };
        let resource = [
            attribute("service.name", "milvus-client"),
            attribute("service.instance.id", "silent"),
            attribute("milvus_otel.run", run),
        ];
        let span = r#"{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"only there","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"2"}"#;
        let body = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#,
            resource.join(",")
        );
        let address = command.split("--collector.otlp.http.host-port=").nth(1);
        let address = address
            .and_then(|rest| rest.split(' ').next())
            .expect("its port");
        let mut stream = TcpStream::connect(address).expect("Jaeger listens");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: jaeger\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    });
    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    let rules: Vec<String> = findings(&report)
        .into_iter()
        .map(|(_, rule)| rule)
        .collect();
    assert!(rules.contains(&"no-spans".to_owned()), "{rules:?}");
    assert!(rules.contains(&"read-back-differs".to_owned()), "{rules:?}");
}

#[test]
#[ignore = "slow: builds Jaeger first"]
fn slow_a_jaeger_that_does_not_answer_leaves_a_run_without_a_verdict() {
    let _turn = alone();
    let run = with_jaeger(|jaeger, _| support::signal(jaeger, "-STOP"));
    assert_eq!(run.code(), Some(2), "{}\n{}", run.stdout, run.stderr);
    let manifest = std::fs::read(latest_run().join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["forwarded"], false);
    let api = manifest["stack"]["traces_from"].as_str().expect("its API");
    let api = api.trim_start_matches("http://");
    assert!(run.stderr.contains(api), "{api}: {}", run.stderr);
}

/// This run knows the stack that another run keeps up only by its addresses.
#[test]
#[ignore = "slow: builds Jaeger first"]
fn slow_the_spans_of_an_external_stack_are_fetched_until_they_are_complete() {
    let _turn = alone();
    let before = std::fs::read_link(root().join("target/milvus-otel/runs/latest")).ok();
    let idle = support::ShellExample::new("idle", "true", 60);
    let arguments = ["run-all", "--backend", "jaeger", "--keep-up"];
    let only = ["--examples", idle.path(), "--example", "idle"];
    let mut owner = xtask(&[&arguments[..], &only].concat()).start();
    let folder = owner.until("it has a verdict", |_| {
        let now = std::fs::read_link(root().join("target/milvus-otel/runs/latest")).ok();
        let folder = (now.is_some() && now != before).then(latest_run)?;
        folder.join("report.json").is_file().then_some(folder)
    });
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let at = |key: &str| {
        manifest["stack"][key]
            .as_str()
            .expect("an address")
            .to_owned()
    };
    let (milvus, otlp, traces) = (at("milvus_uri"), at("otlp_grpc"), at("traces_from"));

    let place = [
        "--milvus-uri",
        &milvus,
        "--otlp-endpoint",
        &otlp,
        "--traces-from",
        &traces,
    ];
    let arguments = [
        "run-all",
        "--stack",
        "external",
        "--example",
        "py",
        "--format",
        "json",
    ];
    let run = xtask(&[&arguments[..], &place].concat()).finish();
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    assert_eq!(report["verdict"], "consistent");
    assert_eq!(
        report["examples"][0]["client_rpcs"],
        report["examples"][0]["joined"]
    );
    let fetched = latest_run().display().to_string();
    let again = xtask(&["compare", &fetched, "--format", "json"]).finish();
    assert_eq!(again.json()["verdict"], "consistent", "{}", again.stderr);

    owner.signal("-INT");
    assert_eq!(owner.finish().code(), Some(130));
}

#[test]
fn an_external_stack_needs_all_three_addresses() {
    let check = |arguments: &[&str], message: &str| {
        let run = xtask(&[&["run-all"], arguments].concat()).finish();
        assert_eq!(run.code(), Some(2), "{}", run.stderr);
        assert!(run.stderr.starts_with(message), "{}", run.stderr);
        assert!(run.stderr.contains("\n\nhint: "), "{}", run.stderr);
    };
    check(
        &["--stack", "external"],
        "error: an external stack needs `--milvus-uri`\n",
    );
    check(
        &[
            "--stack",
            "external",
            "--milvus-uri",
            "http://m:1",
            "--otlp-endpoint",
            "http://o:1",
        ],
        "error: an external stack needs `--traces-from`\n",
    );
    check(
        &["--traces-from", "http://j:1"],
        "error: `--traces-from` can't be used with the embedded stack\n",
    );
    check(
        &["--stack", "external", "--backend", "jaeger"],
        "error: `--backend jaeger` belongs to the embedded stack\n",
    );
    check(
        &["--stack", "compose", "--auth"],
        "error: `--auth` belongs to the embedded stack\n",
    );
    check(
        &["--stack", "compose", "--traces-from", "http://j:1"],
        "error: `--traces-from` can't be used with the compose stack\n",
    );
    check(
        &[
            "--stack",
            "external",
            "--milvus-uri",
            "http://root:hush@m:1",
        ],
        "error: `--milvus-uri` contains a user name or a password\n",
    );
}

#[test]
fn a_file_can_describe_an_external_stack() {
    let _turn = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("stack.toml");
    let path = file.display().to_string();
    let check = |text: &str, message: &str| {
        std::fs::write(&file, text).expect("it can be written");
        let arguments = [
            "exec", "--stack", "external", "--config", &path, "--", "true",
        ];
        let run = xtask(&arguments).finish();
        assert_eq!(run.code(), Some(2), "{}", run.stdout);
        assert!(run.stderr.starts_with(message), "{}", run.stderr);
        assert!(!run.stderr.contains("hush"), "{}", run.stderr);
    };
    let whole = "[external]\nmilvus_uri = \"http://m:1\"\notlp_endpoint = \"http://o:1\"\n\
                 headers = [\"authorization: Bearer hush\"]\n";
    check(whole, "error: an external stack needs `--traces-from`\n");
    check(
        &format!("{whole}traces_from = \"http://127.0.0.1:9\"\n"),
        "error: can't read the traces from `http://127.0.0.1:9`: Connection refused",
    );
    let message = if cfg!(feature = "tls") {
        "error: can't read the traces from `https://127.0.0.1:9`: Connection refused"
    } else {
        "error: this build can't use `https`\n\nhint: a build with the cargo feature `tls` does: the wheel, or `cargo xtask-tls`"
    };
    check(
        &format!("{whole}traces_from = \"https://127.0.0.1:9\"\n"),
        message,
    );
    check(
        &format!("{whole}token = \"hush\"\n"),
        &format!("error: can't take `{path}`, line 5: unknown field `token`"),
    );
}

#[test]
fn a_query_api_that_does_not_answer_is_reported_before_any_example_runs() {
    let _turn = alone();
    let example = support::ShellExample::new("never", "exit 9", 60);
    let arguments = [
        "run-all",
        "--examples",
        example.path(),
        "--example",
        "never",
        "--stack",
        "external",
    ];
    let place = [
        "--milvus-uri",
        "http://127.0.0.1:9",
        "--otlp-endpoint",
        "http://127.0.0.1:9",
    ];
    let run = xtask(
        &[
            &arguments[..],
            &place[..],
            &["--traces-from", "http://127.0.0.1:9"],
            &["--header", "authorization: Bearer hush"],
        ]
        .concat(),
    )
    .finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    let expected = "error: can't read the traces from `http://127.0.0.1:9`: Connection refused";
    assert!(run.stderr.starts_with(expected), "{}", run.stderr);
    assert!(!latest_run().join("logs/never.log").exists());
    let manifest = std::fs::read_to_string(latest_run().join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"--header\""), "{manifest}");
    assert!(!manifest.contains("hush"), "{manifest}");
}

/// A server's response, including its header.
fn got(address: &str, path: &str) -> String {
    let authority = address.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The run knows the stack that `up` started only by its addresses.
#[test]
#[ignore = "slow: the tutorial's ports, and a Jaeger that is built first"]
fn slow_another_run_can_use_a_stack_that_is_up_with_jaeger_as_external() {
    let _turn = alone();
    if support::skipped_without_tutorial_ports() {
        return;
    }
    let up = xtask(&["up", "--backend", "jaeger"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let line = up.stdout.lines().find(|line| line.contains("Jaeger     "));
    let line = line.expect("Jaeger's address is told");
    assert!(
        line.contains("no web page, but `report`, `trace`"),
        "{line}"
    );
    let api = line
        .split_whitespace()
        .nth(1)
        .expect("an address")
        .to_owned();

    let place = [
        "--milvus-uri",
        "http://localhost:19530",
        "--otlp-endpoint",
        "http://localhost:4317",
        "--traces-from",
        &api,
    ];
    let external = ["run-all", "--stack", "external", "--format", "json"];
    let only = ["--example", "py", "--example", "go"];
    let run = xtask(&[&external[..], &place, &only].concat()).finish();
    let services = got(&api, "/api/services");
    let down = xtask(&["down"]).finish();
    assert!(
        down.stdout.starts_with("stopped: Milvus"),
        "{}",
        down.stdout
    );
    support::assert_nothing_left(&up.mark);

    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    assert_eq!(report["verdict"], "consistent");
    let examples = report["examples"].as_array().expect("examples");
    assert_eq!(examples.len(), 2);
    for example in examples {
        assert_eq!(example["client_rpcs"], example["joined"], "{example}");
    }
    for service in ["standalone", "milvus-client"] {
        assert!(services.contains(&format!("\"{service}\"")), "{services}");
    }
}
