//! The common parts of each run: timing, settling, judging, and stopping all programs.

use std::future::Future;
use std::time::{Duration, Instant};

use supervise::{Failure, Interrupt, Result, Supervisor};
use trace_parity::{Contract, Traces};
use trace_report::{ExampleRun, Note, NoteKind, Subject};

use crate::event::{Event, Events, Phase};
use crate::manifest::{Manifest, PhaseManifest};
use crate::run::judge::{Captured, Judged, apart};
use crate::run::read_back::{ReadBack, read_back};
use crate::run::report;
use crate::run::scrape::{Moment, scrape};
use crate::run::settle::{Settling, settle};
use crate::signals;
use crate::spans::live::Live;
use crate::spans::source::Spans;
use crate::stack::bring_up::RunningStack;
use crate::stack::faults;
use crate::stack::session::Session;

const NOT_FORWARDED: &str = "the capture couldn't send everything on in time: the store may lack spans that the run's capture.jsonl has";

/// The state of a run after its last program has ended.
#[derive(Debug)]
pub struct Ending<'a> {
    pub program: &'static str,
    pub session: &'a mut Session,
    pub stack: &'a RunningStack,
    pub spans: &'a mut Spans,
    pub live: &'a Live,
    pub contract: Option<&'a Contract>,
    pub subject: Subject,
    /// Notes beside the verdict.
    pub notes: Vec<Note>,
    pub events: &'a Events,
}

/// Does `body` to its end or until it is interrupted, then stops whatever it started and closes its session.
pub async fn to_the_end(
    interrupt: impl Future<Output = Interrupt>,
    body: impl AsyncFnOnce(&Supervisor, &mut Option<Session>) -> Result<Judged>,
) -> Result<Judged> {
    let supervisor = Supervisor::default();
    let mut session = None;
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)),
        outcome = body(&supervisor, &mut session) => outcome,
    };
    match &outcome {
        Ok(judged) => {
            let verdict = &judged.run.verdict;
            tracing::info!(verdict = ?verdict.outcome, findings = verdict.findings.len(), "judged");
        }
        Err(failure) => tracing::error!(?failure, "no verdict"),
    }
    let began = Instant::now();
    supervisor.shut_down().await;
    tracing::debug!(took = ?began.elapsed(), "stopped every program");
    if let Some(session) = session {
        let closed = session.close(outcome.as_ref().err()).await;
        return outcome.and_then(|judged| closed.map(|()| judged));
    }
    outcome
}

/// Fails if a fault of the run was never played. Its reports are written.
pub fn check_faults(session: Option<&Session>) -> Result<()> {
    session.map_or(Ok(()), |session| {
        faults::check_played(&session.manifest.faults)
    })
}

impl Ending<'_> {
    /// Waits for the last spans, judges what was captured, and writes all that a run's folder holds.
    ///
    /// `look` sees the traces first, adds to the manifest what only they tell, and returns notes of them.
    pub async fn settle_and_judge(
        self,
        mut clock: Clock,
        finished: Vec<ExampleRun>,
        look: impl FnOnce(&Traces, &mut Manifest) -> Vec<Note>,
    ) -> Result<Judged> {
        let Self {
            program,
            session,
            stack,
            spans,
            live,
            contract,
            subject,
            mut notes,
            events,
        } = self;
        clock.enter(Phase::Settle);
        let settling = settle(stack, spans, &session.folder, live, &finished, events).await?;
        session.manifest.settled = Some(settling == Settling::Settled);
        let mut tell = |text: String| {
            events.emit(Event::Note(text.clone()));
            notes.push(Note::new(NoteKind::General, text));
        };
        settling.note().into_iter().for_each(&mut tell);

        if let Some(note) = scrape(stack.server_metrics.as_ref(), session, Moment::After).await? {
            tell(note);
        }

        clock.enter(Phase::Compare);
        session.settle_capture().await?;
        if session.manifest.forwarded == Some(false) {
            tell(NOT_FORWARDED.to_owned());
        }
        let witnessed = session.settle_witness().await?;
        faults::notes(&session.manifest.faults)
            .chain(witnessed)
            .for_each(&mut tell);
        let folder = session.folder.clone();
        session.manifest.signals = apart(move || signals::read(&folder)).await?;
        let captured = Captured::of_apart(&session.folder).await?;
        session.manifest.general_rules = contract.is_none();
        notes.extend(look(&captured.traces, &mut session.manifest));
        let mut judged = captured
            .judge_apart(program, contract, session.manifest.facts())
            .await;
        if let Some(jaeger) = &stack.jaeger {
            let limit = stack.settle_limit;
            let verdict = &judged.run.verdict;
            match read_back(session, jaeger, contract, verdict, limit).await? {
                ReadBack::Same(file) => events.emit(Event::Note(format!(
                    "Jaeger has the same traces, and they come to the same verdict: `{}`",
                    file.display()
                ))),
                ReadBack::Differs(how) => {
                    session.manifest.read_back = Some(how);
                    let captured = Captured::of_apart(&session.folder).await?;
                    judged = captured
                        .judge_apart(program, contract, session.manifest.facts())
                        .await;
                }
            }
        }
        if let Some(note) = unseen_by_witness(session, &judged) {
            events.emit(Event::Note(note.clone()));
            notes.push(Note::new(NoteKind::General, note));
        }
        let (phases, wall) = clock.stop();
        let run = &mut judged.run;
        run.arguments.clone_from(&session.manifest.command);
        run.subject = subject;
        run.notes = notes;
        run.id = Some(session.folder.id.clone());
        run.folder = Some(session.folder.path.clone());
        run.stack = Some(stack.name.clone());
        run.wall_seconds = Some(wall.as_secs_f64());
        run.phases = phases;
        run.examples = finished;
        let commands = run.examples.iter_mut().flat_map(|one| &mut one.command);
        let texts = run.arguments.iter_mut().chain(commands);
        let notes = run.notes.iter_mut().map(|note| &mut note.text);
        for text in texts.chain(notes) {
            *text = session.manifest.secrets.redacted(text);
        }
        session.manifest.phases = judged.run.phases.iter().map(PhaseManifest::from).collect();
        session.manifest.write(&session.folder.manifest())?;
        let folder = session.folder.clone();
        apart(move || report::write(&judged, &folder).map(|()| judged)).await
    }
}

/// Said where a program's calls are in its spans, and none of them went through the witness.
fn unseen_by_witness(session: &Session, judged: &Judged) -> Option<String> {
    let wire = session.manifest.wire.as_ref()?;
    let told = judged.run.verdict.examples.iter();
    let calls: u64 = told.map(|example| example.client_rpcs).sum();
    let through = session.manifest.stack.milvus_uri.as_deref();
    (wire.calls.is_empty() && calls > 0).then(|| {
        format!(
            "the witness saw none of the {calls} calls: the program connected to another address than {}, which MILVUS_URI names",
            through.unwrap_or("the witness's")
        )
    })
}

/// Times phases and emits their events.
#[derive(Debug)]
pub struct Clock {
    events: Events,
    began: Instant,
    current: Option<(Phase, Instant)>,
    done: Vec<trace_report::Phase>,
}

impl Clock {
    pub fn start(events: &Events) -> Self {
        Self {
            events: events.clone(),
            began: Instant::now(),
            current: None,
            done: Vec::new(),
        }
    }

    pub fn enter(&mut self, phase: Phase) {
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
