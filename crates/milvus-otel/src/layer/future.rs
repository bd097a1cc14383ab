//! The future of a traced call's response.

use super::body::TracedBody;
use super::call::{BoxError, CallSpan};
use super::status::Outcome;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, ready};

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
