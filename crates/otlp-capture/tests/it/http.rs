//! OTLP/HTTP: bad requests and their responses.

use crate::lab::*;
use otlp_capture::{Limits, RefusedAs};
use prost::Message as _;

#[tokio::test]
async fn bad_http_requests_are_refused_and_harm_nothing() {
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
    let encoded = |encoding: &str| format!("{PROTOBUF}\r\nContent-Encoding: {encoding}");
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
        ("damaged deflate",      "POST /v1/traces", encoded("deflate"), gzip(&good), 400),
        ("damaged zstd",         "POST /v1/traces", encoded("zstd"), zstd(&good)[..20].to_vec(), 400),
        ("zstd bomb",            "POST /v1/traces", encoded("zstd"), zstd(&vec![0; 10_000_000]), 413),
        ("an id of one byte",    "POST /v1/traces", JSON.into(), br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"00"}]}]}]}"#.to_vec(), 400),
        ("unknown type",         "POST /v1/traces", "Content-Type: text/plain".into(), good.clone(), 415),
        ("no type",              "POST /v1/traces", "X-Nothing: 1".into(), good.clone(), 415),
        ("unknown encoding",     "POST /v1/traces", format!("{PROTOBUF}\r\nContent-Encoding: br"), good.clone(), 415),
        ("another path",         "POST /v1/profiles", PROTOBUF.into(), good.clone(), 404),
        ("the wrong signal",     "POST /v1/metrics", PROTOBUF.into(), b"\x08\x01".to_vec(), 400),
        ("a page's question",    "OPTIONS /v1/traces", "Origin: http://a.example\r\nAccess-Control-Request-Method: POST".into(), Vec::new(), 403),
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

    let account = lab.stop().await.total();
    let kinds = [
        RefusedAs::Malformed,
        RefusedAs::TooLarge,
        RefusedAs::UnknownEncoding,
        RefusedAs::UnknownContentType,
        RefusedAs::UnknownPath,
        RefusedAs::UnknownMethod,
        RefusedAs::CrossOrigin,
    ];
    assert_eq!(
        kinds.map(|kind| account.refused_as(kind)),
        [8, 4, 1, 2, 1, 2, 1]
    );
    assert_eq!(account.refused_requests(), 19);
    assert_eq!((account.traces.records, account.unwritten_records), (18, 0));
}

#[tokio::test]
async fn a_page_can_send_from_an_allowed_origin() {
    let lab = Lab::start(|config| {
        config.allowed_origins = vec!["http://localhost:3000".to_owned()];
    })
    .await;
    let addr = lab.capture.http_addr();
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /v1/traces HTTP/1.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type,x-own"
        )
    };
    let answer = http(addr, &preflight("http://localhost:3000"), b"").await;
    assert_eq!(answer.status, 204);
    for header in [
        "access-control-allow-origin: http://localhost:3000",
        "access-control-allow-methods: post",
        "access-control-allow-headers: content-type,x-own",
        "vary: origin",
    ] {
        assert!(answer.head.contains(header), "{header}: {}", answer.head);
    }
    let answer = http(addr, &preflight("http://a.example"), b"").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.head.contains("access-control"), "{}", answer.head);

    let good = spans("x", 1).encode_to_vec();
    let headers = format!("{PROTOBUF}\r\nOrigin: http://localhost:3000");
    let answer = post(addr, "/v1/traces", &headers, &good).await;
    assert_eq!(answer.status, 200);
    let header = "access-control-allow-origin: http://localhost:3000";
    assert!(answer.head.contains(header), "{}", answer.head);
    let account = lab.stop().await.total();
    // A CORS preflight isn't counted as a request.
    assert_eq!((account.requests, account.traces.records), (2, 1));
}
