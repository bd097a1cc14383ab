//! What is known of a run besides its spans.

use std::sync::Arc;

use otlp_signals::Signals;

use crate::ids::TraceId;
use crate::wire::Wire;

/// Facts that a run records and that no span tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// The value of `milvus_otel.run` on the run's own resources; it alone says whose spans are. Where it is `None` and one program was
    /// started, all spans without that attribute are that program's.
    pub run: Option<String>,
    /// The examples that were started, in report order.
    pub examples: Vec<ExampleFacts>,
    /// The server was started for this run: nobody else calls it.
    pub server_is_own: bool,
    /// The server's version, where it is known: `2.3.5`.
    pub server_version: Option<String>,
    /// What the capture did with what came; `None` where no capture of ours stood in between, and it isn't known.
    pub delivery: Option<Delivery>,
    /// The wait for the last spans ended at its limit: some may have come later.
    pub unsettled: bool,
    /// How the traces differ that were read back from the store that the capture sends on to, where they do.
    pub read_back: Option<String>,
    /// What a witness saw between the programs and the server; `None` without one.
    pub wire: Option<Arc<Wire>>,
    /// Metrics and logs; `None` where none were captured.
    pub signals: Option<Arc<Signals>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleFacts {
    /// As in `service.instance.id`, which labels the spans of a run with several examples.
    pub name: String,
    pub exit: Exit,
    /// The last output line's `trace_id=`, where there was one.
    pub trace_id: Option<TraceId>,
}

/// How an example ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It was stopped at its time limit.
    TimedOut,
    /// It could not be started.
    NotStarted,
    /// It was asked to end, as a service is: no failure, however it did.
    Stopped,
}

impl Exit {
    /// Whether it ended as it should.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Code(0) | Self::Stopped)
    }
}

/// A capture's account of what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    pub senders: Vec<SenderFacts>,
    /// Connections that were closed at once because too many were open.
    pub refused_connections: u64,
    /// The latest thing that went wrong with a file.
    pub file_error: Option<String>,
    /// The latest thing that went wrong with sending on.
    pub forward_error: Option<String>,
}

/// What came from one sender and what became of it, in requests unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderFacts {
    /// As a message names it.
    pub name: String,
    /// Its resource's `milvus_otel.run`, where that is known.
    pub run: Option<String>,
    /// Its resource's `service.instance.id`, where that is known.
    pub instance: Option<String>,
    /// Its resource's `service.name`, where that is known.
    pub service: Option<String>,
    /// All that came.
    pub requests: u64,
    pub refused: Vec<RefusedFacts>,
    /// Told to come again.
    pub asked_again: u64,
    /// Told to come again, and did not.
    pub missing: u64,
    /// Records that couldn't be written.
    pub unwritten_records: u64,
    /// Records that are stored and could not be sent on.
    pub unforwarded_records: u64,
}

impl SenderFacts {
    /// Whether nothing says which program it is.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.run.is_none() && self.instance.is_none() && self.service.is_none()
    }
}

/// Requests that a capture refused for good in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedFacts {
    pub requests: u64,
    /// Why the latest was.
    pub reason: String,
    /// What the exporter calls itself.
    pub user_agent: Option<String>,
    /// What can be done about it.
    pub advice: String,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("was stopped at its time limit"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::Stopped => f.write_str("was asked to end"),
        }
    }
}
