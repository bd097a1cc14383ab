//! The failures map: what each language makes of a failure, measured.
//!
//! A fault is played on every example at once, each through a port of its own, against one Milvus. The facts stay in a folder per fault,
//! and are judged whenever the map is drawn.

mod expect;
mod facts;
mod page;
mod table;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grpc_witness::{CallRecord, Fault, Line};
use harness::event::{Event, Events};
use harness::folder::RunFolder;
use harness::manifest::Manifest;
use harness::prepare::example::Example;
use harness::prepare::preflight;
use harness::prepare::task::{Task, Versions};
use harness::run::judge::{self, Captured};
use harness::stack::bring_up::StackChoice;
use harness::stack::embedded;
use harness::workspace::Workspace;
use supervise::{Exit, Failure, Interrupt, IoContext, Result, disk};
use trace_parity::Contract;

use crate::lab::{Lab, in_lab};
use crate::map::Machine;

pub use expect::{Breach, Expectation};
pub use facts::{Attempt, CallSpan, Round};
pub use page::failures_markdown;
pub use table::{FAILURES_SCHEMA, FailureMap, FaultCell, FaultRow, Seen};

/// The folder of a fault's latest run, in the fault's own.
const RUN: &str = "run";

/// Options of a measurement.
#[derive(Clone, Debug, Default)]
pub struct FailureOptions {
    /// Only these built-in faults; all, if it is empty.
    pub faults: Vec<String>,
    /// Only these examples; all, if it is empty.
    pub only: Vec<String>,
    /// Folders of further examples.
    pub folders: Vec<PathBuf>,
    /// How often each example runs under each fault.
    pub repeat: usize,
    /// Programs at a time.
    pub jobs: usize,
}

/// Plays the faults and draws the map.
pub async fn failures(
    workspace: &Workspace,
    options: &FailureOptions,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<FailureMap> {
    let contract = judge::contract(None)?;
    let faults = chosen(&contract, &options.faults)?;
    let examples = Example::select(workspace, &options.folders, &options.only)?;
    preflight::check(&embedded::needs(), &examples, &workspace.state()).await?;
    in_lab(workspace, &contract, events, interrupt, async |lab| {
        measure(lab, &faults, examples, options).await
    })
    .await?;
    failures_map(workspace)
}

/// The map of earlier measurements: those of this checkout, else the published ones.
pub fn failures_map(workspace: &Workspace) -> Result<FailureMap> {
    let contract = judge::contract(None)?;
    let published = published(workspace)?;
    let mut rows = Vec::new();
    for fault in harness::builtin_faults(&contract)? {
        let own = row(workspace, &fault)?;
        let earlier = published.iter().flat_map(|map| &map.faults);
        let earlier = || earlier.clone().find(|row| row.name == fault.name).cloned();
        if let Some(row) = own.or_else(earlier) {
            rows.push(FaultRow {
                about: fault.about.clone().unwrap_or_default(),
                ..row
            });
        }
    }
    let machine = published.map_or_else(Machine::this, |map| map.machine);
    FailureMap::drawn(embedded::stack_name(), machine, rows)
}

/// Writes `docs/failures.md`, its JSON and its schema.
pub fn write_failures(workspace: &Workspace, map: &FailureMap) -> Result<()> {
    let docs = workspace.root().join("docs");
    let write = |name: &str, text: &str| disk::write_whole(&docs.join(name), text.as_bytes());
    write("failures.md", &failures_markdown(map))?;
    write("failures.json", &map.json())?;
    write("failures.schema.json", FAILURES_SCHEMA)
}

fn published(workspace: &Workspace) -> Result<Option<FailureMap>> {
    let path = workspace.root().join("docs/failures.json");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).at("read", &path)?;
    let map = serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("can't read `{}`: {error}", path.display()))
            .hint("`git checkout docs/failures.json` brings back the one that was published")
    })?;
    Ok(Some(map))
}

fn chosen(contract: &Contract, names: &[String]) -> Result<Vec<Fault>> {
    let known = harness::builtin_faults(contract)?;
    if let Some(unknown) = names
        .iter()
        .find(|name| known.iter().all(|fault| fault.name != **name))
    {
        let known: Vec<&str> = known.iter().map(|fault| fault.name.as_str()).collect();
        return Err(Failure::new(format!("there is no fault `{unknown}`"))
            .hint(format!("one of {}", known.join(", "))));
    }
    let is_chosen = |fault: &Fault| names.is_empty() || names.contains(&fault.name);
    Ok(known.into_iter().filter(is_chosen).collect())
}

async fn measure(
    lab: &mut Lab<'_>,
    faults: &[Fault],
    examples: Vec<Example>,
    options: &FailureOptions,
) -> Result<()> {
    let tasks = examples.iter().map(Task::from).collect();
    let choice = StackChoice::default();
    let prepared = choice.prepare(None, tasks, lab.workspace, &lab.supervisor, lab.events);
    let (_, versions) = prepared.await?;
    let programs = rounds(examples, versions, options.repeat);
    for (done, fault) in (1..).zip(faults) {
        let folder = folder(lab.workspace, &fault.name);
        lab.play(fault, &programs, options.jobs, &folder.join(RUN))
            .await?;
        let Some(row) = row(lab.workspace, fault)? else {
            return Err(Failure::new(format!("`{}` left no run", fault.name)));
        };
        disk::write_json(&folder.join("row.json"), &row)?;
        lab.events.emit(Event::Note(format!(
            "{done} of {} faults: {}: {}",
            faults.len(),
            fault.name,
            row.summary()
        )));
    }
    Ok(())
}

/// Each example as often as it runs, by the names that tell its rounds apart.
fn rounds(
    examples: Vec<Example>,
    versions: Vec<Versions>,
    repeat: usize,
) -> Vec<(String, Arc<Example>, Versions)> {
    let once: Vec<(Arc<Example>, Versions)> =
        examples.into_iter().map(Arc::new).zip(versions).collect();
    let numbered = (1..=repeat).flat_map(|round| {
        once.iter().map(move |(example, versions)| {
            let name = match round {
                1 => example.name.clone(),
                _ => format!("{}-{round}", example.name),
            };
            (name, example.clone(), versions.clone())
        })
    });
    numbered.collect()
}

/// The facts of a fault's run; `None` if it was interrupted.
fn read_row(fault: &Fault, run: &RunFolder) -> Result<Option<FaultRow>> {
    let manifest = Manifest::read(&run.manifest())?;
    if manifest.settled.is_none() {
        return Ok(None);
    }
    let captured = Captured::of(run)?;
    let wire = wire(&run.wire())?;
    let mut cells: Vec<FaultCell> = Vec::new();
    for program in &manifest.examples {
        let name = &program.name;
        let mut counts = manifest.faults.iter();
        let ids = (manifest.run.as_str(), name.as_str());
        let round = Round {
            exit: exit(program.exit.unwrap_or(Exit::NotStarted)),
            prints_trace_id: program.trace_id.is_some(),
            is_played: counts.any(|one| one.client.as_ref() == Some(name) && one.played > 0),
            ..Round::of(&captured.traces, &wire, ids, fault)
        };
        // The first round has the example's own name.
        let example =
            trace_parity::base_of(name, |base| cells.iter().any(|cell| cell.example == base));
        let index = cells.iter().position(|cell| cell.example == example);
        let index = index.unwrap_or_else(|| {
            cells.push(FaultCell {
                example: example.to_owned(),
                seen: Vec::new(),
                breaches: Vec::new(),
            });
            cells.len() - 1
        });
        cells[index].add(round, program.seconds);
    }
    Ok(Some(FaultRow {
        name: fault.name.clone(),
        about: fault.about.clone().unwrap_or_default(),
        measured: manifest.started,
        cells,
    }))
}

fn wire(path: &Path) -> Result<Vec<CallRecord>> {
    let text = std::fs::read_to_string(path).at("read", path)?;
    let mut calls = Vec::new();
    for line in text.lines() {
        let line = serde_json::from_str(line)
            .map_err(|error| Failure::new(format!("`{}`: {error}", path.display())))?;
        if let Line::Call(call) = line {
            calls.push(call);
        }
    }
    Ok(calls)
}

fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => code.to_string(),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::TimedOut => "timed out".to_owned(),
        Exit::NotStarted => "not started".to_owned(),
        Exit::Stopped => "stopped".to_owned(),
    }
}

fn folder(workspace: &Workspace, fault: &str) -> PathBuf {
    workspace.state().join("failures").join(fault)
}

/// The latest measurement of a fault in this checkout, with examples that only an earlier one has.
fn row(workspace: &Workspace, fault: &Fault) -> Result<Option<FaultRow>> {
    let folder = folder(workspace, &fault.name);
    // One that an earlier version wrote is left out.
    let earlier = std::fs::read(folder.join("row.json")).ok();
    let earlier = earlier.and_then(|bytes| serde_json::from_slice::<FaultRow>(&bytes).ok());
    let run = RunFolder::at(folder.join(RUN));
    if !run.manifest().exists() {
        return Ok(earlier);
    }
    let latest = read_row(fault, &run)?;
    Ok(match (latest, earlier) {
        (Some(latest), Some(earlier)) => Some(latest.beside(earlier)),
        (latest, earlier) => latest.or(earlier),
    })
}
