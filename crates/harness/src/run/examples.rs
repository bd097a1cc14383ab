//! A run's life: preflight, prepare, stack, examples, settle, compare.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use supervise::{Exit, Failure, Interrupt, Output, Program, Result, Supervisor, log};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trace_parity::{Contract, Verdict};
use trace_report::{ExampleRun, Subject};

use crate::event::{Event, Events, Phase};
use crate::manifest::{ExampleManifest, exit_fact};
use crate::prepare::example::Example;
use crate::prepare::preflight;
use crate::prepare::task::{Task, Versions};
use crate::run::judge::{self, Judged};
use crate::run::life::{Clock, Ending, to_the_end};
use crate::spans::fetch::Fetch;
use crate::spans::http::Client;
use crate::spans::live::{fresh, live};
use crate::stack::authorization;
use crate::stack::bring_up::{Place, RunningStack, StackChoice};
use crate::stack::jaeger::Jaeger;
use crate::stack::session::Session;
use crate::workspace::Workspace;

/// Lines of an example's output that a report quotes.
const LOG_TAIL: usize = 20;
const READ_BACK_POLL: Duration = Duration::from_millis(200);

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
    pub stack: StackChoice,
    /// After the report, the stack stays until the run is interrupted.
    pub keep_up: bool,
    /// The embedded stack asks its clients who they are.
    pub auth: bool,
    /// Texts that are kept out of all that is written.
    pub redact: Vec<String>,
}

/// One start of an example's program.
#[derive(Clone, Debug)]
pub struct Start {
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

async fn judge_examples(
    workspace: &Workspace,
    options: &Options,
    events: &Events,
    supervisor: &Supervisor,
    slot: &mut Option<Session>,
) -> Result<(Judged, RunningStack)> {
    let mut clock = Clock::start(events);
    let contract = judge::contract(options.contract.as_deref())?;
    let examples = Example::select(workspace, &options.folders, &options.only)?;

    clock.enter(Phase::Preflight);
    let (_, needs) = options.stack.tasks(workspace)?;
    preflight::check(&needs, &examples, &workspace.state())?;
    let docker = options.stack.docker(workspace).await?;

    clock.enter(Phase::Prepare);
    let tasks = examples.iter().map(Task::from).collect();
    let (prepared, versions) = options
        .stack
        .prepare(docker, tasks, workspace, supervisor, events)
        .await?;
    let starts = starts(examples, versions.into_iter(), options.repeat);

    clock.enter(Phase::Stack);
    let session = Session::open(workspace, supervisor.clone(), options.stack.kind())?;
    let session = slot.insert(session);
    session.kept_up = options.keep_up;
    session.authorize(authorization::token(options.auth)?, &options.redact);
    let names = starts.iter().map(|start| start.name.clone()).collect();
    let fresh = fresh(&contract, Some(session.folder.id.clone()), names);
    let live = live(&fresh);
    let (stack, mut spans) = prepared
        .start(Place::Free, workspace, session, &live, fresh)
        .await?;
    spans.keep_out(&session.manifest.secrets);
    events.emit(Event::StackReady {
        milvus: stack.milvus_uri.clone(),
        otlp: stack.otlp_grpc.clone(),
    });

    if let Some(jaeger) = &stack.jaeger {
        let address = jaeger.address();
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

    let ending = Ending {
        session,
        stack: &stack,
        spans: &mut spans,
        live: &live,
        contract: Some(&contract),
        subject: Subject::Examples,
        events,
    };
    let judged = ending.settle_and_judge(clock, finished, |_, _| ()).await?;
    if let Some(jaeger) = &stack.jaeger {
        let said = read_back(session, jaeger, &contract, &judged, stack.settle_limit).await;
        // There is a verdict and its report: what a second look at the same spans comes to takes neither away.
        events.emit(Event::Note(said.unwrap_or_else(|failure| {
            format!("Jaeger could not be read back: {failure}")
        })));
    }
    Ok((judged, stack))
}

/// Reads the same traces back from Jaeger into `jaeger.jsonl`; returns whether they come to the same verdict, as a sentence.
async fn read_back(
    session: &Session,
    jaeger: &Jaeger,
    contract: &Contract,
    judged: &Judged,
    limit: Duration,
) -> Result<String> {
    // The Jaeger is this run's own: everything in it is.
    let began = SystemTime::UNIX_EPOCH;
    let file = session.folder.path.join("jaeger.jsonl");
    let fresh = fresh(contract, None, Vec::new());
    let unused = live(&fresh);
    let fetch = Fetch::since(began, jaeger.query(), Client::default(), fresh);
    let rules = |verdict: &Verdict| {
        let mut rules: Vec<String> = verdict
            .findings
            .iter()
            .map(|finding| format!("{:?} {}", finding.example, finding.rule))
            .collect();
        rules.sort();
        rules
    };
    let asked = Instant::now();
    loop {
        fetch.take_in(&file, &unused).await?;
        let again = judge::verdict_of(&file, &session.manifest, Some(contract))?;
        let is_same = again.outcome == judged.run.verdict.outcome
            && rules(&again) == rules(&judged.run.verdict);
        if is_same {
            return Ok(format!(
                "Jaeger has the same traces, and they come to the same verdict: `{}`",
                file.display()
            ));
        }
        // Jaeger has a queue before its store.
        if asked.elapsed() > limit {
            return Ok(format!(
                "what Jaeger has comes to another verdict: `cargo xtask compare {}`",
                file.display()
            ));
        }
        tokio::time::sleep(READ_BACK_POLL).await;
    }
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
        // Only now, so that what authorizes is in no manifest.
        let whole = stack.connection.clone().into_iter().chain(environment);
        let program = Program {
            command: start.example.run.command.clone(),
            folder: start.example.folder.clone(),
            env: authorization::added(whole.collect(), session.token.as_ref()),
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
        let (index, ended) =
            joined.map_err(|error| Failure::new(format!("running an example: {error}")))?;
        let (example, exit) = ended?;
        let entry = &mut session.manifest.examples[index];
        entry.exit = Some(exit);
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
pub async fn run_example(
    start: Start,
    program: &Program,
    log: &Path,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<(ExampleRun, Exit)> {
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
    let run = ExampleRun {
        name: start.name,
        command: program.command.clone(),
        exit: exit_fact(exit),
        seconds: took.as_secs_f64(),
        versions: start.versions,
        log_tail: log::tail(log, LOG_TAIL),
        log: Some(log.to_owned()),
    };
    Ok((run, exit))
}

/// The standard variables; what `example.toml` sets comes last, so that it wins.
pub fn environment(run: &str, stack: &RunningStack, start: &Start) -> BTreeMap<String, String> {
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
