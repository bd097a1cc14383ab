//! With `--auth`, Milvus accepts only clients with the run's token, and no file of a run contains the token.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::{alone, findings, latest_run, root, skipped_without_tutorial_ports, xtask};

#[test]
fn every_example_connects_with_the_runs_token() {
    let _turn = alone();
    let run = xtask(&["run-all", "--auth", "--format", "json"]).finish();
    assert_eq!(run.code(), Some(0), "{}\n{}", run.stdout, run.stderr);
    let examples = run.json()["examples"].as_array().map(Vec::len);
    assert_eq!(examples, Some(5));
}

/// Writes an example that runs the Python example after the shell command `before`, with the variables in `environment`.
fn example(folder: &Path, name: &str, before: &str, environment: &str) {
    let python = root().join("target/milvus-otel/examples/py/venv/bin/python");
    let program = root().join("examples-py/quick_setup.py");
    let script = format!("{before} exec {} {}", python.display(), program.display());
    let text = format!(
        "name = {name:?}\n[run]\ncommand = [\"sh\", \"-c\", {script:?}]\n[run.env]\nOTEL_BSP_SCHEDULE_DELAY = \"200\"\n{environment}\n"
    );
    let folder = folder.join(name);
    std::fs::create_dir(&folder).expect("it can be made");
    std::fs::write(folder.join("example.toml"), text).expect("it can be written");
}

/// The entries of `folder`, itself included, that users other than the owner can read.
fn shared(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().expect("a folder");
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode();
    let mut found = Vec::new();
    let mut left = vec![folder];
    while let Some(path) = left.pop() {
        if mode(&path) & 0o077 != 0 {
            found.push(path.display().to_string());
        }
        if path.is_dir() {
            let inner = std::fs::read_dir(&path).expect("a folder").flatten();
            left.extend(inner.map(|entry| entry.path()));
        }
    }
    found
}

/// The files under `folder` that contain any of `secrets`.
fn told(folder: &Path, secrets: &[String]) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return told(&path, secrets);
            }
            let bytes = std::fs::read(&path).expect("it can be read");
            let text = String::from_utf8_lossy(&bytes);
            let holds = secrets.iter().any(|secret| text.contains(secret));
            holds
                .then(|| path.display().to_string())
                .into_iter()
                .collect()
        })
        .collect()
}

#[test]
fn a_missing_or_old_token_is_rejected_and_no_file_contains_a_token() {
    let _turn = alone();
    let prepared = xtask(&["prepare", "--example", "py"]).finish();
    assert_eq!(prepared.code(), Some(0), "{}", prepared.stderr);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shown = tempfile::tempdir().expect("a temporary folder");
    let token = shown.path().join("token");
    // The program also prints the token: in clear, in base64 at each offset, and in two halves.
    let save = format!(
        "printf %s \"$MILVUS_TOKEN\" > {}; echo \"token $MILVUS_TOKEN\"; \
         for before in '' x xy; do printf %s \"$before$MILVUS_TOKEN\" | base64 -w0; echo; done; \
         printf %s \"$MILVUS_TOKEN\" | head -c 20; printf '%s\\n' \"$MILVUS_TOKEN\" | tail -c +21;",
        token.display()
    );
    example(folder.path(), "has-it", &save, "");
    example(folder.path(), "none", "", "MILVUS_TOKEN = \"\"");
    example(folder.path(), "old", "", "MILVUS_TOKEN = \"root:Milvus\"");
    let examples = folder.path().to_str().expect("UTF-8");
    let run = xtask(&[
        "run-all",
        "--auth",
        "--format",
        "json",
        "--examples",
        examples,
        "--example",
        "has-it",
        "--example",
        "none",
        "--example",
        "old",
    ])
    .finish();
    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    let mut failed = findings(&run.json());
    failed.retain(|(_, rule)| rule == "example-failed");
    let expected = ["none", "old"].map(|name| (name.to_owned(), "example-failed".to_owned()));
    assert_eq!(failed, expected);
    assert!(
        !findings(&run.json())
            .iter()
            .any(|(name, _)| name == "has-it")
    );

    let token = std::fs::read_to_string(token).expect("the example had one");
    let password = token.strip_prefix("root:").expect("it is root's");
    assert_eq!(password.len(), 32, "of its own, not Milvus's first one");
    let mut secrets = vec![password.to_owned(), BASE64_STANDARD.encode(password)];
    for before in ["", "x", "xy"] {
        let encoded = BASE64_STANDARD.encode(format!("{before}{token}"));
        // Without the digits that also encode neighboring bytes.
        secrets.push(encoded[4..encoded.len() - 4].to_owned());
    }
    assert_eq!(told(&latest_run(), &secrets), [""; 0]);
    let log = std::fs::read_to_string(latest_run().join("logs/has-it.log")).expect("a log");
    let starred = format!("token {}\n", "*".repeat(token.len()));
    assert!(log.starts_with(&starred), "{log}");
    assert_eq!(shared(&latest_run()), [""; 0]);
    let diagnostics =
        std::fs::read_to_string(latest_run().join("logs/xtask.log")).expect("the diagnostics");
    for event in [
        "arguments=[",
        "started a program command=[\"sh\"",
        "ready server=",
        "judged verdict=Inconsistent",
        "stopped every program took=",
    ] {
        assert!(diagnostics.contains(event), "{event}: {diagnostics}");
    }
    assert!(
        !secrets
            .iter()
            .any(|secret| run.stdout.contains(secret) || run.stderr.contains(secret))
    );
}

#[test]
fn the_token_of_a_stack_that_stays_up_is_in_a_file_that_only_its_user_can_read() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let file = root().join("target/milvus-otel/stack.token");
    let up = xtask(&["up", "--auth"]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let line = "  token      export MILVUS_TOKEN=$(cat target/milvus-otel/stack.token)\n";
    assert!(up.stdout.contains(line), "{}", up.stdout);
    let token = std::fs::read_to_string(&file).expect("a token");

    let script = format!(
        "[ \"$MILVUS_TOKEN\" = \"$(cat {})\" ] && exit 5",
        file.display()
    );
    let run = xtask(&["exec", "--format", "json", "--", "sh", "-c", &script]).finish();
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert_eq!(run.json()["examples"][0]["exit_code"], 5);
    assert_eq!(told(&latest_run(), &[token]), [""; 0]);

    let down = xtask(&["down"]).finish();
    assert!(down.status.success(), "{}", down.stderr);
    support::assert_nothing_left(&up.mark);
    assert!(!file.exists());
}

/// Sends what it is to keep secret in every way that a program has, and a request that can't be read.
const PLANTING: &str = r#"
import base64, http.client, json, os, sys, urllib.parse

PAGE = "http://localhost:3000"
capture = http.client.HTTPConnection("localhost", 4318)

def post(body, headers={}, method="POST"):
    own = {"Content-Type": "application/json", "User-Agent": "exporter/1.2"}
    capture.request(method, "/v1/traces", body.encode(), own | headers)
    answer = capture.getresponse()
    answer.read()
    return answer.status

def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}

def spans(text):
    named = os.environ["OTEL_RESOURCE_ATTRIBUTES"].split(",")
    resource = [attribute(*pair.split("=", 1)) for pair in named] + [attribute("at", text)]
    id = os.urandom(8).hex()
    span = {"traceId": id * 2, "spanId": id, "name": "GET " + text, "startTimeUnixNano": "1",
            "endTimeUnixNano": "2", "attributes": [attribute(text, text)],
            "status": {"code": 2, "message": text}}
    scope = {"scope": {"name": text}, "spans": [span]}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scope]}]})

for secret in [os.environ["MILVUS_TOKEN"], "hush, a redacted text"]:
    texts = [secret, urllib.parse.quote(secret, safe=""), secret[:12], secret[12:]]
    texts += [base64.b64encode((before + secret).encode()).decode() for before in ["", "x", "xy"]]
    for text in texts:
        assert post(spans(text)) == 200
        print("said", text)
        print("said", text, file=sys.stderr)
asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
assert post("", asks, "OPTIONS") == 204
assert post("", asks | {"Origin": "http://elsewhere.example"}, "OPTIONS") == 403
assert post(json.dumps({"resourceSpans": os.environ["MILVUS_TOKEN"]})) == 400
sys.exit(5)
"#;

#[test]
fn texts_that_a_program_on_a_kept_stack_leaks_are_in_no_file_and_its_refused_request_is_an_error() {
    let _turn = alone();
    if skipped_without_tutorial_ports() {
        return;
    }
    let hushed = "hush, a redacted text";
    let page = "http://localhost:3000";
    let up = xtask(&["up", "--auth", "--redact", hushed, "--allow-origin", page]).finish();
    assert!(up.status.success(), "{}", up.stderr);
    let state = root().join("target/milvus-otel");
    let token = std::fs::read_to_string(state.join("stack.token")).expect("a token");
    let kept = std::fs::read(state.join("stack.json")).expect("its state");
    let kept: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
    let kept = Path::new(kept["folder"].as_str().expect("a folder"));

    let script = tempfile::tempdir().expect("a temporary folder");
    let script = script.path().join("planting.py");
    std::fs::write(&script, PLANTING).expect("it can be written");
    let script = script.to_str().expect("UTF-8");
    let program = ["python3", script, &token, hushed];
    let options = ["exec", "--format", "json", "--redact", hushed, "--"];
    let run = xtask(&[&options[..], &program].concat()).finish();
    let other = [
        "exec",
        "--allow-origin",
        "http://other.example",
        "--",
        "true",
    ];
    let other = xtask(&other).finish();
    let down = xtask(&["down"]).finish();
    assert!(down.status.success(), "{}", down.stderr);

    assert_eq!(run.code(), Some(1), "{}\n{}", run.stdout, run.stderr);
    let report = run.json();
    assert_eq!(report["examples"][0]["exit_code"], 5, "{}", run.stderr);
    let refused = report["findings"].as_array().expect("findings").iter();
    let refused: Vec<_> = refused
        .filter(|finding| finding["rule"] == "export-refused" && finding["severity"] == "error")
        .map(|finding| finding["message"].as_str().expect("a message"))
        .collect();
    for reason in [
        "not an OTLP request: invalid type: string \"****",
        "a page of `http://elsewhere.example` may not send here",
    ] {
        let message = format!(
            "1 request of `planting` was refused for good (sent by `exporter/1.2`): {reason}"
        );
        let is_told = refused.iter().any(|told| told.starts_with(&message));
        assert!(is_told, "{message}: {refused:#?}");
    }

    assert_eq!(other.code(), Some(2), "{}", other.stdout);
    assert!(
        other
            .stderr
            .contains("accepts no spans from web pages of that origin"),
        "{}",
        other.stderr
    );

    let mut secrets = vec![token["root:".len()..].to_owned(), hushed.to_owned()];
    for secret in [&*token, hushed] {
        for before in ["", "x", "xy"] {
            let encoded = BASE64_STANDARD.encode(format!("{before}{secret}"));
            secrets.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    for folder in [&*latest_run(), kept] {
        assert_eq!(told(folder, &secrets), [""; 0]);
        assert_eq!(shared(folder), [""; 0]);
    }
    // The page has the spans in a compressed form.
    let page = std::fs::read(latest_run().join("report.html")).expect("a page");
    let spans = trace_report::raw_spans(&page, 1 << 30)
        .expect("a page")
        .expect("its spans");
    let spans = String::from_utf8(spans).expect("text");
    assert!(spans.contains("GET ****"), "{spans}");
    assert!(!secrets.iter().any(|secret| spans.contains(secret)));
    for file in [
        "report.json",
        "junit.xml",
        "manifest.json",
        "logs/planting.log",
    ] {
        let text = std::fs::read_to_string(latest_run().join(file)).expect("a file");
        assert!(
            text.contains("*****") || file == "junit.xml",
            "{file}: {text}"
        );
    }
}
