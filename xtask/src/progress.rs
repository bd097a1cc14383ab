//! Progress on standard error, made from the harness's events alone.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use harness::{Event, Events, Phase};

/// Prints a line for what takes time, where somebody watches, and notes in any case.
pub(crate) fn events() -> Events {
    let watched = std::io::stderr().is_terminal();
    Events::new(move |event| {
        let worth_it = watched || matches!(event, Event::Note(_));
        if let Some(line) = line(&event).filter(|_| worth_it) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    })
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Preparing { name, log } => {
            format!("  prepare   {name} … (output in {})", log.display())
        }
        Event::Prepared { name, took } => format!("  prepare   {name} done in {}", seconds(*took)),
        Event::StackReady { milvus, .. } => format!("  stack     Milvus is up on {milvus}"),
        Event::ExampleStarted { name } => format!("  example   {name} started"),
        Event::ExampleExited { name, exit, took } => {
            format!("  example   {name} {exit} after {}", seconds(*took))
        }
        Event::Note(note) => format!("note: {note}"),
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
        Event::PhaseStarted(Phase::Settle) => "  settle    waiting for the last spans".to_owned(),
        Event::PhaseStarted(_) | Event::PhaseEnded(..) | Event::Settling { .. } => return None,
    })
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
