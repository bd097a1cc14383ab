//! Starts, awaits and stops programs under guard.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::failure::{IoContext, Result};
use crate::{disk, guard};

/// The hidden subcommand that runs a guard.
pub const GUARD_COMMAND: &str = "guard";

/// The time between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(3);
/// The same for a server of the run's own, whose data goes with it.
const SERVER_GRACE: Duration = Duration::from_secs(1);

/// A program to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments. They aren't passed through a shell.
    pub command: Vec<String>,
    pub folder: PathBuf,
    /// Variables to set, in addition to the inherited ones.
    pub env: BTreeMap<String, String>,
    /// Name prefixes of inherited variables to remove.
    pub without_env: &'static [&'static str],
    pub output: Output,
}

/// Where a program's standard output and error go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Both are appended to this file.
    File(PathBuf),
    /// Each goes to the runner's own stream.
    Inherited,
    /// Both go to the runner's standard error, because its standard output is data.
    StandardError,
    /// Each goes to the runner's own stream, or both to its standard error, and a copy to the end of this file.
    Copied {
        file: PathBuf,
        to_standard_error: bool,
    },
}

/// Starts programs, and ensures that none outlives it.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    guards: TaskTracker,
    stop: CancellationToken,
    filter: Arc<Mutex<Option<Filter>>>,
}

/// Filters the output that programs write to files.
#[derive(Clone)]
pub struct Filter(pub Arc<dyn Fn(File) -> Box<dyn Write + Send> + Send + Sync>);

/// A running program. Dropping it stops the program.
#[derive(Debug)]
pub struct Process {
    exit: watch::Receiver<Option<Exit>>,
    stop: DropGuard,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "value")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It was ended at its time limit.
    TimedOut,
    NotStarted,
    /// It was ended on request.
    Stopped,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filter")
    }
}

impl Supervisor {
    /// Passes the output that programs write to files through `filter` from now on.
    pub fn filter_files(&self, filter: Filter) {
        *self.filter.lock().unwrap_or_else(PoisonError::into_inner) = Some(filter);
    }

    pub fn start(&self, program: &Program) -> Result<Process> {
        self.start_then(program, &[])
    }

    /// The same for a server of the run's own: it loses nothing if it is killed early, and Ctrl-C waits for its end.
    pub fn start_server(&self, program: &Program) -> Result<Process> {
        self.start_guarded(program, SERVER_GRACE, &[])
    }

    /// The same for a program of the user's: it is stopped as by Ctrl-C, which many programs end by themselves on, and by SIGTERM
    /// only where that does nothing.
    pub fn start_interruptible(&self, program: &Program) -> Result<Process> {
        self.start_guarded(program, GRACE, &["--interrupt".to_owned()])
    }

    /// Like [`start`](Self::start), and runs `afterwards` once the program has ended for any reason, the runner's own death included.
    pub fn start_then(&self, program: &Program, afterwards: &[String]) -> Result<Process> {
        let afterwards: Vec<String> = afterwards
            .iter()
            .map(|word| format!("--afterwards={word}"))
            .collect();
        self.start_guarded(program, GRACE, &afterwards)
    }

    fn start_guarded(
        &self,
        program: &Program,
        grace: Duration,
        guard_arguments: &[String],
    ) -> Result<Process> {
        let executable =
            std::env::current_exe().at("find", Path::new("the runner's executable"))?;
        let mut command = tokio::process::Command::new(executable);
        command
            .arg(GUARD_COMMAND)
            .args(["--grace-ms", &grace.as_millis().to_string()])
            .args(guard_arguments)
            .arg("--")
            .args(&program.command)
            .current_dir(&program.folder)
            .process_group(0)
            .stdin(Stdio::piped());
        for name in inherited(program.without_env) {
            command.env_remove(name);
        }
        command.envs(&program.env);
        let filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let (output, errors, filtered) = program.output.open(filter.as_ref())?;
        drop(filter);
        command.stdout(output).stderr(errors);
        let mut guard = command.spawn().at("start a program in", &program.folder)?;
        // Values of variables may be secret.
        let variables: Vec<&String> = program.env.keys().collect();
        let pid = guard.id();
        tracing::debug!(command = ?program.command, folder = ?program.folder, ?variables, output = ?program.output, ?guard_arguments, guard = pid, "started a program");
        let began = Instant::now();

        let pipe = guard.stdin.take();
        let (exited, exit) = watch::channel(None);
        let stop = self.stop.child_token();
        let stopping = stop.clone();
        self.guards.spawn(async move {
            let ended = tokio::select! {
                ended = guard.wait() => ended,
                () = stopping.cancelled() => {
                    tracing::debug!(guard = pid, "stopping a program");
                    drop(pipe);
                    guard.wait().await
                }
            };
            if let Some(filtered) = filtered {
                // An error means that the filter has ended too.
                let _ = filtered.await;
            }
            let exit = ended.map_or(Exit::NotStarted, exit_of);
            tracing::debug!(guard = pid, ?exit, took = ?began.elapsed(), "a program ended");
            let _ = exited.send(Some(exit));
        });
        Ok(Process {
            exit,
            stop: stop.drop_guard(),
        })
    }

    /// Stops all started programs, and returns when none of their processes is left.
    pub async fn shut_down(&self) {
        self.stop.cancel();
        self.guards.close();
        self.guards.wait().await;
    }
}

impl Output {
    /// Opens the targets of standard output and error; the receiver, if any, is notified when the filter has written everything.
    fn open(
        &self,
        filter: Option<&Filter>,
    ) -> Result<(Stdio, Stdio, Option<oneshot::Receiver<()>>)> {
        match self {
            Self::File(path) => {
                let file = disk::append(path).at("write", path)?;
                let Some(Filter(filter)) = filter else {
                    let errors = file.try_clone().at("write", path)?;
                    return Ok((file.into(), errors.into(), None));
                };
                let (mut written, output) = std::io::pipe().at("write", path)?;
                let errors = output.try_clone().at("write", path)?;
                let mut file = filter(file);
                let (done, filtered) = oneshot::channel();
                std::thread::spawn(move || {
                    // If the file can't be written, the output is lost, but the program continues.
                    if std::io::copy(&mut written, &mut file).is_err() {
                        let _ = std::io::copy(&mut written, &mut std::io::sink());
                    }
                    drop(file);
                    let _ = done.send(());
                });
                Ok((output.into(), errors.into(), Some(filtered)))
            }
            Self::Inherited => Ok((Stdio::inherit(), Stdio::inherit(), None)),
            Self::StandardError => {
                let errors = std::io::stderr()
                    .as_fd()
                    .try_clone_to_owned()
                    .at("write", Path::new("standard error"))?;
                Ok((errors.into(), Stdio::inherit(), None))
            }
            Self::Copied {
                file: path,
                to_standard_error,
            } => {
                let file = disk::append(path).at("write", path)?;
                let file: Box<dyn Write + Send> = match filter {
                    Some(Filter(filter)) => filter(file),
                    None => Box::new(file),
                };
                let file = Arc::new(Mutex::new(file));
                // Dropped with the second of the threads.
                let (done, copied) = oneshot::channel();
                let done = Arc::new(done);
                let output: Box<dyn Write + Send> = match to_standard_error {
                    true => Box::new(std::io::stderr()),
                    false => Box::new(std::io::stdout()),
                };
                let output = copied_to(output, file.clone(), done.clone()).at("write", path)?;
                let errors =
                    copied_to(Box::new(std::io::stderr()), file, done).at("write", path)?;
                Ok((output, errors, Some(copied)))
            }
        }
    }
}

/// A pipe whose content goes to `seen` and to `file`. Either may fail, and the program goes on.
fn copied_to(
    mut seen: Box<dyn Write + Send>,
    file: Arc<Mutex<Box<dyn Write + Send>>>,
    done: Arc<oneshot::Sender<()>>,
) -> std::io::Result<Stdio> {
    let (mut written, pipe) = std::io::pipe()?;
    std::thread::spawn(move || {
        let mut chunk = [0; 8 << 10];
        while let Ok(read @ 1..) = written.read(&mut chunk) {
            let _ = seen.write_all(&chunk[..read]).and_then(|()| seen.flush());
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = file.write_all(&chunk[..read]);
        }
        drop(file);
        drop(done);
    });
    Ok(pipe.into())
}

impl Process {
    /// Waits for the end of the program. Can be called repeatedly.
    pub async fn wait(&self) -> Exit {
        ended(self.exit.clone()).await
    }

    /// Ends the program and its descendants.
    pub async fn stop(self) -> Exit {
        let Self { exit, stop } = self;
        drop(stop);
        ended(exit).await
    }

    /// Waits until `limit`, then ends the program.
    pub async fn wait_within(self, limit: Duration) -> Exit {
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => {
                tracing::warn!(?limit, "a program reached its time limit");
                self.stop().await;
                Exit::TimedOut
            }
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("was stopped at its time limit"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::Stopped => f.write_str("was ended on request"),
        }
    }
}

async fn ended(mut exit: watch::Receiver<Option<Exit>>) -> Exit {
    match exit.wait_for(Option::is_some).await {
        Ok(exit) => exit.unwrap_or(Exit::NotStarted),
        Err(_) => Exit::NotStarted,
    }
}

fn inherited(prefixes: &[&str]) -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| {
            let name = name.to_string_lossy();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(guard::NOT_STARTED) => Exit::NotStarted,
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => unreachable!("a program ends by itself or by a signal"),
    }
}
