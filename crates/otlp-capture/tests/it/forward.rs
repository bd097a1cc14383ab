//! Stored requests are forwarded, and failures of the forwarding affect nothing else.

use crate::lab::*;
use otlp_capture::{Capture, Config, Forward, Signal};
use prost::Message as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

/// A capture that forwards to this address.
async fn forwarding_to(addr: SocketAddr) -> Lab {
    Lab::start(|config| config.forward = Some(Forward::to(format!("http://{addr}")))).await
}

/// A port without a listener.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn stored_requests_are_forwarded_unchanged() {
    let second = Lab::start(|_| {}).await;
    let first = forwarding_to(second.capture.grpc_addr()).await;
    let mut client = traces_client(first.capture.grpc_addr()).await;
    client.export(spans("grpc", 2)).await.expect("accepted");
    let mut client = client.send_compressed(tonic::codec::CompressionEncoding::Gzip);
    client.export(spans("gzip", 2)).await.expect("accepted");
    let json = br#"{"resource_spans":[{"scopeSpans":[{"spans":[{"name":"json","kind":"3"}]}]}]}"#;
    let http = first.capture.http_addr();
    assert_eq!(post(http, "/v1/traces", JSON, json).await.status, 200);
    assert_eq!(
        post(http, "/v1/metrics", PROTOBUF, &points(4).encode_to_vec())
            .await
            .status,
        200
    );
    assert_eq!(
        post(http, "/v1/logs", PROTOBUF, &logs(5).encode_to_vec())
            .await
            .status,
        200
    );
    assert_eq!(post(http, "/v1/logs", PROTOBUF, b"hello").await.status, 400);

    first.capture.flush_forward().await;
    for signal in Signal::ALL {
        let file = signal.file_name(0);
        assert_eq!(second.lines(&file), first.lines(&file), "{file}");
    }
    let whole = first.stop().await;
    let stats = whole.total().forward;
    assert_eq!(
        (
            stats.sent_records,
            stats.lost_records,
            stats.waiting_records
        ),
        (14, 0, 0),
        "{stats:?}"
    );
    assert_eq!(whole.last_forward_error, None);
    let stats = second.stop().await.total();
    assert_eq!(
        (
            stats.traces.records,
            stats.metrics.records,
            stats.logs.records
        ),
        (5, 4, 5)
    );
}

#[tokio::test]
async fn a_full_receiver_gets_the_request_again() {
    let (open, opened) = mpsc::channel::<()>();
    let second = Lab::start(|config| {
        config.limits.queue_bytes = 10_000;
        config.observer = Some(Box::new(move |_, _| {
            // After the sender is dropped, the gate stays open.
            let _ = opened.recv();
        }));
    })
    .await;
    let first = forwarding_to(second.capture.grpc_addr()).await;
    let mut client = traces_client(first.capture.grpc_addr()).await;
    client.export(spans("taken", 20)).await.expect("accepted");
    client
        .export(spans("refused at first", 200))
        .await
        .expect("accepted");
    eventually("it is refused", async || {
        first.capture.stats().last_forward_error.is_some()
    })
    .await;
    let whole = first.capture.stats();
    let stats = whole.total().forward;
    assert_eq!(
        (
            stats.sent_records,
            stats.waiting_records,
            stats.lost_records
        ),
        (20, 200, 0)
    );
    assert_eq!(
        whole.last_forward_error.as_deref(),
        Some("gRPC status 14: the queue is full, send again later")
    );
    drop(open);
    first.capture.flush_forward().await;
    assert_eq!(second.lines("capture.jsonl"), first.lines("capture.jsonl"));
    assert_eq!(first.stop().await.total().forward.sent_records, 220);
    second.stop().await;
}

#[tokio::test]
async fn a_receiver_that_restarts_is_found_again() {
    let second = Lab::start(|_| {}).await;
    let addr = second.capture.grpc_addr();
    let first = forwarding_to(addr).await;
    let mut client = traces_client(first.capture.grpc_addr()).await;
    client.export(spans("before", 1)).await.expect("accepted");
    first.capture.flush_forward().await;
    let Lab { capture, dir } = second;
    assert_eq!(
        capture
            .stop()
            .await
            .expect("stopped")
            .total()
            .traces
            .records,
        1
    );

    client
        .export(spans("while it is away", 1))
        .await
        .expect("accepted");
    eventually("it is missed", async || {
        first.capture.stats().last_forward_error.is_some()
    })
    .await;
    let mut config = Config::new(dir.path());
    config.grpc = addr;
    let capture = Capture::start(config).await.expect("started again");
    first.capture.flush_forward().await;
    assert_eq!(
        lines(dir.path(), "capture.jsonl"),
        first.lines("capture.jsonl")
    );
    assert_eq!(first.stop().await.total().forward.sent_records, 2);
    capture.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_missing_receiver_does_not_affect_the_capture() {
    let lab = Lab::start(|config| {
        let endpoint = format!("http://{}", closed_port());
        config.forward = Some(Forward {
            queue_bytes: 2_000,
            ..Forward::to(endpoint)
        });
    })
    .await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    for _ in 0..100 {
        client.export(spans("kept", 10)).await.expect("accepted");
    }
    assert_eq!(lab.lines("capture.jsonl").len(), 100);
    lab.capture.flush().await;
    let before = lab.capture.stats().total().forward;
    assert!(
        before.waiting_records > 0 && before.lost_records > 0,
        "the queue is small: {before:?}"
    );
    assert_eq!(before.waiting_records + before.lost_records, 1_000);

    // The receiver would be waited for five minutes.
    let stats = stop(lab.capture).await.total();
    assert_eq!(
        (
            stats.traces.records,
            stats.unwritten_records,
            stats.asked_again
        ),
        (1_000, 0, 0)
    );
    assert_eq!(
        (stats.forward.lost_records, stats.forward.waiting_records),
        (1_000, 0)
    );
}

#[tokio::test]
async fn a_permanently_rejected_request_is_lost_and_the_next_is_sent() {
    let second = Lab::start(|config| config.limits.received_bytes = 1_000).await;
    let first = forwarding_to(second.capture.grpc_addr()).await;
    let mut client = traces_client(first.capture.grpc_addr()).await;
    client
        .export(spans("too large for it", 100))
        .await
        .expect("accepted");
    client.export(spans("fits", 1)).await.expect("accepted");
    first.capture.flush_forward().await;
    let whole = first.stop().await;
    let stats = whole.total().forward;
    assert_eq!((stats.sent_records, stats.lost_records), (1, 100));
    assert_eq!(
        whole.last_forward_error.as_deref(),
        Some("gRPC status 8: the request is larger than 1000 bytes")
    );
    assert_eq!(second.stop().await.total().traces.records, 1);
}

#[tokio::test]
async fn a_signal_that_the_receiver_does_not_support_is_not_a_loss() {
    let second = Lab::start(|_| {}).await;
    // The HTTP port doesn't implement any gRPC method.
    let first = forwarding_to(second.capture.http_addr()).await;
    let mut client = traces_client(first.capture.grpc_addr()).await;
    client.export(spans("x", 3)).await.expect("accepted");
    client.export(spans("y", 4)).await.expect("accepted");
    first.capture.flush_forward().await;
    let whole = first.stop().await;
    let stats = whole.total().forward;
    assert_eq!(
        (
            stats.unsupported_records,
            stats.sent_records,
            stats.lost_records
        ),
        (7, 0, 0)
    );
    assert_eq!(
        second.stop().await.total().refused_requests(),
        1,
        "it is asked once"
    );
}

#[tokio::test]
async fn an_invalid_endpoint_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut report = String::new();
    for endpoint in [
        "https://jaeger:4317",
        "http://jaeger:4318/v1/traces",
        "jaeger:4317",
        "http://jaeger",
        "a b",
        "",
    ] {
        let mut config = Config::new(dir.path());
        config.forward = Some(Forward::to(endpoint));
        report += &format!("{}\n", Capture::start(config).await.expect_err(endpoint));
    }
    insta::assert_snapshot!(report);
}

#[tokio::test]
async fn it_does_not_send_to_itself() {
    // With a fixed port, as in `up`; it was free a moment ago.
    let addr = closed_port();
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Config::new(dir.path());
    config.grpc = addr;
    config.forward = Some(Forward::to(format!("http://localhost:{}", addr.port())));
    let error = Capture::start(config)
        .await
        .expect_err("a circle")
        .to_string();
    assert_eq!(
        error,
        format!(
            "cannot forward to `http://localhost:{}`: that is this capture itself",
            addr.port()
        )
    );
}

#[tokio::test]
async fn requests_that_wait_when_forwarding_is_stopped_are_lost_and_not_waited_for() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let nobody = nobody.expect("a port");
    let endpoint = format!("http://{}", nobody.local_addr().expect("an address"));
    let mut lab = Lab::start(|config| config.forward = Some(Forward::to(endpoint))).await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    client.export(spans("kept", 1)).await.expect("accepted");
    lab.capture.stop_forwarding().await;
    client.export(spans("kept", 2)).await.expect("accepted");
    // Nothing waits any more, before the capture itself ends.
    lab.capture.flush().await;
    lab.capture.flush_forward().await;
    let stats = lab.stop().await.total();
    assert_eq!(stats.traces.records, 3);
    assert_eq!(
        (stats.forward.lost_records, stats.forward.waiting_records),
        (3, 0)
    );
}
