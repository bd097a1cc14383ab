//! `doctor`: a check a line, with its cure.

use std::fmt::Write;
use std::process::ExitCode;

use compat::doctor::{Check, Examination, Status};
use supervise::Result;
use trace_report::escape;

use crate::cli::Doctor;
use crate::interrupt::block_on;
use crate::place::{named, workspace};
use crate::terminal;

/// A finding is cut after so many columns: it may quote a file or a log.
const COLUMNS: usize = 1_000;

pub(crate) fn doctor(arguments: &Doctor) -> Result<ExitCode> {
    let workspace = workspace()?;
    let examination = block_on(async |interrupt| {
        tokio::select! {
            by = interrupt => Err(supervise::Failure::interrupted(by)),
            examination = compat::doctor::doctor(&workspace) => examination,
        }
    })?;
    let text = if arguments.json {
        format!("{}\n", examination.to_json())
    } else {
        as_text(&examination)
    };
    terminal::print_text(&named(&text));
    Ok(ExitCode::from(u8::from(!examination.is_healthy())))
}

fn as_text(examination: &Examination) -> String {
    let mut text = String::new();
    for check in &examination.checks {
        line(&mut text, check);
    }
    let count = |status| {
        examination
            .checks
            .iter()
            .filter(|check| check.status == status)
            .count()
    };
    let summary = match (count(Status::Fault), count(Status::Note)) {
        (0, 0) => "healthy".to_owned(),
        (0, notes) => format!("healthy, {}", counted(notes, "note")),
        (faults, notes) => format!("{}, {}", counted(faults, "fault"), counted(notes, "note")),
    };
    let _ = writeln!(text, "\n{summary}");
    text
}

fn line(text: &mut String, check: &Check) {
    let charset = terminal::charset();
    let status = match check.status {
        Status::Ok => "ok",
        Status::Note => "note",
        Status::Fault => "fault",
    };
    let _ = writeln!(
        text,
        "{status:5}  {}",
        escape::log_line(&check.found, COLUMNS, charset)
    );
    if let Some(cure) = &check.cure {
        let _ = writeln!(
            text,
            "       cure: {}",
            escape::log_line(cure, COLUMNS, charset)
        );
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        several => format!("{several} {what}s"),
    }
}
