//! `failures`: what each language makes of a failure.

use std::process::ExitCode;

use compat::{FailureMap, FailureOptions};
use milvus_otel_cli::interrupt::block_on;
use milvus_otel_cli::place::workspace;
use milvus_otel_cli::{progress, terminal};
use supervise::Result;

use crate::cli::{Failures, FailuresFormat};

pub(crate) fn failures(arguments: Failures) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "failures");
    let options = FailureOptions {
        faults: arguments.faults,
        only: arguments.selection.only,
        folders: arguments.selection.folders,
        repeat: arguments.repeat.into(),
        jobs: arguments.jobs.into(),
    };
    let map = if arguments.draw {
        compat::failures_map(&workspace)?
    } else {
        block_on(async |interrupt| {
            compat::failures(&workspace, &options, &events, interrupt).await
        })?
    };
    if arguments.write {
        compat::write_failures(&workspace, &map)?;
    }
    let text = match arguments.format {
        FailuresFormat::Json => map.json(),
        FailuresFormat::Markdown => compat::failures_markdown(&map),
        FailuresFormat::Text => text(&map),
    };
    terminal::print(text.as_bytes());
    Ok(ExitCode::from(u8::from(!map.is_as_expected())))
}

/// A line for each fault, then whatever isn't as expected.
fn text(map: &FailureMap) -> String {
    let mut text = String::new();
    for row in &map.faults {
        text += &format!("{}: {}\n", row.name, row.summary());
    }
    for one in map.unexpected() {
        text += &format!("\nunexpected: {one}");
    }
    for one in &map.stale {
        text += &format!(
            "\nno longer so: {one}\nhint: remove it from crates/compat/src/failures/known.toml"
        );
    }
    text.trim_end().to_owned() + "\n"
}
