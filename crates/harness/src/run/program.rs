//! Runs programs against a stack. The manifest lists them before they start and after they have ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use supervise::{Exit, Failure, Output, Process, Program, Result, Supervisor, log};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use trace_report::ExampleRun;

use crate::event::{Event, Events};
use crate::manifest::{ExampleManifest, Manifest, exit_fact};
use crate::prepare::example::Example;
use crate::prepare::task::Versions;
use crate::run::environment;
use crate::stack::authorization::{self, Token};
use crate::stack::bring_up::RunningStack;

/// Lines of a program's output that a report quotes.
const LOG_TAIL: usize = 20;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Start {
    /// An example's name, with `-2` and so on for its repeats.
    pub name: String,
    pub versions: Versions,
    pub program: Program,
    /// Variables that no manifest gets to know, because they authorize. The program's own of the same name win.
    pub secrets: BTreeMap<String, String>,
    pub limit: Limit,
}

/// How long a program may run.
#[derive(Clone, Debug)]
pub enum Limit {
    /// One that takes longer has failed.
    Within(Duration),
    /// Until it ends by itself, its time is up or somebody asks for its end; none of these is a failure.
    Stopped {
        after: Option<Duration>,
        asked: Arc<Notify>,
    },
}

impl Limit {
    async fn run(self, program: &Program, supervisor: &Supervisor) -> Result<Exit> {
        let (after, asked) = match self {
            Self::Within(limit) => {
                return Ok(supervisor.start(program)?.wait_within(limit).await);
            }
            Self::Stopped { after, asked } => (after, asked),
        };
        let process = supervisor.start_interruptible(program)?;
        let is_over = async {
            tokio::select! {
                () = asked.notified() => {}
                () = time_is_up(after) => {}
            }
        };
        tokio::select! {
            exit = process.wait() => return Ok(exit),
            () = is_over => {}
        }
        Ok(stopped(process).await)
    }
}

async fn time_is_up(after: Option<Duration>) {
    match after {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}

/// Ends a program. One that has to be killed may have lost spans, so that it counts as ended by that signal.
async fn stopped(process: Process) -> Exit {
    const KILLED: Exit = Exit::Signal(9);
    match process.stop().await {
        KILLED => KILLED,
        _ => Exit::Stopped,
    }
}

impl Start {
    /// An example's program with the standard environment, its output in `log`.
    pub fn of_example(
        run: &str,
        name: String,
        example: &Example,
        versions: Versions,
        stack: &RunningStack,
        token: Option<&Token>,
        log: PathBuf,
    ) -> Self {
        Self {
            program: Program {
                command: example.run.command.clone(),
                folder: example.folder.clone(),
                env: environment::for_example(run, &name, example, stack),
                without_env: &["OTEL_", "MILVUS_"],
                output: Output::File(log),
            },
            secrets: authorization::added(stack.connection.clone(), token),
            limit: Limit::Within(example.run.timeout()),
            name,
            versions,
        }
    }

    fn manifest(&self) -> ExampleManifest {
        ExampleManifest {
            name: self.name.clone(),
            folder: self.program.folder.to_string_lossy().into_owned(),
            command: self.program.command.clone(),
            environment: self.program.env.clone(),
            versions: self.versions.clone(),
            exit: None,
            seconds: 0.0,
            trace_id: None,
        }
    }

    /// Runs it to its end, however it comes.
    async fn run(self, supervisor: &Supervisor, events: &Events) -> Result<(ExampleRun, Exit)> {
        let Self {
            name,
            versions,
            mut program,
            secrets,
            limit,
        } = self;
        let command = program.command.clone();
        program.env = secrets.into_iter().chain(program.env).collect();
        let began = Instant::now();
        events.emit(Event::ExampleStarted { name: name.clone() });
        let exit = limit.run(&program, supervisor).await?;
        let took = began.elapsed();
        events.emit(Event::ExampleExited {
            name: name.clone(),
            exit,
            took,
        });
        let log = match program.output {
            Output::File(log) | Output::Copied { file: log, .. } => Some(log),
            Output::Inherited | Output::StandardError => None,
        };
        let run = ExampleRun {
            name,
            command,
            exit: exit_fact(exit),
            seconds: took.as_secs_f64(),
            versions,
            log_tail: log
                .as_deref()
                .map_or(Vec::new(), |log| log::tail(log, LOG_TAIL)),
            log,
        };
        Ok((run, exit))
    }
}

/// Runs programs, `jobs` at a time, each to its end, and writes `manifest` to `file` before; returns them in the order given.
///
/// Fails where a server of the stack ends meanwhile.
pub async fn run_programs(
    starts: Vec<Start>,
    jobs: usize,
    stack: &RunningStack,
    supervisor: &Supervisor,
    (manifest, file): (&mut Manifest, &Path),
    events: &Events,
) -> Result<Vec<ExampleRun>> {
    manifest.examples.extend(starts.iter().map(Start::manifest));
    manifest.write(file)?;
    tokio::select! {
        failure = stack.failed() => Err(failure),
        finished = all(starts, jobs, supervisor, manifest, events) => finished,
    }
}

async fn all(
    starts: Vec<Start>,
    jobs: usize,
    supervisor: &Supervisor,
    manifest: &mut Manifest,
    events: &Events,
) -> Result<Vec<ExampleRun>> {
    let turns = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for (index, start) in starts.into_iter().enumerate() {
        let (turns, supervisor, events) = (turns.clone(), supervisor.clone(), events.clone());
        running.spawn(async move {
            let _turn = turns.acquire().await;
            (index, start.run(&supervisor, &events).await)
        });
    }
    let mut finished = Vec::new();
    while let Some(joined) = running.join_next().await {
        let (index, ended) =
            joined.map_err(|error| Failure::new(format!("running a program: {error}")))?;
        let (run, exit) = ended?;
        let entry = &mut manifest.examples[index];
        entry.exit = Some(exit);
        entry.seconds = run.seconds;
        let log = run.log.as_deref();
        entry.trace_id = log.and_then(|log| log::last_value(log, "trace_id="));
        finished.push((index, run));
    }
    finished.sort_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, run)| run).collect())
}
