//! Waiting for the last spans.

use std::sync::PoisonError;
use std::time::Instant;

use supervise::Result;
use trace_parity::Exit;
use trace_report::ExampleRun;

use crate::event::{Event, Events};
use crate::folder::RunFolder;
use crate::spans::live::Live;
use crate::spans::source::Spans;
use crate::stack::bring_up::RunningStack;

/// Waits until every call of those that ended by themselves has its server span and nothing more comes.
pub async fn settle(
    stack: &RunningStack,
    spans: &mut Spans,
    folder: &RunFolder,
    live: &Live,
    finished: &[ExampleRun],
    events: &Events,
) -> Result<()> {
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
) -> Result<()> {
    let named = |name: &str| finished.iter().find(|example| example.name == name);
    let ended = |name: &str| named(name).is_some_and(|one| matches!(one.exit, Exit::Code(_)));
    // One that failed may never have begun a span, or never ended it.
    let succeeded = |name: &str| named(name).is_some_and(|one| one.exit == Exit::Code(0));
    let began = Instant::now();
    let mut quiet_since = began;
    let mut seen = None;
    while began.elapsed() < stack.settle_limit {
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
            return Ok(());
        }
        tokio::time::sleep(stack.poll).await;
    }
    let live = live.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<_> = live.status().collect();
    tracing::warn!(limit = ?stack.settle_limit, ?missing, "not settled within the limit");
    Ok(())
}
