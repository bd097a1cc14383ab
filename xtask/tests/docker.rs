//! The tutorial's stack in Docker. No registry is used: the images are built here from the servers of the other stacks.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::{ShellExample, Xtask, alone, latest_run, root, xtask};

const MILVUS_IMAGE: &str = "milvus-otel-test/milvus-embedded";
const JAEGER_IMAGE: &str = "milvus-otel-test/jaeger-native";
const BASE_IMAGE: &str = "milvus-otel-test/base";

/// Kinds of objects that a run could leave in Docker.
const KINDS: [&str; 3] = ["container", "network", "volume"];

/// A Docker engine that is already running, or one that is started for a test and ends with it.
struct Engine {
    host: Option<String>,
    ours: Option<(Child, tempfile::TempDir)>,
}

impl Engine {
    /// Finds or starts an engine; the error is the reason why there is none.
    fn find() -> Result<Self, String> {
        for command in ["docker", "debootstrap"] {
            if !is_there(command) {
                return Err(format!(
                    "`{command}` is not on PATH; `test --install` installs it"
                ));
            }
        }
        if compose().is_none() {
            return Err("no Compose answers; `test --install` installs one".to_owned());
        }
        let running = Self {
            host: None,
            ours: None,
        };
        if running.answers() {
            return Ok(running);
        }
        Self::start()
    }

    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let log = std::fs::File::create(path("log")).expect("a log");
        let host = format!("unix://{}", path("docker.sock"));
        let started = Command::new("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--host", &host])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let daemon = started.map_err(|error| {
            format!("no Docker engine runs, and `dockerd` can't be started: {error}")
        })?;
        let log = path("log");
        let mut engine = Self {
            host: Some(host),
            ours: Some((daemon, folder)),
        };
        let ended = support::until("the Docker engine answers or ends", || {
            let ours = engine
                .ours
                .as_mut()
                .and_then(|(daemon, _)| daemon.try_wait().ok());
            match ours.flatten() {
                Some(status) => Some(Some(status)),
                None => engine.answers().then_some(None),
            }
        });
        match ended {
            None => Ok(engine),
            Some(status) => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                Err(format!(
                    "no Docker engine runs, and `dockerd` ended with {status}: {last}"
                ))
            }
        }
    }

    fn answers(&self) -> bool {
        self.docker(&["version", "--format", "{{.Server.Version}}"])
            .is_ok()
    }

    fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.args(arguments);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        said(command)
    }

    /// Builds the images that stand in for the official ones.
    fn build_images(&self) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (base, context) = (folder.path().join("base"), folder.path().join("context"));
        let state = root().join("target/milvus-otel");
        std::fs::create_dir_all(context.join("bin")).expect("a folder");
        let copies = [
            (root().join("xtask/tests/docker-images"), context.clone()),
            (state.join("milvus/bin"), context.join("bin")),
        ];
        for (from, to) in copies {
            copy_files(&from, &to);
        }
        std::fs::copy(state.join("jaeger/all-in-one"), context.join("all-in-one"))
            .expect("Jaeger is built");
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments);
            said(command).unwrap_or_else(|why| panic!("{}: {why}", program.display()));
        };
        let (base, context) = (base.display().to_string(), context.display().to_string());
        let python = state.join("milvus/venv/bin/python");
        run(&python, &[&format!("{context}/configuration.py"), &context]);
        let with = "--include=curl,ca-certificates";
        run(
            Path::new("debootstrap"),
            &["--variant=minbase", with, "bookworm", &base],
        );
        let archive = format!("{base}.tar");
        run(
            Path::new("tar"),
            &["--directory", &base, "--create", "--file", &archive, "."],
        );
        let docker = |arguments: &[&str]| {
            self.docker(arguments)
                .unwrap_or_else(|why| panic!("{arguments:?}: {why}"));
        };
        docker(&["import", &archive, BASE_IMAGE]);
        for (file, image) in [("milvus", MILVUS_IMAGE), ("jaeger", JAEGER_IMAGE)] {
            let file = format!("{context}/{file}.Dockerfile");
            docker(&[
                "build", "--quiet", "--file", &file, "--tag", image, &context,
            ]);
        }
    }

    /// An xtask command that uses this engine and these images.
    fn xtask(&self, arguments: &[&str]) -> Xtask {
        self.with(xtask(arguments))
    }

    fn with(&self, command: Xtask) -> Xtask {
        let command = command
            .env("MILVUS_IMAGE", MILVUS_IMAGE)
            .env("JAEGER_IMAGE", JAEGER_IMAGE);
        match &self.host {
            Some(host) => command.env("DOCKER_HOST", host),
            None => command,
        }
    }

    /// Objects that runs have left.
    fn left(&self) -> Vec<String> {
        let of = |kind: &str| {
            let all = if kind == "container" {
                "--all"
            } else {
                "--quiet"
            };
            let listed = self.docker(&[
                kind,
                "ls",
                all,
                "--quiet",
                "--filter",
                "label=milvus-otel.run",
            ]);
            let listed = listed.expect("Docker answers");
            let lines = listed.lines().map(|name| format!("{kind} {name}"));
            lines.collect::<Vec<_>>()
        };
        KINDS.into_iter().flat_map(of).collect()
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((daemon, _)) = &mut self.ours {
            support::signal(daemon.id(), "-TERM");
            let _ = daemon.wait();
        }
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command of the installed Compose.
fn compose() -> Option<Vec<&'static str>> {
    [vec!["docker", "compose"], vec!["docker-compose"]]
        .into_iter()
        .find(|words| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(["version", "--short"]);
            said(command).is_ok()
        })
}

/// What a command prints, or its error output if it fails.
fn said(mut command: Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(text(&output.stderr))
}

fn copy_files(from: &Path, to: &Path) {
    let entries = std::fs::read_dir(from).expect("a folder").flatten();
    for file in entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
    {
        let name = file.file_name().expect("a name");
        std::fs::copy(&file, to.join(name)).expect("it can be copied");
    }
}

fn built_jaeger() -> PathBuf {
    root().join("target/milvus-otel/jaeger/all-in-one")
}

#[test]
fn compose_accepts_every_file_with_every_profile() {
    let Some(compose) = compose() else {
        return support::skip("Compose's own check of its files: no Compose answers");
    };
    let check = |arguments: &[&str], expected: &[&str]| {
        let mut command = Command::new(compose[0]);
        command
            .args(&compose[1..])
            .args(arguments)
            .arg("config")
            .current_dir(root().join("compose"));
        let config = said(command).unwrap_or_else(|why| panic!("{arguments:?}: {why}"));
        for text in expected {
            assert!(config.contains(text), "{text} is not in:\n{config}");
        }
    };
    let tutorial = ["milvusdb/milvus:v2.5.11", "jaegertracing/all-in-one:1.46.0"];
    check(&[], &tutorial);
    check(&[], &["TRACE_OTLP_ENDPOINT: jaeger:4317"]);
    check(&["--profile", "collector"], &tutorial);
    check(
        &["--env-file", "collector.env"],
        &[
            "TRACE_OTLP_ENDPOINT: collector:4317",
            "14317",
            "prometheus",
            "grafana",
        ],
    );
}

/// A service that a configuration sends to must be one of the stack's.
#[test]
fn the_stack_has_what_its_configurations_name() {
    let read = |path: &str| {
        let path = root().join("compose").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    let stack = read("docker-compose.yaml");
    let check = |file: &str, services: &[&str]| {
        let text = read(file);
        for service in services {
            assert!(text.contains(&format!("{service}:")), "{file}: {service}");
            assert!(stack.contains(&format!("\n  {service}:\n")), "{service}");
        }
    };
    check("collector.yaml", &["jaeger", "prometheus"]);
    check("prometheus.yaml", &["milvus"]);
    let sources = "grafana/provisioning/datasources/datasources.yaml";
    check(sources, &["jaeger", "prometheus"]);
    for mounted in stack
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"))
    {
        let (file, _) = mounted.split_once(':').expect("a place to mount it");
        assert!(root().join("compose").join(file).exists(), "{file}");
    }
    // Traces, metrics and logs.
    for file in ["collector.yaml", "cluster/collector.yaml"] {
        for signal in ["traces", "metrics", "logs"] {
            let pipeline = format!("\n    {signal}:\n      receivers: [otlp]\n");
            assert!(read(file).contains(&pipeline), "{file}: {signal}");
        }
    }
}

#[test]
fn a_missing_docker_part_is_named_with_a_way_to_continue() {
    let _turn = alone();
    let example = ShellExample::new("never", "exit 9", 60);
    let check = |command: Xtask, message: &str, hint: &str| {
        let run = command.finish();
        assert_eq!(run.code(), Some(2), "{}", run.stdout);
        assert!(run.stderr.starts_with(message), "{}", run.stderr);
        assert!(run.stderr.contains(hint), "{}", run.stderr);
    };
    let run_all = || example.run_all(&["--stack", "compose"]);
    check(
        run_all().env("PATH", "/nowhere"),
        "error: `docker` is not on PATH\n",
        "\n\nhint: install Docker and Compose",
    );
    if !is_there("docker") {
        return support::skip("a Docker engine that doesn't answer: `docker` is not on PATH");
    }
    check(
        run_all().env("DOCKER_HOST", "unix:///nowhere/docker.sock"),
        "error: no Docker engine answers: Cannot connect to the Docker daemon at unix:///nowhere/docker.sock.",
        "\n\nhint: start it (",
    );
}

#[test]
#[ignore = "slow: builds images, and runs five examples and more in Docker"]
fn slow_the_compose_stack_gives_a_verdict_and_leaves_nothing_in_docker() {
    let _turn = alone();
    if !built_jaeger().is_file() {
        let built = xtask(&["run-all", "--backend", "jaeger", "--example", "py"]).finish();
        assert_eq!(built.code(), Some(0), "{}", built.stderr);
    }
    let prepared = xtask(&["prepare"]).finish();
    assert_eq!(prepared.code(), Some(0), "{}", prepared.stderr);
    let engine = match Engine::find() {
        Ok(engine) => engine,
        Err(why) => return support::skip(&format!("the compose stack in Docker: {why}")),
    };
    engine.build_images();

    let run = engine
        .xtask(&["run-all", "--stack", "compose", "--format", "json"])
        .finish();
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    assert_eq!(report["verdict"], "consistent");
    let examples = report["examples"].as_array().expect("examples");
    assert_eq!(examples.len(), 5);
    for example in examples {
        assert_eq!(example["client_rpcs"], example["joined"], "{example}");
        assert_ne!(example["joined"], 0, "{example}");
    }
    engine.assert_nothing_left();
    let folder = latest_run().display().to_string();
    let again = xtask(&["compare", &folder, "--format", "json"]).finish();
    assert_eq!(again.json()["verdict"], "consistent", "{}", again.stderr);

    a_missing_image_is_named(&engine);
    any_signal_ends_the_containers_too(&engine);
    left_containers_are_found_by_their_labels(&engine);
}

fn a_missing_image_is_named(engine: &Engine) {
    let image = "localhost:9/milvus-otel-test/none";
    let run = engine
        .xtask(&["run-all", "--stack", "compose", "--example", "py"])
        .env("MILVUS_IMAGE", image)
        .finish();
    assert_eq!(run.code(), Some(2), "{}", run.stdout);
    let expected =
        format!("error: the image `{image}` can't be pulled: docker exited with code 1\n");
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert!(
        run.stderr.contains("\n\nhint: MILVUS_IMAGE, "),
        "{}",
        run.stderr
    );
    engine.assert_nothing_left();
}

fn any_signal_ends_the_containers_too(engine: &Engine) {
    let example = ShellExample::new("sleeper", "sleep 600", 600);
    let check = |signal: &str, code: Option<i32>| {
        let command = engine.with(example.run_all(&["--stack", "compose"]));
        let mut run = command.start();
        run.until("the example runs", |there| there.with("sleep 600"));
        assert_ne!(engine.left(), Vec::<String>::new());
        run.signal(signal);
        let finished = run.finish();
        assert_eq!(finished.status.code(), code, "{signal}");
        // A killed runner doesn't wait: its guard is still removing containers.
        support::until("its containers are gone", || {
            engine.left().is_empty().then_some(())
        });
        support::assert_nothing_left(&finished.mark);
    };
    check("-INT", Some(130));
    check("-TERM", Some(143));
    check("-KILL", None);
}

/// If the guard is killed too, the next `down` removes the containers.
fn left_containers_are_found_by_their_labels(engine: &Engine) {
    let example = ShellExample::new("sleeper", "sleep 600", 600);
    let mut run = engine
        .with(example.run_all(&["--stack", "compose"]))
        .start();
    let compose = run.until("the example runs", |there| {
        there.with("sleep 600")?;
        Some(
            there
                .0
                .iter()
                .filter(|(_, command)| command.contains("--project-name"))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        )
    });
    assert!(
        compose.len() >= 2,
        "a guard and what it guards: {compose:?}"
    );
    run.signal("-STOP");
    for pid in compose {
        support::signal(pid, "-KILL");
    }
    run.signal("-KILL");
    let run = run.finish();
    support::assert_nothing_left(&run.mark);
    assert_ne!(engine.left(), Vec::<String>::new());
    let down = engine.xtask(&["down"]).finish();
    assert_eq!(down.code(), Some(0), "{}", down.stderr);
    assert!(
        down.stdout.starts_with("removed what run "),
        "{}",
        down.stdout
    );
    engine.assert_nothing_left();
}

#[test]
#[ignore = "slow: builds a Collector"]
fn slow_a_collector_accepts_its_configurations() {
    let Some(collector) = support::built_with_go("collector", &["."]) else {
        return;
    };
    let validate = |text: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("collector.yaml");
        std::fs::write(&file, text).expect("it can be written");
        let mut command = Command::new(&collector);
        command.args(["validate", "--config"]).arg(&file);
        said(command)
    };
    for file in ["collector.yaml", "cluster/collector.yaml"] {
        let path = root().join("compose").join(file);
        let text = std::fs::read_to_string(path).expect("it can be read");
        validate(&text).unwrap_or_else(|why| panic!("{file}: {why}"));
        let wrong = text.replace("[otlp_http/prometheus]", "[otlp_http/nowhere]");
        let why = validate(&wrong).expect_err("an exporter that isn't configured");
        assert!(why.contains("otlp_http/nowhere"), "{file}: {why}");
    }
}

/// The C++ core's spans come up to five seconds after the root's.
#[test]
fn late_spans_follow_the_decision_of_their_trace() {
    let path = root().join("compose/cluster/collector.yaml");
    let collector = std::fs::read_to_string(path).expect("it can be read");
    let setting = |name: &str| {
        let mut lines = collector.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let digits = value.map(|value| value.trim_end_matches('s').parse::<u64>());
        digits.and_then(Result::ok)
    };
    assert!(setting("decision_wait") > Some(6));
    for cache in ["sampled_cache_size", "non_sampled_cache_size"] {
        assert!(setting(cache) >= setting("num_traces"), "{cache}");
    }
    assert!(!collector.contains("\n    decision_wait_after_root_received:"));
}
