//! The answer of a unary call, beneath the layer: whatever lacks a message or a status gets the status that gRPC has
//! for it, so that the call's span and its error say the same.

use crate::layer::Outcome;
use bytes::Buf;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service whose answers have a message or an error status.
#[derive(Clone, Debug)]
pub(super) struct Unary<S>(pub(super) S);

impl<S, B, A> Service<Request<B>> for Unary<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    A: Body,
{
    type Response = Response<UnaryBody<A>>;
    type Error = S::Error;
    type Future = UnaryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        UnaryFuture {
            inner: self.0.call(request),
        }
    }
}

pin_project! {
    /// The future of such an answer.
    #[derive(Debug)]
    pub(super) struct UnaryFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, A, E> Future for UnaryFuture<F>
where
    F: Future<Output = Result<Response<A>, E>>,
    A: Body,
{
    type Output = Result<Response<UnaryBody<A>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = ready!(self.project().inner.poll(cx));
        Poll::Ready(polled.map(|mut response| {
            if let Some(outcome) = without_message(&response) {
                outcome.write(response.headers_mut());
            }
            response.map(UnaryBody::new)
        }))
    }
}

/// The status of a response that can't bring a message, unless its headers have one that is a failure.
fn without_message<A>(response: &Response<A>) -> Option<Outcome> {
    let headers = response.headers();
    match headers.get("grpc-status") {
        Some(status) if status == "0" => Some(Outcome::without_message()),
        Some(_) => None,
        None => Outcome::of_http_status(response.status())
            .or_else(|| of_content_type(headers.get(CONTENT_TYPE)?)),
    }
}

/// A proxy can send a page with status 200.
fn of_content_type(content_type: &HeaderValue) -> Option<Outcome> {
    let is_grpc = content_type.as_bytes().starts_with(b"application/grpc");
    (!is_grpc).then(|| Outcome::of_content_type(content_type))
}

pin_project! {
    /// A body that ends in trailers with a status, which is OK only where a message came before it.
    #[derive(Debug)]
    pub(super) struct UnaryBody<A> {
        #[pin]
        inner: A,
        has_message: bool,
        has_ended: bool,
    }
}

impl<A> UnaryBody<A> {
    fn new(inner: A) -> Self {
        Self {
            inner,
            has_message: false,
            has_ended: false,
        }
    }
}

impl<A: Body> Body for UnaryBody<A> {
    type Data = A::Data;
    type Error = A::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<A::Data>, A::Error>>> {
        let this = self.project();
        if *this.has_ended {
            return Poll::Ready(None);
        }
        let Some(mut frame) = ready!(this.inner.poll_frame(cx)?) else {
            *this.has_ended = true;
            let mut trailers = HeaderMap::new();
            Outcome::without_status().write(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        };
        if let Some(data) = frame.data_ref() {
            *this.has_message |= data.has_remaining();
        } else if let Some(trailers) = frame.trailers_mut() {
            *this.has_ended = true;
            if !*this.has_message
                && trailers
                    .get("grpc-status")
                    .is_some_and(|status| status == "0")
            {
                Outcome::without_message().write(trailers);
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
