//! Progress on standard error, made from the harness's events alone.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use harness::{Event, Events, LastTimes, PROGRAM, Phase, Workspace};
use supervise::locks::Holder;
use trace_report::{Charset, Detail, escape};

use crate::terminal;

/// A line is cut after so many columns: it may name what a project is called by.
const COLUMNS: usize = 1_000;

/// Who reads it, and what can be compared with.
struct Progress {
    detail: Detail,
    /// Somebody sees the lines as they come.
    watched: bool,
    charset: Charset,
    last: LastTimes,
    program: &'static str,
}

/// Prints a line for what takes time, where somebody watches or asked for it, and notes unless nothing is to be said.
///
/// `command` is the one whose last run the times are compared with.
pub fn events(workspace: &Workspace, command: &str) -> Events {
    let progress = Progress {
        detail: terminal::detail(),
        watched: std::io::stderr().is_terminal(),
        charset: terminal::charset(),
        last: harness::last_times(workspace, command),
        program: workspace.program(),
    };
    Events::new(move |event| {
        if let Some(line) = progress.line(&event) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    })
}

impl Progress {
    fn line(&self, event: &Event) -> Option<String> {
        let wanted = match self.detail {
            Detail::Quiet => false,
            Detail::Normal => {
                self.watched || matches!(event, Event::Note(_) | Event::Waiting { .. })
            }
            Detail::Verbose => true,
        };
        let line = self.text(event).filter(|_| wanted)?;
        Some(escape::log_line(&line, COLUMNS, self.charset))
    }

    fn text(&self, event: &Event) -> Option<String> {
        let verbose = self.detail == Detail::Verbose;
        Some(match event {
            Event::Preparing { name, log, last } => {
                let log = crate::place::relative(log);
                format!(
                    "  prepare   {name}, output in {}{}",
                    log.display(),
                    last_time(*last)
                )
            }
            Event::Waiting { what, holder } => {
                format!("  waiting   to {what}: {}", held_by(*holder))
            }
            Event::Prepared { name, took } => {
                format!("  prepare   {name} done in {}", seconds(*took))
            }
            Event::PhaseStarted(phase @ Phase::Stack) => {
                format!("  stack     starting{}", self.last_phase(*phase))
            }
            Event::StackReady { milvus, .. } => format!("  stack     Milvus is up on {milvus}"),
            Event::ExampleStarted { name } => {
                let last = self.last.examples.get(name).copied();
                format!("  example   {name} started{}", last_time(last))
            }
            Event::ExampleExited { name, exit, took } => {
                format!("  example   {name} {exit} after {}", seconds(*took))
            }
            Event::Note(note) => format!("note: {}", note.replace(PROGRAM, self.program)),
            Event::MatrixKept { kept, of } => {
                format!("  matrix    {kept} of {of} were measured before")
            }
            Event::VariantMeasured {
                name,
                outcome,
                as_expected,
                done,
                of,
            } => {
                let surprise = if *as_expected {
                    ""
                } else {
                    ", not as expected"
                };
                format!("  matrix    {done}/{of} {name}: {outcome}{surprise}")
            }
            Event::PhaseStarted(phase @ Phase::Settle) => {
                format!(
                    "  settle    waiting for the last spans{}",
                    self.last_phase(*phase)
                )
            }
            Event::PhaseEnded(phase, took) if verbose => {
                format!("  {:<9} took {}", phase.name(), seconds(*took))
            }
            Event::PhaseStarted(_) | Event::PhaseEnded(..) | Event::Settling { .. } => return None,
        })
    }

    fn last_phase(&self, phase: Phase) -> String {
        last_time(self.last.phases.get(phase.name()).copied())
    }
}

fn held_by(holder: Option<Holder>) -> String {
    let Some(Holder { pid, since }) = holder else {
        return "another process is doing it".to_owned();
    };
    // A clock that was set back makes no time of it.
    let so_far = since.elapsed().map_or_else(
        |_| String::new(),
        |took| format!(" since {} ago", seconds(took)),
    );
    format!("process {pid} is doing it{so_far}")
}

fn last_time(took: Option<Duration>) -> String {
    took.map_or_else(String::new, |took| {
        format!(", {} the last time", seconds(took))
    })
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a run says while it goes on, in the order of its life.
    fn said(change: impl FnOnce(&mut Progress)) -> String {
        let mut progress = Progress {
            detail: Detail::Normal,
            watched: true,
            charset: Charset::Unicode,
            last: LastTimes {
                phases: [("stack", 2_440), ("settle", 900)]
                    .map(|(name, millis)| (name.to_owned(), Duration::from_millis(millis)))
                    .into(),
                examples: BTreeMap::from([("java".to_owned(), Duration::from_millis(10_200))]),
            },
            program: "milvus-otel",
        };
        change(&mut progress);
        let java = || "java".to_owned();
        let events = [
            Event::PhaseStarted(Phase::Preflight),
            Event::PhaseEnded(Phase::Preflight, Duration::from_millis(500)),
            Event::PhaseStarted(Phase::Prepare),
            Event::Preparing {
                name: java(),
                log: "/logs/java.log".into(),
                last: Some(Duration::from_secs(41)),
            },
            Event::Preparing {
                name: "go".to_owned(),
                log: "/logs/go.log".into(),
                last: None,
            },
            Event::Prepared {
                name: java(),
                took: Duration::from_millis(39_500),
            },
            Event::PhaseStarted(Phase::Stack),
            Event::StackReady {
                milvus: "http://127.0.0.1:20000".to_owned(),
                otlp: "http://127.0.0.1:20001".to_owned(),
            },
            Event::ExampleStarted { name: java() },
            Event::ExampleStarted {
                name: "go".to_owned(),
            },
            Event::ExampleExited {
                name: java(),
                exit: supervise::Exit::Code(1),
                took: Duration::from_millis(9_870),
            },
            Event::PhaseStarted(Phase::Settle),
            Event::Settling {
                open_calls: 3,
                open_roots: 1,
            },
            Event::PhaseEnded(Phase::Settle, Duration::from_millis(812)),
            Event::Note("a note with \u{1b}[31mred and é".to_owned()),
        ];
        let lines = events.iter().filter_map(|event| progress.line(event));
        lines.map(|line| line + "\n").collect()
    }

    #[test]
    fn progress_tells_what_goes_on_and_how_long_it_took_the_last_time() {
        insta::assert_snapshot!(said(|_| ()));
    }

    #[test]
    fn more_is_said_where_it_is_asked_for() {
        let verbose = said(|progress| progress.detail = Detail::Verbose);
        let unwatched = said(|progress| {
            progress.detail = Detail::Verbose;
            progress.watched = false;
        });
        assert_eq!(verbose, unwatched);
        insta::assert_snapshot!(verbose);
    }

    #[test]
    fn where_nobody_watches_there_are_notes_alone_and_quiet_is_quiet() {
        let piped = said(|progress| progress.watched = false);
        assert!(
            piped.starts_with("note: ") && piped.lines().count() == 1,
            "{piped}"
        );
        assert_eq!(said(|progress| progress.detail = Detail::Quiet), "");
    }

    #[test]
    fn what_the_locale_does_not_have_is_not_said() {
        let plain = said(|progress| progress.charset = Charset::Ascii);
        assert!(plain.is_ascii(), "{plain}");
        insta::assert_snapshot!(plain);
    }

    #[test]
    fn the_first_time_is_compared_with_none() {
        let first = said(|progress| progress.last = LastTimes::default());
        assert!(!first.contains("java started,"), "{first}");
        insta::assert_snapshot!(first);
    }
}
