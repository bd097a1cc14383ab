//! From start to stop: ports and files, a full queue, a full disk, clients that disconnect, the
//! rotation of files.

use crate::lab::*;
use http_body_util::channel::Channel;
use hyper::Request;
use hyper::body::Bytes;
use otlp_capture::{Capture, Config, RefusedAs, Rotation, Signal};
use prost::Message as _;
use std::convert::Infallible;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

#[tokio::test]
async fn a_taken_port_is_named() {
    let lab = Lab::start(|_| {}).await;
    let taken = lab.capture.http_addr();
    let mut config = Config::new(lab.dir.path().join("other"));
    config.http = taken;
    let error = Capture::start(config).await.expect_err("taken").to_string();
    assert!(
        error.starts_with(&format!("cannot listen on `{taken}` for OTLP over HTTP: ")),
        "{error}"
    );
    lab.stop().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Capture::start(Config::new(file.path()))
        .await
        .expect_err("a file")
        .to_string();
    assert!(
        error.starts_with(&format!("cannot write `{}`: ", file.path().display())),
        "{error}"
    );
}

/// The number of interrupted requests.
fn broken(lab: &Lab) -> u64 {
    lab.capture.stats().total().refused_as(RefusedAs::BrokenOff)
}

/// Adds an observer that blocks the writer until it gets a message.
fn gate(config: &mut Config) -> mpsc::Sender<()> {
    let (open, opened) = mpsc::channel();
    let opened = Mutex::new(opened);
    config.observer = Some(Box::new(move |_, _| {
        // If the test is over, don't block.
        let _ = opened.lock().expect("one writer").recv();
    }));
    open
}

#[tokio::test]
async fn a_full_queue_refuses_with_an_error_that_clients_retry() {
    let mut open = None;
    let lab = Lab::start(|config| {
        config.limits.queue_bytes = 10_000;
        open = Some(gate(config));
    })
    .await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    // The line is written, then the writer is blocked, so the request's memory is still in use.
    client.export(spans("first", 20)).await.expect("accepted");

    let status = client.export(spans("second", 200)).await.expect_err("full");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.message(), "the queue is full, send again later");
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(
        details.contains("type.googleapis.com/google.rpc.RetryInfo"),
        "{details}"
    );
    let answer = post(
        lab.capture.http_addr(),
        "/v1/traces",
        PROTOBUF,
        &spans("third", 200).encode_to_vec(),
    )
    .await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);

    drop(open);
    eventually("the queue is empty again", async || {
        client.clone().export(spans("again", 200)).await.is_ok()
    })
    .await;
    let account = lab.stop().await.total();
    assert!(account.asked_again >= 2, "{account:?}");
    assert_eq!((account.traces.requests, account.traces.records), (2, 220));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_error_is_reported_and_counted_and_stops_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink("/dev/full", dir.path().join("capture.jsonl")).expect("a link");
    let capture = Capture::start(Config::new(dir.path()))
        .await
        .expect("started");
    let mut client = traces_client(capture.grpc_addr()).await;
    for _ in 0..2 {
        let status = client.export(spans("lost", 7)).await.expect_err("no space");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(!status.details().is_empty(), "may be sent again");
    }
    let answer = post(
        capture.http_addr(),
        "/v1/logs",
        PROTOBUF,
        &logs(1).encode_to_vec(),
    )
    .await;
    assert_eq!(answer.status, 200);
    let stats = capture.stop().await.expect("stopped");
    let account = stats.total();
    assert_eq!(
        (
            account.unwritten_records,
            account.traces.records,
            account.logs.records
        ),
        (14, 0, 1)
    );
    assert_eq!(
        (account.requests, account.asked_again, account.came_again),
        (3, 2, 1)
    );
    let error = stats.last_file_error.expect("an error");
    assert!(
        error.starts_with(&format!(
            "cannot write `{}`: ",
            dir.path().join("capture.jsonl").display()
        )),
        "{error}"
    );
}

#[tokio::test]
async fn a_capture_appends_to_existing_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("capture.jsonl");
    std::fs::write(&file, "{\"resourceSpans\":[]}\n{\"resourceSpa").expect("written");
    let capture = Capture::start(Config::new(dir.path()))
        .await
        .expect("started");
    traces_client(capture.grpc_addr())
        .await
        .export(spans("new", 1))
        .await
        .expect("accepted");
    capture.stop().await.expect("stopped");
    let text = std::fs::read_to_string(file).expect("a file");
    let (old, new) = text.split_at(text.find("\n{\"resourceSpans\":[{").expect("a new line") + 1);
    assert_eq!(old, "{\"resourceSpans\":[]}\n{\"resourceSpa\n");
    serde_json::from_str::<serde_json::Value>(new).expect("a whole line");
}

#[tokio::test]
async fn files_are_rotated() {
    let lab = Lab::start(|config| {
        config.rotation = Some(Rotation {
            max_bytes: 1_000,
            keep: 2,
        });
    })
    .await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    for number in 0..40 {
        client
            .export(spans(&format!("{number:02}"), 1))
            .await
            .expect("accepted");
    }
    client.export(spans("large", 100)).await.expect("accepted");
    client.export(spans("last", 1)).await.expect("accepted");
    let dir = lab.dir.path();
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("files")
        .map(|file| {
            file.expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "capture-1.jsonl",
            "capture-2.jsonl",
            "capture.jsonl",
            "logs.jsonl",
            "metrics.jsonl"
        ]
    );

    let name = |line: &serde_json::Value| {
        line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let names = |file: &str| lab.lines(file).iter().map(name).collect::<Vec<_>>();
    assert_eq!(names("capture.jsonl"), ["last"]);
    assert_eq!(
        names("capture-1.jsonl"),
        ["large"],
        "a line that is larger than a file has one of its own"
    );
    let before = names("capture-2.jsonl");
    assert_eq!(before.last().map(String::as_str), Some("39"), "{before:?}");
    assert!(
        before.is_sorted()
            && std::fs::metadata(dir.join("capture-2.jsonl"))
                .expect("a file")
                .len()
                <= 1_000
    );
    assert_eq!(lab.stop().await.total().traces.records, 141);
}

#[tokio::test]
async fn clients_that_disconnect_leave_nothing_behind() {
    let lab = Lab::start(|config| config.limits.queue_bytes = 100_000).await;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: capture\r\n{PROTOBUF}\r\nContent-Length: 90000\r\n\r\n"
    );
    for _ in 0..5 {
        let mut stream = TcpStream::connect(lab.capture.http_addr())
            .await
            .expect("connected");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&[0; 50_000]).await.expect("sent");
    }
    eventually("the broken requests are counted", async || {
        broken(&lab) == 5
    })
    .await;

    // The same over HTTP/2.
    let (mut frames, body) = Channel::<Bytes, Infallible>::new(1);
    let addr = lab.capture.grpc_addr();
    let request = Request::post(format!("http://{addr}{}", Signal::Traces.grpc_path()))
        .header("content-type", "application/grpc");
    let (mut sender, socket) = http2(addr).await;
    let call = tokio::spawn(sender.send_request(request.body(body).expect("a request")));
    // More than the connection buffers, so that the call must have started.
    for _ in 0..100 {
        let frame = Bytes::from_static(&[0; 500]);
        frames.send_data(frame).await.expect("the body is read");
    }
    socket.shutdown(Shutdown::Both).expect("it was open");
    call.await.expect("no panic").expect_err("broken off");
    eventually("it is counted", async || broken(&lab) == 6).await;

    // All memory is free again: a request that needs nearly all of it is accepted.
    lab.still_keeps(&"x".repeat(90_000)).await;
    assert_eq!(lab.stop().await.total().asked_again, 0);
}

#[tokio::test]
async fn a_client_that_takes_too_long_gets_a_timeout() {
    let lab = Lab::start(|config| config.limits.receive_timeout = Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(lab.capture.http_addr())
        .await
        .expect("connected");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: capture\r\n{PROTOBUF}\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(broken(&lab), 1);
    lab.stop().await;
}

#[tokio::test]
async fn too_many_connections_are_closed_at_once() {
    let lab = Lab::start(|config| config.limits.connections = 2).await;
    let addr = lab.capture.http_addr();
    let idle = [
        TcpStream::connect(addr).await.expect("connected"),
        TcpStream::connect(addr).await.expect("connected"),
    ];
    let mut third = TcpStream::connect(addr).await.expect("connected");
    assert_eq!(third.read(&mut [0]).await.expect("closed"), 0);
    drop(idle);
    let good = spans("x", 1).encode_to_vec();
    eventually("there is room again", async || {
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            return false;
        };
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: capture\r\n{PROTOBUF}\r\nContent-Length: {}\r\n\r\n",
            good.len()
        );
        let mut status = [0; 12];
        stream
            .write_all(&[head.as_bytes(), &good].concat())
            .await
            .is_ok()
            && stream.read_exact(&mut status).await.is_ok()
            && &status == b"HTTP/1.1 200"
    })
    .await;
    assert!(lab.stop().await.refused_connections >= 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_connections() {
    let lab = Lab::start(|_| {}).await;
    let (grpc_addr, http_addr) = (lab.capture.grpc_addr(), lab.capture.http_addr());
    let _silent = TcpStream::connect(grpc_addr).await.expect("connected");
    let mut idle = traces_client(grpc_addr).await;
    idle.export(spans("x", 1)).await.expect("accepted");
    let mut half = TcpStream::connect(http_addr).await.expect("connected");
    half.write_all(b"POST /v1/traces HTTP/1.1\r\nHost: capture\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").await.expect("sent");
    assert_eq!(lab.stop().await.total().traces.records, 1);
    assert!(
        TcpStream::connect(grpc_addr).await.is_err(),
        "the port is closed"
    );
}

#[tokio::test]
async fn dropping_it_closes_its_ports() {
    let Lab { capture, dir } = Lab::start(|_| {}).await;
    let addrs = [capture.grpc_addr(), capture.http_addr()];
    let mut client = traces_client(addrs[0]).await;
    client.export(spans("x", 1)).await.expect("accepted");
    drop(capture);
    for addr in addrs {
        eventually("the port is closed", async || {
            TcpStream::connect(addr).await.is_err()
        })
        .await;
    }
    assert_eq!(lines(dir.path(), "capture.jsonl").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_lose_nothing() {
    const CLIENTS: usize = 16;
    const REQUESTS: usize = 50;
    let seen = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&seen);
    let lab = Lab::start(|config| {
        config.observer = Some(Box::new(move |_, _| {
            *counted.lock().expect("one writer") += 1;
        }));
    })
    .await;
    let (grpc_addr, http_addr) = (lab.capture.grpc_addr(), lab.capture.http_addr());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            let mut grpc = traces_client(grpc_addr).await;
            for request in 0..REQUESTS {
                let spans = spans(&format!("{client}-{request}"), 3);
                if client % 2 == 0 {
                    grpc.export(spans).await.expect("accepted");
                } else {
                    assert_eq!(
                        post(http_addr, "/v1/traces", PROTOBUF, &spans.encode_to_vec())
                            .await
                            .status,
                        200
                    );
                }
            }
        });
    }
    clients.join_all().await;
    lab.capture.flush().await;
    let mut names: Vec<_> = lab
        .lines("capture.jsonl")
        .iter()
        .map(|line| line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"].to_string())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(
        (names.len(), *seen.lock().expect("one writer")),
        (CLIENTS * REQUESTS, CLIENTS * REQUESTS)
    );
    assert_eq!(
        lab.stop().await.total().traces.records,
        3 * (CLIENTS * REQUESTS) as u64
    );
}
