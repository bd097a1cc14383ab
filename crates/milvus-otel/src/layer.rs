//! The tower layer: one CLIENT span per RPC, and its context sent along.
//!
//! It stands on `http`, `http-body`, tower's two traits and the OpenTelemetry API, and on no version of
//! tonic, so it wraps any gRPC client that is a tower service of HTTP requests.

mod body;
mod call;
mod future;
mod method;
#[cfg(feature = "metrics")]
mod metrics;
mod propagation;
mod server;
mod settings;
mod status;

pub use crate::semconv::Conventions;
pub use body::TracedBody;
pub use call::{BoxError, CallHandle};
pub use future::ResponseFuture;
pub use method::RpcMethod;
pub use status::Code;

#[cfg(feature = "client")]
pub(crate) use server::Server;
pub(crate) use server::server_of;
#[cfg(feature = "client")]
pub(crate) use status::{Outcome, causes, chain, code_of};

use crate::scope;
use call::CallSpan;
use http::{HeaderName, Request, Response};
#[cfg(feature = "client")]
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
#[cfg(feature = "client")]
use opentelemetry::trace::SpanBuilder;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use propagation::Propagation;
use settings::{Settings, StartSpan};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Makes one CLIENT span per RPC and sends its context along; wraps any gRPC client over tower.
///
/// A span is named `package.Service/Method`, follows the RPC conventions, and ends exactly once: with the status in
/// the response's trailers (or headers, where it has no body), with the transport's error, or, when the call is dropped
/// before that, as CANCELLED. The wrapped service runs with that span as its current context.
///
/// An answer that the client above the layer can't decode is dropped as well; a [`CallHandle`] lets the caller say so.
///
/// Tracer and propagator are the globals unless the layer is given others; where no global propagator is set, which
/// OpenTelemetry for Rust would take for "send nothing", W3C trace context and baggage are sent. Cloning is cheap.
///
/// ```
/// use milvus_otel::GrpcTraceLayer;
/// use milvus_otel::layer::{Code, Conventions};
/// use opentelemetry::propagation::TextMapCompositePropagator;
/// use opentelemetry::trace::noop::NoopTracerProvider;
/// use std::io;
///
/// let layer = GrpcTraceLayer::new()
///     .with_server("db.example", 19530)
///     .with_tracer_provider(&NoopTracerProvider::new())
///     .with_propagator(TextMapCompositePropagator::new(Vec::new()))
///     .with_conventions(Conventions::from_env())
///     .with_level_1_flags(true)
///     .with_filter(|method| method.service().as_deref() != Some("grpc.health.v1.Health"))
///     .with_error_classifier(|error| error.is::<io::Error>().then_some(Code::Unavailable));
/// ```
#[derive(Clone, Debug, Default)]
pub struct GrpcTraceLayer {
    settings: Arc<Settings>,
}

/// A service that [`GrpcTraceLayer`] wraps.
#[derive(Clone, Debug)]
pub struct GrpcTrace<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl GrpcTraceLayer {
    /// A layer with the global tracer and propagator, and the conventions that the environment asks for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes its tracer from `provider` instead of from the global one.
    pub fn with_tracer_provider<P>(self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Tracer<Span: Span + Send + Sync> + Send + Sync + 'static,
    {
        let tracer: Arc<dyn StartSpan> = Arc::new(provider.tracer_with_scope(scope()));
        self.set(|settings| settings.tracer = OnceLock::from(tracer))
    }

    /// Takes its meter from `provider` instead of from the global one.
    ///
    /// ```
    /// use milvus_otel::GrpcTraceLayer;
    /// use opentelemetry::metrics::NoopMeterProvider;
    ///
    /// let layer = GrpcTraceLayer::new().with_meter_provider(&NoopMeterProvider::new());
    /// ```
    #[cfg(feature = "metrics")]
    pub fn with_meter_provider(self, provider: &dyn opentelemetry::metrics::MeterProvider) -> Self {
        let meter = provider.meter_with_scope(scope());
        self.set(|settings| settings.metrics = metrics::Metrics::of(meter))
    }

    /// Sends context by `propagator` instead of by the global one.
    pub fn with_propagator(
        self,
        propagator: impl TextMapPropagator + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.propagation = Propagation::Custom(Arc::new(propagator)))
    }

    /// Sends only the flags of W3C Trace Context Level 1 (sampled or not).
    ///
    /// Servers on OpenTelemetry for Go before v1.42, such as Milvus 2.3.5, drop a whole context that carries the
    /// random flag of Level 2, and start a trace of their own.
    pub fn with_level_1_flags(self, level_1: bool) -> Self {
        self.set(|settings| settings.level_1_flags = level_1)
    }

    /// Follows `conventions` instead of those that `OTEL_SEMCONV_STABILITY_OPT_IN` asks for.
    pub fn with_conventions(self, conventions: Conventions) -> Self {
        self.set(|settings| settings.conventions = conventions)
    }

    /// Names the server, for `server.address` and `server.port`.
    ///
    /// The layer stands above the part of a client that knows them; where a request's URI has a host, that is
    /// taken if this isn't set.
    pub fn with_server(self, address: impl Into<String>, port: u16) -> Self {
        let address: Arc<str> = address.into().into();
        self.set(|settings| settings.server = Some((address, port)))
    }

    /// Traces only the methods for which `filter` is true; the others pass untouched.
    pub fn with_filter(self, filter: impl Fn(&RpcMethod) -> bool + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.filter = Some(Arc::new(filter)))
    }

    /// Asks `classify` first for the status of a transport's error.
    ///
    /// Without it, or where it returns `None`, an error that speaks of a timeout is DEADLINE_EXCEEDED and any other
    /// is UNAVAILABLE.
    pub fn with_error_classifier(
        self,
        classify: fn(&(dyn std::error::Error + 'static)) -> Option<Code>,
    ) -> Self {
        self.set(|settings| settings.classify = Some(classify))
    }

    /// Starts a span of this crate's scope in the current context.
    #[cfg(feature = "client")]
    pub(crate) fn start(&self, span: SpanBuilder) -> Context {
        Context::map_current(|parent| self.settings.tracer().start(span, parent))
    }

    /// Records the duration of an operation of the client.
    #[cfg(all(feature = "client", feature = "metrics"))]
    pub(crate) fn record_operation(
        &self,
        took: std::time::Duration,
        attributes: &[opentelemetry::KeyValue],
    ) {
        self.settings.metrics.record_operation(took, attributes);
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for GrpcTraceLayer {
    type Service = GrpcTrace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcTrace {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S, Req, Res> Service<Request<Req>> for GrpcTrace<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<BoxError>,
    Res: http_body::Body,
{
    type Response = Response<TracedBody<Res>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let method = RpcMethod::of_path(request.uri().path());
        if !self.settings.traces(&method) {
            return ResponseFuture::new(self.inner.call(request), None);
        }
        let server = self
            .settings
            .server
            .clone()
            .or_else(|| server_of(request.uri()));
        let attempts = request.headers().get(&PREVIOUS_ATTEMPTS_HEADER);
        let context = self.settings.start(&method, server.clone(), attempts);
        let handle = request.extensions_mut().remove::<CallHandle>();
        self.settings.propagation.inject(
            &context,
            request.headers_mut(),
            self.settings.level_1_flags,
        );
        let _current = context.clone().attach();
        let call = CallSpan::new(context, Arc::clone(&self.settings), handle);
        #[cfg(feature = "metrics")]
        let call = call.timed(metrics::Timer::start(&method, server));
        ResponseFuture::new(self.inner.call(request), Some(call))
    }
}

/// gRPC's metadata key for the number of earlier attempts.
pub(crate) const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

static PREVIOUS_ATTEMPTS_HEADER: HeaderName = HeaderName::from_static(PREVIOUS_ATTEMPTS);
