//! What is known of a run besides its spans.

use crate::ids::TraceId;

/// Facts that a run records and that no span tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// What the capture refused or dropped, in requests and records. Any makes `dropped-spans`.
    pub drops: Drops,
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
    /// It was ended when its time was up.
    TimedOut,
    /// It could not be started.
    NotStarted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Requests answered with a retryable error because the queue was full.
    pub refused_requests: u64,
    /// Spans that were accepted and then lost.
    pub dropped_spans: u64,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("was ended when its time was up"),
            Self::NotStarted => f.write_str("could not be started"),
        }
    }
}
