//! The process that stands between the runner and each program it starts.
//!
//! A guard holds the reading end of a pipe whose writing end only the runner has. When the pipe closes, because
//! the runner asked for it or because it died in whatever way, the guard ends the program and all that came of it:
//! SIGTERM, a grace period, SIGKILL. So there is one way of stopping things, and SIGKILL of the runner takes it too.
//! The guard is there before the program is: at no moment could a program be left behind.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpgid, getpid, kill_process, kill_process_group, wait,
};

/// The exit code for a program that could not be started, as shells have it.
pub(crate) const NOT_STARTED: u8 = 127;

/// How long the processes that a program leaves behind are given once the program itself has ended.
const LEFT_BEHIND_GRACE: Duration = Duration::from_millis(500);
/// How often SIGKILL is repeated until nothing is left to receive it.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// How long what is done afterwards may take.
const AFTERWARDS_LIMIT: Duration = Duration::from_secs(60);
const AFTERWARDS_POLL: Duration = Duration::from_millis(20);

enum Event {
    /// The runner has let go of the pipe.
    Released,
    /// The program has ended, and processes of its are still there.
    LeftBehind,
    /// The program and all that came of it have ended.
    AllEnded(Option<WaitStatus>),
}

/// The whole life of a guard process: runs `program` until it ends or standard input closes, then `afterwards`, and ends
/// as the program did.
///
/// `afterwards` is for what a program leaves where no signal reaches it, such as containers. Empty, it is nothing.
pub fn run(grace: Duration, program: &[String], afterwards: &[String]) -> ExitCode {
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
    let status = oversee(leader, command, grace, &events);
    clear_away(afterwards);
    end_as(status)
}

/// Runs a command to its end, whoever still waits for it, but not for ever.
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

/// Acts on events until everything has ended; returns how the program did.
fn oversee(
    leader: Pid,
    command: &str,
    grace: Duration,
    events: &Receiver<Event>,
) -> Option<WaitStatus> {
    let mut kill_at: Option<Instant> = None;
    loop {
        let event = match kill_at {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Released) => {
                signal_all(leader, Signal::TERM);
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
                // Where orphans can't be adopted, what is left of the group is out of sight but not out of reach. On Linux
                // nothing is left, and the number may be somebody else's group by now.
                #[cfg(not(target_os = "linux"))]
                let _ = kill_process_group(leader, Signal::KILL);
                return status;
            }
            Err(RecvTimeoutError::Timeout) => {
                signal_all(leader, Signal::KILL);
                kill_at = Some(Instant::now() + KILL_AGAIN);
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

/// Signals the program's process group, and what has left the group for a session of its own.
fn signal_all(leader: Pid, signal: Signal) {
    let _ = kill_process_group(leader, signal);
    for child in children() {
        if getpgid(Some(child)).is_ok_and(|group| group != leader) {
            let _ = kill_process(child, signal);
        }
    }
}

/// Makes the guard the parent of whatever a program leaves behind, so that it is seen and waited for.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// This process's children; none where the system doesn't tell.
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
            // Rust's own handler takes the first SIGSEGV and SIGBUS; the second one has the default effect.
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

/// Standard error may be gone together with the runner; then nobody is there to read.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "guard: {message}");
}
