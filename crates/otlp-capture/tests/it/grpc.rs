//! OTLP/gRPC: bad requests and their responses.

use crate::lab::*;
use otlp_capture::{Limits, RefusedAs, Signal};
use prost::Message as _;
use tonic::Code;

#[tokio::test]
async fn bad_grpc_requests_are_refused_and_harm_nothing() {
    let lab = Lab::start(|config| {
        config.limits = Limits {
            received_bytes: 100_000,
            decompressed_bytes: 1_000_000,
            ..Limits::default()
        };
    })
    .await;
    let addr = lab.capture.grpc_addr();
    let traces = Signal::Traces.grpc_path();
    let good = spans("x", 1).encode_to_vec();
    let cut = gzip(&good)[..20].to_vec();
    let mut short_id = spans("x", 1);
    short_id.resource_spans[0].scope_spans[0].spans[0].trace_id = vec![1; 8];
    let short_id = short_id.encode_to_vec();

    #[rustfmt::skip]
    let cases: Vec<(&str, &str, &str, Vec<u8>)> = vec![
        ("malformed",           traces, "identity", framed(0, b"hello")),
        ("damaged gzip",        traces, "gzip",     framed(1, &cut)),
        ("no prefix",           traces, "identity", b"\0\0".to_vec()),
        ("a wrong length",      traces, "identity", framed(0, &good)[..20].to_vec()),
        ("an unknown flag",     traces, "identity", framed(2, &good)),
        ("two messages",        traces, "identity", framed(0, &good).repeat(2)),
        ("gzip unannounced",    traces, "identity", framed(1, &gzip(&good))),
        ("over the limit",      traces, "identity", framed(0, &vec![0; 200_000])),
        ("gzip bomb",           traces, "gzip",     framed(1, &gzip(&vec![0; 10_000_000]))),
        ("damaged zstd",        traces, "zstd",     framed(1, &zstd(&good)[..20])),
        ("zstd bomb",           traces, "zstd",     framed(1, &zstd(&vec![0; 10_000_000]))),
        ("an id of 8 bytes",    traces, "identity", framed(0, &short_id)),
        ("unknown encoding",    traces, "snappy",   framed(0, &good)),
        ("unknown service",     "/a.B/C", "identity", framed(0, &good)),
    ];
    let mut report = String::new();
    for (what, path, encoding, body) in cases {
        let answer = grpc(addr, path, encoding, body).await;
        report += &format!("{what}: {} {}\n", answer.status, answer.message);
        assert!(
            !answer.headers.contains_key("grpc-status-details-bin"),
            "{what} is not to be sent again"
        );
        lab.still_keeps(what).await;
    }
    insta::assert_snapshot!(report);

    let plain = grpc(addr, traces, "gzip", framed(0, &good)).await;
    assert_eq!(
        plain.status, "0",
        "a message may be plain where gzip was announced"
    );
    let account = lab.stop().await.total();
    let kinds = [
        RefusedAs::Malformed,
        RefusedAs::TooLarge,
        RefusedAs::UnknownEncoding,
        RefusedAs::UnknownPath,
    ];
    assert_eq!(kinds.map(|kind| account.refused_as(kind)), [9, 3, 1, 1]);
    assert_eq!(
        (account.refused_requests(), account.traces.records),
        (14, 15)
    );
}

#[tokio::test]
async fn a_message_over_the_limit_is_not_sent_again() {
    let lab = Lab::start(|config| config.limits.decompressed_bytes = 1_000).await;
    let mut client = traces_client(lab.capture.grpc_addr())
        .await
        .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let status = client
        .export(spans("x", 1_000))
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.details().is_empty(),
        "no `RetryInfo`, which would make it retryable"
    );
    lab.stop().await;
}

#[tokio::test]
async fn each_port_names_the_port_of_the_other_protocol() {
    let lab = Lab::start(|_| {}).await;
    let (grpc_addr, http_addr) = (lab.capture.grpc_addr(), lab.capture.http_addr());
    let good = spans("x", 1).encode_to_vec();

    let answer = post(grpc_addr, "/v1/traces", PROTOBUF, &good).await;
    // A `google.rpc.Status`: the code, then the message with its length.
    let text = String::from_utf8(answer.body[4..].to_vec()).expect("text");
    assert_eq!(answer.status, 415);
    assert_eq!(
        text,
        format!(
            "a request in OTLP over HTTP came to {grpc_addr}, the port of OTLP over gRPC; OTLP over HTTP goes to http://{http_addr}"
        )
    );

    let answer = grpc(
        http_addr,
        Signal::Traces.grpc_path(),
        "identity",
        framed(0, &good),
    )
    .await;
    assert_eq!(answer.status, "12");
    assert_eq!(
        answer.message,
        format!(
            "a request in OTLP over gRPC came to {http_addr}, the port of OTLP over HTTP; OTLP over gRPC goes to http://{grpc_addr}"
        )
    );

    lab.still_keeps("what comes to the right port").await;
    let account = lab.stop().await.total();
    let kinds = [RefusedAs::HttpOnGrpcPort, RefusedAs::GrpcOnHttpPort];
    assert_eq!(kinds.map(|kind| account.refused_as(kind)), [1, 1]);
    assert_eq!(
        account.refused[0].advice,
        format!(
            "set `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://{http_addr}/v1/traces`, or export over gRPC"
        )
    );
}
