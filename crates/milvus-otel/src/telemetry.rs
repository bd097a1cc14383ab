//! Setting OpenTelemetry up from its standard environment variables, and flushing it.
//!
//! | variable | default | read by |
//! |---|---|---|
//! | `OTEL_SDK_DISABLED` | `false` | [`Telemetry`] |
//! | `OTEL_TRACES_EXPORTER`: `otlp`, `none` | `otlp` | [`Telemetry`] |
//! | `OTEL_METRICS_EXPORTER` with the feature `metrics`: `otlp`, `none` | `none` | [`Telemetry`] |
//! | `OTEL_LOGS_EXPORTER` with the feature `logs`: `otlp`, `none` | `none` | [`Telemetry`] |
//! | `OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `none` | `tracecontext,baggage` | [`Telemetry`] |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`: `grpc`; `http/protobuf` with the feature `otlp-http` | `grpc` | [`Telemetry`] |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4317`; for `http/protobuf` `http://localhost:4318` | the exporter |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds | 10,000 | the exporter |
//! | `OTEL_EXPORTER_OTLP_HEADERS`; `OTEL_EXPORTER_OTLP_COMPRESSION` with the feature `otlp-gzip` | none | the exporter |
//! | `OTEL_SERVICE_NAME` | `unknown_service:` and the name of the program | [`Telemetry`] |
//! | `OTEL_RESOURCE_ATTRIBUTES`, percent-encoded; `OTEL_SERVICE_NAME` wins | none | [`Telemetry`] |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on` | the SDK |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, in spans | 2,048, 512 | the SDK |
//! | `OTEL_BSP_SCHEDULE_DELAY`, in milliseconds | 5,000 | the SDK |
//! | `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_BLRP_SCHEDULE_DELAY`, in milliseconds | 60,000, 1,000 | the SDK |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT` | 128 each | the SDK |
//!
//! Unknown items of a list are skipped, as long as one is left, with a warning: an event of `tracing`, sent as soon as
//! there is a subscriber. The exporter's variables may name the signal as well, as in
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.

mod counting;
mod exporter;
#[cfg(any(feature = "tracing", feature = "logs"))]
mod layer;
#[cfg(any(feature = "metrics", feature = "logs"))]
mod providers;
mod resource;
mod setup_error;
mod silence;
mod variable;
mod warnings;

pub use counting::LostSpans;
#[cfg(any(feature = "tracing", feature = "logs"))]
pub use layer::WithoutTransport;
pub use setup_error::SetupError;

use counting::{CountingExporter, CountingProcessor, Counts};
use exporter::{TRACES, exporter};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
#[cfg(any(feature = "metrics", feature = "logs"))]
use providers::Providers;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use variable::{is_true, listed};
use warnings::{Untold, Warnings};

/// The longest time that a shutdown waits for the export.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// OpenTelemetry, set up. Dropping it flushes; [`shutdown`](Self::shutdown) also says how many spans were lost.
///
/// Spans are sent from a thread of its own, so both work on every flavour of tokio's runtime, and without one.
///
/// ```no_run
/// use milvus_otel::Telemetry;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = Telemetry::builder()
///     .default_service_name("shop")
///     .default_attribute("deployment.environment.name", "test")
///     .install()?;
/// telemetry.tracer_provider().force_flush()?; // now and then, if at all
/// telemetry.shutdown()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the export of spans"]
pub struct Telemetry {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
    untold: Arc<Untold>,
    #[cfg(any(feature = "metrics", feature = "logs"))]
    others: Providers,
    /// The exporters', until the export ends.
    runtime: Option<Runtime>,
}

/// A set-up, to be given its defaults; made by [`Telemetry::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is set up until `install` is called"]
pub struct TelemetryBuilder {
    service_name: Option<String>,
    attributes: Vec<KeyValue>,
}

impl Telemetry {
    /// Sets OpenTelemetry up from its environment variables.
    ///
    /// # Errors
    /// A variable has a value that isn't supported.
    pub fn from_env() -> Result<Self, SetupError> {
        Self::builder().install()
    }

    /// A set-up, to be given its defaults.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// The provider, which is also the global one.
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// A layer for a subscriber of `tracing`, which makes its spans spans of OpenTelemetry's.
    ///
    /// A call to Milvus within such a span is its child. The layer leaves out the spans and events of the crates that
    /// carry a call (`h2`, `hyper`, `tower`, `tonic` and the like), and never sees the export itself. A filter of yours
    /// in front of it says which of the other crates and levels count.
    ///
    /// ```no_run
    /// use tracing_subscriber::filter::LevelFilter;
    /// use tracing_subscriber::layer::{Layer, SubscriberExt};
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = milvus_otel::Telemetry::from_env()?;
    /// tracing_subscriber::registry()
    ///     .with(telemetry.tracing_layer().with_filter(LevelFilter::INFO))
    ///     .init();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    pub fn tracing_layer<S>(
        &self,
    ) -> tracing_subscriber::filter::Filtered<
        tracing_opentelemetry::OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>,
        WithoutTransport,
        S,
    >
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use opentelemetry::trace::TracerProvider;
        use tracing_subscriber::Layer;
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("tracing"))
            .with_filter(WithoutTransport)
    }

    /// A layer for a subscriber of `tracing`, which makes its events log records of the current span; `None` where
    /// `OTEL_LOGS_EXPORTER` doesn't ask for them.
    ///
    /// It leaves out the events of the crates that carry a call (`h2`, `hyper`, `tower`, `tonic` and the like), and
    /// never sees the export itself. A filter of yours in front of it says which of the other crates and levels count.
    ///
    /// ```no_run
    /// use tracing_subscriber::filter::LevelFilter;
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = milvus_otel::Telemetry::from_env()?;
    /// tracing_subscriber::registry()
    ///     .with(LevelFilter::INFO)
    ///     .with(telemetry.log_layer())
    ///     .init();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "logs")]
    pub fn log_layer<S>(
        &self,
    ) -> Option<
        tracing_subscriber::filter::Filtered<
            opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge<
                opentelemetry_sdk::logs::SdkLoggerProvider,
                opentelemetry_sdk::logs::SdkLogger,
            >,
            WithoutTransport,
            S,
        >,
    >
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
        use tracing_subscriber::Layer;
        let loggers = self.others.loggers.as_ref()?;
        Some(OpenTelemetryTracingBridge::new(loggers).with_filter(WithoutTransport))
    }

    /// Exports the remaining spans, for at most five seconds, and ends the export. Blocks the thread. Metrics and log
    /// records come first, each for at most as long; those that are lost are a warning, an event of `tracing`.
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
        self.untold.tell();
        #[cfg(any(feature = "metrics", feature = "logs"))]
        self.others.shut_down(SHUTDOWN_TIMEOUT);
        let result = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        // Waiting for its tasks would panic where the caller is in a runtime itself, and there is nothing to wait for.
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
    /// The service name, if the environment doesn't set one.
    pub fn default_service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// A resource attribute, if the environment doesn't set it.
    pub fn default_attribute(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push(KeyValue::new(key, value.into()));
        self
    }

    /// Makes provider and propagators, and makes them the global ones.
    ///
    /// # Errors
    /// A variable has a value that isn't supported.
    pub fn install(self) -> Result<Telemetry, SetupError> {
        let disabled = is_true("OTEL_SDK_DISABLED");
        let mut warnings = Warnings::default();
        let propagator = propagator(&mut warnings).or_else(|error| {
            // Where telemetry is off, no program fails for it.
            let nothing = || TextMapCompositePropagator::new(vec![Box::new(Nothing)]);
            disabled.then(nothing).ok_or(error)
        })?;
        let is_exporting = !disabled && TRACES.is_exported(&mut warnings)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .on_thread_start(silence::silence_thread)
            .enable_all()
            .build()
            .map_err(SetupError::Thread)?;
        let name = self
            .service_name
            .map(|name| KeyValue::new("service.name", name));
        let defaults = self.attributes.into_iter().chain(name).collect();
        let resource = resource::resource(defaults, &mut warnings);
        #[cfg(any(feature = "metrics", feature = "logs"))]
        let others = match disabled {
            true => Providers::default(),
            false => {
                let _in_runtime = runtime.enter();
                Providers::new(&resource, &mut warnings)?
            }
        };
        #[cfg(feature = "metrics")]
        if let Some(meters) = &others.meters {
            global::set_meter_provider(meters.clone());
        }
        let untold = Arc::new(Untold::new(warnings));
        let counts = Arc::new(Counts::default());
        let mut provider = SdkTracerProvider::builder().with_resource(resource);
        if is_exporting {
            let exporter = {
                let _in_runtime = runtime.enter();
                exporter!(SpanExporter, TRACES)?
            };
            let batches =
                BatchSpanProcessor::builder(CountingExporter::new(exporter, &counts)).build();
            provider =
                provider.with_span_processor(CountingProcessor::new(batches, &counts, &untold));
        }
        let provider = provider.build();
        if !disabled {
            global::set_tracer_provider(provider.clone());
        }
        global::set_text_map_propagator(propagator);
        untold.tell();
        Ok(Telemetry {
            provider,
            counts,
            untold,
            #[cfg(any(feature = "metrics", feature = "logs"))]
            others,
            runtime: Some(runtime),
        })
    }
}

fn propagator(warnings: &mut Warnings) -> Result<TextMapCompositePropagator, SetupError> {
    let read = |name: &str| -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
        match name {
            "tracecontext" => Some(Box::new(TraceContextPropagator::new())),
            "baggage" => Some(Box::new(BaggagePropagator::new())),
            "none" => Some(Box::new(Nothing)),
            _ => None,
        }
    };
    let known = "`tracecontext`, `baggage`, `none`";
    let default = "tracecontext,baggage";
    let propagators = listed("OTEL_PROPAGATORS", default, known, warnings, read)?;
    Ok(TextMapCompositePropagator::new(propagators))
}

/// Sends nothing, on purpose: it has a field, which the propagator that stands in where none is set has not.
#[derive(Debug)]
struct Nothing;

impl TextMapPropagator for Nothing {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, context: &Context, _: &dyn Extractor) -> Context {
        context.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: std::sync::LazyLock<[String; 1]> =
            std::sync::LazyLock::new(|| ["traceparent".to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}
