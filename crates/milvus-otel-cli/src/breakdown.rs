//! `breakdown`: where the time of calls goes.

use std::process::ExitCode;

use harness::CaptureArgument;
use supervise::{Failure, Result};
use trace_breakdown::{By, groups};
use trace_parity::{Contract, Traces};
use trace_report::escape;

use crate::cli::{Breakdown, BreakdownBy, BreakdownFormat};
use crate::place::{named, workspace};
use crate::terminal;

pub(crate) fn breakdown(arguments: &Breakdown) -> Result<ExitCode> {
    let newest = CaptureArgument {
        name: None,
        path: "latest".into(),
    };
    let text = match arguments.captures.as_slice() {
        [] => of_one(&newest, arguments)?,
        [one] => of_one(one, arguments)?,
        [before, after, ..] => of_two(before, after, arguments)?,
    };
    terminal::print_text(&named(&text));
    Ok(ExitCode::SUCCESS)
}

fn of_one(capture: &CaptureArgument, arguments: &Breakdown) -> Result<String> {
    let by = match arguments.by {
        None => By::Step,
        Some(BreakdownBy::Language) => By::Language,
        Some(BreakdownBy::Call) => By::Call,
        Some(BreakdownBy::Collection) => By::Collection,
    };
    let (traces, only) = (read(capture)?, arguments.step.as_deref());
    let contract = Contract::builtin();
    let signals = harness::signals_beside(&workspace()?, capture)?;
    let mut taken = taken_apart(capture, &traces, &contract, only)?;
    if let Some(signals) = &signals {
        taken = taken.with_logs(signals);
    }
    Ok(match arguments.format {
        BreakdownFormat::Text => trace_report::breakdown(&taken, by, only, &terminal::style()),
        BreakdownFormat::Json => trace_report::breakdown_json(&taken, by, only),
    })
}

fn of_two(
    before: &CaptureArgument,
    after: &CaptureArgument,
    arguments: &Breakdown,
) -> Result<String> {
    if arguments.by.is_some() {
        return Err(Failure::new("`--by` can't be used with two inputs")
            .hint("their calls are compared by step and operation; `--step` chooses one"));
    }
    let (old, new, only) = (read(before)?, read(after)?, arguments.step.as_deref());
    let contract = Contract::builtin();
    let old = taken_apart(before, &old, &contract, only)?;
    let new = taken_apart(after, &new, &contract, only)?;
    let text = match arguments.format {
        BreakdownFormat::Text => {
            trace_report::breakdown_changes(&old, &new, only, &terminal::style())
        }
        BreakdownFormat::Json => trace_report::breakdown_changes_json(&old, &new, only),
    };
    if text.is_empty() {
        return Err(Failure::new("the two inputs have no operation in common")
            .hint("`{program} breakdown FILE` lists those of one input"));
    }
    Ok(text)
}

/// The traces; what can't be read of them goes to standard error.
fn read(capture: &CaptureArgument) -> Result<Traces> {
    let (traces, unread) = harness::spans_named(&workspace()?, capture)?;
    for line in unread {
        let line = escape::visible(&line, terminal::charset());
        eprintln!("not read: {line}");
    }
    Ok(traces)
}

fn taken_apart<'t>(
    capture: &CaptureArgument,
    traces: &'t Traces,
    contract: &'t Contract,
    only: Option<&str>,
) -> Result<trace_breakdown::Breakdown<'t>> {
    let contract = Some(contract).filter(|contract| contract.is_run_in(traces));
    let taken = trace_breakdown::Breakdown::of(traces, contract, None);
    let shown = capture.path.display();
    if taken.calls().is_empty() {
        return Err(
            Failure::new(format!("`{shown}` has no client's call of Milvus")).hint(
                "`{program} trace` shows its spans; `{program} compare` says why calls are missing",
            ),
        );
    }
    if let Some(wanted) = only
        && groups(&taken, By::Step, only).is_empty()
    {
        let known = groups(&taken, By::Step, None);
        let mut names: Vec<&str> = known
            .iter()
            .flat_map(|group| group.step.into_iter().chain([group.method]))
            .collect();
        names.sort_unstable();
        names.dedup();
        return Err(
            Failure::new(format!("no call in `{shown}` is of `{wanted}`"))
                .hint(format!("it has {}", names.join(", "))),
        );
    }
    Ok(taken)
}
