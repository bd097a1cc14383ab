//! A run's life: preflight, prepare, stack, examples, settle, compare.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trace_parity::{Contract, Exit, Settlement, Verdict};
use trace_report::{ExampleRun, Run};

use crate::compare::{self, Judged};
use crate::embedded;
use crate::event::{Event, Events, Phase};
use crate::example::{Example, Need};
use crate::external::External;
use crate::failure::{Failure, Interrupt, Result};
use crate::fetch::Fetch;
use crate::folder::RunFolder;
use crate::jaeger::{self, Jaeger};
use crate::log;
use crate::manifest::{ExampleManifest, PhaseManifest};
use crate::ports::Ports;
use crate::preflight;
use crate::prepare::{self, Task, Versions};
use crate::process::{Output, Program, Supervisor};
use crate::reports;
use crate::running::{Backend, RunningStack, Spans};
use crate::session::{Live, Session};
use crate::workspace::Workspace;

/// Lines of an example's output that a report quotes.
const LOG_TAIL: usize = 20;

/// What to run.
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
    /// A stack that somebody else runs; the embedded one without it.
    pub external: Option<External>,
    /// Of the embedded stack.
    pub backend: Backend,
    /// After the report, the stack stays until the run is interrupted.
    pub keep_up: bool,
}

/// One start of an example's program.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The example's name, with `-2` and so on for its repeats.
    pub name: String,
    pub example: Arc<Example>,
    pub versions: Versions,
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
        if options.keep_up {
            return Err(stack.failed().await);
        }
        Ok(judged)
    })
    .await
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

async fn judge_examples(
    workspace: &Workspace,
    options: &Options,
    events: &Events,
    supervisor: &Supervisor,
    slot: &mut Option<Session>,
) -> Result<(Judged, RunningStack)> {
    let mut clock = Clock::start(events);
    let contract = compare::contract(options.contract.as_deref())?;
    let examples = Example::select(workspace, &options.folders, &options.only)?;

    clock.enter(Phase::Preflight);
    let (mut tasks, needs) = stack_tasks(workspace, options)?;
    preflight::check(&needs, &examples, &workspace.state())?;

    clock.enter(Phase::Prepare);
    let of_stack = tasks.len();
    tasks.extend(examples.iter().map(Task::from));
    let mut versions = prepare::prepare_all(tasks, workspace, supervisor, events).await?;
    let of_examples = versions.split_off(of_stack);
    let stack_versions = versions.into_iter().next().unwrap_or_default();
    let starts = starts(examples, of_examples.into_iter(), options.repeat);

    clock.enter(Phase::Stack);
    let kind = if options.external.is_some() {
        "external"
    } else {
        "embedded"
    };
    let session = slot.insert(Session::open(workspace, supervisor.clone(), kind)?);
    session.kept_up = options.keep_up;
    let names: Vec<&str> = starts.iter().map(|start| start.name.as_str()).collect();
    let run = session.folder.id.clone();
    let live = live(&contract, Some(&run), &names);
    let (stack, mut spans) = match &options.external {
        Some(external) => {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let contract = contract.clone();
            let fresh = move || {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Settlement::new(contract.clone(), Some(&run), &names)
            };
            session.manifest.stack.milvus_uri = Some(external.milvus_uri.clone());
            session.manifest.stack.otlp_grpc = Some(external.otlp_endpoint.clone());
            session.manifest.stack.traces_from = Some(external.traces_from.clone());
            RunningStack::external(external, fresh).await?
        }
        None => {
            let ports = Ports::free()?;
            RunningStack::embedded_with(
                options.backend,
                workspace,
                session,
                ports,
                (0, 0),
                &live,
                stack_versions,
            )
            .await?
        }
    };
    events.emit(Event::StackReady {
        milvus: stack.milvus_uri.clone(),
        otlp: stack.otlp_grpc.clone(),
    });

    if let Some(jaeger) = &stack.jaeger {
        let address = format!("http://{}", jaeger.query().authority);
        events.emit(Event::Note(format!(
            "Jaeger's query API is at {address}; this build has no web page: `cargo xtask report` and `trace` show what it holds"
        )));
        session.manifest.stack.traces_from = Some(address);
    }

    clock.enter(Phase::Examples);
    let jobs = options
        .jobs
        .unwrap_or(starts.len() / options.repeat.max(1))
        .max(1);
    let finished = tokio::select! {
        failure = stack.failed() => return Err(failure),
        finished = run_examples(session, &stack, starts, jobs, events) => finished?,
    };

    clock.enter(Phase::Settle);
    settle(
        &stack,
        &mut spans,
        &session.folder,
        &live,
        &finished,
        events,
    )
    .await?;

    clock.enter(Phase::Compare);
    let judged = conclude(session, &stack, Some(&contract), clock, finished).await?;
    if let Some(jaeger) = &stack.jaeger {
        read_back(session, jaeger, &contract, &judged, events).await?;
    }
    Ok((judged, stack))
}

/// What has to be prepared for the stack, and needed to be there.
fn stack_tasks(workspace: &Workspace, options: &Options) -> Result<(Vec<Task>, Vec<Need>)> {
    if options.external.is_some() {
        return Ok((Vec::new(), Vec::new()));
    }
    embedded::check_platform()?;
    let mut tasks = vec![embedded::preparation(workspace)];
    let mut needs = embedded::needs();
    if options.backend == Backend::Jaeger {
        tasks.push(jaeger::preparation(workspace));
        needs.extend(jaeger::needs());
    }
    Ok((tasks, needs))
}

/// Reads the same traces back from Jaeger into `jaeger.jsonl`, and says whether they come to the same verdict.
async fn read_back(
    session: &Session,
    jaeger: &Jaeger,
    contract: &Contract,
    judged: &Judged,
    events: &Events,
) -> Result<()> {
    // The Jaeger is this run's own: everything in it is.
    let began = SystemTime::UNIX_EPOCH;
    let file = session.folder.path.join("jaeger.jsonl");
    let builtin = contract.clone();
    let fetch = Fetch::since(began, jaeger.query(), Vec::new(), move || {
        Settlement::new(builtin.clone(), None, &[])
    });
    let unused = live(contract, None, &[]);
    fetch.take_in(&file, &unused).await?;
    let again = compare::verdict_of(&file, &session.manifest, Some(contract))?;
    let rules = |verdict: &Verdict| {
        let mut rules: Vec<String> = verdict
            .findings
            .iter()
            .map(|finding| format!("{:?} {}", finding.example, finding.rule))
            .collect();
        rules.sort();
        rules
    };
    let same =
        again.outcome == judged.run.verdict.outcome && rules(&again) == rules(&judged.run.verdict);
    events.emit(Event::Note(if same {
        format!(
            "Jaeger has the same traces, and they come to the same verdict: `{}`",
            file.display()
        )
    } else {
        format!(
            "what Jaeger has comes to another verdict: `cargo xtask compare {}`",
            file.display()
        )
    }));
    Ok(())
}

/// Judges what was captured, and writes all that a run's folder holds.
pub(crate) async fn conclude(
    session: &mut Session,
    stack: &RunningStack,
    contract: Option<&Contract>,
    clock: Clock,
    finished: Vec<ExampleRun>,
) -> Result<Judged> {
    session.settle_capture().await?;
    let (id, folder) = (session.folder.id.clone(), session.folder.path.clone());
    let judged = compare::judge_run(&session.folder, &session.manifest, contract, |verdict| {
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
    })?;
    session.manifest.phases = judged.run.phases.iter().map(PhaseManifest::from).collect();
    session.manifest.write(&session.folder.manifest())?;
    reports::write(&judged, &session.folder)?;
    Ok(judged)
}

fn starts(
    examples: Vec<Example>,
    versions: impl Iterator<Item = Versions>,
    repeat: usize,
) -> Vec<Start> {
    let once: Vec<Start> = examples
        .into_iter()
        .zip(versions)
        .map(|(example, versions)| Start {
            name: example.name.clone(),
            example: Arc::new(example),
            versions,
        })
        .collect();
    let again = (2..=repeat).flat_map(|round| {
        once.iter().map(move |start| Start {
            name: format!("{}-{round}", start.name),
            ..start.clone()
        })
    });
    once.iter().cloned().chain(again).collect()
}

pub(crate) fn live(contract: &Contract, run: Option<&str>, names: &[&str]) -> Live {
    Arc::new(Mutex::new(Settlement::new(contract.clone(), run, names)))
}

async fn run_examples(
    session: &mut Session,
    stack: &RunningStack,
    starts: Vec<Start>,
    jobs: usize,
    events: &Events,
) -> Result<Vec<ExampleRun>> {
    let turns = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for (index, start) in starts.into_iter().enumerate() {
        let environment = environment(&session.folder.id, stack, &start);
        session.manifest.examples.push(ExampleManifest {
            name: start.name.clone(),
            folder: start.example.folder.to_string_lossy().into_owned(),
            command: start.example.run.command.clone(),
            environment: environment.clone(),
            versions: start.versions.clone(),
            exit: None,
            seconds: 0.0,
            trace_id: None,
        });
        let log = session.folder.logs().join(format!("{}.log", start.name));
        let program = Program {
            command: start.example.run.command.clone(),
            folder: start.example.folder.clone(),
            env: environment,
            without_env: &["OTEL_", "MILVUS_"],
            output: Output::File(log.clone()),
        };
        let (turns, supervisor) = (turns.clone(), session.supervisor().clone());
        let events = events.clone();
        running.spawn(async move {
            let _turn = turns.acquire().await;
            (
                index,
                run_example(start, &program, &log, &supervisor, &events).await,
            )
        });
    }
    session.manifest.write(&session.folder.manifest())?;
    let mut finished = Vec::new();
    while let Some(joined) = running.join_next().await {
        let (index, example) =
            joined.map_err(|error| Failure::new(format!("running an example: {error}")))?;
        let example = example?;
        let entry = &mut session.manifest.examples[index];
        entry.exit = Some(example.exit.into());
        entry.seconds = example.seconds;
        entry.trace_id = example
            .log
            .as_deref()
            .and_then(|log| log::last_value(log, "trace_id="));
        finished.push((index, example));
    }
    finished.sort_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, example)| example).collect())
}

/// Runs one program to its end, however it comes.
pub(crate) async fn run_example(
    start: Start,
    program: &Program,
    log: &Path,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<ExampleRun> {
    let began = Instant::now();
    events.emit(Event::ExampleStarted {
        name: start.name.clone(),
    });
    let exit = supervisor
        .start(program)?
        .wait_within(start.example.run.timeout())
        .await;
    let took = began.elapsed();
    events.emit(Event::ExampleExited {
        name: start.name.clone(),
        exit,
        took,
    });
    Ok(ExampleRun {
        name: start.name,
        exit,
        seconds: took.as_secs_f64(),
        versions: start.versions,
        log_tail: log::tail(log, LOG_TAIL),
        log: Some(log.to_owned()),
    })
}

/// The standard variables; what `example.toml` sets comes last, so that it wins.
pub(crate) fn environment(
    run: &str,
    stack: &RunningStack,
    start: &Start,
) -> BTreeMap<String, String> {
    let attributes = format!(
        "application=milvus-otel-test,service.instance.id={},milvus_otel.run={run}",
        start.name
    );
    let collection = format!("quick_setup_{}", start.name.replace('-', "_"));
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", stack.otlp_grpc.clone()),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes),
        ("MILVUS_URI", stack.milvus_uri.clone()),
        ("MILVUS_COLLECTION", collection),
    ];
    let own = start.example.run.env.clone();
    standard
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(own)
        .collect()
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
    let waited_for: Vec<&str> = finished
        .iter()
        .filter(|example| matches!(example.exit, Exit::Code(_)))
        .map(|example| example.name.as_str())
        .collect();
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
        let awaited = || {
            progress
                .iter()
                .filter(|one| waited_for.contains(&one.name.as_str()))
        };
        let open_calls = awaited().map(|one| one.waiting).sum();
        let open_roots = awaited().filter(|one| !one.root_seen).count();
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
