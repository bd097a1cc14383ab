//! A gRPC service in memory, and the least that a client needs to call it.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use tower_service::Service;

/// Answers every call with one message and status OK.
///
/// It takes as many turns as it is told to, before the response and before each frame of it.
#[derive(Clone, Debug, Default)]
pub struct Answering {
    turns: usize,
    seen: Option<Seen>,
}

/// What a service has seen of its requests: the headers of each, and the span that was current when it came.
pub type Seen = Arc<Mutex<Vec<(HeaderMap, SpanContext)>>>;

impl Answering {
    /// A service that says `turns` times that it isn't ready yet.
    pub fn after(turns: usize) -> Self {
        Self { turns, seen: None }
    }

    /// The same, and it writes down what it sees.
    pub fn seen_by(seen: &Seen, turns: usize) -> Self {
        Self {
            turns,
            seen: Some(Arc::clone(seen)),
        }
    }
}

impl<B> Service<Request<B>> for Answering {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answers;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(seen) = &self.seen {
            let current = Context::map_current(|context| context.span().span_context().clone());
            seen.lock()
                .expect("no test panicked here")
                .push((request.headers().clone(), current));
        }
        Answers(Turns::new(self.turns))
    }
}

/// Comes to an answer after its turns.
#[derive(Debug)]
pub struct Answers(Turns);

impl Future for Answers {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.take(cx).map(|()| {
            let turns = Turns::new(self.0.all);
            Ok(Response::new(Answer { turns, frames: 2 }))
        })
    }
}

/// A message, and trailers that say OK.
#[derive(Debug)]
pub struct Answer {
    turns: Turns,
    frames: usize,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let turn = self.turns.take(cx);
        turn.map(|()| {
            self.frames = self.frames.checked_sub(1)?;
            let trailers = || {
                HeaderMap::from_iter([(
                    http::HeaderName::from_static("grpc-status"),
                    "0".parse().expect("it is a header"),
                )])
            };
            Some(Ok(if self.frames == 1 {
                Frame::data(Bytes::from_static(&[0; 5]))
            } else {
                Frame::trailers(trailers())
            }))
        })
    }
}

/// How often something isn't ready yet, each time anew.
#[derive(Debug)]
struct Turns {
    all: usize,
    left: usize,
}

impl Turns {
    fn new(all: usize) -> Self {
        Self { all, left: all }
    }

    fn take(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.left == 0 {
            self.left = self.all;
            return Poll::Ready(());
        }
        self.left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A request of `method`, without a message.
pub fn request(method: &str) -> Request<()> {
    Request::builder()
        .uri(format!("/test.Service/{method}"))
        .body(())
        .expect("it is a request")
}

/// Makes a call and reads its answer to the end; returns how many frames that has.
pub async fn call<S, B>(service: &mut S, request: Request<()>) -> Result<usize, S::Error>
where
    S: Service<Request<()>, Response = Response<B>>,
    B: Body<Error: std::fmt::Debug>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let response = service.call(request).await?;
    let mut body = pin!(response.into_body());
    let mut frames = 0;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        frame.expect("the body is whole");
        frames += 1;
    }
    Ok(frames)
}
