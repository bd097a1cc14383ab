//! `doctor` finds each planted fault and names its fix; on a healthy machine it reports nothing.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Finished, alone, assert_nothing_left, root, skipped_without_tutorial_ports, xtask};

/// A separate project inside the checkout, with the files of one fault.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let parent = root().join("target/milvus-otel/tests");
        std::fs::create_dir_all(&parent).expect("it can be made");
        let folder = tempfile::tempdir_in(parent).expect("a temporary folder");
        Self { folder }
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(path, content).expect("it can be written");
    }

    /// A `PATH` with links to every tool except `without`, and with the script `instead` under that name.
    fn path(&self, without: &str, instead: Option<&str>) -> String {
        let bin = self.folder.path().join("bin");
        std::fs::create_dir_all(&bin).expect("it can be made");
        for tool in [
            "python3", "go", "node", "npm", "java", "mvn", "cargo", "rustc", "sh", "docker",
        ] {
            if let Some(found) = which(tool).filter(|_| tool != without) {
                let _ = symlink(found, bin.join(tool));
            }
        }
        if let Some(script) = instead {
            let path = bin.join(without);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .expect("it can be made executable");
        }
        bin.display().to_string()
    }

    fn doctor(&self, environment: &[(&str, &str)]) -> Finished {
        let mut command = xtask(&["doctor", "--json"]).folder(self.folder.path());
        for (name, value) in environment {
            command = command.env(name, value);
        }
        command.finish()
    }
}

fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

/// The results with `status`, each with its fix.
fn found(run: &Finished, status: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    run.json()["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["status"] == status)
        .map(|check| (text(&check["found"]), text(&check["cure"])))
        .collect()
}

/// Asserts that a result with `status` contains these words, and its fix those.
#[track_caller]
fn check(run: &Finished, status: &str, what: &str, cure: &str) {
    let all = found(run, status);
    assert!(
        all.iter()
            .any(|(found, advice)| found.contains(what) && advice.contains(cure)),
        "no {status} with {what:?} and {cure:?}: {all:#?}"
    );
    let expected = i32::from(!found(run, "fault").is_empty());
    assert_eq!(run.code(), Some(expected));
}

#[test]
fn a_healthy_machine_has_no_faults() {
    let run = Project::new().doctor(&[]);
    assert_eq!(found(&run, "fault"), [], "{}", run.stdout);
    assert_eq!(run.code(), Some(0));
    assert_eq!(run.json()["schema"], "milvus-otel.doctor/1");
}

#[test]
fn a_missing_old_or_incomplete_toolchain_is_a_fault() {
    let project = Project::new();
    let run = project.doctor(&[("PATH", &project.path("mvn", None))]);
    check(&run, "fault", "`mvn` is not on PATH, for java", "get it: ");

    let project = Project::new();
    let path = project.path("node", Some("echo v14.21.3"));
    let run = project.doctor(&[("PATH", &path)]);
    check(
        &run,
        "fault",
        "`node` is 14.21.3; >=20.19 is required",
        "get it: ",
    );

    let project = Project::new();
    let script = "echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit 1";
    let run = project.doctor(&[("PATH", &project.path("python3", Some(script)))]);
    check(
        &run,
        "fault",
        "No module named 'ensurepip', for the stack",
        "`python3-venv`",
    );
}

#[test]
fn a_variable_that_keeps_spans_away_is_named() {
    // While a stack is up, it is a fault.
    let _turn = alone();
    let told = |settings: &[(&str, &str, &str)]| {
        let environment: Vec<_> = settings
            .iter()
            .map(|(name, value, _)| (*name, *value))
            .collect();
        let run = Project::new().doctor(&environment);
        for (name, value, effect) in settings {
            check(&run, "note", &format!("`{name}={value}` {effect}"), name);
        }
    };
    told(&[
        ("OTEL_SDK_DISABLED", "true", "turns the whole SDK off"),
        ("OTEL_TRACES_EXPORTER", "none", "sends no spans over OTLP"),
        ("OTEL_TRACES_SAMPLER", "always_off", "samples nothing"),
        ("OTEL_PROPAGATORS", "b3", "sends no `traceparent`"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:9999",
            "sends spans elsewhere",
        ),
    ]);
    told(&[
        ("OTEL_SDK_DISABLED", "TRUE", "turns the whole SDK off"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://collector.example:4318/v1/traces",
            "sends spans elsewhere",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "stops Python's"),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "snappy",
            "names a compression",
        ),
        ("OTEL_TRACES_SAMPLER", "sometimes", "names no sampler"),
    ]);
    told(&[
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://localhost:4317",
            "doesn't fit the protocol",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "stops"),
    ]);
}

#[test]
fn known_bad_versions_are_found_in_the_project() {
    let otelgrpc = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
    let go_mod = format!(
        "require (\n\tgithub.com/milvus-io/milvus/client/v2 v2.5.6\n\t{otelgrpc} v0.61.0\n)\n"
    );
    let lock = r#"{"packages": {"node_modules/@opentelemetry/api": {"version": "1.10.0"},
        "node_modules/@opentelemetry/instrumentation-grpc": {"version": "0.223.0"},
        "node_modules/@zilliz/milvus2-sdk-node": {"version": "2.5.12"}}}"#;
    let pom = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    let agent = pom(
        "io.opentelemetry.javaagent",
        "opentelemetry-javaagent",
        "2.33.1",
    );
    let shaded = pom("io.milvus", "milvus-sdk-java", "2.6.22");
    let cases = [
        (
            "requirements.txt",
            "pymilvus==2.5.9\n",
            "`pymilvus` 2.5.9 in `service-1/requirements.txt` doesn't go with the versions beside it: it imports `pkg_resources`",
            "`setuptools<80`",
        ),
        (
            "requirements.txt",
            "pymilvus==2.6.0\nopentelemetry-sdk==1.43.0\nopentelemetry-instrumentation-grpc==0.64b0\n",
            "`opentelemetry-sdk` 1.43.0 in `service-2/requirements.txt`: server half lost (measured with 1.42.0), opentelemetry-python sends trace flags 03",
            "the nearest version that keeps a trace whole is 1.41.1",
        ),
        (
            "go.mod",
            &go_mod,
            "otelgrpc` 0.61.0 in `service-3/go.mod` doesn't go with the versions beside it: the client brings etcd's server",
            "use otelgrpc v0.60.0",
        ),
        (
            "package-lock.json",
            lock,
            "`@opentelemetry/api` 1.10.0 in `service-4/package-lock.json` doesn't go with the versions beside it",
            "use @opentelemetry/api 1.9.1",
        ),
        (
            "pom.xml",
            &agent,
            "opentelemetry-javaagent` 2.33.1 in `service-5/pom.xml`: server half lost, the Java agent sends trace flags 03",
            "the nearest version that keeps a trace whole is 2.25.0",
        ),
        (
            "pom.xml",
            &shaded,
            "milvus-sdk-java` 2.6.22 in `service-6/pom.xml`: client half lost, milvus-sdk-java 2.6.22 relocates gRPC",
            "the nearest version that keeps a trace whole is 2.6.17",
        ),
        (
            "build.gradle.kts",
            "dependencies { implementation(\"io.milvus:milvus-sdk-java:2.6.22\") }",
            "milvus-sdk-java` 2.6.22 in `service-7/build.gradle.kts`: client half lost",
            "2.6.17",
        ),
        (
            "Dockerfile",
            "ARG V=2.33.1\nENV JAVA_TOOL_OPTIONS=-javaagent:/opentelemetry-javaagent-$V.jar\n",
            "opentelemetry-javaagent` 2.33.1 in `service-8/Dockerfile`: server half lost",
            "2.25.0",
        ),
        (
            "requirements.txt",
            "langchain-milvus==0.4.0\nllama-index-vector-stores-milvus\n",
            "`langchain-milvus` 0.4.0 in `service-9/requirements.txt` doesn't go with",
            "`langchain-milvus==0.3.3`",
        ),
        (
            "package-lock.json",
            "{",
            "can't read `service-10/package-lock.json`",
            "fix or remove the file",
        ),
    ];
    let project = Project::new();
    for (at, (file, content, ..)) in cases.iter().enumerate() {
        project.write(&format!("service-{}/{file}", at + 1), content);
    }
    project.write("go.mod", &go_mod);
    let run = project.doctor(&[]);
    for (_, _, what, cure) in cases {
        check(&run, "note", what, cure);
    }
    check(&run, "note", "in `go.mod` doesn't go with", "v0.60.0");
}

#[test]
fn the_tutorials_mistakes_are_found_in_configurations() {
    let trace =
        "trace:\n  exporter: otlp\n  sampleFraction: 1\n  otlp:\n    endpoint: jaeger:4317\n";
    let project = Project::new();
    let mut cases = Vec::new();
    for (content, what, cure) in [
        (
            trace.replace("exporter: otlp", "exporter: noop"),
            "`trace.exporter` is `noop`",
            "set `trace.exporter: otlp`",
        ),
        (
            trace.replace("sampleFraction: 1", "sampleFraction: 0.1"),
            "`trace.sampleFraction` is 0.1",
            "set `trace.sampleFraction: 1`",
        ),
        (
            format!("{trace}    initTimeoutSeconds: 10\n"),
            "`initTimeoutSeconds` stands under `trace.otlp`",
            "move it up",
        ),
        (
            trace.replace("jaeger:4317", "http://jaeger:4317"),
            "with a scheme",
            "`host:port` alone",
        ),
    ] {
        cases.push((what, cure));
        project.write(&format!("{}/milvus.yaml", cases.len()), &content);
    }
    project.write("milvus.yaml", trace);
    project.write("docker-compose.yaml", "Services:\n  milvus: {}\n");
    let run = project.doctor(&[]);
    for (at, (what, cure)) in cases.iter().enumerate() {
        check(&run, "note", &format!("`{}/milvus.yaml`: ", at + 1), cure);
        check(&run, "note", what, cure);
    }
    check(&run, "note", "has `Services:`", "write `services:`");
    check(&run, "ok", "`milvus.yaml` lets the server trace", "");
}

#[test]
fn doctor_names_a_taken_port_and_its_holder() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let _holder = TcpListener::bind(("127.0.0.1", 4317)).expect("it was free");
    let run = Project::new().doctor(&[]);
    let what = format!(
        "port 4317 (OTLP over gRPC) is taken, held by process {} (",
        std::process::id()
    );
    let what = if cfg!(target_os = "linux") {
        what
    } else {
        "port 4317".to_owned()
    };
    check(&run, "note", &what, "end its holder before `up` or `exec`");
}

#[test]
fn a_stack_that_is_up_is_examined() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let up = xtask(&["up"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let run = Project::new().doctor(&[]);
    for what in [
        "Milvus says that it is healthy",
        "Milvus's configuration has tracing on, of every request",
        "Milvus's log says that its tracer exports OTLP",
        "a span that was sent to http://localhost:4318 was captured after ",
    ] {
        check(&run, "ok", what, "");
    }
    assert_eq!(found(&run, "fault"), []);

    // Without a stack this is only a note; here it keeps the traces of the stack away.
    let run = Project::new().doctor(&[("OTEL_TRACES_EXPORTER", "none")]);
    check(
        &run,
        "fault",
        "`OTEL_TRACES_EXPORTER=none`",
        "unset OTEL_TRACES_EXPORTER",
    );

    let milvus = support::Processes::of(&up.mark)
        .with("milvus run standalone")
        .expect("Milvus runs");
    let configurations = root().join("target/milvus-otel/milvus/data");
    let configuration = find(&configurations, "milvus.yaml").expect("its configuration");
    let text = std::fs::read_to_string(&configuration).expect("it can be read");
    std::fs::write(
        &configuration,
        text.replace("exporter: otlp", "exporter: noop"),
    )
    .expect("it can be written");
    let run = Project::new().doctor(&[]);
    check(
        &run,
        "fault",
        "`trace.exporter` is `noop`",
        "set `trace.exporter: otlp`",
    );

    support::signal(milvus, "-STOP");
    let run = Project::new().doctor(&[]);
    check(
        &run,
        "fault",
        "Milvus doesn't answer http://127.0.0.1:9091/healthz",
        "`cargo xtask down && cargo xtask up`",
    );
    support::signal(milvus, "-CONT");

    let down = xtask(&["down"]).finish();
    assert!(down.status.success(), "{}", down.stderr);
    assert_nothing_left(&up.mark);
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return find(&path, name);
        }
        (path.file_name()? == name).then_some(path)
    })
}
