//! A judged run in the format that was asked for, and its exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use harness::Judged;
use supervise::{Failure, Result};
use trace_parity::{Outcome, Severity};
use trace_report::Run;

use crate::cli::{Baseline, FailOn, Format, Judging};
use crate::place::{relative, workspace};
use crate::terminal;

/// The report in the format that was asked for.
pub fn rendered(judged: &Judged, judging: &Judging) -> Vec<u8> {
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
        Format::Github => {
            add_to_step_summary(&run);
            trace_report::github(&run).into_bytes()
        }
        Format::Html => {
            let mut page = Vec::new();
            trace_report::html(&run, &judged.traces, &judged.raw, &mut page)
                .expect("memory takes what is written");
            page
        }
    }
}

/// GitHub shows what a step adds to this file beside the step.
fn add_to_step_summary(run: &Run) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else {
        return;
    };
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(&path);
    let added = file.and_then(|mut file| file.write_all(trace_report::markdown(run).as_bytes()));
    if let Err(error) = added {
        let path = Path::new(&path).display();
        terminal::print_failure(&Failure::new(format!(
            "can't add to the step summary `{path}`: {error}"
        )));
    }
}

fn least(fail_on: FailOn) -> Severity {
    match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
    }
}

pub fn exit_code(run: &Run, fail_on: FailOn) -> ExitCode {
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

/// The exit code of a run after comparing it with its baseline, where one is asked for.
pub fn after_baseline(judged: &Judged, code: ExitCode, baseline: Baseline) -> Result<ExitCode> {
    let Some(file) = baseline.baseline else {
        return Ok(code);
    };
    // What could not be run differs from any baseline, and says nothing by it.
    if judged.run.verdict.outcome == Outcome::CouldNotRun {
        return Ok(code);
    }
    let file = file.unwrap_or(harness::baseline_file(&workspace()?));
    let Some(changes) = harness::since_baseline(judged, &file)? else {
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
