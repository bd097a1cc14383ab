//! One call: its span, and the future of its response.

use super::status::{Code, Outcome};
use super::{BoxError, Settings, TracedBody};
use crate::semconv;
use http::Response;
use http_body::Body;
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, ready};

/// The span of a call that hasn't ended. Dropping it ends it as CANCELLED, unless the caller has a hold on it.
pub(super) struct CallSpan(Option<Open>);

/// What ends once.
struct Open {
    context: Context,
    settings: Arc<Settings>,
    handle: Option<CallHandle>,
    #[cfg(feature = "metrics")]
    timer: Option<super::metrics::Timer>,
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
    pub(super) fn timed(mut self, timer: super::metrics::Timer) -> Self {
        if let Some(open) = &mut self.0 {
            open.timer = Some(timer);
        }
        self
    }

    fn context(&self) -> Option<&Context> {
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
            timer.stop(&self.settings, outcome.code);
        }
        let span = self.context.span();
        if span.is_recording() {
            let conventions = self.settings.conventions;
            if conventions.has_old() {
                span.set_attribute(KeyValue::new(
                    semconv::RPC_GRPC_STATUS_CODE,
                    outcome.code as i64,
                ));
            }
            if conventions.has_new() {
                span.set_attribute(KeyValue::new(
                    semconv::RPC_RESPONSE_STATUS_CODE,
                    outcome.code.name(),
                ));
            }
            if outcome.code != Code::Ok {
                span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, outcome.code.name()));
                span.set_status(Status::error(outcome.message));
            }
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

/// A caller's hold on one call; put a clone of it among the request's extensions.
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
    /// A hold on no call yet.
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

pin_project! {
    /// The future of a traced call's response.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<CallSpan>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, call: Option<CallSpan>) -> Self {
        Self { inner, call }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<BoxError>,
{
    type Output = Result<Response<TracedBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let context = this.call.as_ref().and_then(CallSpan::context);
            let _current = context.map(|context| context.clone().attach());
            ready!(this.inner.poll(cx))
        };
        let call = this.call.take();
        Poll::Ready(match polled {
            Ok(response) => Ok(traced(response, call)),
            Err(error) => {
                let error = error.into();
                if let Some(call) = call {
                    call.end_with_error(&error);
                }
                Err(error)
            }
        })
    }
}

/// A response whose headers are the whole of it ends its call; any other takes the call along in its body.
fn traced<B: Body>(response: Response<B>, mut call: Option<CallSpan>) -> Response<TracedBody<B>> {
    let outcome = Outcome::of_headers(response.headers())
        .or_else(|| Outcome::of_http_status(response.status()))
        .or_else(|| {
            response
                .body()
                .is_end_stream()
                .then(Outcome::without_status)
        });
    if let Some(outcome) = outcome
        && let Some(call) = call.take()
    {
        call.end(outcome);
    }
    response.map(|body| TracedBody::new(body, call))
}
