//! `Telemetry` in separate processes, each with its own environment.
//!
//! Every test runs this test binary again, with a variable that selects one of the programs below.

use milvus_otel::{GrpcTraceLayer, Telemetry};
use milvus_otel_tests::receiver::Receiver;
use milvus_otel_tests::service::{self, Answering};
use opentelemetry::trace::{Span, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tower_layer::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// Names and values.
type Pairs<'a> = &'a [(&'a str, &'a str)];

const PROGRAM: &str = "MILVUS_OTEL_TEST_PROGRAM";

/// The programs that a child process runs.
#[test]
fn child() {
    let Ok(program) = std::env::var(PROGRAM) else {
        return;
    };
    let current_thread = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let multi_thread = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    match program.as_str() {
        "no runtime" => end(work(install(), 10)),
        "current thread" => current_thread().block_on(async { end(work(install(), 10)) }),
        "multi thread" => multi_thread().block_on(async { end(work(install(), 10)) }),
        "dropped" => current_thread().block_on(async { drop(work(install(), 10)) }),
        "twice" => {
            let telemetry = work(install(), 10);
            telemetry.tracer_provider().force_flush().unwrap();
            end(work(telemetry, 5));
        }
        "headers" => {
            let seen = service::Seen::default();
            let telemetry = install();
            let mut service = GrpcTraceLayer::new().layer(Answering::seen_by(&seen, 0));
            let context = Context::current_with_span(global::tracer("t").start("root"));
            let _current = context.attach();
            current_thread()
                .block_on(service::call(&mut service, service::request("Good")))
                .unwrap();
            let headers: Vec<String> = seen.lock().unwrap()[0]
                .0
                .keys()
                .map(ToString::to_string)
                .collect();
            println!("headers: {}", headers.join(" "));
            end(telemetry);
        }
        "tracing" => {
            let telemetry = install();
            let subscriber = tracing_subscriber::registry().with(telemetry.tracing_layer());
            tracing::subscriber::with_default(subscriber, || {
                let _outer = tracing::info_span!("outer").entered();
                let mut service = GrpcTraceLayer::new().layer(Answering::default());
                current_thread()
                    .block_on(service::call(&mut service, service::request("Good")))
                    .unwrap();
            });
            end(telemetry);
        }
        "tracing alone" => {
            let telemetry = install();
            let layer = telemetry.tracing_layer();
            tracing_subscriber::util::SubscriberInitExt::init(
                tracing_subscriber::registry().with(layer),
            );
            tracing::info_span!("the only span").in_scope(|| {});
            for _ in 0..5 {
                telemetry.tracer_provider().force_flush().unwrap();
            }
            assert!(!tracing::enabled!(target: "h2::codec", tracing::Level::INFO));
            assert!(!tracing::enabled!(target: "hyper", tracing::Level::ERROR));
            end(telemetry);
        }
        "warning before the subscriber" => {
            let telemetry = Telemetry::from_env().unwrap();
            let subscriber = tracing_subscriber::registry().with(telemetry.tracing_layer());
            let subscriber = subscriber.with(Printed);
            tracing_subscriber::util::SubscriberInitExt::init(subscriber);
            println!("the subscriber is there");
            end(work(telemetry, 1));
        }
        "still open" => {
            let telemetry = work(install(), 3);
            let open = global::tracer("open").start("open");
            end(telemetry);
            drop(open);
        }
        "too many" => end(work(install(), 20_000)),
        #[cfg(all(feature = "metrics", feature = "logs"))]
        "three signals" => {
            let telemetry = install();
            let subscriber = tracing_subscriber::registry().with(telemetry.log_layer());
            tracing::subscriber::with_default(subscriber, || {
                let root = Context::current_with_span(global::tracer("t").start("root"));
                let current = root.clone().attach();
                let mut service = GrpcTraceLayer::new().layer(Answering::default());
                for _ in 0..3 {
                    current_thread()
                        .block_on(service::call(&mut service, service::request("Good")))
                        .unwrap();
                }
                tracing::info!(calls = 3, "made them");
                drop(current);
                root.span().end();
            });
            end(telemetry);
        }
        "a million" => million(),
        "wrong" => println!("{}", Telemetry::from_env().map(drop).unwrap_err()),
        other => panic!("no program is called `{other}`"),
    }
}

fn install() -> Telemetry {
    let builder = Telemetry::builder()
        .default_service_name("default-name")
        .default_attribute("application", "default-application");
    let subscriber = tracing_subscriber::registry().with(Printed);
    tracing::subscriber::with_default(subscriber, || builder.install()).unwrap()
}

/// Prints warnings.
struct Printed;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Printed {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            println!("warned: {event:?}");
        }
    }
}

fn work(telemetry: Telemetry, spans: usize) -> Telemetry {
    let tracer = global::tracer("work");
    for _ in 0..spans {
        tracer.start("work").end();
    }
    telemetry
}

fn end(telemetry: Telemetry) {
    match telemetry.shutdown() {
        Ok(()) => println!("nothing was lost"),
        Err(lost) => println!("lost: {lost}"),
    }
}

/// Makes a million traced calls, and prints the memory after the first tenth and at the end.
fn million() {
    let telemetry = install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut service = GrpcTraceLayer::new().layer(Answering::default());
    let mut longest = Duration::ZERO;
    let mut calls = |count: usize| {
        for _ in 0..count {
            let start = Instant::now();
            runtime
                .block_on(service::call(&mut service, service::request("Search")))
                .unwrap();
            longest = longest.max(start.elapsed());
        }
        resident_bytes()
    };
    let early = calls(100_000);
    let waits = status("/proc/thread-self/status", "voluntary_ctxt_switches:");
    let late = calls(900_000);
    let waits = status("/proc/thread-self/status", "voluntary_ctxt_switches:") - waits;
    println!("waited {waits} times");
    println!("resident {} KiB", late / 1024);
    println!("grew by {} KiB", late.saturating_sub(early) / 1024);
    println!("longest call {} ms", longest.as_millis());
    let start = Instant::now();
    let lost = telemetry.shutdown();
    println!("shutdown took {} ms", start.elapsed().as_millis());
    match lost {
        Ok(()) => println!("nothing was lost"),
        Err(lost) => println!("ended {} lost {}", lost.ended, lost.lost),
    }
}

fn resident_bytes() -> u64 {
    status("/proc/self/status", "VmRSS:") * 1024
}

/// A number from a process's or thread's status file in `/proc`.
fn status(file: &str, name: &str) -> u64 {
    let status = fs::read_to_string(file).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let number = value.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

/// Runs a program, and returns what it printed.
fn run(program: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture"])
        .env(PROGRAM, program);
    for name in std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("OTEL_"))
    {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text}");
    text
}

#[test]
fn everything_is_flushed_on_every_flavor_of_runtime() {
    for (program, expected) in [
        ("no runtime", 10),
        ("current thread", 10),
        ("multi thread", 10),
        ("dropped", 10),
        ("twice", 15),
    ] {
        let receiver = Receiver::start();
        let printed = run(
            program,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
                // Without a flush, nothing would be sent before this.
                ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
            ],
        );
        assert_eq!(receiver.spans().len(), expected, "{program}: {printed}");
        assert!(
            program == "dropped" || printed.contains("nothing was lost"),
            "{program}: {printed}"
        );
    }
}

#[test]
fn spans_that_could_not_be_sent_are_counted_and_reported() {
    for program in ["current thread", "multi thread"] {
        let printed = run(
            program,
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")],
        );
        assert!(
            printed.contains("lost: 10 of 10 spans were not delivered"),
            "{printed}"
        );
        assert!(printed.contains("refused"), "it says why: {printed}");
        assert!(
            printed.contains("\n\nhint: is a receiver up at `OTEL_EXPORTER_OTLP_ENDPOINT`?"),
            "{printed}"
        );
    }
}

#[test]
fn spans_that_overflow_the_queue_are_counted_and_reported() {
    let receiver = Receiver::start();
    let printed = run(
        "too many",
        &[
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ],
    );
    let delivered = receiver.spans().len();
    let lost = format!(
        "lost: {} of 20000 spans were not delivered: the queue was full",
        20_000 - delivered
    );
    assert!(
        delivered > 0 && printed.contains(&lost),
        "{delivered}: {printed}"
    );
}

#[test]
fn a_receiver_that_never_answers_delays_nothing() {
    let receiver = Receiver::hanging();
    let start = Instant::now();
    let printed = run(
        "current thread",
        &[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ],
    );
    assert!(
        printed.contains("lost: 10 of 10 spans were not delivered"),
        "{printed}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "the deadline is the variable's, not the shutdown's of five seconds: {:?}",
        start.elapsed()
    );
}

#[test]
fn the_environment_selects_how_spans_are_sent() {
    let cases: &[(Pairs<'_>, &str, &str)] = &[
        (&[], "content-type", "application/grpc"),
        (
            &[("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")],
            "api-key",
            "secret",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=traces")],
            "api-key",
            "traces",
        ),
        #[cfg(feature = "transports")]
        (
            &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")],
            "grpc-encoding",
            "gzip",
        ),
    ];
    for &(environment, header, expected) in cases {
        let receiver = Receiver::start();
        let endpoint = receiver.endpoint();
        let to_it = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str())];
        let printed = run("no runtime", &[environment, &to_it].concat());
        assert_eq!(receiver.spans().len(), 10, "{environment:?}: {printed}");
        assert_eq!(receiver.headers()[0][header], expected, "{environment:?}");
    }
}

#[cfg(feature = "transports")]
#[test]
fn the_environment_can_select_http() {
    for program in ["no runtime", "current thread", "multi thread"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = std::thread::spawn(move || receive_over_http(&listener));
        let printed = run(
            program,
            &[
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ],
        );
        assert!(printed.contains("nothing was lost"), "{program}: {printed}");
        let (head, spans) = received.join().unwrap();
        assert!(head.starts_with("POST /v1/traces "), "{program}: {head}");
        assert_eq!(spans, 10, "{program}");
    }
}

#[cfg(feature = "transports")]
/// Receives one request and returns its head and the number of its spans.
fn receive_over_http(listener: &std::net::TcpListener) -> (String, usize) {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;
    use std::io::{BufRead, BufReader, Read, Write};

    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().unwrap())
    });
    let mut message = vec![0; length.expect("a request says how long it is")];
    reader.read_exact(&mut message).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
    let request = ExportTraceServiceRequest::decode(&*message).unwrap();
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    (head, scopes.map(|scope| scope.spans.len()).sum())
}

#[test]
fn the_environment_overrides_defaults() {
    let own = [
        ("service.name", "default-name"),
        ("application", "default-application"),
    ];
    let cases: [(Pairs<'_>, Pairs<'_>); 6] = [
        (
            &[
                ("OTEL_SERVICE_NAME", "cart"),
                (
                    "OTEL_RESOURCE_ATTRIBUTES",
                    "service.name=fleet,deployment.environment.name=pre%20prod",
                ),
            ],
            &[
                ("service.name", "cart"),
                ("deployment.environment.name", "pre prod"),
                own[1],
            ],
        ),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "application=a%2Cb")],
            &[own[0], ("application", "a,b")],
        ),
        (&[], &own),
        (
            &[("OTEL_SERVICE_NAME", "named")],
            &[("service.name", "named"), own[1]],
        ),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "application=other,more=1")],
            &[own[0], ("application", "other"), ("more", "1")],
        ),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed")],
            &[("service.name", "listed"), own[1]],
        ),
    ];
    for (environment, expected) in cases {
        let receiver = Receiver::start();
        let endpoint = receiver.endpoint();
        run(
            "no runtime",
            &[
                environment,
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())],
            ]
            .concat(),
        );
        let request = receiver.requests().pop().unwrap();
        let resource = request.resource_spans[0].resource.clone().unwrap();
        let found: BTreeMap<String, String> = resource
            .attributes
            .into_iter()
            .filter_map(|attribute| match attribute.value?.value? {
                Value::StringValue(text) => Some((attribute.key, text)),
                _ => None,
            })
            .collect();
        for (key, value) in expected {
            assert_eq!(
                found.get(*key).map(String::as_str),
                Some(*value),
                "{environment:?}: {found:?}"
            );
        }
        assert_eq!(found["telemetry.sdk.language"], "rust");
    }
}

#[test]
fn the_environment_can_turn_things_off() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
    ] {
        let receiver = Receiver::start();
        let printed = run(
            "no runtime",
            &[
                off,
                ("OTEL_TRACES_SAMPLER_ARG", "0"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
            ],
        );
        assert_eq!(receiver.spans().len(), 0, "{off:?}");
        assert!(printed.contains("nothing was lost"), "{off:?}: {printed}");
    }
}

#[test]
fn the_environment_selects_the_propagators() {
    for (propagators, expected) in [
        ("", "traceparent"),
        ("tracecontext,baggage", "traceparent"),
        ("none", ""),
    ] {
        let receiver = Receiver::start();
        let printed = run(
            "headers",
            &[
                ("OTEL_PROPAGATORS", propagators),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
            ],
        );
        assert!(
            printed.contains(&format!("headers: {expected}\n")),
            "{propagators}: {printed}"
        );
    }
}

#[test]
fn unknown_entries_of_a_list_are_skipped_with_a_warning() {
    let cases = [
        ("OTEL_PROPAGATORS", "b3, tracecontext", "traceparent", "b3"),
        ("OTEL_PROPAGATORS", "tracecontext,", "traceparent", ""),
        ("OTEL_PROPAGATORS", "xray,none", "", "xray"),
        (
            "OTEL_TRACES_EXPORTER",
            "console,otlp",
            "traceparent",
            "console",
        ),
        ("OTEL_TRACES_EXPORTER", ",otlp,", "traceparent", ""),
    ];
    for (variable, value, headers, skipped) in cases {
        let receiver = Receiver::start();
        let endpoint = receiver.endpoint();
        let environment = [
            (variable, value),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ];
        let printed = run("headers", &environment);
        let expected = format!("headers: {headers}\n");
        assert!(printed.contains(&expected), "{value}: {printed}");
        assert!(!receiver.spans().is_empty(), "{value}: {printed}");
        let warning = format!("`{skipped}` in `{variable}` is skipped: it is none of");
        let warnings = printed.matches("warned: ").count();
        assert_eq!(
            warnings,
            usize::from(!skipped.is_empty()),
            "{value}: {printed}"
        );
        assert_eq!(
            printed.contains(&warning),
            !skipped.is_empty(),
            "{value}: {printed}"
        );
    }
}

#[test]
fn invalid_values_are_ignored_if_telemetry_is_off() {
    let printed = run(
        "no runtime",
        &[
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ],
    );
    assert!(printed.contains("nothing was lost"), "{printed}");
}

#[test]
fn invalid_values_are_an_error() {
    let cases = [
        (
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            "`OTEL_TRACES_EXPORTER` is `jaeger`, which is none of `otlp`, `none`",
        ),
        (
            ("OTEL_PROPAGATORS", "b3"),
            "`OTEL_PROPAGATORS` is `b3`, which is none of `tracecontext`, `baggage`, `none`",
        ),
        (
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            "`OTEL_EXPORTER_OTLP_PROTOCOL` is `http/json`, which is none of",
        ),
        (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a uri"),
            "cannot make an exporter:",
        ),
    ];
    for (variable, expected) in cases {
        let printed = run("wrong", &[variable]);
        assert!(printed.contains(expected), "{variable:?}: {printed}");
    }
}

#[test]
fn rejected_spans_are_counted_and_reported() {
    let receiver = Receiver::rejecting(4);
    let printed = run(
        "no runtime",
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())],
    );
    let lost = "lost: 4 of 10 spans were not delivered: the receiver rejected 4 of 10";
    assert!(printed.contains(lost), "{printed}");
}

#[test]
fn open_spans_are_counted_and_reported_at_shutdown() {
    let receiver = Receiver::start();
    let printed = run(
        "still open",
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())],
    );
    let lost = "lost: 1 of 4 spans were not delivered: 1 span was still open\n\nhint: end every";
    assert!(printed.contains(lost), "{printed}");
    assert_eq!(receiver.spans().len(), 3);
}

#[test]
fn the_export_is_not_traced() {
    let receiver = Receiver::start();
    let printed = run(
        "tracing alone",
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())],
    );
    let names: Vec<String> = receiver.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["the only span"], "{printed}");
}

#[test]
fn a_warning_waits_for_a_subscriber() {
    let receiver = Receiver::start();
    let printed = run(
        "warning before the subscriber",
        &[
            ("OTEL_PROPAGATORS", "tracecontext,b3"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint()),
        ],
    );
    let told = &printed[printed.find("the subscriber is there").unwrap()..];
    assert!(
        told.contains("`b3` in `OTEL_PROPAGATORS` is skipped"),
        "{printed}"
    );
    assert_eq!(printed.matches("warned: ").count(), 1, "{printed}");
}

#[test]
fn a_call_within_a_span_of_tracing_is_its_child() {
    let receiver = Receiver::start();
    run(
        "tracing",
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())],
    );
    let spans = receiver.spans();
    let outer = spans.iter().find(|span| span.name == "outer").unwrap();
    let call = spans
        .iter()
        .find(|span| span.name == "test.Service/Good")
        .unwrap();
    assert_eq!(call.parent_span_id, outer.span_id);
    assert_eq!(call.trace_id, outer.trace_id);
}

#[cfg(all(feature = "metrics", feature = "logs"))]
#[test]
fn metrics_and_logs_are_sent_where_the_environment_asks_for_them() {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;

    let receiver = Receiver::start();
    let endpoint = receiver.endpoint();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint);
    run("three signals", &[endpoint]);
    assert_eq!((receiver.metrics(), receiver.logs()), (vec![], vec![]));

    let receiver = Receiver::start();
    let endpoint = receiver.endpoint();
    run(
        "three signals",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ],
    );
    let (root, calls): (Vec<_>, Vec<_>) = receiver
        .spans()
        .into_iter()
        .partition(|span| span.name == "root");
    let [root] = &root[..] else {
        panic!("one root: {root:?}")
    };

    let metrics = receiver.metrics();
    let scopes = metrics.iter().flat_map(|request| &request.resource_metrics);
    let scopes = scopes.flat_map(|resource| &resource.scope_metrics);
    let [metric] = &scopes.flat_map(|scope| &scope.metrics).collect::<Vec<_>>()[..] else {
        panic!("one metric: {metrics:?}")
    };
    assert_eq!(
        (&*metric.name, &*metric.unit),
        ("rpc.client.duration", "ms")
    );
    let Some(Data::Histogram(histogram)) = &metric.data else {
        panic!("a histogram: {metric:?}")
    };
    let counted: u64 = histogram.data_points.iter().map(|point| point.count).sum();
    assert_eq!(counted, calls.len() as u64);

    let logs = receiver.logs();
    let scopes = logs.iter().flat_map(|request| &request.resource_logs);
    let scopes = scopes.flat_map(|resource| &resource.scope_logs);
    let [line] = &scopes
        .flat_map(|scope| &scope.log_records)
        .collect::<Vec<_>>()[..]
    else {
        panic!("one record: {logs:?}")
    };
    assert_eq!(
        (&line.trace_id, &line.span_id),
        (&root.trace_id, &root.span_id)
    );
    let body = line.body.as_ref().and_then(|body| body.value.clone());
    assert_eq!(body, Some(Value::StringValue("made them".to_owned())));
}

#[test]
#[ignore = "makes three million calls"]
fn slow_memory_stays_flat_over_a_million_calls_whatever_the_receiver_does() {
    let (sink, hanging) = (Receiver::sink(), Receiver::hanging());
    let nobody = "http://127.0.0.1:1".to_owned();
    for endpoint in [sink.endpoint(), nobody, hanging.endpoint()] {
        let printed = run("a million", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
        println!("{endpoint}: {printed}");
        let number = |before: &str| {
            let rest = &printed[printed.find(before).unwrap() + before.len()..];
            rest.split_whitespace()
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        assert!(number("grew by ") < 8 * 1024, "{printed}");
        // A busy machine delays calls too, so only the caller's own waits count: with a queue that blocks, there would
        // be one for every batch of 512.
        assert!(number("waited ") < 900, "nothing blocks: {printed}");
        assert!(number("shutdown took ") < 7_000, "{printed}");
        if endpoint != sink.endpoint() {
            assert!(printed.contains("ended 1000000 lost 1000000"), "{printed}");
        }
    }
}
