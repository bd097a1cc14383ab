//! Errors of calls, with the operation, the RPC and the trace they belong to.

use crate::layer::Code;
use opentelemetry::trace::{TraceContextExt, TraceId};
use opentelemetry::{Context, StringValue};
use std::fmt;

/// Milvus's codes for a call that came too soon after others, which it doesn't process.
pub(super) const RATE_LIMIT: i32 = 8;
pub(super) const LEGACY_RATE_LIMIT: i32 = 49;

/// Milvus's code for "index not found".
pub(super) const INDEX_NOT_FOUND: i32 = 700;

/// Milvus's codes for a missing collection, partition, resource group, index, database, alias and field.
const NOT_FOUND: [i32; 7] = [100, 200, 300, INDEX_NOT_FOUND, 800, 1600, 1700];

/// The result of the client's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that failed: in which operation, collection and RPC, what happened, and in which trace.
///
/// [`Display`](fmt::Display) has all of it, the trace id included, so that a line in a log leads to the trace. [`Debug`](fmt::Debug) is the
/// same text, which is what Rust prints if `main` returns the error.
///
/// ```no_run
/// # async fn example(client: milvus_otel::MilvusClient) {
/// use milvus_otel::client::ErrorKind;
///
/// if let Err(error) = client.search("films", [[0.1, 0.2, 0.3]]).await {
///     // `search` in `films`: `Search` failed: collection not found (Milvus code 100), trace 4bf92f35…
///     eprintln!("{error}");
///     match error.kind() {
///         _ if error.is_not_found() => eprintln!("create the collection first"),
///         _ if error.is_unsupported() => eprintln!("upgrade Milvus first"),
///         _ if error.is_rate_limited() || error.is_timeout() || error.is_retriable() => eprintln!("later, perhaps"),
///         ErrorKind::Milvus { code: 1100, reason, .. } => eprintln!("a wrong parameter: {reason}"),
///         _ => eprintln!("{:?} {:?} {:?}", error.operation(), error.collection(), error.method()),
///     }
///     match (error.milvus_code(), error.trace_id()) {
///         (Some(code), Some(trace)) => eprintln!("{code} in {trace}, {} rows before", error.rows_before()),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct Error {
    // Boxed, since nearly every result is not one.
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    operation: Option<(&'static str, String)>,
    method: Option<String>,
    /// How many rows of the operation were written before.
    rows_before: u64,
    trace_id: TraceId,
    reach: Reach,
}

/// How far a failed request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There was no connection.
    Unsent,
    /// The server said that it didn't process it.
    Unprocessed,
    Unknown,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Milvus answered, and refused.
    Milvus {
        /// Milvus's own code: from 2.3 on the one of its error list (100 is a collection not found), before that the legacy one.
        code: i32,
        /// Milvus's own words.
        reason: String,
        /// Whether Milvus says that the same request may succeed later.
        retriable: bool,
    },
    /// The RPC failed below Milvus: no connection, no permission, out of time.
    Rpc {
        /// The gRPC status.
        code: Code,
        /// The message of the gRPC status.
        message: String,
    },
    /// The arguments are invalid. Nothing was sent.
    Invalid(String),
    /// The server's version is too old for the operation or for one of its options. Nothing was sent.
    Unsupported(String),
    /// The answer isn't one that this client understands.
    Unexpected(String),
    /// A wait took longer than its timeout.
    TimedOut(String),
}

impl Error {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                operation: None,
                method: None,
                rows_before: 0,
                trace_id: TraceId::INVALID,
                reach: Reach::Unknown,
            }),
        }
    }

    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid(what.into()))
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported(what.into()))
    }

    pub(super) fn unexpected(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unexpected(what.into()))
    }

    pub(super) fn in_call(mut self, method: &str, trace_id: TraceId) -> Self {
        self.inner.method = Some(method.to_owned());
        self.inner.trace_id = trace_id;
        self
    }

    /// One that no RPC is to blame for belongs to the trace that it happened in.
    pub(super) fn in_trace_of(mut self, context: &Context) -> Self {
        if self.inner.trace_id == TraceId::INVALID {
            self.inner.trace_id = context.span().span_context().trace_id();
        }
        self
    }

    /// Names the operation that it ends, unless that is known, and its collection.
    pub(super) fn in_operation(mut self, name: &'static str, collection: &str) -> Self {
        self.inner
            .operation
            .get_or_insert_with(|| (name, collection.to_owned()));
        self
    }

    pub(super) fn after_rows(mut self, rows: u64) -> Self {
        self.inner.rows_before = rows;
        self
    }

    pub(super) fn reached(mut self, reach: Reach) -> Self {
        self.inner.reach = reach;
        self
    }

    pub(super) fn was_unprocessed(&self) -> bool {
        self.inner.reach == Reach::Unprocessed
    }

    /// Whether making the call again may help and can do no harm.
    pub(super) fn is_worth_another_try(&self, idempotent: bool) -> bool {
        if self.inner.reach != Reach::Unknown {
            return true;
        }
        match self.inner.kind {
            ErrorKind::Milvus { retriable, .. } => {
                self.is_rate_limited() || (retriable && idempotent)
            }
            ErrorKind::Rpc {
                code: Code::Unavailable | Code::ResourceExhausted,
                ..
            } => idempotent,
            _ => false,
        }
    }

    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// Milvus's error code, where Milvus answered.
    pub fn milvus_code(&self) -> Option<i32> {
        match self.inner.kind {
            ErrorKind::Milvus { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The client's method that failed, such as `search`; `None` for [`raw_call`](super::MilvusClient::raw_call).
    pub fn operation(&self) -> Option<&'static str> {
        Some(self.inner.operation.as_ref()?.0)
    }

    /// The collection that the operation is about, where it is about one.
    pub fn collection(&self) -> Option<&str> {
        let (_, collection) = self.inner.operation.as_ref()?;
        Some(collection.as_str()).filter(|name| !name.is_empty())
    }

    /// How many rows [`insert_batches`](super::MilvusClient::insert_batches) had written before this.
    pub fn rows_before(&self) -> u64 {
        self.inner.rows_before
    }

    /// The RPC that failed, such as `Search`, where one was made.
    pub fn method(&self) -> Option<&str> {
        self.inner.method.as_deref()
    }

    /// The trace that the failed RPC belongs to, or, where no RPC failed, the one that the operation or the caller is in.
    pub fn trace_id(&self) -> Option<TraceId> {
        (self.inner.trace_id != TraceId::INVALID).then_some(self.inner.trace_id)
    }

    /// Whether Milvus says that something doesn't exist: a collection, a partition, an index, a database, an alias, a field or
    /// a resource group.
    ///
    /// Of Milvus 2.3 and later. Milvus has no code for a user or a role that doesn't exist.
    pub fn is_not_found(&self) -> bool {
        self.milvus_code()
            .is_some_and(|code| NOT_FOUND.contains(&code))
    }

    /// Whether Milvus limited the rate of calls.
    pub fn is_rate_limited(&self) -> bool {
        matches!(self.milvus_code(), Some(RATE_LIMIT | LEGACY_RATE_LIMIT))
    }

    /// Whether the server's version is too old for the call: the client knew and didn't send it, or the server doesn't have the
    /// RPC.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::Unsupported(_)
                | ErrorKind::Rpc {
                    code: Code::Unimplemented,
                    ..
                }
        )
    }

    /// Whether the call's deadline passed, or a wait took longer than its timeout.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::TimedOut(_)
                | ErrorKind::Rpc {
                    code: Code::DeadlineExceeded,
                    ..
                }
        )
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self.inner.kind {
            ErrorKind::Milvus { retriable, .. } => retriable,
            ErrorKind::Rpc { code, .. } => {
                matches!(
                    code,
                    Code::Unavailable
                        | Code::ResourceExhausted
                        | Code::DeadlineExceeded
                        | Code::Aborted
                )
            }
            ErrorKind::TimedOut(_) => true,
            ErrorKind::Invalid(_) | ErrorKind::Unsupported(_) | ErrorKind::Unexpected(_) => false,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation() {
            write!(f, "`{operation}`")?;
            if let Some(collection) = self.collection() {
                write!(f, " in `{collection}`")?;
            }
            if self.inner.rows_before > 0 {
                write!(f, " after {} rows", self.inner.rows_before)?;
            }
            write!(f, ": ")?;
        }
        if let Some(method) = self.method() {
            write!(f, "`{method}` failed: ")?;
        }
        write!(f, "{}", self.inner.kind)?;
        if let Some(trace_id) = self.trace_id() {
            write!(f, ", trace {trace_id}")?;
        }
        Ok(())
    }
}

impl ErrorKind {
    /// The value of `error.type`: the code of Milvus or of gRPC.
    pub(super) fn name(&self) -> StringValue {
        match self {
            Self::Milvus { code, .. } => code.to_string().into(),
            Self::Rpc { code, .. } => code.name().into(),
            Self::Invalid(_) => "invalid_argument".into(),
            Self::Unsupported(_) => "unsupported".into(),
            Self::Unexpected(_) => "unexpected_answer".into(),
            Self::TimedOut(_) => "timeout".into(),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Milvus {
                code,
                reason,
                retriable,
            } => {
                let retry = if *retriable { ", a retry can help" } else { "" };
                write!(f, "{reason} (Milvus code {code}{retry})")
            }
            Self::Rpc { code, message } => write!(f, "{message} (gRPC {})", code.name()),
            Self::Invalid(what)
            | Self::Unsupported(what)
            | Self::Unexpected(what)
            | Self::TimedOut(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}
