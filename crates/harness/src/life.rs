//! What every run's life has in common: it is timed, it settles, it is judged, and whatever it started is stopped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use trace_parity::{Contract, Exit, Settlement, Traces};
use trace_report::{ExampleRun, Run};

use crate::compare::{Captured, Judged};
use crate::event::{Event, Events, Phase};
use crate::failure::{Failure, Interrupt, Result};
use crate::folder::RunFolder;
use crate::manifest::{Manifest, PhaseManifest};
use crate::process::Supervisor;
use crate::reports;
use crate::running::{RunningStack, Spans};
use crate::session::{Live, Session};

/// What a run has when its last program has ended.
pub(crate) struct Ending<'a> {
    pub session: &'a mut Session,
    pub stack: &'a RunningStack,
    pub spans: &'a mut Spans,
    pub live: &'a Live,
    pub contract: Option<&'a Contract>,
    pub events: &'a Events,
}

/// Does `body` to its end or until it is interrupted, then stops whatever it started and closes its session.
pub(crate) async fn to_the_end(
    interrupt: impl Future<Output = Interrupt>,
    body: impl AsyncFnOnce(&Supervisor, &mut Option<Session>) -> Result<Judged>,
) -> Result<Judged> {
    let supervisor = Supervisor::default();
    let mut session = None;
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)),
        outcome = body(&supervisor, &mut session) => outcome,
    };
    supervisor.shut_down().await;
    if let Some(session) = session {
        let closed = session.close(outcome.as_ref().err()).await;
        return outcome.and_then(|judged| closed.map(|()| judged));
    }
    outcome
}

/// Makes live joins for a run's programs, each from the beginning.
pub(crate) type Fresh = Box<dyn Fn() -> Settlement + Send>;

pub(crate) fn fresh(contract: &Contract, run: Option<String>, names: Vec<String>) -> Fresh {
    let contract = contract.clone();
    Box::new(move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Settlement::new(contract.clone(), run.as_deref(), &names)
    })
}

pub(crate) fn live(fresh: &Fresh) -> Live {
    Arc::new(Mutex::new(fresh()))
}

impl Ending<'_> {
    /// Waits for the last spans, judges what was captured, and writes all that a run's folder holds.
    ///
    /// `look` sees the traces first, and adds to the manifest what only they tell.
    pub(crate) async fn settle_and_judge(
        self,
        mut clock: Clock,
        finished: Vec<ExampleRun>,
        look: impl FnOnce(&Traces, &mut Manifest),
    ) -> Result<Judged> {
        let Self {
            session,
            stack,
            spans,
            live,
            contract,
            events,
        } = self;
        clock.enter(Phase::Settle);
        settle(stack, spans, &session.folder, live, &finished, events).await?;

        clock.enter(Phase::Compare);
        session.settle_capture().await?;
        let captured = Captured::of(&session.folder)?;
        session.manifest.general_rules = contract.is_none();
        look(&captured.traces, &mut session.manifest);
        let (id, folder) = (session.folder.id.clone(), session.folder.path.clone());
        let judged = captured.judge(contract, Some(&session.manifest.facts()), |verdict| {
            let (phases, wall) = clock.stop();
            Run {
                id: Some(id),
                folder: Some(folder),
                stack: Some(stack.name.clone()),
                verdict,
                wall_seconds: Some(wall.as_secs_f64()),
                phases,
                examples: finished,
            }
        });
        session.manifest.phases = judged.run.phases.iter().map(PhaseManifest::from).collect();
        session.manifest.write(&session.folder.manifest())?;
        reports::write(&judged, &session.folder)?;
        Ok(judged)
    }
}

/// Waits until every call of those that ended by themselves has its server span and nothing more comes.
pub(crate) async fn settle(
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
        let (arrivals, progress) = {
            let live = live.lock().unwrap_or_else(PoisonError::into_inner);
            (live.arrivals(), live.status().collect::<Vec<_>>())
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
        if open_roots == 0 && open_calls == 0 && quiet {
            break;
        }
        tokio::time::sleep(stack.poll).await;
    }
    Ok(())
}

/// Times phases and tells of them.
pub(crate) struct Clock {
    events: Events,
    began: Instant,
    current: Option<(Phase, Instant)>,
    done: Vec<trace_report::Phase>,
}

impl Clock {
    pub(crate) fn start(events: &Events) -> Self {
        Self {
            events: events.clone(),
            began: Instant::now(),
            current: None,
            done: Vec::new(),
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.leave();
        self.events.emit(Event::PhaseStarted(phase));
        self.current = Some((phase, Instant::now()));
    }

    fn leave(&mut self) {
        if let Some((phase, since)) = self.current.take() {
            let took = since.elapsed();
            self.events.emit(Event::PhaseEnded(phase, took));
            let seconds = took.as_secs_f64();
            self.done.push(trace_report::Phase {
                name: phase.name().to_owned(),
                seconds,
            });
        }
    }

    fn stop(mut self) -> (Vec<trace_report::Phase>, Duration) {
        self.leave();
        (std::mem::take(&mut self.done), self.began.elapsed())
    }
}
