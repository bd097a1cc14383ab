//! Counting spans that end and spans in batches that are accepted: the difference is what was lost.

use super::LostSpans;
use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many spans ended, how many of them were accepted, and the last thing that went wrong.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: AtomicU64,
    sent: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Counts {
    pub(super) fn lost(&self, shutdown: OTelSdkResult) -> Result<(), LostSpans> {
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

/// Counts the sampled spans that end, and hands them on.
#[derive(Debug)]
pub(super) struct CountingProcessor {
    inner: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl CountingProcessor {
    pub(super) fn new(inner: BatchSpanProcessor, counts: &Arc<Counts>) -> Self {
        Self {
            inner,
            counts: Arc::clone(counts),
        }
    }
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.counts.ended.fetch_add(1, Ordering::AcqRel);
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

/// Counts the spans of the batches that a receiver accepts.
#[derive(Debug)]
pub(super) struct CountingExporter {
    inner: SpanExporter,
    counts: Arc<Counts>,
}

impl CountingExporter {
    pub(super) fn new(inner: SpanExporter, counts: &Arc<Counts>) -> Self {
        Self {
            inner,
            counts: Arc::clone(counts),
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => drop(self.counts.sent.fetch_add(spans, Ordering::AcqRel)),
            Err(error) => {
                *self
                    .counts
                    .problem
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
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
