//! Measures the variants: prepares them in parallel, runs them one at a time, and draws the map.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use harness::event::{Event, Events};
use harness::prepare::example::Example;
use harness::prepare::fingerprint::fingerprint;
use harness::prepare::preflight;
use harness::run::judge;
use harness::stack::embedded;
use harness::workspace::Workspace;
use supervise::{Failure, Interrupt, IoContext, Result, disk};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use trace_parity::Contract;

use crate::diagnosis::Unready;
use crate::draw::{draw, fill_in};
use crate::environment::{Ready, Recipe};
use crate::lab::{Lab, ServerSettings, Task, in_lab};
use crate::map::{JSON_SCHEMA, Map};
use crate::markdown::markdown;
use crate::outcome::Outcome;
use crate::page::page;
use crate::plan::Plan;
use crate::record::{Record, Unfinished};

/// The default number of parallel preparations: one waits for the network while the other compiles.
const JOBS: usize = 2;

/// Options of a measurement.
#[derive(Clone, Debug, Default)]
pub struct MatrixOptions {
    /// Only these examples; if empty, all examples of the plan.
    pub only: Vec<String>,
    /// Folders of further examples.
    pub folders: Vec<PathBuf>,
    /// Only variants whose names contain this text, or match it if it contains `*`.
    pub variant: Option<String>,
    /// Only variants that were never measured in their present form.
    pub changed: bool,
    /// The number of parallel preparations.
    pub jobs: Option<usize>,
    /// A file to use instead of the checkout's `matrix.toml`.
    pub plan: Option<PathBuf>,
}

type Prepared = (Task, std::result::Result<Ready, Unready>, f64);

/// Measures the variants of a plan and draws the map.
pub async fn matrix(
    workspace: &Workspace,
    options: &MatrixOptions,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<Map> {
    let plan = read_plan(workspace, options)?;
    let selected = plan.select(&options.only, options.variant.as_deref())?;
    let contract = judge::contract(None)?;
    in_lab(
        (workspace, &ServerSettings::default()),
        &contract,
        events,
        interrupt,
        async |lab| measure_all(lab, options, &selected).await,
    )
    .await?;
    drawn(workspace, options, &selected, &contract)
}

/// The map of earlier measurements, without new ones.
pub fn unchanged_map(workspace: &Workspace, options: &MatrixOptions) -> Result<Map> {
    let plan = read_plan(workspace, options)?;
    let selected = plan.select(&options.only, options.variant.as_deref())?;
    drawn(workspace, options, &selected, &judge::contract(None)?)
}

/// Writes the map beside its results as JSON, HTML and Markdown. Returns the path of the HTML page.
pub fn write_map(workspace: &Workspace, options: &MatrixOptions, map: &Map) -> Result<PathBuf> {
    let folder = results(workspace, options.plan.as_deref());
    let file = folder.join("map.html");
    write_text(&file, &page(map))?;
    write_text(&folder.join("map.json"), &map.json())?;
    write_text(&folder.join("map.md"), &markdown(map))?;
    Ok(file)
}

/// Writes `docs/compatibility.md`, its JSON and its schema. A variant that wasn't measured in this checkout keeps its published
/// result and that result's date.
pub fn write_documentation(workspace: &Workspace, options: &MatrixOptions) -> Result<()> {
    let docs = workspace.root().join("docs");
    let published = docs.join("compatibility.json");
    let plan = read_plan(workspace, options)?;
    let mut map = drawn(workspace, options, &plan, &judge::contract(None)?)?;
    if let Ok(text) = std::fs::read_to_string(&published) {
        let earlier: Map = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("can't read `{}`: {error}", published.display())).hint(
                "`git checkout docs/compatibility.json` brings back the one that was published",
            )
        })?;
        fill_in(&mut map, &earlier);
    }
    if let Some((language, entry)) = map.entries().find(|(_, entry)| entry.found.is_none()) {
        return Err(Failure::new(format!(
            "`{} {}` was never measured, and a map with gaps isn't written to docs",
            language.name, entry.name
        ))
        .hint("`cargo xtask matrix --changed --write` measures what is missing"));
    }
    let map = &map;
    std::fs::create_dir_all(&docs).at("make", &docs)?;
    write_text(&docs.join("compatibility.md"), &markdown(map))?;
    write_text(&published, &map.json())?;
    write_text(&docs.join("compatibility.schema.json"), JSON_SCHEMA)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    disk::write_whole(path, text.as_bytes())
}

async fn measure_all(lab: &mut Lab<'_>, options: &MatrixOptions, plan: &Plan) -> Result<()> {
    let results = results(lab.workspace, options.plan.as_deref());
    let tasks = tasks(lab.workspace, options, plan, &results).await?;
    let (unfinished, resumed) =
        Unfinished::resume_or_begin(&results, tasks.iter().map(Task::name).collect())?;
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
        let measured = lab.measure(&task, prepared, seconds).await?;
        done += 1;
        lab.events.emit(Event::VariantMeasured {
            name: task.name(),
            outcome: measured.outcome.words().to_owned(),
            as_expected: task
                .recipe
                .variant
                .expected
                .may_be_met(measured.outcome, &measured.rules),
            done,
            of: total,
        });
    }
    Unfinished::finish(&results);
    Ok(())
}

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
                // The receiver is gone if the measurement was interrupted.
                let _ = sender
                    .send((task, prepared, began.elapsed().as_secs_f64()))
                    .await;
            });
        }
        running.join_all().await;
    });
    (receiver, AbortOnDropHandle::new(work))
}

pub(super) fn read_plan(workspace: &Workspace, options: &MatrixOptions) -> Result<Plan> {
    let Some(path) = &options.plan else {
        return Plan::read(workspace);
    };
    let text = std::fs::read_to_string(path).at("read", path)?;
    Plan::parse(&text, path)
}

/// The variants of the plan as tasks, in the plan's order.
async fn tasks(
    workspace: &Workspace,
    options: &MatrixOptions,
    plan: &Plan,
    results: &Path,
) -> Result<Vec<Task>> {
    let examples = examples(workspace, options, plan)?;
    preflight::check(&embedded::needs(), &examples, &workspace.state()).await?;
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
    let own = plan.examples.iter().filter_map(|plan| plan.folder.as_ref());
    let folders: Vec<PathBuf> = own
        .map(|folder| workspace.root().join(folder))
        .chain(options.folders.clone())
        .collect();
    let mut examples = Example::select(workspace, &folders, &names)?;
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
    draw(plan, contract, |example, variant| {
        folder.join(example).join(variant)
    })
}

fn is_done(task: &Task, changed: bool, resumed: Option<&Unfinished>) -> bool {
    let Some(record) = Record::read(&task.folder) else {
        return false;
    };
    let same = record.fingerprint == task.fingerprint;
    // A variant that failed because of the network or a full disk is tried again.
    let settled = record
        .unready
        .as_ref()
        .is_none_or(|unready| unready.outcome == Outcome::DoesNotBuild);
    same && settled
        && (changed || resumed.is_some_and(|unfinished| record.is_since(&unfinished.began)))
}

/// The results of another plan have a separate folder.
fn results(workspace: &Workspace, plan: Option<&Path>) -> PathBuf {
    let matrix = workspace.state().join("matrix");
    match plan {
        None => matrix.join("results"),
        Some(path) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let unique = fingerprint(&[path.as_os_str().as_encoded_bytes()]);
            matrix.join(format!("results-{}", &unique[..8]))
        }
    }
}
