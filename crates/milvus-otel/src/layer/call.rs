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
use std::sync::Arc;
use std::task::{self, Poll, ready};

/// The span of a call that hasn't ended. Dropping it ends it as CANCELLED.
pub(super) struct CallSpan {
    context: Context,
    settings: Arc<Settings>,
    #[cfg(feature = "metrics")]
    timer: Option<super::metrics::Timer>,
    ended: bool,
}

impl CallSpan {
    pub(super) fn new(context: Context, settings: Arc<Settings>) -> Self {
        Self {
            context,
            settings,
            #[cfg(feature = "metrics")]
            timer: None,
            ended: false,
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn timed(mut self, timer: super::metrics::Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.record(outcome);
    }

    pub(super) fn end_with_error(self, error: &BoxError) {
        let outcome = Outcome::of_error(&**error, self.settings.classify);
        self.end(outcome);
    }

    fn record(&mut self, outcome: Outcome) {
        self.ended = true;
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

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.ended {
            self.record(Outcome::dropped());
        }
    }
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallSpan")
            .field(self.context.span().span_context())
            .finish()
    }
}

/// A place, among a request's extensions, where the layer leaves the context of the call that it becomes.
#[cfg(feature = "client")]
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanSlot(Arc<std::sync::OnceLock<Context>>);

#[cfg(feature = "client")]
impl SpanSlot {
    pub(super) fn fill(&self, context: &Context) {
        self.0.get_or_init(|| context.clone());
    }

    pub(crate) fn context(&self) -> Option<&Context> {
        self.0.get()
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
            let _current = this.call.as_ref().map(|call| call.context.clone().attach());
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
