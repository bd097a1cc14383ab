//! The Milvus and the capture that all variants use, one after the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grpc_witness::{Fault, Plan};
use harness::event::Events;
use harness::folder::RunFolder;
use harness::manifest::{Manifest, Stats};
use harness::prepare::example::Example;
use harness::prepare::task::Versions;
use harness::run::judge::Captured;
use harness::run::program::{Limit, Start, run_programs};
use harness::run::report;
use harness::run::settle::{Settling, settle};
use harness::spans::follow::Signal;
use harness::spans::live::{Live, fresh};
use harness::spans::source::Spans;
use harness::stack::authorization;
use harness::stack::bring_up::{Place, RunningStack, StackChoice};
use harness::stack::embedded;
use harness::stack::session::{Session, Witnessing};
use harness::workspace::Workspace;
use supervise::{Failure, Interrupt, IoContext, Result, Supervisor};
use trace_parity::{Contract, Settlement};
use trace_report::{ExampleRun, Subject};

use crate::diagnosis::Unready;
use crate::environment::{Ready, Recipe};
use crate::record::{Measured, Record};

/// The longest run of a program under a fault, which may hold an answer for 75 s.
const PLAY_LIMIT: Duration = Duration::from_secs(180);

/// A variant to measure.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub recipe: Recipe,
    pub fingerprint: String,
    /// The folder for its record, capture and logs.
    pub folder: PathBuf,
}

/// How the lab's Milvus differs from that of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerSettings {
    /// Whether it requires a token.
    pub authorization: bool,
    /// By their names in `milvus.yaml`.
    pub milvus: BTreeMap<String, String>,
}

pub(super) struct Lab<'a> {
    pub workspace: &'a Workspace,
    pub supervisor: Supervisor,
    pub events: &'a Events,
    contract: &'a Contract,
    session: Session,
    live: Live,
    up: Option<(RunningStack, Spans)>,
    runs: usize,
}

/// The beginning of one variant's part of the capture.
struct Beginning {
    lengths: [u64; 3],
    capture: Option<Stats>,
}

/// Opens a lab for `body`, and always stops everything afterwards.
pub(super) async fn in_lab<T>(
    (workspace, server): (&Workspace, &ServerSettings),
    contract: &Contract,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
    body: impl AsyncFnOnce(&mut Lab<'_>) -> Result<T>,
) -> Result<T> {
    let folder = workspace.state().join("matrix").join("session");
    std::fs::create_dir_all(&folder).at("make", &folder)?;
    let _only_one = only_one(&folder)?;
    clear(&folder)?;
    let folder = RunFolder {
        id: format!("matrix-{}", std::process::id()),
        path: folder,
    };
    std::fs::create_dir_all(folder.logs()).at("make", &folder.path)?;
    let supervisor = Supervisor::default();
    let mut lab = Lab {
        workspace,
        supervisor: supervisor.clone(),
        events,
        contract,
        session: Session::open_in(folder, supervisor.clone(), "embedded"),
        live: Arc::new(Mutex::new(Settlement::new(contract.clone(), None, &[]))),
        up: None,
        runs: 0,
    };
    let token = authorization::token(server.authorization)?;
    lab.session.authorize(token, &[])?;
    lab.session.settings.clone_from(&server.milvus);
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)
            .hint("what was measured is kept; the same command goes on from there")),
        outcome = body(&mut lab) => outcome,
    };
    supervisor.shut_down().await;
    let closed = lab.session.close(outcome.as_ref().err()).await;
    outcome.and_then(|value| closed.map(|()| value))
}

impl Task {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.recipe.example.name, self.recipe.variant.name)
    }
}

impl Lab<'_> {
    /// Runs one prepared variant, and writes the record.
    pub(super) async fn measure(
        &mut self,
        task: &Task,
        prepared: std::result::Result<Ready, Unready>,
        prepare_seconds: f64,
    ) -> Result<Measured> {
        clear(&task.folder)?;
        std::fs::create_dir_all(&task.folder).at("make", &task.folder)?;
        let record = match prepared {
            Ok(ready) => self.run(task, ready).await?,
            Err(unready) => {
                if let Some(log) = &unready.log {
                    let kept = task.folder.join("prepare.log");
                    std::fs::copy(log, &kept).at("write", &kept)?;
                }
                Record {
                    unready: Some(unready),
                    ..Record::new(task.fingerprint.clone(), Versions::new())
                }
            }
        };
        let record = Record {
            prepare_seconds,
            ..record
        };
        record.write(&task.folder)?;
        record.judge(&task.folder, self.contract, task.recipe.program.as_ref())
    }

    async fn run(&mut self, task: &Task, ready: Ready) -> Result<Record> {
        let folder = self.next_run(&task.folder).await?;
        let (name, versions) = (ready.example.name.clone(), ready.versions.clone());
        let log = task.folder.join("program.log");
        let start = self.start(&folder, name, &ready.example, ready.versions, log);
        let mut manifest = self.manifest(&folder);
        manifest.general_rules = task.recipe.program.is_some();
        let finished = self.capture(&folder, &mut manifest, vec![start], 1).await?;
        manifest.write(&folder.manifest())?;
        let contract = (!manifest.general_rules).then_some(self.contract);
        self.report(&folder, &manifest, contract, finished)?;
        Ok(Record {
            exit: manifest.examples[0].exit,
            run_seconds: manifest.examples[0].seconds,
            ..Record::new(task.fingerprint.clone(), versions)
        })
    }

    /// Runs programs side by side, `jobs` at a time, with these variables, each through a port of a witness that plays `fault`. The
    /// capture and the witness's records are in `folder`.
    pub(super) async fn play(
        &mut self,
        (fault, environment): (Option<&Fault>, &BTreeMap<String, String>),
        programs: &[(String, Arc<Example>, Versions)],
        jobs: usize,
        folder: &Path,
    ) -> Result<()> {
        clear(folder)?;
        std::fs::create_dir_all(folder).at("make", folder)?;
        let folder = self.next_run(folder).await?;
        let witnessing = Witnessing {
            faults: fault.map(|fault| Plan {
                faults: vec![fault.clone()],
                ..Plan::default()
            }),
            clients: programs.iter().map(|(name, ..)| name.clone()).collect(),
            ..Witnessing::default()
        };
        let milvus_uri = &self.stack().milvus_uri;
        let started = witnessing.start(milvus_uri, folder.wire(), 0).await;
        let (witness, (_, uris)) = started?;
        self.stack().own_uris = uris;
        std::fs::create_dir_all(folder.logs()).at("make", &folder.path)?;
        let starts = programs.iter().map(|(name, example, versions)| {
            let log = folder.logs().join(format!("{name}.log"));
            let mut start = self.start(&folder, name.clone(), example, versions.clone(), log);
            start.program.env.extend(environment.clone());
            start.limit = Limit::Within(PLAY_LIMIT);
            start
        });
        let starts = starts.collect();
        let mut manifest = self.manifest(&folder);
        self.capture(&folder, &mut manifest, starts, jobs).await?;
        self.stack().own_uris.clear();
        let stats = witness
            .stop()
            .await
            .map_err(|error| Failure::new(format!("the witness couldn't be stopped: {error}")))?;
        manifest.faults = stats.faults;
        manifest.write(&folder.manifest())
    }

    /// The folder of the next run, with Milvus and the capture up.
    async fn next_run(&mut self, folder: &Path) -> Result<RunFolder> {
        if self.up.is_none() {
            self.up = Some(self.bring_up().await?);
        }
        self.runs += 1;
        Ok(RunFolder {
            id: format!("{}-{}", self.session.folder.id, self.runs),
            path: folder.to_owned(),
        })
    }

    fn stack(&mut self) -> &mut RunningStack {
        let (stack, _) = self.up.as_mut().expect("the run began with it");
        stack
    }

    fn start(
        &mut self,
        run: &RunFolder,
        name: String,
        example: &Example,
        versions: Versions,
        log: PathBuf,
    ) -> Start {
        let token = self.session.token.clone();
        let stack = self.stack();
        let mut start =
            Start::of_example(&run.id, name, example, versions, stack, token.as_ref(), log);
        // A program that fails leaves its collection, which another run must not find.
        if let Some(collection) = start.program.env.get_mut("MILVUS_COLLECTION") {
            *collection += &format!("_{}", self.runs);
        }
        start
    }

    fn manifest(&self, run: &RunFolder) -> Manifest {
        let now = harness::time::now_in_millis();
        let mut manifest = Manifest::new(&run.id, now, "embedded");
        manifest.stack = self.session.manifest.stack.clone();
        manifest
    }

    /// Runs programs, `jobs` at a time, until their last spans have come, and copies what was captured meanwhile into the run's folder.
    async fn capture(
        &mut self,
        run: &RunFolder,
        manifest: &mut Manifest,
        starts: Vec<Start>,
        jobs: usize,
    ) -> Result<Vec<ExampleRun>> {
        let names: Vec<&str> = starts.iter().map(|start| start.name.as_str()).collect();
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) =
            Settlement::new(self.contract.clone(), Some(&run.id), &names);
        let (stack, spans) = self.up.as_mut().expect("the run began with it");
        let beginning = Beginning::of(&mut self.session).await?;
        let (supervisor, events, file) = (&self.supervisor, self.events, run.manifest());
        let told = (&mut *manifest, file.as_path());
        let finished = run_programs(starts, jobs, stack, supervisor, told, events).await?;
        let folder = &self.session.folder;
        let settling = settle(stack, spans, folder, &self.live, &finished, events).await?;
        manifest.settled = Some(settling == Settling::Settled);
        manifest.capture = beginning.copy_since(&mut self.session, &run.path).await?;
        Ok(finished)
    }

    /// The variant's reports, which the map links to.
    fn report(
        &self,
        folder: &RunFolder,
        manifest: &Manifest,
        contract: Option<&Contract>,
        finished: Vec<ExampleRun>,
    ) -> Result<()> {
        let captured = Captured::of(folder)?;
        let mut judged =
            captured.judge(self.workspace.program(), contract, Some(&manifest.facts()));
        judged.run.arguments.clone_from(&manifest.command);
        judged.run.subject = Subject::Examples;
        judged.run.id = Some(folder.id.clone());
        judged.run.folder = Some(folder.path.clone());
        judged.run.stack = Some(embedded::stack_name());
        judged.run.wall_seconds = Some(finished.iter().map(|run| run.seconds).sum());
        judged.run.examples = finished;
        report::write(&judged, folder)
    }

    /// Milvus and the capture, which are started for the first variant that can run.
    async fn bring_up(&mut self) -> Result<(RunningStack, Spans)> {
        let choice = StackChoice::default();
        let (workspace, supervisor, events) = (self.workspace, &self.supervisor, self.events);
        let (prepared, _) = choice
            .prepare(None, Vec::new(), workspace, supervisor, events)
            .await?;
        let fresh = fresh(self.contract, None, Vec::new());
        let joins = (&self.live, fresh);
        prepared
            .start(Place::Free, workspace, &mut self.session, joins, events)
            .await
    }
}

impl Beginning {
    async fn of(session: &mut Session) -> Result<Self> {
        session.flush_capture().await?;
        let length = |signal: Signal| length(&session.folder.path.join(signal.file_name(0)));
        let [traces, metrics, logs] = Signal::ALL.map(length);
        Ok(Self {
            lengths: [traces?, metrics?, logs?],
            capture: session.manifest.capture.clone(),
        })
    }

    /// Copies the new part of each signal's file, and returns the capture's account of it.
    async fn copy_since(&self, session: &mut Session, to: &Path) -> Result<Option<Stats>> {
        session.flush_capture().await?;
        for (signal, from) in Signal::ALL.into_iter().zip(self.lengths) {
            let name = signal.file_name(0);
            copy_lines(&session.folder.path.join(&name), from, &to.join(name))?;
        }
        let now = session.manifest.capture.as_ref();
        let before = self.capture.as_ref();
        Ok(now.zip(before).map(|(now, before)| now.since(before)))
    }
}

/// Two measurements in one checkout would overwrite each other's captures.
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

/// Copies the bytes of a file after `from`, whole lines only.
fn copy_lines(file: &Path, from: u64, to: &Path) -> Result<()> {
    let mut source = File::open(file).at("read", file)?;
    // The byte before `from` is a line feed, unless a line was being written at that time.
    source
        .seek(SeekFrom::Start(from.saturating_sub(1)))
        .at("read", file)?;
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).at("read", file)?;
    let line_end = |found: Option<usize>| found.map(|at| at + 1);
    let begin = match from {
        0 => 0,
        _ => line_end(bytes.iter().position(|byte| *byte == b'\n')).unwrap_or(bytes.len()),
    };
    let end = line_end(bytes.iter().rposition(|byte| *byte == b'\n')).unwrap_or(begin);
    std::fs::write(to, &bytes[begin..end.max(begin)]).at("write", to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_gets_the_whole_lines_that_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (file, copy) = (folder.path().join("all"), folder.path().join("part"));
        let check = |text: &str, from: u64, expected: &str| {
            std::fs::write(&file, text).unwrap();
            copy_lines(&file, from, &copy).unwrap();
            let copied = std::fs::read_to_string(&copy).unwrap();
            assert_eq!(copied, expected, "{text:?} from {from}");
        };
        check("", 0, "");
        check("one\ntwo\n", 0, "one\ntwo\n");
        check("one\ntwo\n", 4, "two\n");
        check("one\ntwo\n", 8, "");
        // A line that was being written at the beginning belongs to the previous variant; one at the end, to the next.
        check("one\ntwo\nthree\n", 6, "three\n");
        check("one\ntwo\nthr", 4, "two\n");
        check("one\ntw", 4, "");
    }
}
