//! Counting spans that start, that end, and that are accepted: the difference is what was lost.

use super::silence::Rejected;
use super::warnings::Untold;
use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

/// Spans that were not delivered.
///
/// The queue had no room for them, they could not be sent, the receiver rejected them, or they were still open when the
/// export ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{lost} of {} spans were not delivered: {reason}\n\nhint: {hint}", ended + open)]
#[non_exhaustive]
pub struct LostSpans {
    /// How many sampled spans have ended in all.
    pub ended: u64,
    /// How many sampled spans were still open.
    pub open: u64,
    /// How many of both were not delivered.
    pub lost: u64,
    /// The last thing that went wrong.
    pub reason: String,
    hint: &'static str,
}

/// How many spans started and ended, how many of them were accepted, and the last thing that went wrong.
#[derive(Debug, Default)]
pub(super) struct Counts {
    started: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Counts {
    pub(super) fn lost(&self, shutdown: OTelSdkResult) -> Result<(), LostSpans> {
        let ended = self.ended.load(Ordering::Acquire);
        let open = self.started.load(Ordering::Acquire).saturating_sub(ended);
        let undelivered = ended.saturating_sub(self.sent.load(Ordering::Acquire));
        if undelivered + open == 0 {
            return Ok(());
        }
        let (reason, hint) = if undelivered == 0 {
            let spans = if open == 1 { "span was" } else { "spans were" };
            let reason = format!("{open} {spans} still open");
            (
                reason,
                "end every span before the shutdown, that of `main` too",
            )
        } else {
            let problem = self.problem().take();
            let reason = problem.or_else(|| shutdown.err().map(|error| error.to_string()));
            let reason = reason.unwrap_or_else(|| "the queue was full".to_owned());
            (reason, "is a receiver up at `OTEL_EXPORTER_OTLP_ENDPOINT`?")
        };
        Err(LostSpans {
            ended,
            open,
            lost: undelivered + open,
            reason,
            hint,
        })
    }

    fn problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the sampled spans that start and end, and hands them on.
#[derive(Debug)]
pub(super) struct CountingProcessor {
    inner: BatchSpanProcessor,
    counts: Arc<Counts>,
    untold: Arc<Untold>,
}

impl CountingProcessor {
    pub(super) fn new(
        inner: BatchSpanProcessor,
        counts: &Arc<Counts>,
        untold: &Arc<Untold>,
    ) -> Self {
        Self {
            inner,
            counts: Arc::clone(counts),
            untold: Arc::clone(untold),
        }
    }
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.untold.tell();
        if opentelemetry::trace::Span::span_context(span).is_sampled() {
            self.counts.started.fetch_add(1, Ordering::AcqRel);
        }
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

/// Counts the spans that a receiver accepts.
#[derive(Debug)]
pub(super) struct CountingExporter {
    inner: SpanExporter,
    counts: Arc<Counts>,
    rejected: Rejected,
    subscriber: Dispatch,
}

impl CountingExporter {
    pub(super) fn new(inner: SpanExporter, counts: &Arc<Counts>) -> Self {
        let rejected = Rejected::default();
        Self {
            inner,
            counts: Arc::clone(counts),
            subscriber: rejected.subscriber(),
            rejected,
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let export = self.inner.export(batch);
        let result = export.with_subscriber(self.subscriber.clone()).await;
        let rejected = self.rejected.take().min(spans);
        match &result {
            Ok(()) => drop(
                self.counts
                    .sent
                    .fetch_add(spans - rejected, Ordering::AcqRel),
            ),
            Err(error) => *self.counts.problem() = Some(error.to_string()),
        }
        if rejected > 0 {
            *self.counts.problem() = Some(format!("the receiver rejected {rejected} of {spans}"));
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
