//! A run's life: preflight, prepare, stack, examples, settle, compare.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use supervise::{Interrupt, Result, Supervisor};
use trace_report::{Note, NoteKind, Subject};

use crate::PROGRAM;
use crate::event::{Event, Events, Phase};
use crate::prepare::example::Example;
use crate::prepare::preflight;
use crate::prepare::task::{Task, Versions};
use crate::run::judge::{self, Judged};
use crate::run::life::{Clock, Ending, check_faults, to_the_end};
use crate::run::program::{Start, run_programs};
use crate::run::scrape::{Moment, scrape};
use crate::spans::live::{fresh, live};
use crate::stack::authorization;
use crate::stack::bring_up::{Place, RunningStack, StackChoice};
use crate::stack::session::{Session, WireOptions, Witnessing};
use crate::workspace::Workspace;

/// The options of the command.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these; all where it is empty.
    pub only: Vec<String>,
    /// Folders of examples beside the built-in ones.
    pub folders: Vec<PathBuf>,
    /// Examples at a time; all of them where it is `None`.
    pub jobs: Option<usize>,
    /// How often each example runs.
    pub repeat: usize,
    pub contract: Option<PathBuf>,
    pub stack: StackChoice,
    /// After the report, the stack stays until the run is interrupted.
    pub keep_up: bool,
    /// The embedded stack asks its clients who they are.
    pub auth: bool,
    pub wire: WireOptions,
    /// Texts that are kept out of all that is written.
    pub redact: Vec<String>,
}

/// Runs examples against a stack of their own and compares what they export.
///
/// `report` is called with the filled run as soon as there is a verdict, before the stack goes down.
pub async fn run_all(
    workspace: &Workspace,
    options: &Options,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
    report: impl FnOnce(&Judged),
) -> Result<Judged> {
    to_the_end(interrupt, async |supervisor, session| {
        // The stack is up for as long as this is held.
        let (judged, stack) =
            judge_examples(workspace, options, events, supervisor, session).await?;
        report(&judged);
        check_faults(session.as_ref())?;
        if options.keep_up {
            return Err(stack.failed().await);
        }
        Ok(judged)
    })
    .await
}

async fn judge_examples(
    workspace: &Workspace,
    options: &Options,
    events: &Events,
    supervisor: &Supervisor,
    slot: &mut Option<Session>,
) -> Result<(Judged, RunningStack)> {
    let mut clock = Clock::start(events);
    let contract = judge::contract(options.contract.as_deref())?;
    let witnessing = options.wire.witnessing(&contract)?;
    let examples = Example::select(workspace, &options.folders, &options.only)?;

    clock.enter(Phase::Preflight);
    let (_, needs) = options.stack.tasks(workspace)?;
    preflight::check(&needs, &examples, &workspace.state()).await?;
    let docker = options.stack.docker(workspace).await?;

    clock.enter(Phase::Prepare);
    let tasks = examples.iter().map(Task::from).collect();
    let (prepared, versions) = options
        .stack
        .prepare(docker, tasks, workspace, supervisor, events)
        .await?;
    let rounds = rounds(examples.into_iter().zip(versions), options.repeat);

    clock.enter(Phase::Stack);
    let session = Session::open(workspace, supervisor.clone(), options.stack.kind())?;
    let session = slot.insert(session);
    session.kept_up = options.keep_up;
    session.authorize(authorization::token(options.auth)?, &options.redact)?;
    let names: Vec<String> = rounds.iter().map(|(name, ..)| name.clone()).collect();
    session.witnessing = witnessing.map(|witnessing| Witnessing {
        clients: match &witnessing.faults {
            Some(_) => names.clone(),
            None => Vec::new(),
        },
        ..witnessing
    });
    let fresh = fresh(&contract, Some(session.folder.id.clone()), names);
    let live = live(&fresh);
    let (stack, mut spans) = prepared
        .start(Place::Free, workspace, session, (&live, fresh), events)
        .await?;
    spans.keep_out(&session.manifest.secrets);

    if let (Some(_), Some(address)) = (&stack.jaeger, &stack.traces_from) {
        events.emit(Event::Note(format!(
            "Jaeger's query API is at {address}; this build has no web page: `{PROGRAM} report` and `trace` show what it holds"
        )));
    }

    clock.enter(Phase::Examples);
    let jobs = options
        .jobs
        .unwrap_or(rounds.len() / options.repeat.max(1))
        .max(1);
    let starts = rounds.into_iter().map(|(name, example, versions)| {
        let (run, token) = (&session.folder.id, session.token.as_ref());
        let log = session.folder.logs().join(format!("{name}.log"));
        Start::of_example(run, name, &example, versions, &stack, token, log)
    });
    let starts = starts.collect();
    let unread = scrape(stack.server_metrics.as_ref(), session, Moment::Before).await?;
    let notes: Vec<Note> = unread
        .map(|text| Note::new(NoteKind::General, text))
        .into_iter()
        .collect();
    for note in &notes {
        events.emit(Event::Note(note.text.clone()));
    }
    let (supervisor, file) = (session.supervisor().clone(), session.folder.manifest());
    let told = (&mut session.manifest, file.as_path());
    let finished = run_programs(starts, jobs, &stack, &supervisor, told, events).await?;

    let ending = Ending {
        program: workspace.program(),
        session,
        stack: &stack,
        spans: &mut spans,
        live: &live,
        contract: Some(&contract),
        subject: Subject::Examples,
        notes,
        events,
    };
    let judged = ending
        .settle_and_judge(clock, finished, |_, _| Vec::new())
        .await?;
    Ok((judged, stack))
}

/// Each example with its versions, once more for each repeat, by the names that tell them apart.
fn rounds(
    examples: impl Iterator<Item = (Example, Versions)>,
    repeat: usize,
) -> Vec<(String, Arc<Example>, Versions)> {
    let once: Vec<_> = examples
        .map(|(example, versions)| (example.name.clone(), Arc::new(example), versions))
        .collect();
    let again = (2..=repeat).flat_map(|round| {
        once.iter().map(move |(name, example, versions)| {
            (format!("{name}-{round}"), example.clone(), versions.clone())
        })
    });
    once.iter().cloned().chain(again).collect()
}
