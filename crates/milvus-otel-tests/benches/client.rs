//! What tracing a call costs: a service in memory that answers at once, bare and under each layer.
//!
//! `cargo bench -p milvus-otel-tests --bench client`. All variants run in turn in one process, many times over, so
//! that what else the machine does falls on all alike; a variant's cost is the median of its differences from the
//! bare call of the same turn. Exits with 1 where the layer costs more than it may.

use milvus_otel::GrpcTraceLayer;
use milvus_otel_tests::service::{self, Answering};
use opentelemetry::propagation::Injector;
use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanKind, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData,
    SpanExporter,
};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::runtime::Runtime;
use tonic_tracing_opentelemetry::middleware::client::OtelGrpcLayer;
use tower_layer::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// Calls are made in bursts of some microseconds, which a busy machine seldom interrupts.
const TURNS: usize = 8_000;
const CALLS: usize = 25;

/// The calls that warm a variant up and count its allocations.
const FIRST_CALLS: usize = 1_000;

/// The most that the layer may add to a call, of what its peer adds.
const MOST_TIME: f64 = 0.40;
const MOST_ALLOCATIONS: f64 = 0.50;

/// The most that the layer may add to a call, of what the SDK alone adds for the same span.
const MOST_OF_SDK: f64 = 1.25;

/// Makes that many calls.
type MakeCalls = dyn Fn(&Runtime, usize);

/// One way of making a call.
struct Variant {
    name: &'static str,
    run: Box<MakeCalls>,
    nanoseconds: Vec<f64>,
    allocations: f64,
}

impl Variant {
    fn new(name: &'static str, run: impl Fn(&Runtime, usize) + 'static) -> Self {
        Self {
            name,
            run: Box::new(run),
            nanoseconds: Vec::new(),
            allocations: 0.0,
        }
    }
}

/// Takes spans and forgets them.
#[derive(Debug)]
struct Forget;

impl SpanExporter for Forget {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

fn main() -> ExitCode {
    // As its guide has it, the peer sends context by the global propagator; ours takes that as well where one is set.
    opentelemetry::global::set_text_map_propagator(
        opentelemetry::propagation::TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]),
    );
    let silent = SdkTracerProvider::builder().build();
    let batching = SdkTracerProvider::builder()
        .with_span_processor(
            BatchSpanProcessor::builder(Forget)
                // Room for all spans of a turn, so that none is dropped before it has cost anything.
                .with_batch_config(
                    BatchConfigBuilder::default()
                        .with_max_queue_size(65_536)
                        .build(),
                )
                .build(),
        )
        .build();

    let tracer = Switch {
        tracers: [silent.tracer("peer"), batching.tracer("peer")],
        batching: Arc::default(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("it is the first");

    let mut variants = [
        Variant::new("bare", |runtime, calls| {
            runtime.block_on(make_calls(Answering::default(), calls));
        }),
        Variant::new("milvus-otel, nothing exporting", ours(&silent)),
        Variant::new(
            "tonic-tracing-opentelemetry, nothing exporting",
            peers(&tracer, false),
        ),
        Variant::new("milvus-otel, batch processor", ours(&batching)),
        Variant::new(
            "tonic-tracing-opentelemetry, batch processor",
            peers(&tracer, true),
        ),
        Variant::new("the same span by the SDK alone", by_hand(&silent)),
    ];
    measure(&mut variants);
    report(&variants)
}

fn ours(provider: &SdkTracerProvider) -> impl Fn(&Runtime, usize) + 'static {
    let service = GrpcTraceLayer::new()
        .with_tracer_provider(provider)
        .layer(Answering::default());
    move |runtime, calls| runtime.block_on(make_calls(service.clone(), calls))
}

/// The least that the same span takes: made, sent along and ended around the call, by the SDK's own means.
fn by_hand(provider: &SdkTracerProvider) -> impl Fn(&Runtime, usize) + 'static {
    let tracer = provider.tracer("by hand");
    move |runtime, calls| {
        runtime.block_on(async {
            let mut service = Answering::default();
            for _ in 0..calls {
                let attributes = vec![
                    KeyValue::new("rpc.system", "grpc"),
                    KeyValue::new("rpc.service", "test.Service"),
                    KeyValue::new("rpc.method", "Search"),
                ];
                let span = SpanBuilder::from_name("test.Service/Search")
                    .with_kind(SpanKind::Client)
                    .with_attributes(attributes);
                let span = tracer.build_with_context(span, &Context::current());
                let context = Context::current_with_span(span);
                let mut request = service::request("Search");
                opentelemetry::global::get_text_map_propagator(|propagator| {
                    propagator.inject_context(&context, &mut Headers(request.headers_mut()));
                });
                let call = service::call(&mut service, request).with_context(context.clone());
                assert_eq!(black_box(call.await.expect("it answers")), 2);
                let span = context.span();
                span.set_attribute(KeyValue::new("rpc.grpc.status_code", 0));
                span.end();
            }
        });
    }
}

struct Headers<'a>(&'a mut http::HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = http::HeaderName::try_from(key).expect("it is a name");
        self.0
            .insert(name, value.try_into().expect("it is a value"));
    }
}

/// The peer's spans go to one provider or the other; a process has one subscriber.
fn peers(tracer: &Switch, batching: bool) -> impl Fn(&Runtime, usize) + 'static {
    let service = OtelGrpcLayer.layer(Answering::default());
    let switch = Arc::clone(&tracer.batching);
    move |runtime, calls| {
        switch.store(batching, Ordering::Relaxed);
        runtime.block_on(make_calls(service.clone(), calls));
    }
}

/// A tracer of two providers.
#[derive(Clone)]
struct Switch {
    tracers: [SdkTracer; 2],
    batching: Arc<AtomicBool>,
}

impl Tracer for Switch {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        self.tracers[usize::from(self.batching.load(Ordering::Relaxed))]
            .build_with_context(builder, parent)
    }
}

async fn make_calls<S, B>(mut service: S, calls: usize)
where
    S: tower_service::Service<
            http::Request<()>,
            Response = http::Response<B>,
            Error: std::fmt::Debug,
        >,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    for _ in 0..calls {
        let frames = service::call(&mut service, service::request("Search")).await;
        assert_eq!(black_box(frames.expect("it answers")), 2);
    }
}

fn measure(variants: &mut [Variant]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("there are threads");
    for variant in variants.iter_mut() {
        (variant.run)(&runtime, FIRST_CALLS);
        let allocated = allocation_counter::measure(|| (variant.run)(&runtime, FIRST_CALLS));
        variant.allocations = allocated.count_total as f64 / FIRST_CALLS as f64;
    }
    for turn in 0..TURNS {
        // Each in each place, so that none profits from what the one before it left.
        for place in 0..variants.len() {
            let variant = &mut variants[(turn + place) % variants.len()];
            let start = Instant::now();
            (variant.run)(&runtime, CALLS);
            variant
                .nanoseconds
                .push(start.elapsed().as_nanos() as f64 / CALLS as f64);
        }
    }
}

fn report(variants: &[Variant]) -> ExitCode {
    let [bare, ours, peer, .., by_hand] = variants else {
        return ExitCode::FAILURE;
    };
    println!(
        "{:<50} {:>9} {:>9} {:>12}",
        "", "ns/call", "adds ns", "allocations"
    );
    for variant in variants {
        let total = median(variant.nanoseconds.clone());
        println!(
            "{:<50} {total:>9.0} {:>9.0} {:>12.1}",
            variant.name,
            added(variant, bare),
            variant.allocations
        );
    }
    let time = added(ours, bare) / added(peer, bare);
    let allocations = (ours.allocations - bare.allocations) / (peer.allocations - bare.allocations);
    println!(
        "\nof what tonic-tracing-opentelemetry adds, nothing exporting: {:.0} % of the time (at most {:.0}), {:.0} % of the allocations (at most {:.0})",
        time * 100.0,
        MOST_TIME * 100.0,
        allocations * 100.0,
        MOST_ALLOCATIONS * 100.0
    );
    let of_sdk = added(ours, bare) / added(by_hand, bare);
    println!(
        "of what the SDK alone needs for the same span: {of_sdk:.2} times the time (at most {MOST_OF_SDK})"
    );
    if of_sdk <= MOST_OF_SDK && time <= MOST_TIME && allocations <= MOST_ALLOCATIONS {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a variant adds to the bare call: the median over all turns.
fn added(variant: &Variant, bare: &Variant) -> f64 {
    median(
        variant
            .nanoseconds
            .iter()
            .zip(&bare.nanoseconds)
            .map(|(variant, bare)| variant - bare)
            .collect(),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
