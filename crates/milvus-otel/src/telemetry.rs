//! Setting OpenTelemetry up from its standard environment variables, and flushing it.

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, io};
use tokio::runtime::{Builder, Runtime};

/// How long a shutdown waits for what is still to be sent.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// OpenTelemetry, set up. Dropping it flushes; [`shutdown`](Self::shutdown) also says what was lost.
///
/// Spans are sent from a thread of its own, so both work on every flavour of tokio's runtime, and without one.
#[derive(Debug)]
#[must_use = "dropping it ends the export of spans"]
pub struct Telemetry {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
    // Used until it is dropped, by the exporter.
    runtime: Option<Runtime>,
}

/// A set-up to be given its defaults; made by [`Telemetry::builder`].
#[derive(Clone, Debug, Default)]
pub struct TelemetryBuilder {
    service_name: Option<String>,
    attributes: Vec<KeyValue>,
}

/// Why the set-up failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The environment asks for an exporter that can't be made.
    #[error("cannot make an exporter of spans: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// There is no thread for the exporter.
    #[error("cannot start the thread that sends spans: {0}")]
    Thread(#[from] io::Error),
}

/// Spans that were ended and not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{lost} of {ended} spans were not delivered: {reason}\n\nhint: is a receiver up at `OTEL_EXPORTER_OTLP_ENDPOINT`?"
)]
#[non_exhaustive]
pub struct LostSpans {
    /// How many sampled spans have ended in all.
    pub ended: u64,
    /// How many of them no receiver has accepted.
    pub lost: u64,
    /// The last thing that went wrong.
    pub reason: String,
}

impl Telemetry {
    /// Sets OpenTelemetry up as its environment variables say.
    ///
    /// # Errors
    /// The environment asks for what can't be had.
    pub fn from_env() -> Result<Self, SetupError> {
        Self::builder().install()
    }

    /// A set-up, to be given its defaults.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// Sends what is still to be sent, which takes at most five seconds, and ends the export. It blocks the thread.
    ///
    /// # Errors
    /// Spans were lost, now or before.
    pub fn shutdown(mut self) -> Result<(), LostSpans> {
        self.end()
    }

    fn end(&mut self) -> Result<(), LostSpans> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        let result = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        // Waiting for its tasks here would panic where the caller is itself in a runtime; there is nothing left to wait for.
        runtime.shutdown_background();
        self.counts.lost(result)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl TelemetryBuilder {
    /// The service's name where the environment gives none.
    pub fn default_service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// An attribute of the resource where the environment has none of that name.
    pub fn default_attribute(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push(KeyValue::new(key, value.into()));
        self
    }

    /// Makes provider and propagators, and makes them the global ones.
    ///
    /// # Errors
    /// The environment asks for what can't be had.
    pub fn install(self) -> Result<Telemetry, SetupError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()?;
        let counts = Arc::new(Counts::default());
        let exporter = {
            let _in_runtime = runtime.enter();
            SpanExporter::builder().with_tonic().build()?
        };
        let exporter = CountingExporter {
            inner: exporter,
            counts: Arc::clone(&counts),
        };
        let batches = BatchSpanProcessor::builder(exporter).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(self.resource())
            .with_span_processor(CountingProcessor {
                inner: batches,
                counts: Arc::clone(&counts),
            })
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
        Ok(Telemetry {
            provider,
            counts,
            runtime: Some(runtime),
        })
    }

    fn resource(self) -> Resource {
        let environment = EnvResourceDetector::new().detect();
        let is_set = |key: &str| environment.get(&key.to_owned().into()).is_some();
        let named = env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
            || is_set("service.name");
        let name = self
            .service_name
            .filter(|_| !named)
            .map(|name| KeyValue::new("service.name", name));
        let attributes = self
            .attributes
            .into_iter()
            .filter(|attribute| !is_set(attribute.key.as_str()));
        Resource::builder()
            .with_attributes(attributes.chain(name))
            .build()
    }
}

/// How many spans ended and how many of them were accepted, and the last thing that went wrong.
#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
    sent: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Counts {
    fn lost(&self, shutdown: OTelSdkResult) -> Result<(), LostSpans> {
        let ended = self.ended.load(Ordering::Acquire);
        let lost = ended.saturating_sub(self.sent.load(Ordering::Acquire));
        if lost == 0 {
            return Ok(());
        }
        let problem = self
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let reason = problem.or_else(|| shutdown.err().map(|error| error.to_string()));
        Err(LostSpans {
            ended,
            lost,
            reason: reason.unwrap_or_else(|| "the queue was full".to_owned()),
        })
    }
}

#[derive(Debug)]
struct CountingProcessor {
    inner: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.counts.ended.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[derive(Debug)]
struct CountingExporter {
    inner: SpanExporter,
    counts: Arc<Counts>,
}

impl opentelemetry_sdk::trace::SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => drop(self.counts.sent.fetch_add(spans, Ordering::AcqRel)),
            Err(error) => self.note(error),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl CountingExporter {
    fn note(&self, error: &OTelSdkError) {
        *self
            .counts
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}
