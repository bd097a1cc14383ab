//! Every request is stored once, for each signal, protocol and compression.

use crate::lab::*;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp_capture::{Account, Signal};
use prost::Message;
use std::sync::mpsc;
use tonic::codec::CompressionEncoding;

#[tokio::test]
async fn three_signals_over_two_protocols_are_stored_and_counted() {
    let (seen, sees) = mpsc::channel();
    let lab = Lab::start(|config| {
        config.observer = Some(Box::new(move |signal, line| {
            let json: serde_json::Value = serde_json::from_slice(line).expect("a whole line");
            seen.send((signal, json)).expect("the test listens");
        }));
    })
    .await;
    let (grpc, http) = (lab.capture.grpc_addr(), lab.capture.http_addr());
    let url = format!("http://{grpc}");

    for compression in [None, Some(CompressionEncoding::Gzip)] {
        let mut traces = traces_client(grpc).await;
        let mut metrics = MetricsServiceClient::connect(url.clone())
            .await
            .expect("connected");
        let mut logs_client = LogsServiceClient::connect(url.clone())
            .await
            .expect("connected");
        if let Some(gzip) = compression {
            traces = traces.send_compressed(gzip);
            metrics = metrics.send_compressed(gzip);
            logs_client = logs_client.send_compressed(gzip);
        }
        let response = traces
            .export(spans("grpc", 3))
            .await
            .expect("accepted")
            .into_inner();
        assert_eq!(response.partial_success, None);
        metrics.export(points(4)).await.expect("accepted");
        logs_client.export(logs(5)).await.expect("accepted");
    }
    for (signal, request) in [
        (Signal::Traces, spans("zstd", 3).encode_to_vec()),
        (Signal::Metrics, points(4).encode_to_vec()),
        (Signal::Logs, logs(5).encode_to_vec()),
    ] {
        let body = framed(1, &zstd(&request));
        let answer = crate::lab::grpc(grpc, signal.grpc_path(), "zstd", body).await;
        assert_eq!(answer.status, "0", "{}", answer.message);
    }
    for (path, protobuf) in [
        ("/v1/traces", spans("http", 3).encode_to_vec()),
        ("/v1/metrics", points(4).encode_to_vec()),
        ("/v1/logs", logs(5).encode_to_vec()),
    ] {
        let signal = Signal::ALL
            .into_iter()
            .find(|signal| signal.http_path() == path)
            .expect("a signal");
        let mut json = Vec::new();
        otlp_capture::transcode::protobuf_to_json(signal, &protobuf, &mut json).expect("a request");
        for (content_type, body, answer) in
            [(PROTOBUF, &protobuf, &b""[..]), (JSON, &json, &b"{}"[..])]
        {
            let plain = post(http, path, content_type, body).await;
            assert_eq!(
                (plain.status, &plain.body[..]),
                (200, answer),
                "{path} {content_type}"
            );
            let expected = content_type
                .split(';')
                .next()
                .expect("a type")
                .to_lowercase();
            assert!(plain.head.contains(&expected), "{}", plain.head);
            for (encoding, compressed) in [
                ("gzip", gzip(body)),
                ("deflate", zlib(body)),
                ("zstd", zstd(body)),
            ] {
                let headers = format!("{content_type}\r\nContent-Encoding: {encoding}");
                let answer = post(http, path, &headers, &compressed).await;
                assert_eq!(answer.status, 200, "{path} {content_type} {encoding}");
            }
        }
    }

    lab.capture.flush().await;
    let seen: Vec<_> = sees.try_iter().collect();
    for (signal, file) in [
        (Signal::Traces, "capture.jsonl"),
        (Signal::Metrics, "metrics.jsonl"),
        (Signal::Logs, "logs.jsonl"),
    ] {
        let observed: Vec<_> = seen
            .iter()
            .filter(|(of, _)| *of == signal)
            .map(|(_, line)| line.clone())
            .collect();
        assert_eq!(lab.lines(file), observed, "{file}");
        assert_eq!(observed.len(), 11, "{file}");
    }
    let dir = lab.dir.path().to_owned();
    let sizes = ["capture", "metrics", "logs"].map(|stem| {
        std::fs::metadata(dir.join(format!("{stem}.jsonl")))
            .expect(stem)
            .len()
    });
    let account = lab.stop().await.total();
    let counts = |signal| {
        let of = account.signal(signal);
        (of.requests, of.records, of.bytes)
    };
    assert_eq!(counts(Signal::Traces), (11, 33, sizes[0]));
    assert_eq!(counts(Signal::Metrics), (11, 44, sizes[1]));
    assert_eq!(counts(Signal::Logs), (11, 55, sizes[2]));
    let good = Account {
        requests: 33,
        traces: account.traces,
        metrics: account.metrics,
        logs: account.logs,
        ..Account::default()
    };
    assert_eq!(account, good, "nothing went wrong");
}

#[tokio::test]
async fn an_empty_request_is_accepted_and_leaves_no_line() {
    let lab = Lab::start(|_| {}).await;
    let mut client = traces_client(lab.capture.grpc_addr()).await;
    client
        .export(ExportTraceServiceRequest::default())
        .await
        .expect("accepted");
    assert_eq!(
        post(lab.capture.http_addr(), "/v1/logs", PROTOBUF, b"")
            .await
            .status,
        200
    );
    assert_eq!(
        lab.lines("capture.jsonl").len() + lab.lines("logs.jsonl").len(),
        0
    );
    let account = lab.stop().await.total();
    assert_eq!((account.traces.requests, account.logs.requests), (1, 1));
}
