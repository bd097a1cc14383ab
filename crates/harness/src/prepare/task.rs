//! Installing and building, skipped while nothing it depends on has changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use supervise::{Exit, Failure, IoContext, Output, Program, Result, Supervisor, disk, locks, log};
use tokio::task::JoinSet;

use crate::event::{Event, Events};
use crate::prepare::example::{Example, Prepare};
use crate::prepare::fingerprint::{fingerprint, part};
use crate::workspace::Workspace;

/// How long one command of a preparation may take; a slow network is no reason to hang for ever.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long another process may take for the same work: several commands of a preparation.
const LOCK_LIMIT: Duration = Duration::from_secs(60 * 60);
const SCHEMA: &str = "milvus-otel.prepared/1";

/// Resolved versions by package name.
pub type Versions = BTreeMap<String, String>;

/// The preparation of an example or the stack.
#[derive(Clone, Debug)]
pub struct Task {
    pub name: String,
    pub folder: PathBuf,
    pub state: PathBuf,
    pub prepare: Prepare,
}

/// The record of a preparation: the fingerprint of its inputs, and the resolved versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Preparation {
    schema: String,
    fingerprint: String,
    versions: BTreeMap<String, String>,
    /// How long it took.
    #[serde(default)]
    seconds: Option<f64>,
}

impl From<&Example> for Task {
    fn from(example: &Example) -> Self {
        Self {
            name: example.name.clone(),
            folder: example.folder.clone(),
            state: example.state.clone(),
            prepare: example.prepare.clone(),
        }
    }
}

/// Prepares all tasks side by side; returns each one's versions, in the order given.
///
/// The first failure is returned after the others have come to their own end.
pub async fn prepare_all(
    tasks: Vec<Task>,
    workspace: &Workspace,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<Vec<Versions>> {
    let logs = workspace.preparation_logs();
    std::fs::create_dir_all(&logs).at("make", &logs)?;
    let mut running = JoinSet::new();
    for (index, task) in tasks.into_iter().enumerate() {
        let log = logs.join(format!("{}.log", task.name));
        let (supervisor, events) = (supervisor.clone(), events.clone());
        running.spawn(async move { (index, prepare_one(&task, &log, &supervisor, &events).await) });
    }
    let mut outcomes = running.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Whether nothing that the task depends on has changed since it was prepared.
pub fn is_prepared(task: &Task) -> bool {
    let record = recorded(&task.state.join("prepared.json"));
    let fingerprint = fingerprint_of(task);
    record.is_some_and(|record| fingerprint.is_ok_and(|now| record.is_of(task, &now)))
}

/// Prepares one task, unless nothing that it depends on has changed.
pub async fn prepare_one(
    task: &Task,
    log: &Path,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<Versions> {
    std::fs::create_dir_all(&task.state).at("make", &task.state)?;
    // Two runs at once prepare one after the other; the second one finds everything done.
    let _lock = lock(
        &task.state.join("lock"),
        &format!("prepare `{}`", task.name),
        events,
    )
    .await?;
    let record = task.state.join("prepared.json");
    let fingerprint = fingerprint_of(task)?;
    let last = recorded(&record);
    if let Some(prepared) = last.as_ref().filter(|last| last.is_of(task, &fingerprint)) {
        tracing::debug!(task = task.name, versions = ?prepared.versions, "already prepared");
        return Ok(prepared.versions.clone());
    }
    let because = match &last {
        None => "it never was",
        Some(last) if last.fingerprint != fingerprint => "an input or a command changed",
        Some(_) => "an output is missing",
    };
    tracing::debug!(task = task.name, because, "must be prepared");

    let began = Instant::now();
    let last = last.and_then(|last| Duration::try_from_secs_f64(last.seconds?).ok());
    events.emit(Event::Preparing {
        name: task.name.clone(),
        log: log.to_owned(),
        last,
    });
    let _ = std::fs::remove_file(&record);
    File::create(log).at("write", log)?;
    for command in &task.prepare.commands {
        run(task, command, log, supervisor).await?;
    }
    let versions = resolved_versions(task, supervisor).await?;
    if let Some(absent) = absent_output(task) {
        return Err(Failure::new(format!(
            "preparing `{}` didn't create `{absent}`",
            task.name
        ))
        .hint("`outputs` in its example.toml must name the files that its `commands` create"));
    }
    let prepared = Preparation {
        schema: SCHEMA.to_owned(),
        fingerprint,
        versions,
        seconds: Some(began.elapsed().as_secs_f64()),
    };
    disk::write_json(&record, &prepared)?;
    events.emit(Event::Prepared {
        name: task.name.clone(),
        took: began.elapsed(),
    });
    Ok(prepared.versions)
}

/// Runs one command of a preparation, its output at the end of `log`.
pub async fn run(
    task: &Task,
    command: &[String],
    log: &Path,
    supervisor: &Supervisor,
) -> Result<()> {
    let program = Program {
        command: command.to_vec(),
        folder: task.folder.clone(),
        env: BTreeMap::new(),
        without_env: &[],
        output: Output::File(log.to_owned()),
    };
    let exit = supervisor.start(&program)?.wait_within(LIMIT).await;
    if exit == Exit::Code(0) {
        return Ok(());
    }
    let how = match exit {
        Exit::TimedOut => format!("took longer than {} minutes", LIMIT.as_secs() / 60),
        exit => exit.to_string(),
    };
    let hint = if disk::is_full(&task.state) {
        "the disk is full: free some space and run it again; what was downloaded is kept".to_owned()
    } else {
        format!(
            "the whole output is in `{}`; what was downloaded is kept, so running again goes on from there",
            log.display()
        )
    };
    Err(Failure::new(format!(
        "preparing `{}`: `{}` {how}",
        task.name,
        command.join(" ")
    ))
    .detail(log::tail(log, 15))
    .hint(hint))
}

async fn resolved_versions(task: &Task, supervisor: &Supervisor) -> Result<Versions> {
    if task.prepare.versions.is_empty() {
        return Ok(Versions::new());
    }
    let list = task.state.join("versions.txt");
    File::create(&list).at("write", &list)?;
    run(task, &task.prepare.versions, &list, supervisor).await?;
    let text = std::fs::read_to_string(&list).at("read", &list)?;
    Ok(text.lines().filter_map(versions::pinned).collect())
}

fn recorded(record: &Path) -> Option<Preparation> {
    let prepared: Preparation = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    (prepared.schema == SCHEMA).then_some(prepared)
}

impl Preparation {
    /// Whether it was made from this, and all of it is still there.
    fn is_of(&self, task: &Task, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint && absent_output(task).is_none()
    }
}

fn absent_output(task: &Task) -> Option<&String> {
    task.prepare
        .outputs
        .iter()
        .find(|output| !task.folder.join(output).exists())
}

pub fn fingerprint_of(task: &Task) -> Result<String> {
    let mut parts: Vec<Vec<u8>> = vec![part(&task.prepare)];
    for input in &task.prepare.inputs {
        for file in files_under(&task.folder.join(input))? {
            parts.push(file.as_os_str().as_encoded_bytes().to_vec());
            parts.push(std::fs::read(&file).at("read", &file)?);
        }
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(fingerprint(&parts))
}

fn files_under(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .at("read", path)?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_under(&entry)?);
    }
    Ok(files)
}

/// Waits for a lock that other processes use too, and reports its holder.
pub async fn lock(path: &Path, what: &str, events: &Events) -> Result<File> {
    let waiting = |holder| {
        events.emit(Event::Waiting {
            what: what.to_owned(),
            holder,
        });
    };
    let lock = locks::acquire(path, LOCK_LIMIT, waiting).await?;
    lock.ok_or_else(|| locks::still_held(path, LOCK_LIMIT, what))
}
