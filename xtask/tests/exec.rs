//! Programs written without this project, judged by their spans.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Finished, alone, findings, root, skipped_without_tutorial_ports, xtask};

/// A plain program without tracing, with the tutorial's address.
const PYTHON: &str = r#"
from pymilvus import MilvusClient
client = MilvusClient("http://localhost:19530")
if client.has_collection("plain"):
    client.drop_collection("plain")
client.create_collection("plain", dimension=5, consistency_level="Strong")
client.insert("plain", data=[{"id": i, "vector": [i] * 5} for i in range(10)])
print(len(client.search("plain", data=[[0.1, 0.2, 0.3, 0.4, 0.5]], limit=3)[0]), "found")
client.drop_collection("plain")
client.close()
"#;

const GO: &str = r#"package main

import (
	"context"
	"fmt"

	"github.com/milvus-io/milvus/client/v2/milvusclient"
)

func main() {
	ctx := context.Background()
	client, err := milvusclient.New(ctx, &milvusclient.ClientConfig{Address: "localhost:19530"})
	if err != nil {
		panic(err)
	}
	names, err := client.ListCollections(ctx, milvusclient.NewListCollectionOption())
	fmt.Println(len(names), err)
}
"#;

fn exec(program: &[&str]) -> Finished {
    let arguments = ["exec", "--format", "json", "--"];
    xtask(&[&arguments[..], program].concat()).finish()
}

/// The rules of the findings, without the example's name.
fn rules(run: &Finished) -> Vec<String> {
    findings(&run.json())
        .into_iter()
        .map(|(_, rule)| rule)
        .collect()
}

fn successful(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A command that runs the plain program with the stock instrumentation.
fn instrumented_python(folder: &Path) -> Vec<String> {
    let environment = root().join("target/milvus-otel/tests/instrumented-python");
    if !environment.join("bin/opentelemetry-instrument").is_file() {
        successful(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        );
        successful(Command::new(environment.join("bin/pip")).args([
            "install",
            "--quiet",
            "pymilvus==2.5.9",
            "setuptools<80",
            "opentelemetry-distro==0.54b1",
            "opentelemetry-exporter-otlp-proto-grpc==1.33.1",
            "opentelemetry-instrumentation-grpc==0.54b1",
        ]));
    }
    let script = folder.join("plain.py");
    std::fs::write(&script, PYTHON).expect("it can be written");
    let bin = |name: &str| environment.join("bin").join(name).display().to_string();
    let script = script.display().to_string();
    vec![bin("opentelemetry-instrument"), bin("python"), script]
}

#[test]
fn spans_that_are_sent_to_a_closed_port_are_not_taken_for_untraced_calls() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = instrumented_python(folder.path());
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    let arguments = ["exec", "--format", "json", "--"];
    let run = xtask(&[&arguments[..], &program].concat())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .finish();
    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(rules(&run), ["no-spans"]);
    let told = run.json()["findings"][0]["message"].to_string();
    assert!(
        told.contains("calls that carried a trace context: if they are the program's, its client is traced, and its export failed"),
        "{told}"
    );
}

#[test]
fn an_unmodified_pymilvus_script_is_consistent_with_a_note_that_each_call_is_a_separate_trace() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = instrumented_python(folder.path());
    let run = exec(&program.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.json()["verdict"], "consistent");
    assert!(run.stderr.contains("3 found\n"), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("traces are one RPC each: no span of its own is around them"),
        "{}",
        run.stderr
    );

    // `compare` of the run's folder gives the same verdict.
    let folder = support::latest_run().display().to_string();
    let again = xtask(&["compare", &folder, "--format", "json"]).finish();
    assert_eq!(again.code(), Some(0), "{}", again.stderr);
    assert_eq!(again.json()["verdict"], "consistent");
}

#[test]
fn a_go_program_without_tracing_is_reported_as_untraced() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["go.mod", "go.sum"] {
        let from = root().join("examples-go").join(file);
        std::fs::copy(from, folder.path().join(file)).expect("it can be copied");
    }
    std::fs::write(folder.path().join("main.go"), GO).expect("it can be written");
    let go = Command::new("go")
        .args(["build", "-o", "plain", "."])
        .current_dir(folder.path())
        .status();
    if go.is_err() {
        support::skip("`go` is not on PATH");
        return;
    }
    assert!(go.is_ok_and(|status| status.success()));
    let program = folder.path().join("plain").display().to_string();
    let run = exec(&[&program]);
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert_eq!(rules(&run), ["no-spans"]);
    let told = run.json()["findings"][0]["message"].to_string();
    assert!(told.contains("calls without a trace context: "), "{told}");
}

#[test]
fn a_failing_program_is_reported_with_its_exit_code() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let run = exec(&["sh", "-c", "echo said; exit 3"]);
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    // It failed before its first span, so the run doesn't wait until the deadline.
    let manifest = std::fs::read(support::latest_run().join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["settled"], true);
    assert_eq!(rules(&run), ["example-failed"]);
    assert_eq!(run.json()["examples"][0]["exit_code"], 3);
    assert!(run.stderr.contains("said\n"), "{}", run.stderr);
}

#[test]
fn a_missing_program_gives_no_verdict() {
    let check = |program: &str, message: &str| {
        let run = exec(&[program]);
        assert_eq!(run.code(), Some(2), "{}", run.stderr);
        assert!(run.stderr.starts_with(message), "{}", run.stderr);
    };
    check(
        "/no/such",
        "error: there is no program `/no/such`\n\nhint: ",
    );
    check(
        "no-such-program",
        "error: `no-such-program` is not on PATH\n\nhint: ",
    );
}

#[test]
fn a_version_that_is_known_to_lose_spans_is_named_wherever_the_project_is() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, content: &str| {
        std::fs::write(folder.path().join(name), content).expect("it can be written");
    };
    std::fs::create_dir(folder.path().join("app")).expect("it can be made");
    write("app/main.sh", "exit 3");
    write(
        "requirements.txt",
        "pymilvus==2.6.0\nopentelemetry-sdk==1.42.0\nopentelemetry-instrumentation-grpc==0.63b0\n",
    );
    let program = folder.path().join("app/main.sh").display().to_string();
    let run = exec(&["sh", &program]);
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    let list = folder.path().join("requirements.txt");
    let told = format!(
        "note: `opentelemetry-sdk` 1.42.0 in `{}`: server half lost, ",
        list.display()
    );
    assert!(run.stderr.contains(&told), "{}", run.stderr);
    assert!(
        run.stderr.contains(
            "the nearest version that keeps a trace whole is 1.41.1, with `opentelemetry-instrumentation-grpc` 0.62b1"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn the_users_variables_stay_and_those_that_lose_spans_are_named() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let shown = "env | grep -E '^(OTEL|MILVUS)_' | sort";
    let run = xtask(&["exec", "--", "sh", "-c", shown])
        .env("OTEL_RESOURCE_ATTRIBUTES", "team=search")
        .env("OTEL_SERVICE_NAME", "mine")
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .finish();
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    for line in [
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\n",
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n",
        "OTEL_RESOURCE_ATTRIBUTES=team=search,service.instance.id=program,milvus_otel.run=",
        "OTEL_SERVICE_NAME=mine\n",
        "MILVUS_URI=http://127.0.0.1:19530\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert!(
        run.stderr.contains(
            "note: `OTEL_TRACES_SAMPLER=always_off` samples nothing: unset OTEL_TRACES_SAMPLER\n"
        ),
        "{}",
        run.stderr
    );

    // What it has for one signal is given an endpoint that fits.
    let run = xtask(&["exec", "--", "sh", "-c", shown])
        .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        .finish();
    for line in [
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\n",
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces\n",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf\n",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
}
