//! An accepted run, as readable text, and the changes since.

use std::path::{Path, PathBuf};

use supervise::{Failure, IoContext, Result};
use trace_parity::{Change, Contract, Traces, against_baseline, baseline, diff};

use crate::folder::RunFolder;
use crate::manifest::Manifest;
use crate::run::judge::{self, CaptureArgument, Judged};
use crate::workspace::Workspace;

/// Where a baseline is, unless another file is named.
pub fn baseline_file(workspace: &Workspace) -> PathBuf {
    workspace.root().join("baseline.txt")
}

/// Writes the text of a run to `file`; the newest run where none is named.
pub fn accept(workspace: &Workspace, run: Option<&str>, file: &Path) -> Result<RunFolder> {
    let run = RunFolder::open(workspace, run.unwrap_or("latest"))?;
    let traces = judge::traces_of_run(&run)?;
    let text = text_of(&traces, &run)?;
    std::fs::write(file, text).at("write", file)?;
    Ok(run)
}

/// How a run differs from the baseline in `file`: lines that are gone and lines that are new; `None` where nothing does.
pub fn since_baseline(judged: &Judged, file: &Path) -> Result<Option<String>> {
    let accepted = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(format!(
            "can't read the baseline `{}`: {error}",
            file.display()
        ))
        .hint("`{program} accept` saves the newest run as the baseline")
    })?;
    let (Some(id), Some(path)) = (judged.run.id.clone(), judged.run.folder.clone()) else {
        return Err(Failure::new("only a run can be compared with a baseline"));
    };
    let run = RunFolder { id, path };
    Ok(against_baseline(&accepted, &text_of(&judged.traces, &run)?))
}

/// The differences between two captures, and the problems of reading them.
#[derive(Debug)]
pub struct Changes {
    pub unread: Vec<String>,
    pub changes: Vec<Change>,
}

/// The changes from one capture to another.
pub fn changes(
    workspace: &Workspace,
    before: &CaptureArgument,
    after: &CaptureArgument,
    contract: &Contract,
) -> Result<Changes> {
    let mut unread = Vec::new();
    let mut sides = Vec::new();
    for side in [before, after] {
        let (traces, told) = judge::spans_named(workspace, side)?;
        unread.extend(told);
        sides.push(traces);
    }
    Ok(Changes {
        unread,
        changes: diff(&sides[0], &sides[1], contract),
    })
}

fn text_of(traces: &Traces, run: &RunFolder) -> Result<String> {
    let facts = Manifest::read_whole(&run.manifest())?.facts();
    Ok(baseline(traces, &Contract::builtin(), Some(&facts)))
}
