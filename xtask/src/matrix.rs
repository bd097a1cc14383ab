//! `matrix` and `bisect`: which versions keep a trace whole.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use harness::matrix::{self as map, BisectOptions, MatrixOptions};
use harness::{Failure, Result};

use crate::commands::{block_on, relative, workspace};
use crate::{progress, terminal};

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// Only this example; may be given several times
    #[arg(long = "example", value_name = "NAME")]
    only: Vec<String>,
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
    #[arg(long = "examples", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Only variants whose name has this in it, or fits where it has `*`
    #[arg(long, value_name = "PATTERN")]
    variant: Option<String>,
    /// Only what was never measured as it is now
    #[arg(long)]
    changed: bool,
    /// Variants prepared at a time; they run one after the other [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// Another list of variants than matrix.toml
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Measure nothing: draw the map of what was measured before
    #[arg(long, conflicts_with_all = ["changed", "jobs", "update"])]
    draw: bool,
    /// Measure nothing: propose newer versions for the variants marked `newest`
    #[arg(long, conflicts_with_all = ["changed", "jobs", "write"])]
    update: bool,
    /// Write docs/compatibility.md, and its JSON and schema
    #[arg(long, conflicts_with = "plan")]
    write: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the map is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Markdown,
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct Bisect {
    /// The example's name
    example: String,
    /// The axis of matrix.toml whose versions are tried
    #[arg(long, value_name = "AXIS")]
    axis: String,
    /// The oldest version; `2.20` is the first 2.20.x [default: the example's own]
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
    /// The newest version [default: the registry's newest]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// A version of another axis, for all that is tried, `*` for any that fits; may be given several times
    #[arg(long = "with", value_name = "AXIS=VERSION", value_parser = pair)]
    with: Vec<(String, String)>,
    /// A folder with an example.toml, or of such folders, that joins the built-in examples
    #[arg(long = "examples", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Another list of axes than matrix.toml
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

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
        map::unchanged_map(&workspace, &options)?
    } else {
        block_on(async |interrupt| map::matrix(&workspace, &options, &events, interrupt).await)?
    };
    let page = map::write_map(&workspace, &options, &map)?;
    if arguments.write {
        map::write_documentation(&workspace, &map)?;
    }
    let text = match arguments.format {
        Format::Json => map.json(),
        Format::Markdown => map::markdown(&map),
        Format::Html => map::page(&map),
        Format::Text => format!(
            "{}\nmap: {}\n",
            map::map_text(&map, &terminal::style()),
            relative(&page).display()
        ),
    };
    terminal::print(text.as_bytes());
    Ok(ExitCode::from(u8::from(!map.is_as_expected())))
}

fn update(options: &MatrixOptions) -> Result<ExitCode> {
    let workspace = workspace()?;
    let events = progress::events(&workspace, "matrix");
    let proposals =
        block_on(async |interrupt| map::proposals(&workspace, options, &events, interrupt).await)?;
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
        block_on(async |interrupt| map::bisect(&workspace, &options, &events, interrupt).await)?;
    terminal::print(map::bisection_text(&found, &terminal::style()).as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn pair(text: &str) -> Result<(String, String)> {
    text.split_once('=')
        .map(|(axis, version)| (axis.to_owned(), version.to_owned()))
        .ok_or_else(|| Failure::new("it needs an axis, `=` and a version"))
}
