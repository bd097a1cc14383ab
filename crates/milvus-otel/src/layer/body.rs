//! A response's body, which carries its call's span to the status in the trailers.

use super::call::{BoxError, CallSpan};
use super::status::Outcome;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The body of a traced call's response.
    #[derive(Debug)]
    pub struct TracedBody<B> {
        #[pin]
        inner: B,
        call: Option<CallSpan>,
    }
}

impl<B> TracedBody<B> {
    pub(super) fn new(inner: B, call: Option<CallSpan>) -> Self {
        Self { inner, call }
    }
}

impl<B> Body for TracedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx))
            .transpose()
            .map_err(Into::into);
        match &frame {
            Ok(Some(frame)) => {
                let trailers = frame.trailers_ref().map(Outcome::of_headers);
                let outcome = trailers.or_else(|| this.inner.is_end_stream().then_some(None));
                if let Some(outcome) = outcome {
                    end(this.call, || {
                        outcome.unwrap_or_else(Outcome::without_status)
                    });
                }
            }
            Ok(None) => end(this.call, Outcome::without_status),
            Err(error) => {
                if let Some(call) = this.call.take() {
                    call.end_with_error(error);
                }
            }
        }
        Poll::Ready(frame.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn end(call: &mut Option<CallSpan>, outcome: impl FnOnce() -> Outcome) {
    if let Some(call) = call.take() {
        call.end(outcome());
    }
}
