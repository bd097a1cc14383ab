//! What the exporter's own code logs by `tracing`, and who hears it: this module alone. A subscriber that makes spans
//! of it would export the export, and so on for as long as the program lives.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// The crate whose events count.
const EXPORTER: &str = "opentelemetry-otlp";

/// Keeps this thread's events from every subscriber, for as long as the thread lives.
pub(super) fn silence_thread() {
    let guard = tracing::subscriber::set_default(NoSubscriber::default());
    std::mem::forget(guard);
}

/// How many spans receivers have rejected out of batches that they otherwise accepted. The exporter only logs it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejected(Arc<AtomicU64>);

impl Rejected {
    /// The subscriber of an export.
    pub(super) fn subscriber(&self) -> Dispatch {
        Dispatch::new(ExportSubscriber(self.clone()))
    }

    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::AcqRel)
    }
}

/// Hears the exporter's warnings, and nothing else.
struct ExportSubscriber(Rejected);

impl Subscriber for ExportSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target() == EXPORTER
            && *metadata.level() <= LevelFilter::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut RejectedSpans(&self.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Reads the one field that matters.
struct RejectedSpans<'a>(&'a Rejected);

impl Visit for RejectedSpans<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "rejected_spans"
            && let Ok(spans) = u64::try_from(value)
        {
            self.0.0.fetch_add(spans, Ordering::AcqRel);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
