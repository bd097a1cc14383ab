//! One function per command: arguments in, exit code or failure out.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::{Failure, Interrupt, Judged, Options, Result, Workspace};
use tokio::signal::unix::{SignalKind, signal};
use trace_parity::{Outcome, Rule, Severity};
use trace_report::Run;

use crate::cli::{Compare, Explain, FailOn, Format, Judging, RunAll, RunOne, Selection, Trace};
use crate::{progress, terminal};

pub(crate) fn run_all(arguments: RunAll) -> Result<ExitCode> {
    let options = Options {
        only: arguments.selection.only,
        folders: arguments.selection.folders,
        jobs: arguments.jobs.map(usize::from),
        repeat: arguments.repeat.into(),
        contract: arguments.judging.contract.clone(),
        keep_up: arguments.keep_up,
    };
    run_and_report(&options, &arguments.judging)
}

pub(crate) fn run(arguments: RunOne) -> Result<ExitCode> {
    let options = Options {
        only: vec![arguments.example],
        folders: arguments.folders,
        repeat: 1,
        contract: arguments.judging.contract.clone(),
        ..Options::default()
    };
    run_and_report(&options, &arguments.judging)
}

fn run_and_report(options: &Options, judging: &Judging) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events();
    let report = |judged: &Judged| terminal::print(&rendered(judged, judging));
    let judged = block_on(async |interrupt| {
        harness::run_all(&workspace, options, &events, interrupt, report).await
    })?;
    Ok(exit_code(&judged.run, judging.fail_on))
}

pub(crate) fn compare(arguments: &Compare) -> Result<ExitCode> {
    let given = arguments.judging.contract.as_deref();
    let contract = given
        .map(|path| harness::contract(Some(path)))
        .transpose()?;
    let judged = harness::compare(&arguments.captures, contract.as_ref())?;
    let text = rendered(&judged, &arguments.judging);
    match &arguments.output {
        None => terminal::print(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::new(format!("can't write `{}`: {error}", path.display())))?,
    }
    Ok(exit_code(&judged.run, arguments.judging.fail_on))
}

pub(crate) fn trace(arguments: &Trace) -> Result<ExitCode> {
    let text = harness::trace(&workspace()?, arguments.what.as_deref(), &terminal::style())?;
    terminal::print_text(&text);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(arguments: &Explain) -> Result<ExitCode> {
    match &arguments.rule {
        Some(name) => {
            let rule: Rule = name.parse().map_err(|_| {
                Failure::new(format!("there is no rule `{name}`"))
                    .hint("`cargo xtask explain` lists them")
            })?;
            terminal::print_text(rule.page());
        }
        None => {
            for rule in Rule::ALL {
                terminal::print_text(&format!("{:<22}{}\n", rule.name(), rule.family()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn list() -> Result<ExitCode> {
    let workspace = workspace()?;
    let mut runs = harness::list(&workspace);
    runs.reverse();
    if runs.is_empty() {
        terminal::print_text("no run is kept; `cargo xtask run-all` makes one\n");
    }
    for run in runs {
        terminal::print_text(&format!("{}  {}\n", run.id, run.verdict));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn prepare(arguments: &Selection) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events();
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

pub(crate) fn up() -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events();
    let (state, started) =
        block_on(async |interrupt| harness::up(&workspace, &events, interrupt).await)?;
    let first = if started {
        "up"
    } else {
        "already up, untouched"
    };
    terminal::print_text(&format!(
        "{first}: {}\n  Milvus     {}\n  OTLP       {} (gRPC)  {} (HTTP)\n  captured   {}\n\n\
         Milvus listens on every interface, without a password; the rest is on loopback.\n\
         `cargo xtask trace` shows what was captured, `cargo xtask down` stops it.\n",
        state.stack,
        state.milvus_uri,
        state.otlp_grpc,
        state.otlp_http,
        relative(&state.folder).display()
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn down() -> Result<ExitCode> {
    match harness::down(&workspace()?)? {
        Some(state) => terminal::print_text(&format!(
            "stopped: {} (captured: {})\n",
            state.stack,
            relative(&state.folder).display()
        )),
        None => terminal::print_text("nothing is up\n"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn status() -> Result<ExitCode> {
    match harness::status(&workspace()?)? {
        Some(state) => terminal::print_text(&format!(
            "up since {}: {} (process {})\n  Milvus     {}\n  OTLP       {} (gRPC)  {} (HTTP)\n  captured   {}\n",
            state.since,
            state.stack,
            state.pid,
            state.milvus_uri,
            state.otlp_grpc,
            state.otlp_http,
            relative(&state.folder).display()
        )),
        None => terminal::print_text("nothing is up; `cargo xtask up` starts a stack\n"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The process that `up` leaves behind.
pub(crate) fn keep_stack() -> Result<ExitCode> {
    let workspace = workspace()?;
    block_on(async |interrupt| harness::keep(&workspace, interrupt).await)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn workspace() -> Result<Workspace> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(format!("the current folder can't be read: {error}")))?;
    Workspace::find(&here)
}

/// The report in the format that was asked for.
pub(crate) fn rendered(judged: &Judged, judging: &Judging) -> Vec<u8> {
    let folder = judged.run.folder.as_deref().map(relative);
    let run = Run {
        folder,
        ..judged.run.clone()
    };
    match judging.format {
        Format::Text => trace_report::terminal(&run, &terminal::style()).into_bytes(),
        Format::Json => trace_report::json(&run).into_bytes(),
        Format::Junit => trace_report::junit(&run, least(judging.fail_on)).into_bytes(),
        Format::Markdown => trace_report::markdown(&run).into_bytes(),
        Format::Github => trace_report::github(&run).into_bytes(),
    }
}

/// The path as seen from here, where that is shorter.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here)
        .map_or_else(|_| path.to_owned(), Path::to_owned)
}

fn least(fail_on: FailOn) -> Severity {
    match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
    }
}

pub(crate) fn exit_code(run: &Run, fail_on: FailOn) -> ExitCode {
    if run.verdict.outcome == Outcome::CouldNotRun {
        return ExitCode::from(2);
    }
    let failed = run
        .verdict
        .findings
        .iter()
        .any(|finding| finding.severity >= least(fail_on));
    ExitCode::from(u8::from(failed))
}

/// Runs to the end, or until a signal asks for one.
pub(crate) fn block_on<T, F: Future<Output = Result<T>>>(
    body: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = Interrupt> + Send>>) -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start: {error}")))?;
    runtime.block_on(async {
        let interrupt = interrupted()?;
        body(Box::pin(interrupt)).await
    })
}

/// Listens from the moment it is called, so that no signal is missed.
fn interrupted() -> Result<impl Future<Output = Interrupt> + Send + 'static> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new(format!("can't listen for signals: {error}")))
    };
    let mut ctrl_c = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = ctrl_c.recv() => Interrupt::CtrlC,
            _ = terminate.recv() => Interrupt::Terminate,
            _ = hang_up.recv() => Interrupt::Terminate,
        }
    })
}
