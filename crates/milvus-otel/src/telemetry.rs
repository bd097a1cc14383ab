//! Setting OpenTelemetry up from its standard environment variables, and flushing it.
//!
//! | variable | read by |
//! |---|---|
//! | `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER` (`otlp`, `none`), `OTEL_PROPAGATORS` (`tracecontext`, `baggage`, `none`) | [`Telemetry`] |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` (`grpc`; `http/protobuf` with the feature `otlp-http`) | [`Telemetry`] |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION` (with the feature `otlp-gzip`) | the exporter |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_BSP_*`, `OTEL_SPAN_*` | the SDK |
//!
//! What a list has that isn't known here is skipped, as long as anything is left, and warned of with the feature
//! `tracing`. The exporter's variables may name the signal as well, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.

mod counting;

use counting::{CountingExporter, CountingProcessor, Counts};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};
use tokio::runtime::{Builder, Runtime};

/// How long a shutdown waits for what is still to be sent.
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
    /// The exporter's, until the export ends.
    runtime: Option<Runtime>,
}

/// A set-up, to be given its defaults; made by [`Telemetry::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is set up until `install` is called"]
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
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no thread for the exporter.
    #[error("cannot start the thread that sends spans: {0}")]
    Thread(#[source] io::Error),
    /// A variable has a value that means nothing here.
    #[error("`{variable}` is `{value}`, which is none of {known}")]
    #[non_exhaustive]
    Unknown {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        known: &'static str,
    },
}

/// Spans that were ended and not delivered, as far as the exporter says.
///
/// It says what the queue had no room for and what could not be sent. What a receiver rejects out of a batch that it
/// otherwise accepts (OTLP's partial success), the exporter only logs; that counts as delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{lost} of {ended} spans were not delivered: {reason}\n\nhint: is a receiver up at `OTEL_EXPORTER_OTLP_ENDPOINT`?"
)]
#[non_exhaustive]
pub struct LostSpans {
    /// How many sampled spans have ended in all.
    pub ended: u64,
    /// How many of them were in no batch that a receiver has accepted.
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

    /// The provider, which is also the global one.
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// A layer for a subscriber of `tracing`, which makes its spans spans of OpenTelemetry's.
    ///
    /// A call to Milvus within such a span is its child.
    ///
    /// ```no_run
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = milvus_otel::Telemetry::from_env()?;
    /// tracing_subscriber::registry().with(telemetry.tracing_layer()).init();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    pub fn tracing_layer<S>(
        &self,
    ) -> tracing_opentelemetry::OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use opentelemetry::trace::TracerProvider;
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("tracing"))
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
        let disabled = is_true("OTEL_SDK_DISABLED");
        let propagator = propagator().or_else(|error| {
            // Where telemetry is off, no program fails for it.
            let nothing = || TextMapCompositePropagator::new(vec![Box::new(Nothing)]);
            disabled.then(nothing).ok_or(error)
        })?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(SetupError::Thread)?;
        let counts = Arc::new(Counts::default());
        let mut provider = SdkTracerProvider::builder().with_resource(self.resource());
        if !disabled && exports()? {
            let exporter = {
                let _in_runtime = runtime.enter();
                exporter()?
            };
            let batches =
                BatchSpanProcessor::builder(CountingExporter::new(exporter, &counts)).build();
            provider = provider.with_span_processor(CountingProcessor::new(batches, &counts));
        }
        let provider = provider.build();
        if !disabled {
            global::set_tracer_provider(provider.clone());
        }
        global::set_text_map_propagator(propagator);
        Ok(Telemetry {
            provider,
            counts,
            runtime: Some(runtime),
        })
    }

    fn resource(self) -> Resource {
        let environment = EnvResourceDetector::new().detect();
        let is_set = |key: &str| environment.get(&key.to_owned().into()).is_some();
        let named = variable("OTEL_SERVICE_NAME").is_some() || is_set("service.name");
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

/// A variable's value, unless it is empty, which counts as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_true(name: &str) -> bool {
    variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// What the items of a variable's list mean. Those that mean nothing are skipped with a warning, as OpenTelemetry
/// asks for, as long as another one is left.
fn listed<T>(
    name: &'static str,
    default: &str,
    known: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SetupError> {
    let list = variable(name).unwrap_or_else(|| default.to_owned());
    let mut meant = Vec::new();
    for item in list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match read(item) {
            Some(meaning) => meant.push(meaning),
            None => warn(&format!(
                "`{item}` in `{name}` is skipped, as it is none of {known}"
            )),
        }
    }
    if meant.is_empty() {
        return Err(SetupError::Unknown {
            variable: name,
            value: list,
            known,
        });
    }
    Ok(meant)
}

/// A library leaves its user's terminal alone: without the crate `tracing`, nobody is told.
fn warn(message: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!("{message}");
    #[cfg(not(feature = "tracing"))]
    let _ = message;
}

fn exports() -> Result<bool, SetupError> {
    let exporters = listed(
        "OTEL_TRACES_EXPORTER",
        "otlp",
        "`otlp`, `none`",
        |name| match name {
            "otlp" => Some(true),
            "none" => Some(false),
            _ => None,
        },
    )?;
    Ok(exporters.contains(&true))
}

fn exporter() -> Result<SpanExporter, SetupError> {
    const VARIABLES: [&str; 2] = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    let asked = VARIABLES
        .iter()
        .find_map(|name| Some((*name, variable(name)?)));
    let built = match asked {
        None => SpanExporter::builder().with_tonic().build(),
        Some((_, value)) if value == "grpc" => SpanExporter::builder().with_tonic().build(),
        #[cfg(feature = "otlp-http")]
        Some((_, value)) if value == "http/protobuf" => SpanExporter::builder().with_http().build(),
        Some((variable, value)) => {
            let known = if cfg!(feature = "otlp-http") {
                "`grpc`, `http/protobuf`"
            } else {
                "`grpc` (and `http/protobuf` with the feature `otlp-http` of the crate `milvus-otel`)"
            };
            return Err(SetupError::Unknown {
                variable,
                value,
                known,
            });
        }
    };
    built.map_err(|error| SetupError::Exporter(error.into()))
}

fn propagator() -> Result<TextMapCompositePropagator, SetupError> {
    let read = |name: &str| -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
        match name {
            "tracecontext" => Some(Box::new(TraceContextPropagator::new())),
            "baggage" => Some(Box::new(BaggagePropagator::new())),
            "none" => Some(Box::new(Nothing)),
            _ => None,
        }
    };
    let known = "`tracecontext`, `baggage`, `none`";
    let propagators = listed("OTEL_PROPAGATORS", "tracecontext,baggage", known, read)?;
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
