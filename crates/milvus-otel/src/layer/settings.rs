//! The settings that a layer, its services and their calls share, and the spans that they make.

use super::method::RpcMethod;
#[cfg(feature = "metrics")]
use super::metrics::Metrics;
use super::propagation::Propagation;
use super::server::Server;
use super::status::Classify;
use crate::scope;
use crate::semconv::{self, Conventions};
use http::HeaderValue;
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, global};
use std::fmt;
use std::sync::{Arc, OnceLock};

type Filter = dyn Fn(&RpcMethod) -> bool + Send + Sync;

#[derive(Clone)]
pub(super) struct Settings {
    /// Taken from the global provider at the first call, since a layer is often made before that is set.
    pub(super) tracer: OnceLock<Arc<dyn StartSpan>>,
    pub(super) propagation: Propagation,
    pub(super) level_1_flags: bool,
    pub(super) conventions: Conventions,
    pub(super) server: Option<Server>,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Metrics,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) classify: Option<Classify>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tracer: OnceLock::new(),
            propagation: Propagation::Global,
            level_1_flags: false,
            conventions: Conventions::from_env(),
            server: None,
            #[cfg(feature = "metrics")]
            metrics: Metrics::default(),
            filter: None,
            classify: None,
        }
    }
}

impl Settings {
    pub(super) fn tracer(&self) -> &Arc<dyn StartSpan> {
        self.tracer
            .get_or_init(|| Arc::new(global::tracer_with_scope(scope())))
    }

    pub(super) fn traces(&self, method: &RpcMethod) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(method))
    }

    pub(super) fn start(
        &self,
        method: &RpcMethod,
        server: Option<Server>,
        attempts: Option<&HeaderValue>,
    ) -> Context {
        let mut attributes = self.attributes(method, server);
        if let Some(attempts) = attempts {
            self.add_attempts(&mut attributes, attempts);
        }
        let span = SpanBuilder {
            attributes: Some(attributes),
            ..SpanBuilder::from_name(method.full_name()).with_kind(SpanKind::Client)
        };
        Context::map_current(|parent| self.tracer().start(span, parent))
    }

    fn attributes(&self, method: &RpcMethod, server: Option<Server>) -> Vec<KeyValue> {
        // Room for the status, in both generations, and `error.type`.
        let mut attributes = Vec::with_capacity(9);
        if self.conventions.has_old() {
            attributes.push(KeyValue::new(semconv::RPC_SYSTEM, "grpc"));
            attributes.extend(
                method
                    .service()
                    .map(|name| KeyValue::new(semconv::RPC_SERVICE, name)),
            );
        }
        let name = if self.conventions.has_new() {
            attributes.push(KeyValue::new(semconv::RPC_SYSTEM_NAME, "grpc"));
            method.full_name()
        } else {
            method.method()
        };
        attributes.push(KeyValue::new(semconv::RPC_METHOD, name));
        if let Some((address, port)) = server {
            attributes.push(KeyValue::new(
                semconv::SERVER_ADDRESS,
                StringValue::from(address),
            ));
            attributes.push(KeyValue::new(semconv::SERVER_PORT, i64::from(port)));
        }
        attributes
    }

    /// The conventions have no attribute for a call that is made again, except the metadata that says so.
    fn add_attempts(&self, attributes: &mut Vec<KeyValue>, attempts: &HeaderValue) {
        let text = String::from_utf8_lossy(attempts.as_bytes()).into_owned();
        let value = Value::Array(Array::String(vec![text.into()]));
        let (old, new) = semconv::PREVIOUS_ATTEMPTS;
        let keys = [
            self.conventions.has_old().then_some(old),
            self.conventions.has_new().then_some(new),
        ];
        let keys = keys.into_iter().flatten();
        attributes.extend(keys.map(|key| KeyValue::new(key, value.clone())));
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("conventions", &self.conventions)
            .field("server", &self.server)
            .field("level_1_flags", &self.level_1_flags)
            .finish_non_exhaustive()
    }
}

/// A tracer of any kind, which starts a span within a context.
pub(super) trait StartSpan: Send + Sync {
    fn start(&self, span: SpanBuilder, parent: &Context) -> Context;
}

impl<T> StartSpan for T
where
    T: Tracer<Span: Span + Send + Sync + 'static> + Send + Sync,
{
    fn start(&self, span: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.build_with_context(span, parent))
    }
}
