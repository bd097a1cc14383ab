//! What was received, counted where it happens and read from anywhere.

use crate::schema::Signal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What a capture received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Spans.
    pub traces: SignalStats,
    /// Metric data points.
    pub metrics: SignalStats,
    /// Log records.
    pub logs: SignalStats,
    /// Requests that aren't OTLP: their content doesn't decompress or decode.
    pub malformed_requests: u64,
    /// Requests that could not be taken as they were: too large, of an unknown path, method,
    /// content type or encoding.
    pub rejected_requests: u64,
    /// Requests that were told to come again, because the queue was full.
    pub refused_requests: u64,
    /// Requests whose sending broke off or took too long.
    pub broken_requests: u64,
    /// Connections that were closed at once, because too many were open.
    pub refused_connections: u64,
    /// Records that could not be written. Their clients were told to come again.
    pub dropped_records: u64,
    /// The latest thing that went wrong with a file.
    pub last_error: Option<String>,
    /// What was sent on. All of it is in the files too.
    pub forward: ForwardStats,
}

/// What was sent on, in records: spans, data points and log records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardStats {
    /// The receiver has taken them.
    pub sent_records: u64,
    /// They found no room in the queue, or the receiver refused them or wasn't there in time.
    pub lost_records: u64,
    /// The receiver takes nothing of their signal, as Jaeger takes no metrics.
    pub unsupported_records: u64,
    /// They are in the queue.
    pub waiting_records: u64,
    /// The latest thing that went wrong, even if it went right afterwards.
    pub last_error: Option<String>,
}

/// What was received of one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalStats {
    /// Requests that were acknowledged.
    pub requests: u64,
    /// Spans, data points or log records in them.
    pub records: u64,
    /// Bytes that were written for them.
    pub bytes: u64,
}

impl Stats {
    /// The counts of one signal.
    pub fn signal(&self, signal: Signal) -> SignalStats {
        match signal {
            Signal::Traces => self.traces,
            Signal::Metrics => self.metrics,
            Signal::Logs => self.logs,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    traces: SignalCounters,
    metrics: SignalCounters,
    logs: SignalCounters,
    pub(crate) malformed_requests: AtomicU64,
    pub(crate) rejected_requests: AtomicU64,
    pub(crate) refused_requests: AtomicU64,
    pub(crate) broken_requests: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) forward: Arc<ForwardCounters>,
    dropped_records: AtomicU64,
    last_error: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
pub(crate) struct ForwardCounters {
    pub(crate) offered: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) unsupported: AtomicU64,
    lost: AtomicU64,
    last_error: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct SignalCounters {
    requests: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn kept(&self, signal: Signal, records: u64, bytes: usize) {
        let counters = match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        };
        add(&counters.requests, 1);
        add(&counters.records, records);
        add(&counters.bytes, bytes as u64);
    }

    pub(crate) fn dropped(&self, records: u64, error: String) {
        add(&self.dropped_records, records);
        put_text(&self.last_error, error);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            traces: self.traces.snapshot(),
            metrics: self.metrics.snapshot(),
            logs: self.logs.snapshot(),
            malformed_requests: self.malformed_requests.load(Relaxed),
            rejected_requests: self.rejected_requests.load(Relaxed),
            refused_requests: self.refused_requests.load(Relaxed),
            broken_requests: self.broken_requests.load(Relaxed),
            refused_connections: self.refused_connections.load(Relaxed),
            dropped_records: self.dropped_records.load(Relaxed),
            last_error: text_in(&self.last_error),
            forward: self.forward.snapshot(),
        }
    }
}

impl SignalCounters {
    fn snapshot(&self) -> SignalStats {
        SignalStats {
            requests: self.requests.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

impl ForwardCounters {
    pub(crate) fn lose(&self, records: u64, error: String) {
        add(&self.lost, records);
        self.note(error);
    }

    pub(crate) fn note(&self, error: String) {
        put_text(&self.last_error, error);
    }

    /// Counts what still waits as lost.
    pub(crate) fn abandon(&self) {
        let waiting = self.snapshot().waiting_records;
        if waiting > 0 {
            add(&self.lost, waiting);
        }
    }

    fn snapshot(&self) -> ForwardStats {
        let sent_records = self.sent.load(Relaxed);
        let lost_records = self.lost.load(Relaxed);
        let unsupported_records = self.unsupported.load(Relaxed);
        let ended = sent_records + lost_records + unsupported_records;
        ForwardStats {
            sent_records,
            lost_records,
            unsupported_records,
            waiting_records: self.offered.load(Relaxed).saturating_sub(ended),
            last_error: text_in(&self.last_error),
        }
    }
}

fn put_text(slot: &Mutex<Option<String>>, text: String) {
    *slot.lock().expect("no panic while the lock is held") = Some(text);
}

fn text_in(slot: &Mutex<Option<String>>) -> Option<String> {
    slot.lock()
        .expect("no panic while the lock is held")
        .clone()
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
