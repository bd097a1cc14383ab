//! A stack that stays: `up`, `down` and `status`.
//!
//! `up` starts a process of its own that holds the capture and Milvus, the keeper. The keeper holds a lock on a
//! file for as long as it lives, so that nobody is ever taken for it by a process id alone.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use supervise::{Failure, Interrupt, IoContext, Result, Supervisor, disk, locks, log};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::event::Events;
use crate::prepare::task::Versions;
use crate::stack::authorization;
use crate::stack::bring_up::{Place, RunningStack, StackChoice};
use crate::stack::compose;
use crate::stack::embedded;
use crate::stack::jaeger::Backend;
use crate::stack::ports::TUTORIAL;
use crate::stack::session::Session;
use crate::stack::set_up;
use crate::stack::state::{
    Kept, SCHEMA, StackState, forget, is_held, keeper_log, lock_file, read_state, state_file,
    status, token_file,
};
use crate::time;
use crate::workspace::Workspace;

/// The hidden subcommand of the runner's executable that keeps a stack up.
pub const KEEPER_COMMAND: &str = "keep-stack";

/// The longest that a stack may take to end: Milvus's grace period and a little more.
const DOWN_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);
/// The time for which a process that only checks the lock may hold it.
const LOOKED_AT_LIMIT: Duration = Duration::from_secs(1);
/// The number of lines of a keeper's log that a failure quotes.
const KEEPER_TAIL: usize = 12;
/// The keeper's first line of output when all is ready; otherwise it is the failure, as JSON.
const READY: &str = "ready";

/// Starts the stack on the tutorial's ports, or returns the one that is up.
pub async fn up(
    workspace: &Workspace,
    kind: &Kept,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<(StackState, bool)> {
    if let Some(state) = status(workspace)? {
        state.check_is(kind)?;
        return Ok((state, false));
    }
    let choice = StackChoice::Embedded(kind.backend);
    let mut interrupt = pin!(interrupt);
    set_up::prepare_stack(workspace, &choice, events, interrupt.as_mut()).await?;
    start_keeper(workspace, kind, interrupt).await?;
    let state = read_state(workspace)?;
    state
        .map(|state| (state, true))
        .ok_or_else(|| Failure::new("the stack wrote no state"))
}

/// Removes the containers that runs of this checkout left in Docker, and returns the ids of those runs.
pub async fn clear_docker(workspace: &Workspace) -> Result<Vec<String>> {
    compose::remove_leftovers(workspace).await
}

/// Whether a stack of this checkout ended without being asked to, so that `down` has something to clear.
pub fn has_left_something(workspace: &Workspace) -> bool {
    !is_held(workspace) && state_file(workspace).exists()
}

/// The result of `down`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    Nothing,
    Stopped(StackState),
    /// The stack had ended unexpectedly; its remains are removed.
    Cleared(StackState),
}

/// Stops the stack, or removes the remains of one that ended unexpectedly.
pub async fn down(workspace: &Workspace) -> Result<Down> {
    let held = is_held(workspace);
    let Some(state) = read_state(workspace)? else {
        return match held {
            true => Err(Failure::new("a stack is just starting, or ending").hint(
                "Ctrl-C ends an `up` that is under way; `{program} status` tells when it is up",
            )),
            false => Ok(Down::Nothing),
        };
    };
    if held {
        stop(workspace, &state).await?;
        forget(workspace);
    } else {
        clear(workspace, &state).await?;
    }
    Ok(match held {
        true => Down::Stopped(state),
        false => Down::Cleared(state),
    })
}

/// Ends the processes of a stack whose keeper is gone.
async fn clear(workspace: &Workspace, state: &StackState) -> Result<()> {
    embedded::end_what_works_in(workspace, state.run()?, DOWN_LIMIT).await?;
    forget(workspace);
    Ok(())
}

async fn stop(workspace: &Workspace, state: &StackState) -> Result<()> {
    let keeper = Pid::from_raw(state.pid)
        .ok_or_else(|| Failure::new(format!("`{}` isn't a process id", state.pid)))?;
    kill_process(keeper, Signal::TERM)
        .map_err(|error| Failure::new(format!("can't stop process {}: {error}", state.pid)))?;
    let asked = Instant::now();
    while is_held(workspace) {
        if asked.elapsed() > DOWN_LIMIT {
            return Err(Failure::new(format!(
                "the stack didn't stop within {} s (process {})",
                DOWN_LIMIT.as_secs(),
                state.pid
            ))
            .hint(format!(
                "its log is in `{}`",
                keeper_log(workspace).display()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Runs a keeper: reads from standard input what is to be kept, starts the stack, reports that on standard output, and waits
/// for the end.
pub async fn keep(workspace: &Workspace, interrupt: impl Future<Output = Interrupt>) -> Result<()> {
    std::fs::create_dir_all(workspace.state()).at("make", &workspace.state())?;
    let kind = serde_json::from_reader(std::io::stdin())
        .map_err(|error| Failure::new(format!("`{KEEPER_COMMAND}` is for `up` alone: {error}")))?;
    let mut interrupt = pin!(interrupt);
    let outcome = tokio::select! {
        by = interrupt.as_mut() => Err(Failure::interrupted(by)),
        lock = take_lock(workspace) => lock,
    };
    let outcome = match outcome {
        Ok(_lock) => keep_until(workspace, &kind, interrupt).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &outcome {
        // Whoever waits for the stack is told the same way as anybody else would be; later nobody reads it.
        let told = serde_json::to_string(failure).expect("a failure is strings");
        let _ = writeln!(std::io::stdout(), "{told}");
    }
    outcome
}

async fn take_lock(workspace: &Workspace) -> Result<File> {
    let lock = locks::acquire(&lock_file(workspace), LOOKED_AT_LIMIT, |_| ()).await?;
    lock.ok_or_else(|| {
        Failure::new("another stack of this checkout is starting or up")
            .hint("`{program} status` shows it")
    })
}

async fn keep_until(
    workspace: &Workspace,
    kind: &Kept,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<()> {
    clear_last(workspace).await?;
    TUTORIAL.check_free()?;
    let supervisor = Supervisor::default();
    let mut session = Session::open(workspace, supervisor.clone(), "embedded")?;
    session.authorize(authorization::token(kind.auth)?, &kind.redact)?;
    session.allowed_origins.clone_from(&kind.allowed_origins);
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)),
        outcome = bring_up_and_wait(workspace, kind.backend, &mut session) => outcome,
    };
    supervisor.shut_down().await;
    let asked_to_end = matches!(&outcome, Err(failure) if failure.interrupted.is_some());
    if asked_to_end {
        forget(workspace);
    }
    session
        .close(outcome.as_ref().err().filter(|_| !asked_to_end))
        .await?;
    if asked_to_end { Ok(()) } else { outcome }
}

/// Ends the processes of the previous stack, whose keeper is gone.
async fn clear_last(workspace: &Workspace) -> Result<()> {
    let Some(last) = read_state(workspace)? else {
        return Ok(());
    };
    // Who sees the lock held would take its process for the keeper; the number may be a stranger's by now.
    forget(workspace);
    clear(workspace, &last).await
}

async fn bring_up_and_wait(
    workspace: &Workspace,
    backend: Backend,
    session: &mut Session,
) -> Result<()> {
    let versions = Versions::new();
    let stack =
        RunningStack::embedded(backend, Place::Tutorial, workspace, session, None, versions)
            .await?;
    stack.tell(session);
    session.manifest.write(&session.folder.manifest())?;
    let token = session.token.as_ref().map(|token| {
        let file = token_file(workspace);
        token.write(&file).map(|()| file)
    });
    let state = StackState {
        schema: SCHEMA.to_owned(),
        pid: std::process::id().cast_signed(),
        since: time::now(),
        stack: stack.name.clone(),
        milvus_uri: named(&stack.milvus_uri),
        otlp_grpc: named(&stack.otlp_grpc),
        otlp_http: named(&stack.otlp_http),
        folder: session.folder.path.clone(),
        traces_from: stack.traces_from.clone(),
        token: token.transpose()?,
        allowed_origins: session.allowed_origins.clone(),
    };
    let path = state_file(workspace);
    disk::write_json(&path, &state)?;
    // Nobody may be there to read it any more; the stack is up all the same.
    let _ = writeln!(std::io::stdout(), "{READY}");
    Err(stack.failed().await)
}

/// An address as the tutorial has it.
fn named(address: &str) -> String {
    address.replace("127.0.0.1", "localhost")
}

/// Starts a keeper in a process group of its own, which no signal of the terminal reaches, and waits for its first word.
async fn start_keeper(
    workspace: &Workspace,
    kind: &Kept,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<()> {
    let log = keeper_log(workspace);
    let errors = File::create(&log).at("write", &log)?;
    let executable = std::env::current_exe().at("find", workspace.root())?;
    let mut keeper = Command::new(executable)
        .arg(KEEPER_COMMAND)
        .current_dir(workspace.root())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .at("start a process in", workspace.root())?;
    let (input, output) = (keeper.stdin.take(), keeper.stdout.take());
    let told = serde_json::to_vec(kind).expect("written to memory");
    let first_word = async {
        // Texts to redact would be seen on a command line. A keeper that can't be told has ended.
        input?.write_all(&told).await.ok()?;
        let mut lines = BufReader::new(output?).lines();
        lines.next_line().await.ok().flatten()
    };
    let first_line = tokio::select! {
        by = interrupt => return Err(call_off(&mut keeper, by, &log).await),
        first_line = first_word => first_line,
    };
    if first_line.as_deref() == Some(READY) {
        return Ok(());
    }
    let _ = keeper.wait().await;
    let told = first_line.and_then(|line| serde_json::from_str(&line).ok());
    Err(told.unwrap_or_else(|| {
        Failure::new("the stack ended before it was up")
            .detail(log::tail(&log, KEEPER_TAIL))
            .hint(format!("its log is in `{}`", log.display()))
    }))
}

/// Ends a keeper that isn't ready yet, and all that it has started.
async fn call_off(keeper: &mut Child, by: Interrupt, log: &Path) -> Failure {
    let failure = Failure::interrupted(by);
    let pid = keeper.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(DOWN_LIMIT, keeper.wait()).await {
        Ok(_) => failure,
        Err(_) => failure.hint(format!(
            "the stack has not ended within {} s; its log is in `{}`",
            DOWN_LIMIT.as_secs(),
            log.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::state::tests::state;

    #[tokio::test]
    async fn a_starting_stack_is_not_taken_for_the_one_before() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::fixture(root.path());
        std::fs::create_dir_all(workspace.state()).expect("made");
        let mut stranger = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .expect("started");
        let stale = state(stranger.id().cast_signed());
        std::fs::write(
            state_file(&workspace),
            serde_json::to_vec(&stale).expect("JSON"),
        )
        .expect("written");

        let lock = take_lock(&workspace).await.expect("nobody has it");
        clear_last(&workspace).await.expect("nothing of it is left");
        assert!(down(&workspace).await.is_err(), "it is starting");
        let ended = stranger.try_wait().expect("it can be waited for");
        stranger
            .kill()
            .and_then(|()| stranger.wait())
            .expect("ended");
        assert_eq!(ended, None, "the stranger lives");
        assert!(take_lock(&workspace).await.is_err(), "it is somebody's");
        drop(lock);
        assert_eq!(down(&workspace).await, Ok(Down::Nothing));
    }

    #[tokio::test]
    async fn a_look_at_the_lock_keeps_no_stack_from_starting() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::fixture(root.path());
        std::fs::create_dir_all(workspace.state()).expect("made");
        let looking = File::create(lock_file(&workspace)).expect("made");
        looking.lock_shared().expect("nobody has it");
        let (taken, ()) = tokio::join!(take_lock(&workspace), async {
            tokio::time::sleep(POLL).await;
            drop(looking);
        });
        assert!(taken.is_ok());
    }
}
