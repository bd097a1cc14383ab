//! A provider whose spans a test can look at.

use milvus_otel::GrpcTraceLayer;
use milvus_otel::layer::Conventions;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

/// Spans, kept in memory once they have ended.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Where they come from.
    pub provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl Default for Recorder {
    fn default() -> Self {
        let exporter = InMemorySpanExporter::default();
        Self {
            provider: SdkTracerProvider::builder()
                .with_simple_exporter(exporter.clone())
                .build(),
            exporter,
        }
    }
}

impl Recorder {
    /// A layer whose spans are recorded, by the conventions that are the default.
    pub fn layer(&self) -> GrpcTraceLayer {
        GrpcTraceLayer::new()
            .with_tracer_provider(&self.provider)
            .with_conventions(Conventions::Old)
    }

    /// A root span to work within.
    pub fn root(&self) -> Context {
        Context::new().with_span(self.provider.tracer("test").start("root"))
    }

    /// The spans that have ended, in the order in which they did.
    pub fn spans(&self) -> Vec<SpanData> {
        self.exporter
            .get_finished_spans()
            .expect("the exporter is up")
    }

    /// The spans that have ended since this was last called.
    pub fn take(&self) -> Vec<SpanData> {
        let spans = self.spans();
        self.exporter.reset();
        spans
    }

    /// The one span that has ended since [`take`](Self::take) was last called.
    pub fn take_one(&self) -> SpanData {
        let mut spans = self.take();
        assert_eq!(spans.len(), 1, "not one span, but {spans:#?}");
        spans.remove(0)
    }
}

/// The value of an attribute, which a span must have at most once.
pub fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    let mut values = span
        .attributes
        .iter()
        .filter(|attribute| attribute.key.as_str() == key);
    let value = values.next().map(|attribute| &attribute.value);
    assert!(values.next().is_none(), "`{key}` is there twice");
    value
}

/// The value of an attribute as text.
pub fn text(span: &SpanData, key: &str) -> Option<String> {
    attribute(span, key).map(ToString::to_string)
}

/// What a span's status says went wrong.
pub fn error(span: &SpanData) -> Option<&str> {
    match &span.status {
        Status::Error { description } => Some(description),
        Status::Unset | Status::Ok => None,
    }
}

/// The span of a context.
pub fn span_context(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}
