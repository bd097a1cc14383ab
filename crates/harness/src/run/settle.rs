//! Waiting for the last spans.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use supervise::Result;
use trace_parity::Exit;
use trace_report::ExampleRun;

use crate::event::{Event, Events};
use crate::folder::RunFolder;
use crate::spans::live::Live;
use crate::spans::source::Spans;
use crate::stack::bring_up::RunningStack;

/// How the wait for the last spans ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Every call that was to have one has its server span, and nothing more came.
    Settled,
    /// The time was up.
    Open {
        calls: u64,
        roots: usize,
        limit: Duration,
    },
}

impl Settling {
    /// What to say of it, where there is anything to say.
    pub fn note(self) -> Option<String> {
        let Self::Open {
            calls,
            roots,
            limit,
        } = self
        else {
            return None;
        };
        let what = match (calls, roots) {
            (0, 0) => "spans were still coming".to_owned(),
            _ => format!(
                "calls without a server span: {calls}, programs without a root span: {roots}"
            ),
        };
        Some(format!(
            "the wait for the last spans ended after {} s: {what}",
            limit.as_secs()
        ))
    }
}

/// Waits until every call of those that ended by themselves has its server span and nothing more comes, or the time is up.
pub async fn settle(
    stack: &RunningStack,
    spans: &mut Spans,
    folder: &RunFolder,
    live: &Live,
    finished: &[ExampleRun],
    events: &Events,
) -> Result<Settling> {
    tokio::select! {
        failure = stack.failed() => Err(failure),
        settled = until_settled(stack, spans, folder, live, finished, events) => settled,
    }
}

async fn until_settled(
    stack: &RunningStack,
    spans: &mut Spans,
    folder: &RunFolder,
    live: &Live,
    finished: &[ExampleRun],
    events: &Events,
) -> Result<Settling> {
    let named = |name: &str| finished.iter().find(|example| example.name == name);
    let ended = |name: &str| named(name).is_some_and(|one| matches!(one.exit, Exit::Code(_)));
    // One that failed may never have begun a span, or never ended it.
    let succeeded = |name: &str| named(name).is_some_and(|one| one.exit == Exit::Code(0));
    let began = Instant::now();
    let mut quiet_since = began;
    let mut seen = None;
    loop {
        spans.take_in(&folder.path, live).await?;
        let (arrivals, progress, late) = {
            let live = live.lock().unwrap_or_else(PoisonError::into_inner);
            (
                live.arrivals(),
                live.status().collect::<Vec<_>>(),
                live.late(),
            )
        };
        if seen != Some(arrivals) {
            seen = Some(arrivals);
            quiet_since = Instant::now();
        }
        let open_calls = progress
            .iter()
            .filter(|one| ended(&one.name))
            .map(|one| one.waiting)
            .sum();
        let open_roots = progress
            .iter()
            .filter(|one| succeeded(&one.name) && !one.root_seen)
            .count();
        events.emit(Event::Settling {
            open_calls,
            open_roots,
        });
        let quiet = quiet_since.elapsed() >= 2 * stack.schedule_delay;
        if open_roots == 0 && open_calls == 0 && quiet && began.elapsed() >= late {
            tracing::debug!(waited = ?began.elapsed(), arrivals, "settled");
            return Ok(Settling::Settled);
        }
        if began.elapsed() >= stack.settle_limit {
            tracing::warn!(limit = ?stack.settle_limit, ?progress, "not settled within the limit");
            return Ok(Settling::Open {
                calls: open_calls,
                roots: open_roots,
                limit: stack.settle_limit,
            });
        }
        tokio::time::sleep(stack.poll).await;
    }
}
