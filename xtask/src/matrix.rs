//! `matrix` and `bisect`: which versions keep a trace whole.

use std::process::ExitCode;

use compat::{BisectOptions, MatrixOptions};
use milvus_otel_cli::interrupt::block_on;
use milvus_otel_cli::place::{relative, workspace};
use milvus_otel_cli::{progress, terminal};
use supervise::Result;

use crate::cli::{Bisect, MapFormat, Matrix};

pub(crate) fn matrix(arguments: Matrix) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "matrix");
    let options = MatrixOptions {
        only: arguments.only,
        folders: arguments.folders,
        variant: arguments.variant,
        changed: arguments.changed,
        jobs: arguments.jobs.map(usize::from),
        plan: arguments.plan,
    };
    if arguments.update {
        return update(&options);
    }
    let map = if arguments.draw {
        compat::unchanged_map(&workspace, &options)?
    } else {
        block_on(async |interrupt| compat::matrix(&workspace, &options, &events, interrupt).await)?
    };
    let page = compat::write_map(&workspace, &options, &map)?;
    if arguments.write {
        compat::write_documentation(&workspace, &options)?;
    }
    let text = match arguments.format {
        MapFormat::Json => map.json(),
        MapFormat::Markdown => compat::markdown(&map),
        MapFormat::Html => compat::page(&map),
        MapFormat::Text => format!(
            "{}\nmap: {}\n",
            compat::map_text(&map, &terminal::style()),
            relative(&page).display()
        ),
    };
    terminal::print(text.as_bytes());
    Ok(ExitCode::from(u8::from(!map.is_as_expected())))
}

fn update(options: &MatrixOptions) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "matrix");
    let proposals = block_on(async |interrupt| {
        compat::proposals(&workspace, options, &events, interrupt).await
    })?;
    if proposals.is_empty() {
        terminal::print(b"matrix.toml pins the newest of everything\n");
    }
    for one in proposals {
        let line = format!(
            "{} {}: {} {} -> {}\n",
            one.example, one.variant, one.axis, one.pinned, one.newest
        );
        terminal::print(line.as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn bisect(arguments: Bisect) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "bisect");
    let options = BisectOptions {
        example: arguments.example,
        axis: arguments.axis,
        from: arguments.from,
        to: arguments.to,
        with: arguments.with.into_iter().collect(),
        folders: arguments.folders,
        plan: arguments.plan,
    };
    let found =
        block_on(async |interrupt| compat::bisect(&workspace, &options, &events, interrupt).await)?;
    terminal::print(compat::bisection_text(&found, &terminal::style()).as_bytes());
    Ok(ExitCode::SUCCESS)
}
