//! Short questions to a command-line tool, such as its version.

use std::io::{Error, ErrorKind, Read, Result};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The slowest tool on a busy machine needs some seconds; a Docker engine that hangs never answers.
const LIMIT: Duration = Duration::from_secs(30);

/// The output and the exit status of a command. Its standard input is empty, and its time is limited.
pub fn ask(command: &mut Command) -> Result<Output> {
    let began = Instant::now();
    let answer = ask_within(command, LIMIT);
    let status = answer.as_ref().map(|output| output.status);
    tracing::debug!(?command, ?status, took = ?began.elapsed(), "asked a tool");
    answer
}

fn ask_within(command: &mut Command, limit: Duration) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        let errors = thread::spawn(move || whole(errors));
        let output = whole(output);
        // After the limit, the receiver is gone.
        let _ = sender.send((output, errors.join().unwrap_or_default()));
    });
    let printed = printed.recv_timeout(limit);
    if printed.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let (stdout, stderr) = printed.map_err(|_| {
        let seconds = limit.as_secs_f64();
        Error::new(ErrorKind::TimedOut, format!("no answer within {seconds} s"))
    })?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn whole(pipe: Option<impl Read>) -> Vec<u8> {
    let mut read = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut read);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_and_the_wait_for_it_is_limited() {
        let sh = |script: &str, limit| ask_within(Command::new("sh").args(["-c", script]), limit);
        let answer = sh("cat; echo said; echo told >&2; exit 3", LIMIT).expect("an answer");
        assert_eq!(
            (answer.status.code(), &*answer.stdout, &*answer.stderr),
            (Some(3), &b"said\n"[..], &b"told\n"[..])
        );
        let error = sh("exec sleep 600", Duration::from_millis(100)).expect_err("none comes");
        assert_eq!(error.to_string(), "no answer within 0.1 s");
        let missing = ask(&mut Command::new("/no/such/program")).expect_err("none is there");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
