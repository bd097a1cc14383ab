//! The events of a run, in one stream. Progress is made from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use supervise::Exit;
use supervise::locks::Holder;

#[derive(Clone, Debug)]
pub enum Event {
    PhaseStarted(Phase),
    PhaseEnded(Phase, Duration),
    /// Something is being installed or built; the log grows while it is.
    Preparing {
        name: String,
        log: PathBuf,
        /// How long it took the last time.
        last: Option<Duration>,
    },
    Prepared {
        name: String,
        took: Duration,
    },
    /// Another process holds the lock of this work.
    Waiting {
        what: String,
        /// Unknown for a holder of an earlier version.
        holder: Option<Holder>,
    },
    StackReady {
        milvus: String,
        otlp: String,
    },
    ExampleStarted {
        name: String,
    },
    ExampleExited {
        name: String,
        exit: Exit,
        took: Duration,
    },
    /// Something that the user should know and that is no failure, as a sentence.
    Note(String),
    /// Variants of the compatibility map that needn't be measured again.
    MatrixKept {
        kept: usize,
        of: usize,
    },
    /// A variant of the compatibility map has its outcome.
    VariantMeasured {
        /// The example's name and the variant's.
        name: String,
        outcome: String,
        as_expected: bool,
        done: usize,
        of: usize,
    },
    /// Client calls that still wait for their server span, and examples whose root is still to come.
    Settling {
        open_calls: u64,
        open_roots: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Preflight,
    Prepare,
    Stack,
    Examples,
    Settle,
    Compare,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Prepare => "prepare",
            Self::Stack => "stack",
            Self::Examples => "examples",
            Self::Settle => "settle",
            Self::Compare => "compare",
        }
    }
}

/// Where events go. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub fn emit(&self, event: Event) {
        match event {
            // It comes with every poll.
            Event::Settling { .. } => tracing::trace!(?event),
            _ => tracing::debug!(?event),
        }
        (self.0)(event);
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}
