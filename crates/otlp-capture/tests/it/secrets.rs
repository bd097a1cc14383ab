//! Secrets, planted in all places where programs leave them, are in no file and no message.

use crate::lab::*;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use otlp_capture::{Forward, Secrets};
use prost::Message as _;
use std::path::Path;

const PASSWORD: &str = "0123456789abcdefFEDCBA9876543210";

/// The token, its password, and their base64 at each of the three offsets.
fn forms() -> Vec<String> {
    let token = format!("root:{PASSWORD}");
    let mut forms = vec![token.clone(), PASSWORD.to_owned()];
    for secret in [&token, PASSWORD] {
        for before in ["", "u", "us"] {
            let text = format!("{before}{secret}");
            forms.push(BASE64_STANDARD.encode(&text));
            forms.push(BASE64_URL_SAFE_NO_PAD.encode(&text));
        }
    }
    forms
}

fn assert_found_nowhere(dir: &Path) {
    let capture = dir.join("capture.jsonl");
    assert!(std::fs::metadata(capture).is_ok_and(|file| file.len() > 0));
    for entry in std::fs::read_dir(dir).expect("files") {
        let path = entry.expect("a file").path();
        let text = String::from_utf8(std::fs::read(&path).expect("a file")).expect("text");
        for form in forms() {
            // Without the digits that also encode neighboring bytes.
            let core = &form[4..form.len() - 4];
            assert!(!text.contains(core), "{}: {form}", path.display());
        }
    }
}

#[tokio::test]
async fn a_planted_token_is_never_stored_forwarded_or_quoted() {
    let token = format!("root:{PASSWORD}");
    let second = Lab::start(|_| {}).await;
    let to = Forward::to(format!("http://{}", second.capture.grpc_addr()));
    let lab = Lab::start(|config| {
        config.secrets = Secrets::new(Secrets::token(&token));
        config.forward = Some(to);
    })
    .await;
    let http = lab.capture.http_addr();

    for form in forms() {
        let text = format!("authorization: {form}, and more");
        let mut traces = spans(&text, 1);
        traces.resource_spans[0].schema_url = form.clone();
        let mut records = logs(1);
        records.resource_logs[0].scope_logs[0].log_records[0].severity_text = text.clone();
        let mut metrics = points(1);
        metrics.resource_metrics[0].scope_metrics[0].metrics[0].description = text.clone();
        for (path, body) in [
            ("/v1/traces", traces.encode_to_vec()),
            ("/v1/logs", records.encode_to_vec()),
            ("/v1/metrics", metrics.encode_to_vec()),
        ] {
            let headers = format!("{PROTOBUF}\r\nContent-Encoding: zstd");
            assert_eq!(post(http, path, &headers, &zstd(&body)).await.status, 200);
        }
        let bytes = BASE64_STANDARD.encode(&form);
        let attributes = format!(
            r#"[{{"key":"{form}","value":{{"stringValue":"{text}"}}}},{{"key":"b","value":{{"bytesValue":"{bytes}"}}}}]"#
        );
        let json = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":{attributes}}},"scopeSpans":[{{"spans":[{{"name":"x"}}]}}]}}]}}"#
        );
        assert_eq!(
            post(http, "/v1/traces", JSON, json.as_bytes()).await.status,
            200
        );

        // A refused request, whose reason and sender are quoted.
        let headers = format!("{JSON}\r\nUser-Agent: agent {form}");
        let json = format!(r#"{{"resourceSpans":"{form}"}}"#);
        let answer = post(http, "/v1/traces", &headers, json.as_bytes()).await;
        assert_eq!(answer.status, 400);
        let path = format!("/v1/{}", form.replace('/', "_"));
        assert_eq!(post(http, &path, PROTOBUF, b"").await.status, 404);
    }
    lab.capture.flush_forward().await;
    let stats = serde_json::to_string_pretty(&lab.capture.stats()).expect("JSON");
    std::fs::write(lab.dir.path().join("stats.json"), stats).expect("written");
    assert_found_nowhere(lab.dir.path());
    assert_found_nowhere(second.dir.path());

    // The text around a secret is kept, and every line is valid.
    let names: Vec<_> = lab.lines("capture.jsonl");
    assert_eq!(names.len(), 2 * forms().len());
    let name = &names[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"];
    assert_eq!(
        *name,
        format!("authorization: {}, and more", "*".repeat(token.len()))
    );
    assert_eq!(lab.lines("capture.jsonl"), second.lines("capture.jsonl"));
    lab.stop().await;
    second.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_their_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let inner = dir.path().join("new/captured");
    let lab = Lab::start(|config| config.dir.clone_from(&inner)).await;
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&inner), 0o700);
    for file in ["capture.jsonl", "metrics.jsonl", "logs.jsonl"] {
        assert_eq!(mode(&inner.join(file)), 0o600, "{file}");
    }
    lab.stop().await;
}
