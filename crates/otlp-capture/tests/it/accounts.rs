//! The accounts of senders.

use crate::lab::*;
use otlp_capture::{Account, Capture, Forward, RefusedAs, Sender, Signal, Stats, Who};
use prost::Message as _;
use std::sync::mpsc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A JSON request with one span of this name, from a program of the run `r1`.
fn json_of(instance: &str, name: &str) -> String {
    let attribute = |key: &str, value: &str| {
        format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
    };
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{},{}]}},"scopeSpans":[{{"spans":[{{"name":{name}}}]}}]}}]}}"#,
        attribute("milvus_otel.run", "r1"),
        attribute("service.instance.id", instance),
    )
}

fn account<'s>(stats: &'s Stats, instance: &str) -> &'s Account {
    let is_it = |sender: &&Sender| match &sender.who {
        Who::Program(program) => program.instance.as_deref() == Some(instance),
        Who::Peer { user_agent, .. } => user_agent.as_deref() == Some(instance),
        Who::Others => instance == "others",
    };
    let sender = stats.senders.iter().find(is_it);
    &sender
        .unwrap_or_else(|| panic!("no {instance}: {stats:#?}"))
        .account
}

#[tokio::test]
async fn a_refused_request_is_in_its_programs_account_with_reason_and_exporter() {
    let lab = Lab::start(|_| {}).await;
    let addr = lab.capture.http_addr();
    let headers = format!("{JSON}\r\nUser-Agent: exporter/1.2");
    let send = async |body: &str| {
        post(addr, "/v1/traces", &headers, body.as_bytes())
            .await
            .status
    };
    assert_eq!(send(&json_of("py", r#""good""#)).await, 200);
    assert_eq!(send(&json_of("py", "5")).await, 400);
    assert_eq!(send(&json_of("go", r#""cut \ud83d""#)).await, 200);
    assert_eq!(send("no JSON").await, 400);

    let stats = lab.stop().await;
    let py = account(&stats, "py");
    assert_eq!(
        (py.requests, py.traces.records, py.refused.len()),
        (2, 1, 1)
    );
    let refused = &py.refused[0];
    assert_eq!((refused.kind, refused.requests), (RefusedAs::Malformed, 1));
    assert_eq!(refused.user_agent.as_deref(), Some("exporter/1.2"));
    assert_eq!(
        refused.reason,
        "not an OTLP request: invalid type: integer `5`, expected a string (`name`) at line 1 column 194"
    );
    let go = account(&stats, "go");
    assert_eq!((go.requests, go.refused_requests()), (1, 0));
    let unknown = account(&stats, "exporter/1.2");
    assert_eq!((unknown.requests, unknown.refused_requests()), (1, 1));
    assert_eq!(stats.total().requests, 4);
}

#[tokio::test]
async fn an_unreadable_request_is_in_the_account_of_the_connections_last_sender() {
    let lab = Lab::start(|_| {}).await;
    let mut stream = TcpStream::connect(lab.capture.http_addr())
        .await
        .expect("connected");
    let good = json_of("py", r#""good""#);
    for (body, status) in [(&good[..], "200"), ("no JSON", "400")] {
        let request = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: capture\r\n{JSON}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer[9..], status.as_bytes());
        // The part of the response that has arrived.
        let mut rest = vec![0; 4096];
        let _ = stream.read(&mut rest).await.expect("answered");
    }
    drop(stream);
    let stats = lab.stop().await;
    assert_eq!(stats.senders.len(), 1, "{stats:#?}");
    assert_eq!(account(&stats, "py").refused_requests(), 1);
}

#[tokio::test]
async fn accounts_are_bounded_and_further_senders_share_one() {
    let lab = Lab::start(|config| config.limits.senders = 3).await;
    for number in 0..10 {
        let body = json_of(&format!("program-{number}"), r#""x""#);
        let answer = post(lab.capture.http_addr(), "/v1/traces", JSON, body.as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    let stats = lab.stop().await;
    assert_eq!(stats.senders.len(), 4);
    assert_eq!(stats.senders[3].who, Who::Others);
    assert_eq!(account(&stats, "others").traces.records, 7);
    assert_eq!(stats.total().traces.records, 10);
}

#[tokio::test]
async fn the_account_knows_whether_a_requested_retry_came() {
    let (open, opened) = mpsc::channel::<()>();
    let lab = Lab::start(|config| {
        config.limits.queue_bytes = 20_000;
        config.observer = Some(Box::new(move |_, _| {
            // After the sender is dropped, the gate stays open.
            let _ = opened.recv();
        }));
    })
    .await;
    let http = lab.capture.http_addr();
    let zipped = format!("{PROTOBUF}\r\nContent-Encoding: gzip");
    let large = spans("large", 400).encode_to_vec();
    let send =
        async |headers: &str, body: &[u8]| post(http, "/v1/traces", headers, body).await.status;
    // The line is written, then the writer is blocked, so the request's memory is still in use.
    assert_eq!(
        send(PROTOBUF, &spans("first", 20).encode_to_vec()).await,
        200
    );
    // Refused while it is received, refused while it is inflated, and refused permanently.
    assert_eq!(send(PROTOBUF, &large).await, 503);
    assert_eq!(send(PROTOBUF, &large).await, 503);
    assert_eq!(send(&zipped, &at_second(1, &gzip(&large))).await, 503);
    assert_eq!(
        send(PROTOBUF, &spans("never again", 400).encode_to_vec()).await,
        503
    );
    let total = lab.capture.stats().total();
    assert_eq!((total.asked_again, total.came_again), (4, 1));

    drop(open);
    lab.capture.flush().await;
    assert_eq!(send(PROTOBUF, &large).await, 200);
    assert_eq!(send(&zipped, &at_second(2, &gzip(&large))).await, 200);
    let total = lab.stop().await.total();
    assert_eq!(
        (
            total.asked_again,
            total.came_again,
            total.missing_requests()
        ),
        (4, 3, 1)
    );
    assert_eq!((total.requests, total.traces.requests), (7, 3));
}

/// The gzip stream with this time in its header.
fn at_second(second: u8, gzip: &[u8]) -> Vec<u8> {
    [&gzip[..4], &[second], &gzip[5..]].concat()
}

#[tokio::test]
async fn forwarded_and_lost_requests_are_in_the_senders_account() {
    let second = Lab::start(|_| {}).await;
    let to = format!("http://{}", second.capture.grpc_addr());
    let lab = Lab::start(|config| {
        config.forward = Some(Forward {
            queue_bytes: 1_000,
            ..Forward::to(to)
        });
    })
    .await;
    let http = lab.capture.http_addr();
    let long = format!("\"{}\"", "x".repeat(2_000));
    for (instance, name) in [("py", r#""x""#), ("go", r#""x""#)] {
        let body = json_of(instance, name);
        assert_eq!(
            post(http, "/v1/traces", JSON, body.as_bytes()).await.status,
            200
        );
        lab.capture.flush_forward().await;
    }
    // After this, the second request is the only one in the queue.
    second.capture.flush().await;
    for instance in ["long", "long"] {
        let body = json_of(instance, &long);
        assert_eq!(
            post(http, "/v1/traces", JSON, body.as_bytes()).await.status,
            200
        );
    }
    lab.capture.flush_forward().await;
    let stats = lab.stop().await;
    for instance in ["py", "go"] {
        assert_eq!(
            account(&stats, instance).forward.sent_records,
            1,
            "{instance}"
        );
    }
    let long = account(&stats, "long").forward;
    assert_eq!(long.sent_records + long.lost_records, 2, "{long:?}");
    assert_eq!(
        second.stop().await.total().traces.records,
        2 + long.sent_records
    );
}

#[tokio::test]
async fn connections_that_are_not_http_are_counted() {
    let lab = Lab::start(|_| {}).await;
    // The beginning of a TLS connection, and an unknown protocol.
    let tls = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    for (addr, bytes) in [
        (lab.capture.grpc_addr(), &[&tls[..], &[7; 194]].concat()[..]),
        (lab.capture.http_addr(), b"\x01\x02\x03\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(addr).await.expect("connected");
        stream.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("closed");
    }
    eventually("both are counted", async || {
        lab.capture.stats().total().refused_as(RefusedAs::NotHttp) == 2
    })
    .await;
    lab.still_keeps("what is HTTP").await;
    let stats = lab.stop().await;
    let refused = &stats.senders[0].account.refused[0];
    assert!(refused.reason.contains("another protocol"), "{refused:?}");
}

#[tokio::test]
async fn the_difference_of_two_accounts_is_what_came_in_between() {
    let lab = Lab::start(|_| {}).await;
    let http = lab.capture.http_addr();
    let send = async |body: &str| post(http, "/v1/traces", JSON, body.as_bytes()).await.status;
    send(&json_of("py", r#""x""#)).await;
    send(&json_of("py", "5")).await;
    send(&json_of("go", r#""x""#)).await;
    let before = lab.capture.stats();
    send(&json_of("py", r#""x""#)).await;
    send(&json_of("node", "5")).await;
    let since = lab.stop().await.since(&before);
    assert_eq!(since.senders.len(), 2, "{since:#?}");
    let py = account(&since, "py");
    assert_eq!(
        (py.requests, py.traces.records, py.refused_requests()),
        (1, 1, 0)
    );
    assert_eq!(account(&since, "node").refused_as(RefusedAs::Malformed), 1);
}

#[tokio::test]
async fn spans_of_before_0_15_are_stored() {
    let lab = Lab::start(|_| {}).await;
    let old = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"milvus-client"}}]},
        "instrumentationLibrarySpans":[{"instrumentationLibrary":{"name":"old"},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c",
        "spanId":"00000000000000ac","name":"old","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000001000000"}]}]}]}"#;
    let answer = post(
        lab.capture.http_addr(),
        Signal::Traces.http_path(),
        JSON,
        old,
    )
    .await;
    assert_eq!(answer.status, 200);
    let line = &lab.lines("capture.jsonl")[0]["resourceSpans"][0]["scopeSpans"][0];
    assert_eq!(
        (&line["scope"]["name"], &line["spans"][0]["name"]),
        (&"old".into(), &"old".into())
    );
    assert_eq!(lab.stop().await.total().traces.records, 1);
}

#[tokio::test]
async fn another_process_can_request_the_accounts() {
    let lab = Lab::start(|_| {}).await;
    let addr = lab.capture.http_addr();
    let body = json_of("py", r#""x""#);
    post(addr, "/v1/traces", JSON, body.as_bytes()).await;
    let answer = http(
        addr,
        &format!("GET {} HTTP/1.1\r\nX-Nothing: 1", Capture::STATS_PATH),
        b"",
    )
    .await;
    assert_eq!(answer.status, 200);
    let stats: Stats = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(stats.total().requests, 1);
    assert_eq!(stats, lab.stop().await, "asking is not counted");
}
