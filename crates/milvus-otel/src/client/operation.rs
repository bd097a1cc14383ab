//! Spans over whole operations of the client, by OpenTelemetry's conventions for databases.

use super::connection::mark;
use super::error::{ErrorKind, Result};
use crate::layer::{Code, GrpcTraceLayer};
use crate::semconv;
use opentelemetry::trace::{FutureExt, SpanBuilder, SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue};
#[cfg(feature = "metrics")]
use std::time::Instant;

/// The attributes that all operation spans of a client share.
#[derive(Clone, Debug)]
pub(super) struct Operations {
    layer: GrpcTraceLayer,
    attributes: Vec<KeyValue>,
}

impl Operations {
    pub(super) fn new(layer: GrpcTraceLayer, database: &str, host: &str, port: u16) -> Self {
        let attributes = vec![
            namespace(database),
            KeyValue::new(semconv::DB_SYSTEM_NAME, "milvus"),
            KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()),
            KeyValue::new(semconv::SERVER_PORT, i64::from(port)),
        ];
        Self { layer, attributes }
    }

    pub(super) fn set_database(&mut self, database: &str) {
        self.attributes[0] = namespace(database);
    }

    /// Runs `work` within a span, which is the parent of its calls, unless the operation can't begin.
    pub(super) async fn trace<T>(
        &self,
        name: &'static str,
        collection: &str,
        can_begin: Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new(semconv::DB_OPERATION_NAME, name));
        let mut span_name = name.to_owned();
        if !collection.is_empty() {
            attributes.push(KeyValue::new(
                semconv::DB_COLLECTION_NAME,
                collection.to_owned(),
            ));
            span_name = format!("{name} {collection}");
        }
        #[cfg(feature = "metrics")]
        let timer = OperationTimer {
            layer: self.layer.clone(),
            attributes: attributes.clone(),
            began: Instant::now(),
        };
        let span = SpanBuilder::from_name(span_name)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let mut span = OperationSpan {
            context: self.layer.start(span),
            outcome: None,
            #[cfg(feature = "metrics")]
            timer,
        };
        let result = match can_begin {
            Ok(()) => work.with_context(span.context.clone()).await,
            Err(error) => Err(error),
        }
        .map_err(|error| error.in_trace_of(&span.context));
        span.outcome = Some(match &result {
            Ok(_) => Ok(()),
            Err(error) => Err(error.kind().clone()),
        });
        result
    }
}

fn namespace(database: &str) -> KeyValue {
    let name = if database.is_empty() {
        "default"
    } else {
        database
    };
    KeyValue::new(semconv::DB_NAMESPACE, name.to_owned())
}

/// The span of an operation. Dropping it ends the span, as CANCELLED if there is no outcome yet.
struct OperationSpan {
    context: Context,
    outcome: Option<std::result::Result<(), ErrorKind>>,
    #[cfg(feature = "metrics")]
    timer: OperationTimer,
}

/// An operation whose time is taken.
#[cfg(feature = "metrics")]
struct OperationTimer {
    layer: GrpcTraceLayer,
    attributes: Vec<KeyValue>,
    began: Instant,
}

impl Drop for OperationSpan {
    fn drop(&mut self) {
        let dropped = || {
            Err(ErrorKind::Rpc {
                code: Code::Cancelled,
                message: "the operation was dropped before its end".to_owned(),
            })
        };
        let span = self.context.span();
        let failure = self.outcome.take().unwrap_or_else(dropped).err();
        if let Some(failure) = &failure {
            span.set_attributes(status_code(failure));
            mark(&self.context, failure);
        }
        #[cfg(feature = "metrics")]
        self.timer.stop(failure.as_ref());
        span.end();
    }
}

/// Milvus's own code for a failure.
fn status_code(failure: &ErrorKind) -> Option<KeyValue> {
    let ErrorKind::Milvus { code, .. } = failure else {
        return None;
    };
    Some(KeyValue::new(
        semconv::DB_RESPONSE_STATUS_CODE,
        code.to_string(),
    ))
}

#[cfg(feature = "metrics")]
impl OperationTimer {
    fn stop(&mut self, failure: Option<&ErrorKind>) {
        let took = self.began.elapsed();
        if let Some(failure) = failure {
            let error = KeyValue::new(semconv::ERROR_TYPE, failure.name());
            self.attributes.extend(status_code(failure));
            self.attributes.push(error);
        }
        self.layer.record_operation(took, &self.attributes);
    }
}
