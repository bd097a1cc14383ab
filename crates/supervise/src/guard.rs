//! The guard: a process between the runner and each program that it starts.
//!
//! A guard holds the reading end of a pipe whose writing end only the runner has. The pipe closes when the runner wants
//! to stop the program, or when the runner dies for any reason. Then the guard ends the program and its descendants:
//! SIGTERM, a grace period, SIGKILL. Programs are always stopped in this way, even if the runner is killed. The guard
//! starts before the program, so a program can't be left behind at any time.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpid, kill_process, kill_process_group, wait,
};

/// The exit code for a program that couldn't be started, as in shells.
pub(crate) const NOT_STARTED: u8 = 127;

/// The grace period for processes that a program leaves behind, once the program itself has ended.
const LEFT_BEHIND_GRACE: Duration = Duration::from_millis(500);
/// The pause between repetitions of SIGKILL, until no process is left.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// The time limit of the command `afterwards`.
const AFTERWARDS_LIMIT: Duration = Duration::from_secs(60);
const AFTERWARDS_POLL: Duration = Duration::from_millis(20);

enum Event {
    /// The runner has closed the pipe.
    Released,
    /// The program has ended, but descendants are still running.
    LeftBehind,
    /// The program and all its descendants have ended.
    AllEnded(Option<WaitStatus>),
}

/// Runs a guard process: runs `program` until it ends or standard input closes, then runs `afterwards`, and exits with the
/// program's status.
///
/// With `interrupt` the program is asked to end by SIGINT first. `afterwards` removes things that no signal reaches, such as containers. It may be empty.
pub fn run(
    grace: Duration,
    interrupt: bool,
    program: &[String],
    afterwards: &[String],
) -> ExitCode {
    let Some((command, arguments)) = program.split_first() else {
        return ExitCode::from(NOT_STARTED);
    };
    adopt_orphans();
    let started = Command::new(command)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let leader = match started {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            say(&format!("can't start `{command}`: {error}"));
            return ExitCode::from(NOT_STARTED);
        }
    };
    let (sender, events) = mpsc::channel();
    let from_pipe = sender.clone();
    std::thread::spawn(move || await_release(&from_pipe));
    std::thread::spawn(move || reap(leader, &sender));
    let first = match interrupt {
        true => Signal::INT,
        false => Signal::TERM,
    };
    let status = oversee(leader, command, (first, grace), &events);
    clear_away(afterwards);
    end_as(status)
}

/// Runs a command to its end, within a time limit, even if the runner is gone.
fn clear_away(command: &[String]) {
    let Some((program, arguments)) = command.split_first() else {
        return;
    };
    let mut child = match Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => return say(&format!("can't start `{program}`: {error}")),
    };
    let began = Instant::now();
    while let Ok(None) = child.try_wait() {
        if began.elapsed() > AFTERWARDS_LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            let seconds = AFTERWARDS_LIMIT.as_secs();
            return say(&format!("`{program}` did not end within {seconds} s"));
        }
        std::thread::sleep(AFTERWARDS_POLL);
    }
}

/// Handles events until all processes have ended, and returns the program's status.
fn oversee(
    leader: Pid,
    command: &str,
    (first, grace): (Signal, Duration),
    events: &Receiver<Event>,
) -> Option<WaitStatus> {
    let mut kill_at: Option<Instant> = None;
    let mut next = Signal::KILL;
    loop {
        let event = match kill_at {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Released) => {
                signal_all(leader, first);
                if first == Signal::INT {
                    next = Signal::TERM;
                }
                kill_at.get_or_insert(Instant::now() + grace);
            }
            Ok(Event::LeftBehind) => {
                if kill_at.is_none() {
                    say(&format!(
                        "`{command}` left processes behind; they are ended"
                    ));
                }
                signal_all(leader, Signal::TERM);
                kill_at.get_or_insert(Instant::now() + LEFT_BEHIND_GRACE);
            }
            Ok(Event::AllEnded(status)) => {
                // Where orphans can't be adopted, the guard can't see the rest of the group, but can still signal it. On Linux
                // nothing is left, and the id may belong to another group by now.
                #[cfg(not(target_os = "linux"))]
                let _ = kill_process_group(leader, Signal::KILL);
                return status;
            }
            Err(RecvTimeoutError::Timeout) => {
                signal_all(leader, next);
                let pause = match next {
                    Signal::TERM => grace,
                    _ => KILL_AGAIN,
                };
                next = Signal::KILL;
                kill_at = Some(Instant::now() + pause);
            }
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn await_release(events: &Sender<Event>) {
    let mut ignored = [0; 64];
    while std::io::stdin()
        .read(&mut ignored)
        .is_ok_and(|read| read > 0)
    {}
    let _ = events.send(Event::Released);
}

fn reap(leader: Pid, events: &Sender<Event>) {
    let mut status = None;
    let mut options = WaitOptions::empty();
    loop {
        match wait(options) {
            Ok(Some((pid, how))) if pid == leader => {
                status = Some(how);
                options = WaitOptions::NOHANG;
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => {
                let _ = events.send(Event::LeftBehind);
                options = WaitOptions::empty();
            }
            Err(_) => {
                let _ = events.send(Event::AllEnded(status));
                return;
            }
        }
    }
}

/// Signals the program's process group, and the descendants that have left it for a session of their own.
fn signal_all(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
    for child in children() {
        if getpgid(Some(child)).is_ok_and(|group| group != leader) {
            let _ = kill_process(child, signal);
        }
    }
}

/// Makes the guard the parent of orphaned descendants, so that it sees them and waits for them.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// The children of this process; empty on systems that don't list them.
fn children() -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn end_as(status: Option<WaitStatus>) -> ExitCode {
    let Some(status) = status else {
        return ExitCode::FAILURE;
    };
    if let Some(raw) = status.terminating_signal() {
        if let Some(signal) = Signal::from_named_raw(raw) {
            // Rust's handler catches the first SIGSEGV and SIGBUS; the second has the default effect.
            for _ in 0..2 {
                let _ = kill_process(getpid(), signal);
            }
        }
        return ExitCode::from(u8::try_from(128 + raw).unwrap_or(u8::MAX));
    }
    ExitCode::from(
        status
            .exit_status()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    )
}

/// Prints to standard error, which may be closed if the runner is gone.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "guard: {message}");
}
