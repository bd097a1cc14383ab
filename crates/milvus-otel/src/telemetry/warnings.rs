//! Warnings about skipped items of the environment, emitted as `tracing` events as soon as there is a subscriber.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

/// Warnings in the order in which they arose.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    all: Vec<String>,
}

impl Warnings {
    pub(super) fn add(&mut self, warning: String) {
        self.all.push(warning);
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[String] {
        &self.all
    }
}

/// Warnings that wait for a subscriber: a program's set-up makes its telemetry before its subscriber.
#[derive(Debug, Default)]
pub(super) struct Untold {
    is_empty: AtomicBool,
    warnings: Mutex<Vec<String>>,
}

impl Untold {
    pub(super) fn new(warnings: Warnings) -> Self {
        Self {
            is_empty: AtomicBool::new(warnings.all.is_empty()),
            warnings: Mutex::new(warnings.all),
        }
    }

    /// Emits them, unless there is no subscriber yet. Events from within a subscriber's own callbacks are lost.
    pub(super) fn tell(&self) {
        if self.is_empty.load(Ordering::Acquire) || !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        self.is_empty.store(true, Ordering::Release);
        let warnings =
            std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner));
        for warning in warnings {
            tracing::warn!("{warning}");
        }
    }
}
