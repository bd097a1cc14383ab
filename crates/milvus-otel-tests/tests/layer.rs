//! The layer around real gRPC clients of two versions of tonic: one span per call, with the call's status.

use bytes::{Buf, BufMut, Bytes};
use milvus_otel::GrpcTraceLayer;
use milvus_otel::layer::{CallHandle, Code, Conventions};
use milvus_otel_tests::server::{Server, UNDECODABLE};
use milvus_otel_tests::service::{self, Answering};
use milvus_otel_tests::spans::{Recorder, error, span_context, text};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    FutureExt, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use std::net::SocketAddr;
use std::time::Duration;
use tower_layer::Layer;

/// A kind of call.
#[derive(Clone, Copy, Debug)]
enum Call {
    Unary,
    ClientStreaming,
    ServerStreaming,
    Bidirectional,
    /// A unary call with a deadline.
    Deadline,
    /// A unary call that is dropped while it waits.
    Dropped,
    /// A server-streaming call whose stream is dropped after its first message.
    StreamDropped,
    /// A server-streaming call whose stream is dropped before its first message.
    StreamUnread,
    /// A unary call whose caller sets its status.
    Held,
    /// A server-streaming call whose caller sets its status.
    StreamHeld,
    /// A unary call that its caller drops after it has set a status.
    HeldDropped,
}

/// Defines a client of one version of tonic. Its messages are bytes.
macro_rules! tonic_client {
    ($name:ident, $tonic:ident) => {
        mod $name {
            use super::*;
            use $tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
            use $tonic::transport::Endpoint;
            use $tonic::{Request, Response, Status};

            #[derive(Default)]
            struct Bytewise;

            impl Codec for Bytewise {
                type Encode = Bytes;
                type Decode = Bytes;
                type Encoder = Self;
                type Decoder = Self;

                fn encoder(&mut self) -> Self {
                    Self
                }

                fn decoder(&mut self) -> Self {
                    Self
                }
            }

            impl Encoder for Bytewise {
                type Item = Bytes;
                type Error = Status;

                fn encode(
                    &mut self,
                    item: Bytes,
                    buffer: &mut EncodeBuf<'_>,
                ) -> Result<(), Status> {
                    buffer.put(item);
                    Ok(())
                }
            }

            impl Decoder for Bytewise {
                type Item = Bytes;
                type Error = Status;

                fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
                    match buffer.copy_to_bytes(buffer.remaining()) {
                        bytes if bytes.first() == Some(&UNDECODABLE) => {
                            Err(Status::internal("this is no message"))
                        }
                        bytes => Ok(Some(bytes)),
                    }
                }
            }

            /// Makes a call and returns the number of response messages, or the status.
            pub(super) async fn make(
                address: SocketAddr,
                layer: &GrpcTraceLayer,
                method: &str,
                call: Call,
            ) -> Result<usize, i32> {
                let channel = Endpoint::from_shared(format!("http://{address}"))
                    .unwrap()
                    .connect_lazy();
                let mut grpc = $tonic::client::Grpc::new(layer.layer(channel));
                let path = format!("/test.Service/{method}").parse().unwrap();
                grpc.ready().await.unwrap();
                let one = || Request::new(Bytes::from_static(b"one"));
                let two = || {
                    Request::new(tokio_stream::iter([
                        Bytes::from_static(b"one"),
                        Bytes::from_static(b"two"),
                    ]))
                };
                let brief = Duration::from_millis(150);
                let handle = CallHandle::new();
                let held = || {
                    let mut request = one();
                    request.extensions_mut().insert(handle.clone());
                    request
                };
                let say = |status: &Status| {
                    let code = Code::from_number(i32::from(status.code()).into());
                    handle.end(code, status.message());
                };
                let result = match call {
                    Call::Unary => grpc.unary(one(), path, Bytewise).await.map(|_| 1),
                    Call::ClientStreaming => grpc
                        .client_streaming(two(), path, Bytewise)
                        .await
                        .map(|_| 1),
                    Call::ServerStreaming => {
                        drain(grpc.server_streaming(one(), path, Bytewise).await).await
                    }
                    Call::Bidirectional => drain(grpc.streaming(two(), path, Bytewise).await).await,
                    Call::Deadline => {
                        let mut request = one();
                        request.set_timeout(brief);
                        grpc.unary(request, path, Bytewise).await.map(|_| 1)
                    }
                    Call::Dropped => {
                        let call = grpc.unary(one(), path, Bytewise);
                        tokio::time::timeout(brief, call)
                            .await
                            .expect_err("it hangs");
                        Ok(0)
                    }
                    Call::StreamDropped => {
                        let mut stream = grpc
                            .server_streaming(one(), path, Bytewise)
                            .await
                            .unwrap()
                            .into_inner();
                        stream.message().await.unwrap();
                        Ok(1)
                    }
                    Call::StreamUnread => {
                        grpc.server_streaming(one(), path, Bytewise).await.unwrap();
                        Ok(0)
                    }
                    Call::Held => {
                        let answer = grpc.unary(held(), path, Bytewise).await;
                        answer.inspect_err(say).map(|_| 1)
                    }
                    Call::StreamHeld => {
                        let answer = grpc.server_streaming(held(), path, Bytewise).await;
                        drain(answer).await.inspect_err(say)
                    }
                    Call::HeldDropped => {
                        let call = grpc.unary(held(), path, Bytewise);
                        let late = tokio::time::timeout(brief, call).await;
                        late.expect_err("it hangs");
                        let status = Status::deadline_exceeded("too late");
                        say(&status);
                        Err(status)
                    }
                };
                result.map_err(|status| status.code().into())
            }

            async fn drain(
                response: Result<Response<Streaming<Bytes>>, Status>,
            ) -> Result<usize, Status> {
                let mut stream = response?.into_inner();
                let mut messages = 0;
                while stream.message().await?.is_some() {
                    messages += 1;
                }
                Ok(messages)
            }
        }
    };
}

tonic_client!(tonic_14, tonic);
tonic_client!(tonic_13, tonic_0_13);

const OK: &str = "OK";

/// The method, the kind of call, the code on its span, and a part of the status description.
const ENDINGS: &[(&str, Call, &str, &str)] = &[
    ("Good", Call::Unary, OK, ""),
    ("Good", Call::ClientStreaming, OK, ""),
    ("Good", Call::ServerStreaming, OK, ""),
    ("Echo", Call::Bidirectional, OK, ""),
    ("Trailers", Call::Unary, "INTERNAL", "no way!"),
    ("Trailers", Call::ServerStreaming, "INTERNAL", "no way!"),
    ("AfterMessage", Call::Unary, "RESOURCE_EXHAUSTED", "enough"),
    (
        "AfterMessage",
        Call::ServerStreaming,
        "RESOURCE_EXHAUSTED",
        "enough",
    ),
    (
        "AfterMessage",
        Call::Bidirectional,
        "RESOURCE_EXHAUSTED",
        "enough",
    ),
    ("TrailersOnly", Call::Unary, "NOT_FOUND", "nowhere"),
    ("TrailersOnly", Call::Bidirectional, "NOT_FOUND", "nowhere"),
    ("Proxy", Call::Unary, "UNAVAILABLE", "HTTP status 503"),
    (
        "NoStatus",
        Call::ServerStreaming,
        "UNKNOWN",
        "without a `grpc-status`",
    ),
    (
        "NoStatus",
        Call::Unary,
        "UNKNOWN",
        "without a `grpc-status`",
    ),
    (
        "ResetInBody",
        Call::ServerStreaming,
        "INTERNAL",
        "internal error",
    ),
    ("ResetInBody", Call::Unary, "INTERNAL", "internal error"),
    ("Break", Call::Unary, "INTERNAL", "protocol error"),
    ("Refuse", Call::Unary, "UNAVAILABLE", "refused stream"),
    ("Cancel", Call::Unary, "CANCELLED", "no longer needed"),
    ("Calm", Call::Unary, "RESOURCE_EXHAUSTED", "excessive load"),
    (
        "Insecure",
        Call::Unary,
        "PERMISSION_DENIED",
        "security properties",
    ),
    ("Close", Call::Unary, "UNAVAILABLE", ""),
    ("GoAway", Call::Unary, "UNAVAILABLE", "connection"),
    ("GoAway", Call::ServerStreaming, "UNAVAILABLE", "connection"),
    ("GoAwayGently", Call::Unary, OK, ""),
    ("GoAwayGently", Call::ServerStreaming, OK, ""),
    (
        "Hang",
        Call::Deadline,
        "DEADLINE_EXCEEDED",
        "Timeout expired",
    ),
    ("Hang", Call::Dropped, "CANCELLED", "dropped"),
    ("HangInBody", Call::Dropped, "CANCELLED", "dropped"),
    ("HangInBody", Call::StreamDropped, "CANCELLED", "dropped"),
    ("HangInBody", Call::StreamUnread, "CANCELLED", "dropped"),
    // The layer can't see that a response is invalid, unless the caller sets the status.
    ("Garbled", Call::Unary, "CANCELLED", "dropped"),
    ("Garbled", Call::ServerStreaming, "CANCELLED", "dropped"),
    ("Misframed", Call::Unary, "CANCELLED", "dropped"),
    ("Garbled", Call::Held, "INTERNAL", "this is no message"),
    (
        "Garbled",
        Call::StreamHeld,
        "INTERNAL",
        "this is no message",
    ),
    ("Misframed", Call::Held, "INTERNAL", "compress"),
    ("Misframed", Call::StreamHeld, "INTERNAL", "compress"),
    ("Hang", Call::HeldDropped, "DEADLINE_EXCEEDED", "too late"),
    (
        "HangInBody",
        Call::HeldDropped,
        "DEADLINE_EXCEEDED",
        "too late",
    ),
    // The caller can't change the status of a completed call.
    ("Good", Call::Held, OK, ""),
    ("Good", Call::StreamHeld, OK, ""),
    ("Trailers", Call::Held, "INTERNAL", "no way!"),
    ("Trailers", Call::StreamHeld, "INTERNAL", "no way!"),
    ("TrailersOnly", Call::Held, "NOT_FOUND", "nowhere"),
    ("Refuse", Call::Held, "UNAVAILABLE", "refused stream"),
];

#[tokio::test]
async fn a_span_has_the_status_of_its_call() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for &(method, call, code, words) in ENDINGS {
        for version in ["0.13", "0.14"] {
            let what = format!("{method}, {call:?}, tonic {version}");
            let recorder = Recorder::default();
            let root = recorder.root();
            let layer = recorder.layer().with_server("db.example", 19530);
            let call = async {
                match version {
                    "0.13" => tonic_13::make(server.address, &layer, method, call).await,
                    _ => tonic_14::make(server.address, &layer, method, call).await,
                }
            };
            let caller = call.with_context(root.clone()).await;
            let span = recorder.take_one();
            let status = number(code).to_string();
            let failed = code != OK;
            let attributes = [
                ("rpc.system", Some("grpc")),
                ("rpc.service", Some("test.Service")),
                ("rpc.method", Some(method)),
                ("server.address", Some("db.example")),
                ("server.port", Some("19530")),
                ("rpc.grpc.status_code", Some(status.as_str())),
                ("error.type", failed.then_some(code)),
            ];
            for (key, expected) in attributes {
                let found = text(&span, key);
                if found.as_deref() != expected {
                    wrong.push(format!("{what}: `{key}` is {found:?}, not {expected:?}"));
                }
            }
            if failed != error(&span).is_some() || !error(&span).unwrap_or_default().contains(words)
            {
                wrong.push(format!("{what}: {:?} without `{words}`", span.status));
            }
            if !failed && caller.is_err() {
                wrong.push(format!("{what}: the caller was told {caller:?}"));
            }
            assert_eq!(span.name, format!("test.Service/{method}"), "{what}");
            assert_eq!(span.span_kind, SpanKind::Client, "{what}");
            assert_eq!(span.parent_span_id, span_context(&root).span_id(), "{what}");
            let [request] = &server.take_requests()[..] else {
                panic!("{what}: one request")
            };
            let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
            assert_eq!(
                request["traceparent"],
                format!("00-{trace}-{id}-01"),
                "{what}"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_missing_server_is_unavailable() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let recorder = Recorder::default();
    let code = tonic_14::make(nobody, &recorder.layer(), "Good", Call::Unary)
        .await
        .unwrap_err();
    assert_eq!(code, number("UNAVAILABLE"));
    assert_eq!(
        text(&recorder.take_one(), "error.type").as_deref(),
        Some("UNAVAILABLE")
    );
    let code = tonic_13::make(nobody, &recorder.layer(), "Good", Call::Unary)
        .await
        .unwrap_err();
    assert_eq!(code, number("UNAVAILABLE"));
    assert_eq!(
        text(&recorder.take_one(), "error.type").as_deref(),
        Some("UNAVAILABLE")
    );
}

fn number(code: &str) -> i32 {
    (0..=16)
        .find(|number| Code::from_number((*number).into()).name() == code)
        .unwrap()
}

#[tokio::test]
async fn each_generation_of_the_conventions_has_its_own_attributes() {
    let server = Server::start().await;
    let old = [
        "rpc.system=grpc",
        "rpc.service=test.Service",
        "rpc.method=Trailers",
        "rpc.grpc.status_code=13",
    ];
    let new = [
        "rpc.system.name=grpc",
        "rpc.method=test.Service/Trailers",
        "rpc.response.status_code=INTERNAL",
    ];
    let both: Vec<&str> = old
        .iter()
        .copied()
        .filter(|text| !text.starts_with("rpc.method"))
        .chain(new)
        .collect();
    for (conventions, expected) in [
        (Conventions::Old, &old[..]),
        (Conventions::New, &new[..]),
        (Conventions::Both, &both[..]),
    ] {
        let recorder = Recorder::default();
        let layer = recorder.layer().with_conventions(conventions);
        tonic_14::make(server.address, &layer, "Trailers", Call::Unary)
            .await
            .unwrap_err();
        let span = recorder.take_one();
        assert_eq!(span.name, "test.Service/Trailers", "{conventions:?}");
        let mut found: Vec<String> = span
            .attributes
            .iter()
            .map(|attribute| format!("{}={}", attribute.key, attribute.value))
            .collect();
        found.retain(|text| text.starts_with("rpc."));
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{conventions:?}");
        assert_eq!(
            text(&span, "error.type").as_deref(),
            Some("INTERNAL"),
            "{conventions:?}"
        );
    }
}

#[tokio::test]
async fn without_a_given_server_the_uri_names_it() {
    let recorder = Recorder::default();
    for (uri, expected) in [
        (
            "http://db.example:7777/test.Service/Good",
            Some(("db.example", "7777")),
        ),
        (
            "https://db.example/test.Service/Good",
            Some(("db.example", "443")),
        ),
        (
            "http://[2001:db8::7]:7777/test.Service/Good",
            Some(("2001:db8::7", "7777")),
        ),
        ("/test.Service/Good", None),
    ] {
        let request = http::Request::builder().uri(uri).body(()).unwrap();
        service::call(&mut recorder.layer().layer(Answering::default()), request)
            .await
            .unwrap();
        let span = recorder.take_one();
        let found = text(&span, "server.address").zip(text(&span, "server.port"));
        assert_eq!(
            found,
            expected.map(|(host, port)| (host.to_owned(), port.to_owned())),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn calls_that_the_filter_excludes_pass_unchanged() {
    let recorder = Recorder::default();
    let seen = service::Seen::default();
    let layer = recorder
        .layer()
        .with_filter(|method| method.method() != "Quiet");
    let mut service = layer.layer(Answering::seen_by(&seen, 0));
    service::call(&mut service, service::request("Quiet"))
        .await
        .unwrap();
    assert_eq!(recorder.take(), []);
    assert!(!seen.lock().unwrap()[0].0.contains_key("traceparent"));
    service::call(&mut service, service::request("Loud"))
        .await
        .unwrap();
    assert_eq!(recorder.take_one().name, "test.Service/Loud");
}

/// A custom propagator.
#[derive(Debug)]
struct Own;

impl TextMapPropagator for Own {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span();
        let (trace, id) = (
            span.span_context().trace_id(),
            span.span_context().span_id(),
        );
        injector.set("X-Own", format!("{trace}/{id}"));
        injector.set("traceparent", format!("00-{trace}-{id}-03"));
    }

    fn extract_with_context(&self, context: &Context, _: &dyn Extractor) -> Context {
        context.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[tokio::test]
async fn a_context_is_sent_by_the_chosen_propagator() {
    let trace_id = TraceId::from(0x1234_5678);
    let state = TraceState::from_key_value([("vendor", "value")]).unwrap();
    let parent = SpanContext::new(trace_id, SpanId::from(7), TraceFlags::new(3), true, state);
    let context = Context::new()
        .with_remote_span_context(parent)
        .with_baggage([
            KeyValue::new("user", "jo"),
            KeyValue::new("odd", "a b,c;d\"e\\f%ü"),
        ]);
    let headers_with = async |layer: GrpcTraceLayer| {
        let seen = service::Seen::default();
        let mut service = layer.layer(Answering::seen_by(&seen, 0));
        service::call(&mut service, service::request("Good"))
            .with_context(context.clone())
            .await
            .unwrap();
        seen.lock().unwrap()[0].0.clone()
    };
    let recorder = Recorder::default();

    let headers = headers_with(recorder.layer()).await;
    let id = recorder.take_one().span_context.span_id();
    assert_eq!(headers["traceparent"], format!("00-{trace_id}-{id}-03"));
    assert_eq!(headers["tracestate"], "vendor=value");
    let mut baggage: Vec<&str> = headers["baggage"].to_str().unwrap().split(',').collect();
    baggage.sort_unstable();
    assert_eq!(baggage, ["odd=a%20b%2Cc%3Bd%22e%5Cf%25%C3%BC", "user=jo"]);

    let headers = headers_with(recorder.layer().with_level_1_flags(true)).await;
    let id = recorder.take_one().span_context.span_id();
    assert_eq!(headers["traceparent"], format!("00-{trace_id}-{id}-01"));

    let headers = headers_with(
        recorder
            .layer()
            .with_propagator(Own)
            .with_level_1_flags(true),
    )
    .await;
    let id = recorder.take_one().span_context.span_id();
    assert_eq!(headers["x-own"], format!("{trace_id}/{id}"));
    assert_eq!(headers["traceparent"], format!("00-{trace_id}-{id}-01"));
    assert!(!headers.contains_key("baggage"));
}

#[tokio::test]
async fn an_unsampled_call_tells_the_server_and_leaves_no_span() {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_simple_exporter(exporter.clone())
        .build();
    let seen = service::Seen::default();
    let layer = GrpcTraceLayer::new().with_tracer_provider(&provider);
    let mut service = layer.layer(Answering::seen_by(&seen, 0));
    service::call(&mut service, service::request("Good"))
        .await
        .unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap(), []);
    let headers = &seen.lock().unwrap()[0].0;
    assert!(
        headers["traceparent"].to_str().unwrap().ends_with("-00"),
        "{headers:?}"
    );
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn durations_follow_the_conventions() {
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    for (conventions, expected) in [
        (
            Conventions::Old,
            vec![
                "rpc.client.duration ms rpc.grpc.status_code,rpc.method,rpc.service,rpc.system,server.address,server.port",
            ],
        ),
        (
            Conventions::New,
            vec![
                "rpc.client.call.duration s rpc.method,rpc.response.status_code,rpc.system.name,server.address,server.port",
            ],
        ),
        (
            Conventions::Both,
            vec![
                "rpc.client.call.duration s rpc.method,rpc.response.status_code,rpc.system.name,server.address,server.port",
                "rpc.client.duration ms rpc.grpc.status_code,rpc.method,rpc.service,rpc.system,server.address,server.port",
            ],
        ),
    ] {
        let exporter = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(exporter.clone()).build())
            .build();
        let recorder = Recorder::default();
        let layer = recorder
            .layer()
            .with_server("db.example", 1)
            .with_meter_provider(&meters)
            .with_conventions(conventions);
        let mut service = layer.layer(Answering::default());
        for _ in 0..3 {
            service::call(&mut service, service::request("Good"))
                .await
                .unwrap();
        }
        meters.force_flush().unwrap();
        let mut found = Vec::new();
        for resource in exporter.get_finished_metrics().unwrap() {
            for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
                let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
                    panic!("a histogram")
                };
                let [point] = &histogram.data_points().collect::<Vec<_>>()[..] else {
                    panic!("one series")
                };
                assert_eq!(point.count(), 3);
                let mut keys: Vec<&str> = point
                    .attributes()
                    .map(|attribute| attribute.key.as_str())
                    .collect();
                keys.sort_unstable();
                found.push(format!(
                    "{} {} {}",
                    metric.name(),
                    metric.unit(),
                    keys.join(",")
                ));
            }
        }
        found.sort();
        assert_eq!(found, expected);
    }
}
