//! OTLP/HTTP: what clients get wrong, and how they are told.

use crate::lab::*;
use otlp_capture::Limits;
use prost::Message as _;

#[tokio::test]
async fn what_http_clients_get_wrong_is_answered_and_harms_nothing() {
    let lab = Lab::start(|config| {
        config.limits = Limits {
            received_bytes: 100_000,
            decompressed_bytes: 1_000_000,
            ..Limits::default()
        };
    })
    .await;
    let addr = lab.capture.http_addr();
    let good = spans("x", 1).encode_to_vec();
    let bomb = gzip(&vec![0; 50_000_000]);
    assert!(bomb.len() > 100_000, "over both limits");
    let small_bomb = gzip(&vec![0; 10_000_000]);
    assert!(
        small_bomb.len() < 100_000,
        "{} bytes pass the first limit",
        small_bomb.len()
    );
    let zipped = |content_type: &str| format!("{content_type}\r\nContent-Encoding: gzip");

    #[rustfmt::skip]
    let cases: Vec<(&str, &str, String, Vec<u8>, u16)> = vec![
        ("malformed protobuf",   "POST /v1/traces", PROTOBUF.into(), b"hello".to_vec(), 400),
        ("malformed JSON",       "POST /v1/traces", JSON.into(), b"{\"resourceSpans\":5}".to_vec(), 400),
        ("damaged gzip",         "POST /v1/traces", zipped(PROTOBUF), gzip(&good)[..20].to_vec(), 400),
        ("no gzip at all",       "POST /v1/traces", zipped(PROTOBUF), good.clone(), 400),
        ("over the limit",       "POST /v1/traces", PROTOBUF.into(), vec![0; 2_000_000], 413),
        ("gzip over the limit",  "POST /v1/traces", zipped(PROTOBUF), bomb, 413),
        ("gzip bomb",            "POST /v1/traces", zipped(JSON), small_bomb, 413),
        ("unknown type",         "POST /v1/traces", "Content-Type: text/plain".into(), good.clone(), 415),
        ("no type",              "POST /v1/traces", "X-Nothing: 1".into(), good.clone(), 415),
        ("unknown encoding",     "POST /v1/traces", format!("{PROTOBUF}\r\nContent-Encoding: br"), good.clone(), 415),
        ("another path",         "POST /v1/profiles", PROTOBUF.into(), good.clone(), 404),
        ("the wrong signal",     "POST /v1/metrics", PROTOBUF.into(), b"\x08\x01".to_vec(), 400),
        ("another method",       "GET /v1/traces", PROTOBUF.into(), Vec::new(), 405),
    ];
    for (what, request, headers, body, status) in cases {
        let answer = http(addr, &format!("{request} HTTP/1.1\r\n{headers}"), &body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.head);
        let is_json = !headers.contains("x-protobuf");
        let message = if is_json {
            let status: serde_json::Value = serde_json::from_slice(&answer.body).expect(what);
            status["message"].as_str().expect(what).to_owned()
        } else {
            // A `google.rpc.Status` has its message in field 2.
            let at = answer
                .body
                .iter()
                .position(|byte| *byte == 0x12)
                .expect(what);
            String::from_utf8(answer.body[at + 1..].to_vec()).expect(what)
        };
        assert!(message.len() > 10, "{what}: {message}");
        assert_eq!(
            answer.head.contains("application/json"),
            is_json,
            "{what}: {}",
            answer.head
        );
        lab.still_keeps(what).await;
    }
    let allowed = http(addr, "PUT /v1/logs HTTP/1.1\r\nX-Nothing: 1", b"").await;
    assert!(allowed.head.contains("allow: post"), "{}", allowed.head);

    let stats = lab.stop().await;
    assert_eq!((stats.malformed_requests, stats.rejected_requests), (5, 9));
    assert_eq!((stats.traces.records, stats.dropped_records), (13, 0));
}
