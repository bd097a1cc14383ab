//! Spans over whole operations of the client, by OpenTelemetry's conventions for databases.

use super::connection::mark;
use super::error::{ErrorKind, Result};
use crate::layer::GrpcTraceLayer;
use crate::semconv;
use opentelemetry::KeyValue;
use opentelemetry::trace::{FutureExt, SpanBuilder, SpanKind, TraceContextExt};

/// What the spans of one client's operations have in common.
#[derive(Clone, Debug)]
pub(super) struct Operations {
    layer: GrpcTraceLayer,
    attributes: Vec<KeyValue>,
}

impl Operations {
    pub(super) fn new(layer: GrpcTraceLayer, database: &str, host: &str, port: u16) -> Self {
        let namespace = if database.is_empty() {
            "default"
        } else {
            database
        };
        let attributes = vec![
            KeyValue::new(semconv::DB_SYSTEM_NAME, "milvus"),
            KeyValue::new(semconv::DB_NAMESPACE, namespace.to_owned()),
            KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()),
            KeyValue::new(semconv::SERVER_PORT, i64::from(port)),
        ];
        Self { layer, attributes }
    }

    /// Runs `work` within a span; what it calls is below that.
    pub(super) async fn trace<T>(
        &self,
        name: &'static str,
        collection: &str,
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
        let span = SpanBuilder::from_name(span_name)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let context = self.layer.start(span);
        let result = work.with_context(context.clone()).await;
        if let Err(error) = &result {
            if let ErrorKind::Milvus { code, .. } = error.kind() {
                context.span().set_attribute(KeyValue::new(
                    semconv::DB_RESPONSE_STATUS_CODE,
                    code.to_string(),
                ));
            }
            mark(&context, error.kind());
        }
        context.span().end();
        result
    }
}
