//! One function per command: arguments in, exit code or failure out.

use std::process::ExitCode;

use harness::{Judged, Options};
use milvus_otel_cli::cli::{Judging, Origins};
use milvus_otel_cli::interrupt::block_on;
use milvus_otel_cli::place::workspace;
use milvus_otel_cli::report::{after_baseline, exit_code, rendered};
use milvus_otel_cli::{browser, progress, stacks, terminal};
use supervise::Result;

use crate::cli::{RunAll, RunOne, Selection};

pub(crate) fn run_all(arguments: RunAll) -> Result<ExitCode> {
    let options = Options {
        only: arguments.selection.only,
        folders: arguments.selection.folders,
        jobs: arguments.jobs.map(usize::from),
        repeat: arguments.repeat.into(),
        contract: arguments.judging.contract.clone(),
        stack: stacks::choice(&arguments.stack, arguments.auth, &Origins::default())?,
        keep_up: arguments.keep_up,
        auth: arguments.auth.auth,
        wire: arguments.wire.options(),
        redact: arguments.redaction.redact,
    };
    let (judged, code) = run_and_report("run-all", &options, &arguments.judging, arguments.open)?;
    after_baseline(&judged, code, arguments.baseline)
}

pub(crate) fn run(arguments: RunOne) -> Result<ExitCode> {
    let options = Options {
        only: vec![arguments.example],
        folders: arguments.folders,
        repeat: 1,
        wire: arguments.wire.options(),
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
