//! Many calls at once: each has a span, each span ends once, and each has the right parent.

use milvus_otel::GrpcTraceLayer;
use milvus_otel::layer::{CallHandle, Code};
use milvus_otel_tests::service::{self, Answering};
use milvus_otel_tests::spans::{Recorder, span_context, text};
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, SpanId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tower_layer::Layer;

/// How often a span has started, and the status of each end.
#[derive(Debug, Default)]
struct Life {
    starts: usize,
    ends: Vec<String>,
}

/// Records the starts and ends of spans.
#[derive(Clone, Debug, Default)]
struct Ends(Arc<Mutex<HashMap<SpanId, Life>>>);

impl SpanProcessor for Ends {
    fn on_start(&self, span: &mut Span, _: &Context) {
        use opentelemetry::trace::Span;
        self.0
            .lock()
            .unwrap()
            .entry(span.span_context().span_id())
            .or_default()
            .starts += 1;
    }

    fn on_end(&self, span: SpanData) {
        let code = text(&span, "rpc.grpc.status_code").unwrap_or_default();
        self.0
            .lock()
            .unwrap()
            .entry(span.span_context.span_id())
            .or_default()
            .ends
            .push(code);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Polls `future` at most `turns` times, then drops it. Returns whether it completed.
async fn cancelled_after(turns: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = turns;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        let polled = future.as_mut().poll(cx);
        polled.map(|_| true)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_ten_thousand_cancelled_calls_ends_once() {
    const CALLS: usize = 10_000;
    let ends = Ends::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(ends.clone())
        .build();
    let layer = GrpcTraceLayer::new().with_tracer_provider(&provider);
    let calls: Vec<_> = (0..CALLS)
        .map(|index| {
            let layer = layer.clone();
            tokio::spawn(async move {
                // Every combination of duration, time of the drop, with a handle or without, and with a status or without,
                // in pseudorandom order.
                let random = index.wrapping_mul(2_654_435_761) >> 7;
                let [turns, polls, is_held, speaks] = [
                    random % 5,
                    random / 5 % 12,
                    random / 60 % 2,
                    random / 120 % 2,
                ];
                let mut service = layer.layer(Answering::after(turns));
                let mut request = service::request("Good");
                let handle = CallHandle::new();
                if is_held == 1 {
                    request.extensions_mut().insert(handle.clone());
                }
                let call = service::call(&mut service, request);
                let completed = cancelled_after(1 + polls, call).await;
                if speaks == 1 {
                    handle.end(Code::Internal, "it could not be read");
                }
                completed
            })
        })
        .collect();
    let mut completed = 0;
    for call in calls {
        completed += usize::from(call.await.unwrap());
    }
    let ends = ends.0.lock().unwrap();
    assert_eq!(ends.len(), CALLS);
    assert!(
        ends.values()
            .all(|life| life.starts == 1 && life.ends.len() == 1)
    );
    let count = |code| ends.values().filter(|life| life.ends[0] == code).count();
    let (ok, cancelled, internal) = (count("0"), count("1"), count("13"));
    assert_eq!(ok + cancelled + internal, CALLS);
    assert!(internal > 1_000, "{internal}");
    // A call that is dropped after the trailers but before the end of the stream has succeeded.
    assert!(
        ok >= completed && completed > 1_000 && cancelled > 1_000,
        "{ok} OK, {completed} completed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_children_of_a_thousand_roots_are_not_mixed_up() {
    const ROOTS: usize = 1_000;
    const CALLS: usize = 5;
    let recorder = Recorder::default();
    let seen = service::Seen::default();
    let service = recorder.layer().layer(Answering::seen_by(&seen, 3));
    let tasks: Vec<_> = (0..ROOTS)
        .map(|_| {
            let root = recorder.root();
            let mut service = service.clone();
            let calls = async move {
                for _ in 0..CALLS {
                    service::call(&mut service, service::request("Good"))
                        .await
                        .unwrap();
                    tokio::task::yield_now().await;
                }
            };
            (span_context(&root), tokio::spawn(calls.with_context(root)))
        })
        .collect();
    let mut roots = HashMap::new();
    for (root, task) in tasks {
        task.await.unwrap();
        roots.insert(root.span_id(), (root.trace_id(), 0));
    }
    for span in recorder
        .take()
        .into_iter()
        .filter(|span| span.name.starts_with("test.Service"))
    {
        let (trace_id, children) = roots
            .get_mut(&span.parent_span_id)
            .expect("its parent is a root");
        assert_eq!(span.span_context.trace_id(), *trace_id);
        *children += 1;
    }
    assert!(roots.values().all(|(_, children)| *children == CALLS));
    // The service ran within the span whose context it received.
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), ROOTS * CALLS);
    for (headers, current) in &*seen {
        assert_eq!(
            headers["traceparent"],
            format!("00-{}-{}-01", current.trace_id(), current.span_id())
        );
    }
    assert!(!Context::map_current(Context::is_telemetry_suppressed));
}
