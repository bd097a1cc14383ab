//! The failures map: what each language makes of a failure, measured.
//!
//! Each failure meets every example at once, each through a port of its own, against one Milvus. The facts stay in a folder per fault,
//! and are judged whenever the map is drawn.

mod case;
mod expect;
mod facts;
mod page;
mod table;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use grpc_witness::{CallRecord, Line};
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

use self::case::Case;
use crate::lab::{Lab, ServerSettings, in_lab};
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
    /// Only these failures; all, if it is empty.
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
    let cases = chosen(&contract, &options.faults)?;
    let examples = Example::select(workspace, &options.folders, &options.only)?;
    preflight::check(&embedded::needs(), &examples, &workspace.state()).await?;
    let mut interrupt = pin!(interrupt);
    for (server, cases) in by_server(&cases) {
        let (place, interrupt) = ((workspace, server), interrupt.as_mut());
        in_lab(place, &contract, events, interrupt, async |lab| {
            measure(lab, &cases, examples.clone(), options).await
        })
        .await?;
    }
    failures_map(workspace)
}

/// The map of earlier measurements: those of this checkout, else the published ones.
pub fn failures_map(workspace: &Workspace) -> Result<FailureMap> {
    let contract = judge::contract(None)?;
    let published = published(workspace)?;
    let mut rows = Vec::new();
    for case in Case::all(&contract)? {
        let own = row(workspace, &case)?;
        let earlier = published.iter().flat_map(|map| &map.faults);
        let earlier = || earlier.clone().find(|row| row.name == case.name).cloned();
        if let Some(row) = own.or_else(earlier) {
            rows.push(FaultRow {
                about: case.about,
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

fn chosen(contract: &Contract, names: &[String]) -> Result<Vec<Case>> {
    let known = Case::all(contract)?;
    if let Some(unknown) = names
        .iter()
        .find(|name| known.iter().all(|case| case.name != **name))
    {
        let known: Vec<&str> = known.iter().map(|case| case.name.as_str()).collect();
        return Err(Failure::new(format!("there is no fault `{unknown}`"))
            .hint(format!("one of {}", known.join(", "))));
    }
    let is_chosen = |case: &Case| names.is_empty() || names.contains(&case.name);
    Ok(known.into_iter().filter(is_chosen).collect())
}

/// The cases of each server, in order.
fn by_server(cases: &[Case]) -> Vec<(&ServerSettings, Vec<&Case>)> {
    let mut groups: Vec<(&ServerSettings, Vec<&Case>)> = Vec::new();
    for case in cases {
        match groups
            .iter_mut()
            .find(|(server, _)| **server == case.server)
        {
            Some((_, group)) => group.push(case),
            None => groups.push((&case.server, vec![case])),
        }
    }
    groups
}

async fn measure(
    lab: &mut Lab<'_>,
    cases: &[&Case],
    examples: Vec<Example>,
    options: &FailureOptions,
) -> Result<()> {
    let tasks = examples.iter().map(Task::from).collect();
    let choice = StackChoice::default();
    let prepared = choice.prepare(None, tasks, lab.workspace, &lab.supervisor, lab.events);
    let (_, versions) = prepared.await?;
    let programs = rounds(examples, versions, options.repeat);
    for (done, case) in (1..).zip(cases) {
        let folder = folder(lab.workspace, &case.name);
        let cause = (case.fault.as_ref(), &case.environment);
        lab.play(cause, &programs, options.jobs, &folder.join(RUN))
            .await?;
        let Some(row) = row(lab.workspace, case)? else {
            return Err(Failure::new(format!("`{}` left no run", case.name)));
        };
        disk::write_json(&folder.join("row.json"), &row)?;
        lab.events.emit(Event::Note(format!(
            "{done} of {} failures: {}: {}",
            cases.len(),
            case.name,
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
fn read_row(case: &Case, run: &RunFolder) -> Result<Option<FaultRow>> {
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
        let shown = Round::of(&captured.traces, &wire, ids, |path| case.shows(path));
        let is_played = match case.fault {
            Some(_) => counts.any(|one| one.client.as_ref() == Some(name) && one.played > 0),
            None => !shown.attempts.is_empty(),
        };
        let round = Round {
            exit: exit(program.exit.unwrap_or(Exit::NotStarted)),
            prints_trace_id: program.trace_id.is_some(),
            is_played,
            ..shown
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
        name: case.name.clone(),
        about: case.about.clone(),
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
fn row(workspace: &Workspace, case: &Case) -> Result<Option<FaultRow>> {
    let folder = folder(workspace, &case.name);
    // One that an earlier version wrote is left out.
    let earlier = std::fs::read(folder.join("row.json")).ok();
    let earlier = earlier.and_then(|bytes| serde_json::from_slice::<FaultRow>(&bytes).ok());
    let run = RunFolder::at(folder.join(RUN));
    if !run.manifest().exists() {
        return Ok(earlier);
    }
    let latest = read_row(case, &run)?;
    Ok(match (latest, earlier) {
        (Some(latest), Some(earlier)) => Some(latest.beside(earlier)),
        (latest, earlier) => latest.or(earlier),
    })
}
