//! Makes the map: prepares variants side by side, runs them one at a time against one Milvus.

use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use trace_parity::{Contract, Exit, Settlement};
use trace_report::{ExampleRun, Run};

use super::environment::{Ready, Recipe, Unready};
use super::map::Map;
use super::plan::Plan;
use super::record::{Measured, Record, Unfinished};
use crate::compare::{self, Captured};
use crate::embedded;
use crate::event::{Event, Events};
use crate::example::Example;
use crate::failure::{Failure, Interrupt, IoContext, Result};
use crate::fingerprint::fingerprint;
use crate::folder::RunFolder;
use crate::life::settle;
use crate::log;
use crate::manifest::{DropsManifest, ExampleManifest, Manifest};
use crate::ports::Ports;
use crate::preflight;
use crate::prepare;
use crate::process::{Output, Program, Supervisor};
use crate::reports;
use crate::run::{Start, environment, run_example};
use crate::running::{RunningStack, Spans};
use crate::session::{Live, Session};
use crate::workspace::Workspace;

/// Variants prepared at a time, unless told otherwise: one waits for the network while the other compiles.
const JOBS: usize = 2;

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct MatrixOptions {
    /// Only these examples; all of the plan's where it is empty.
    pub only: Vec<String>,
    /// Folders of examples beside the built-in ones.
    pub folders: Vec<PathBuf>,
    /// Only variants whose name has this in it, or fits where it has `*`.
    pub variant: Option<String>,
    /// Only what was never measured as it is now.
    pub changed: bool,
    /// Variants prepared at a time.
    pub jobs: Option<usize>,
    /// Another list of variants than the checkout's `matrix.toml`.
    pub plan: Option<PathBuf>,
}

/// A variant that is to be measured.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub recipe: Recipe,
    pub fingerprint: String,
    /// Where its record, capture and logs go.
    pub folder: PathBuf,
}

/// The one Milvus and capture that all variants run against.
pub(super) struct Lab<'a> {
    workspace: &'a Workspace,
    contract: &'a Contract,
    supervisor: Supervisor,
    events: &'a Events,
    live: Live,
    up: Option<(RunningStack, Spans)>,
    runs: usize,
}

/// Measures the variants of a plan and draws the map.
pub async fn matrix(
    workspace: &Workspace,
    options: &MatrixOptions,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<Map> {
    let plan = read_plan(workspace, options)?;
    let selected = plan.select(&options.only, options.variant.as_deref())?;
    let contract = compare::contract(None)?;
    in_lab(
        workspace,
        &contract,
        events,
        interrupt,
        async |lab, session| measure_all(lab, session, options, &selected).await,
    )
    .await?;
    drawn(workspace, options, &selected, &contract)
}

/// The map of what was measured before, nothing being run.
pub fn unchanged_map(workspace: &Workspace, options: &MatrixOptions) -> Result<Map> {
    let plan = read_plan(workspace, options)?;
    let selected = plan.select(&options.only, options.variant.as_deref())?;
    drawn(workspace, options, &selected, &compare::contract(None)?)
}

/// Writes the map beside its results as JSON, HTML and Markdown; returns the HTML page's path.
pub fn write_map(workspace: &Workspace, options: &MatrixOptions, map: &Map) -> Result<PathBuf> {
    let folder = results(workspace, options.plan.as_deref());
    let page = folder.join("map.html");
    write_text(&page, &super::page(map))?;
    write_text(&folder.join("map.json"), &map.json())?;
    write_text(&folder.join("map.md"), &super::markdown(map))?;
    Ok(page)
}

/// Writes `docs/compatibility.md`, its JSON and its schema; only a whole map is worth it.
pub fn write_documentation(workspace: &Workspace, map: &Map) -> Result<()> {
    if !map.is_complete() {
        return Err(Failure::new(
            "the map is not complete, and half of one is not written to docs",
        )
        .hint("run `cargo xtask matrix --changed --write` without `--example` and `--variant`"));
    }
    let docs = workspace.root().join("docs");
    std::fs::create_dir_all(&docs).at("make", &docs)?;
    write_text(&docs.join("compatibility.md"), &super::markdown(map))?;
    write_text(&docs.join("compatibility.json"), &map.json())?;
    write_text(&docs.join("compatibility.schema.json"), super::JSON_SCHEMA)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    prepare::write_whole(path, text.as_bytes())
}

/// Opens a session for `body`, and stops everything whatever becomes of it.
pub(super) async fn in_lab<T>(
    workspace: &Workspace,
    contract: &Contract,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
    body: impl AsyncFnOnce(&mut Lab<'_>, &mut Session) -> Result<T>,
) -> Result<T> {
    let supervisor = Supervisor::default();
    let folder = workspace.state().join("matrix").join("session");
    std::fs::create_dir_all(&folder).at("make", &folder)?;
    let _only_one = only_one(&folder)?;
    clear(&folder)?;
    let id = format!("matrix-{}", std::process::id());
    let folder = RunFolder { id, path: folder };
    std::fs::create_dir_all(folder.logs()).at("make", &folder.path)?;
    let mut session = Session::open_in(folder, supervisor.clone(), "embedded");
    let mut lab = Lab {
        workspace,
        contract,
        supervisor: supervisor.clone(),
        events,
        live: Arc::new(Mutex::new(Settlement::new(contract.clone(), None, &[]))),
        up: None,
        runs: 0,
    };
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)
            .hint("what was measured is kept; the same command goes on from there")),
        outcome = body(&mut lab, &mut session) => outcome,
    };
    supervisor.shut_down().await;
    let closed = session.close(outcome.as_ref().err()).await;
    outcome.and_then(|value| closed.map(|()| value))
}

async fn measure_all(
    lab: &mut Lab<'_>,
    session: &mut Session,
    options: &MatrixOptions,
    plan: &Plan,
) -> Result<()> {
    let results = results(lab.workspace, options.plan.as_deref());
    let tasks = tasks(lab.workspace, options, plan, &results)?;
    let (unfinished, resumed) = Unfinished::resume_or_begin(&results, names(&tasks))?;
    let total = tasks.len();
    let todo: Vec<Task> = tasks
        .into_iter()
        .filter(|task| !is_done(task, options.changed, resumed.then_some(&unfinished)))
        .collect();
    let mut done = total - todo.len();
    if done > 0 {
        lab.events.emit(Event::MatrixKept {
            kept: done,
            of: total,
        });
    }
    let (mut preparing, _work) = prepare_side_by_side(lab, todo, options.jobs.unwrap_or(JOBS));
    while let Some((task, prepared, seconds)) = preparing.recv().await {
        let measured = lab.measure(session, &task, prepared, seconds).await?;
        done += 1;
        lab.events.emit(Event::VariantMeasured {
            name: task.name(),
            outcome: measured.outcome.words().to_owned(),
            as_expected: task
                .recipe
                .variant
                .expected
                .is_met(measured.outcome, &measured.rules),
            done,
            of: total,
        });
    }
    Unfinished::finish(&results);
    Ok(())
}

type Prepared = (Task, std::result::Result<Ready, Unready>, f64);

fn prepare_side_by_side(
    lab: &Lab<'_>,
    tasks: Vec<Task>,
    jobs: usize,
) -> (mpsc::Receiver<Prepared>, AbortOnDropHandle<()>) {
    let (sender, receiver) = mpsc::channel(1);
    let turns = Arc::new(Semaphore::new(jobs));
    let (workspace, supervisor, events) = (
        lab.workspace.clone(),
        lab.supervisor.clone(),
        lab.events.clone(),
    );
    let work = tokio::spawn(async move {
        let mut running = JoinSet::new();
        for task in tasks {
            let Ok(turn) = turns.clone().acquire_owned().await else {
                return;
            };
            let (workspace, supervisor, events) =
                (workspace.clone(), supervisor.clone(), events.clone());
            let sender = sender.clone();
            running.spawn(async move {
                let began = Instant::now();
                let prepared = task.recipe.prepare(&workspace, &supervisor, &events).await;
                drop(turn);
                // The receiver is gone when the whole was interrupted.
                let _ = sender
                    .send((task, prepared, began.elapsed().as_secs_f64()))
                    .await;
            });
        }
        running.join_all().await;
    });
    (receiver, AbortOnDropHandle::new(work))
}

impl Task {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.recipe.example.name, self.recipe.variant.name)
    }
}

impl Lab<'_> {
    /// Runs one prepared variant, and writes down what came of it.
    pub(super) async fn measure(
        &mut self,
        session: &mut Session,
        task: &Task,
        prepared: std::result::Result<Ready, Unready>,
        prepare_seconds: f64,
    ) -> Result<Measured> {
        clear(&task.folder)?;
        std::fs::create_dir_all(&task.folder).at("make", &task.folder)?;
        let record = match prepared {
            Ok(ready) => self.run(session, task, ready).await?,
            Err(unready) => {
                if let Some(log) = &unready.log {
                    let kept = task.folder.join("prepare.log");
                    std::fs::copy(log, &kept).at("write", &kept)?;
                }
                Record {
                    unready: Some(unready),
                    ..Record::new(task.fingerprint.clone(), prepare::Versions::new())
                }
            }
        };
        let record = Record {
            prepare_seconds,
            ..record
        };
        record.write(&task.folder)?;
        record.judge(&task.folder, self.contract)
    }

    async fn run(&mut self, session: &mut Session, task: &Task, ready: Ready) -> Result<Record> {
        self.start(session).await?;
        let Some((stack, spans)) = &mut self.up else {
            return Err(Failure::new("Milvus is not up"));
        };
        self.runs += 1;
        let example = ready.example.clone();
        let run = format!("{}-{}", session.folder.id, self.runs);
        // A collection that a failed program left behind is never found by another.
        let collection = format!(
            "quick_setup_{}_{}",
            example.name.replace('-', "_"),
            self.runs
        );
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) =
            Settlement::new(self.contract.clone(), Some(&run), &[&example.name]);
        session.flush_capture().await?;
        let dropped_before = session.manifest.drops;
        let capture = session.folder.path.join("capture.jsonl");
        let from = length(&capture)?;

        let start = Start {
            name: example.name.clone(),
            example: example.clone(),
            versions: ready.versions.clone(),
        };
        let mut variables = environment(&run, stack, &start);
        variables.insert("MILVUS_COLLECTION".to_owned(), collection);
        let log = task.folder.join("program.log");
        let program = Program {
            command: example.run.command.clone(),
            folder: example.folder.clone(),
            env: variables.clone(),
            without_env: &["OTEL_", "MILVUS_"],
            output: Output::File(log.clone()),
        };
        let finished = tokio::select! {
            failure = stack.failed() => return Err(failure),
            finished = run_example(start, &program, &log, &self.supervisor, self.events) => finished?,
        };
        let only = std::slice::from_ref(&finished);
        settle(stack, spans, &session.folder, &self.live, only, self.events).await?;
        session.flush_capture().await?;
        copy_lines(&capture, from, &task.folder.join("capture.jsonl"))?;

        let mut manifest = Manifest::new(&run, jiff::Timestamp::now().to_string(), "embedded");
        manifest.stack = session.manifest.stack.clone();
        manifest.drops = since(dropped_before, session.manifest.drops);
        manifest.examples.push(ExampleManifest {
            name: example.name.clone(),
            folder: example.folder.to_string_lossy().into_owned(),
            command: example.run.command.clone(),
            environment: variables,
            versions: ready.versions.clone(),
            exit: Some(finished.exit.into()),
            seconds: finished.seconds,
            trace_id: log::last_value(&log, "trace_id="),
        });
        let folder = RunFolder {
            id: run,
            path: task.folder.clone(),
        };
        manifest.write(&folder.manifest())?;
        self.report(&folder, &manifest, &finished)?;
        Ok(Record {
            exit: Some(Exit::into(finished.exit)),
            run_seconds: finished.seconds,
            ..Record::new(task.fingerprint.clone(), ready.versions)
        })
    }

    /// The variant's own reports, which the map links to.
    fn report(&self, folder: &RunFolder, manifest: &Manifest, finished: &ExampleRun) -> Result<()> {
        let captured = Captured::of(folder)?;
        let judged = captured.judge(Some(self.contract), Some(&manifest.facts()), |verdict| {
            Run {
                id: Some(folder.id.clone()),
                folder: Some(folder.path.clone()),
                stack: Some(embedded::stack_name()),
                verdict,
                wall_seconds: Some(finished.seconds),
                phases: Vec::new(),
                examples: vec![finished.clone()],
            }
        });
        reports::write(&judged, folder)
    }

    /// Milvus and the capture, started for the first variant that has something to run.
    async fn start(&mut self, session: &mut Session) -> Result<()> {
        if self.up.is_some() {
            return Ok(());
        }
        embedded::check_platform()?;
        let stack = embedded::preparation(self.workspace);
        let versions =
            prepare::prepare_all(vec![stack], self.workspace, &self.supervisor, self.events)
                .await?
                .pop()
                .unwrap_or_default();
        let (stack, spans) = RunningStack::embedded(
            self.workspace,
            session,
            Ports::free()?,
            (0, 0),
            &self.live,
            versions,
        )
        .await?;
        self.events.emit(Event::StackReady {
            milvus: stack.milvus_uri.clone(),
            otlp: stack.otlp_grpc.clone(),
        });
        self.up = Some((stack, spans));
        Ok(())
    }

    pub(super) fn workspace(&self) -> &Workspace {
        self.workspace
    }

    pub(super) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    pub(super) fn events(&self) -> &Events {
        self.events
    }
}

pub(super) fn read_plan(workspace: &Workspace, options: &MatrixOptions) -> Result<Plan> {
    let Some(path) = &options.plan else {
        return Plan::read(workspace);
    };
    let text = std::fs::read_to_string(path).at("read", path)?;
    Plan::parse(&text, path)
}

/// Every variant of the plan as a task, in the plan's order.
fn tasks(
    workspace: &Workspace,
    options: &MatrixOptions,
    plan: &Plan,
    results: &Path,
) -> Result<Vec<Task>> {
    let examples = examples(workspace, options, plan)?;
    preflight::check(&embedded::needs(), &examples, &workspace.state())?;
    let mut tasks = Vec::new();
    for (plan, example) in plan.examples.iter().zip(examples) {
        let example = Arc::new(example);
        for variant in &plan.variants {
            let recipe = Recipe::new(example.clone(), plan, variant)?;
            tasks.push(Task {
                fingerprint: recipe.fingerprint()?,
                folder: results.join(&plan.example).join(&variant.name),
                recipe,
            });
        }
    }
    Ok(tasks)
}

pub(super) fn examples(
    workspace: &Workspace,
    options: &MatrixOptions,
    plan: &Plan,
) -> Result<Vec<Example>> {
    let names: Vec<String> = plan
        .examples
        .iter()
        .map(|plan| plan.example.clone())
        .collect();
    let mut examples = Example::select(workspace, &options.folders, &names)?;
    examples.sort_by_key(|example| names.iter().position(|name| name == &example.name));
    Ok(examples)
}

fn drawn(
    workspace: &Workspace,
    options: &MatrixOptions,
    plan: &Plan,
    contract: &Contract,
) -> Result<Map> {
    let folder = results(workspace, options.plan.as_deref());
    Map::draw(plan, contract, |example, variant| {
        folder.join(example).join(variant)
    })
}

fn names(tasks: &[Task]) -> Vec<String> {
    tasks.iter().map(Task::name).collect()
}

fn is_done(task: &Task, changed: bool, resumed: Option<&Unfinished>) -> bool {
    let Some(record) = Record::read(&task.folder) else {
        return false;
    };
    let same = record.fingerprint == task.fingerprint;
    // What a network or a full disk kept from running is tried again.
    let settled = record
        .unready
        .as_ref()
        .is_none_or(|unready| unready.outcome == super::Outcome::DoesNotBuild);
    same && settled
        && (changed || resumed.is_some_and(|unfinished| record.is_since(&unfinished.began)))
}

/// Other plans' results don't mix with those of the checkout's own.
fn results(workspace: &Workspace, plan: Option<&Path>) -> PathBuf {
    let matrix = workspace.state().join("matrix");
    match plan {
        None => matrix.join("results"),
        Some(path) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let unique = fingerprint(&[path.as_os_str().as_encoded_bytes()]) as u32;
            matrix.join(format!("results-{unique:08x}"))
        }
    }
}

/// Two maps of one checkout would write over each other's captures.
fn only_one(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    let lock = File::create(&path).at("write", &path)?;
    lock.try_lock().map_err(|_| {
        Failure::new("another `matrix` or `bisect` of this checkout is running")
            .hint("wait for it, or work in another clone")
    })?;
    Ok(lock)
}

fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).at("empty", folder)
        }
        _ => Ok(()),
    }
}

fn length(path: &Path) -> Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).at("read", path),
    }
}

/// Copies what a file got since it had `from` bytes: whole lines only.
fn copy_lines(file: &Path, from: u64, to: &Path) -> Result<()> {
    let mut source = File::open(file).at("read", file)?;
    source
        .seek(SeekFrom::Start(from.saturating_sub(1)))
        .at("read", file)?;
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).at("read", file)?;
    // The byte before is a line feed, unless a line was being written just then.
    let begin = if from == 0 {
        0
    } else {
        bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |at| at + 1)
    };
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(begin, |at| at + 1);
    std::fs::write(to, &bytes[begin..end.max(begin)]).at("write", to)
}

fn since(before: DropsManifest, after: DropsManifest) -> DropsManifest {
    DropsManifest {
        refused_requests: after.refused_requests - before.refused_requests,
        dropped_spans: after.dropped_spans - before.dropped_spans,
    }
}
