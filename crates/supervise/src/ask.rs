//! Short questions to command-line tools, such as their version.

use std::io::{Error, ErrorKind, Result};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command as AsyncCommand};
use tokio::time::Instant;

/// The slowest tool on a busy machine needs some seconds; a Docker engine that hangs never answers.
const LIMIT: Duration = Duration::from_secs(30);

/// The output and the exit status of a command. Its standard input is empty, and its time is limited.
///
/// Dropping the future kills the command.
pub async fn ask(command: Command) -> Result<Output> {
    within(LIMIT, start(command)).await
}

/// The answers of commands that run at the same time, in their order.
pub async fn ask_all(commands: Vec<Command>) -> Vec<Result<Output>> {
    let started: Vec<_> = commands.into_iter().map(start).collect();
    let limit = Instant::now() + LIMIT;
    let mut answers = Vec::new();
    for child in started {
        answers.push(within(limit.saturating_duration_since(Instant::now()), child).await);
    }
    answers
}

fn start(command: Command) -> Result<Child> {
    tracing::debug!(?command, "asking a tool");
    AsyncCommand::from(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn within(limit: Duration, started: Result<Child>) -> Result<Output> {
    let answer = tokio::time::timeout(limit, started?.wait_with_output()).await;
    answer.unwrap_or_else(|_| {
        let seconds = LIMIT.as_secs();
        let message = format!("no answer within {seconds} s");
        Err(Error::new(ErrorKind::TimedOut, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn answers_are_complete_and_in_order() {
        let missing = Command::new("/no/such/program");
        let commands = vec![
            sh("cat; echo said; echo told >&2; exit 3"),
            missing,
            sh("echo second"),
        ];
        let answers = ask_all(commands).await;
        let [Ok(first), Err(missing), Ok(last)] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!(
            (first.status.code(), &*first.stdout, &*first.stderr),
            (Some(3), &b"said\n"[..], &b"told\n"[..])
        );
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert_eq!(last.stdout, b"second\n");
    }

    #[tokio::test]
    async fn the_wait_for_an_answer_is_limited() {
        let asked = within(Duration::from_millis(100), start(sh("exec sleep 600")));
        let error = asked.await.expect_err("none comes");
        assert_eq!(error.to_string(), "no answer within 30 s");
    }

    #[tokio::test]
    async fn a_tool_whose_answer_is_no_longer_wanted_is_killed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        // The pipe is open for as long as the tool lives.
        let asked = tokio::spawn(ask(sh(&format!("exec sleep 600 > '{}'", pipe.display()))));
        let open = tokio::task::spawn_blocking(move || std::fs::File::open(pipe));
        let open = open
            .await
            .expect("no panic")
            .expect("the tool has opened it");
        asked.abort();
        let read = tokio::task::spawn_blocking(move || std::io::read_to_string(open));
        assert_eq!(read.await.expect("no panic").expect("its end"), "");
    }
}
