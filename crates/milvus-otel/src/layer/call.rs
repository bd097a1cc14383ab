//! One call: its span, and the caller's hold on it.

#[cfg(feature = "metrics")]
use super::metrics::Timer;
use super::settings::Settings;
use super::status::{Code, Outcome};
use crate::semconv;
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The error of a traced service and of its bodies: the inner error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The span of a call that hasn't ended. Dropping it ends it as CANCELLED, unless the caller has a hold on it.
pub(super) struct CallSpan(Option<Open>);

/// What ends once.
struct Open {
    context: Context,
    settings: Arc<Settings>,
    handle: Option<CallHandle>,
    #[cfg(feature = "metrics")]
    timer: Option<Timer>,
}

impl CallSpan {
    pub(super) fn new(
        context: Context,
        settings: Arc<Settings>,
        handle: Option<CallHandle>,
    ) -> Self {
        if let Some(handle) = &handle {
            handle.begin(&context);
        }
        Self(Some(Open {
            context,
            settings,
            handle,
            #[cfg(feature = "metrics")]
            timer: None,
        }))
    }

    #[cfg(feature = "metrics")]
    pub(super) fn timed(mut self, timer: Timer) -> Self {
        if let Some(open) = &mut self.0 {
            open.timer = Some(timer);
        }
        self
    }

    pub(super) fn context(&self) -> Option<&Context> {
        self.0.as_ref().map(|open| &open.context)
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        if let Some(open) = self.0.take() {
            open.end(outcome);
        }
    }

    pub(super) fn end_with_error(self, error: &BoxError) {
        let classify = self.0.as_ref().and_then(|open| open.settings.classify);
        self.end(Outcome::of_error(&**error, classify));
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        match open.handle.take() {
            Some(handle) => handle.keep(open),
            None => open.end(Outcome::dropped()),
        }
    }
}

impl Open {
    fn end(self, outcome: Outcome) {
        #[cfg(feature = "metrics")]
        if let Some(timer) = &self.timer {
            timer.stop(
                &self.settings.metrics,
                self.settings.conventions,
                outcome.code,
            );
        }
        // A span that isn't recorded ignores all of it.
        let span = self.context.span();
        let conventions = self.settings.conventions;
        if conventions.has_old() {
            let code = outcome.code as i64;
            span.set_attribute(KeyValue::new(semconv::RPC_GRPC_STATUS_CODE, code));
        }
        if conventions.has_new() {
            let code = outcome.code.name();
            span.set_attribute(KeyValue::new(semconv::RPC_RESPONSE_STATUS_CODE, code));
        }
        if outcome.code != Code::Ok {
            span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, outcome.code.name()));
            span.set_status(Status::error(outcome.message));
        }
        span.end();
    }
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = self
            .context()
            .map(|context| context.span().span_context().clone());
        f.debug_tuple("CallSpan").field(&context).finish()
    }
}

/// A caller's handle on one call; put a clone of it into the request's extensions.
///
/// gRPC clients decode answers above the layer, and drop a call whose answer they can't decode: to the layer that
/// looks like any other call that was given up. With a handle, such a call waits for the caller's word:
///
/// ```
/// use milvus_otel::layer::{CallHandle, Code};
///
/// let handle = CallHandle::new();
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(handle.clone());
/// // … make the call; tonic's `Request` has the same `extensions_mut`, and its `Status` a code and a message.
/// handle.end(Code::Internal, "the answer is no message");
/// let trace = handle.context(); // in which the call was made
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallHandle(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    context: Option<Context>,
    /// How the call ended, where the caller said so before it dropped it.
    outcome: Option<Outcome>,
    /// The call, dropped before its end. It ends with the last clone of the handle at the latest.
    dropped: Option<CallSpan>,
}

impl CallHandle {
    /// A handle that isn't used for a call yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The context whose span is the call's; `None` before the layer has seen the request, or where it isn't traced.
    pub fn context(&self) -> Option<Context> {
        self.held().context.clone()
    }

    /// Ends the call's span with this status, as soon as the call is dropped. One that has come to its own end keeps it.
    pub fn end(&self, code: Code, message: impl Into<String>) {
        let outcome = Outcome::new(code, message);
        let mut held = self.held();
        match held.dropped.take() {
            Some(call) => {
                // A span's end runs the code of others.
                drop(held);
                call.end(outcome);
            }
            None => held.outcome = Some(outcome),
        }
    }

    fn begin(&self, context: &Context) {
        let begun = Held {
            context: Some(context.clone()),
            ..Held::default()
        };
        let before = std::mem::replace(&mut *self.held(), begun);
        drop(before);
    }

    fn keep(&self, call: Open) {
        let mut held = self.held();
        match held.outcome.take() {
            Some(outcome) => {
                drop(held);
                call.end(outcome);
            }
            None => held.dropped = Some(CallSpan(Some(call))),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
