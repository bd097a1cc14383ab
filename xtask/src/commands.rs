//! One function per command: arguments in, exit code or failure out.

use std::process::ExitCode;

use harness::{Judged, Options};
use milvus_otel_cli::cli::Judging;
use milvus_otel_cli::interrupt::block_on;
use milvus_otel_cli::place::{relative, workspace};
use milvus_otel_cli::report::{exit_code, rendered};
use milvus_otel_cli::{browser, progress, stacks, terminal};
use supervise::{Failure, Result};
use trace_parity::Outcome;

use crate::cli::{RunAll, RunOne, Selection};

pub(crate) fn run_all(arguments: RunAll) -> Result<ExitCode> {
    let options = Options {
        only: arguments.selection.only,
        folders: arguments.selection.folders,
        jobs: arguments.jobs.map(usize::from),
        repeat: arguments.repeat.into(),
        contract: arguments.judging.contract.clone(),
        stack: stacks::choice(&arguments.stack, arguments.auth)?,
        keep_up: arguments.keep_up,
        auth: arguments.auth.auth,
        redact: arguments.redaction.redact,
    };
    let (judged, code) = run_and_report("run-all", &options, &arguments.judging, arguments.open)?;
    let Some(baseline) = arguments.baseline else {
        return Ok(code);
    };
    // What could not be run differs from any baseline, and says nothing by it.
    if judged.run.verdict.outcome == Outcome::CouldNotRun {
        return Ok(code);
    }
    let file = baseline.unwrap_or(harness::baseline_file(&workspace()?));
    let Some(changes) = harness::since_baseline(&judged, &file)? else {
        return Ok(code);
    };
    let accepted = relative(&file);
    terminal::print_failure(
        &Failure::new(format!(
            "the run differs from the baseline `{}`",
            accepted.display()
        ))
        .detail(changes.lines().map(str::to_owned))
        .hint("if that is meant: {program} accept"),
    );
    Ok(ExitCode::FAILURE)
}

pub(crate) fn run(arguments: RunOne) -> Result<ExitCode> {
    let options = Options {
        only: vec![arguments.example],
        folders: arguments.folders,
        repeat: 1,
        contract: arguments.judging.contract.clone(),
        ..Options::default()
    };
    let (_, code) = run_and_report("run", &options, &arguments.judging, false)?;
    Ok(code)
}

fn run_and_report(
    command: &str,
    options: &Options,
    judging: &Judging,
    open: bool,
) -> Result<(Judged, ExitCode)> {
    let workspace = workspace()?;
    harness::prune(&workspace);
    let events = progress::events(&workspace, command);
    let report = |judged: &Judged| {
        terminal::print(&rendered(judged, judging));
        if open
            && let Some(folder) = &judged.run.folder
            && let Err(failure) = browser::open_apart(&folder.join("report.html"))
        {
            terminal::print_failure(&failure);
        }
    };
    let judged = block_on(async |interrupt| {
        harness::run_all(&workspace, options, &events, interrupt, report).await
    })?;
    let code = exit_code(&judged.run, judging.fail_on);
    Ok((judged, code))
}

pub(crate) fn prepare(arguments: &Selection) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "prepare");
    block_on(async |interrupt| {
        harness::prepare(
            &workspace,
            &arguments.folders,
            &arguments.only,
            &events,
            interrupt,
        )
        .await
    })?;
    Ok(ExitCode::SUCCESS)
}
