//! The runs that are kept, with their verdicts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use serde::Deserialize;
use supervise::{Result, locks};

use crate::folder::RunFolder;
use crate::manifest::Manifest;
use crate::workspace::Workspace;

/// A run that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRun {
    pub id: String,
    /// The verdict, or why there is none. Unescaped.
    pub verdict: String,
    /// Findings that are errors.
    pub errors: usize,
    /// `embedded`, `compose`, `external` or `kept`; empty if unknown.
    pub stack: String,
    /// The command that made it, such as `exec -- python3 app.py`. Empty if unknown; unescaped.
    pub command: String,
}

impl KeptRun {
    /// What the files of a run say of it.
    pub fn of(folder: RunFolder) -> Self {
        let report = report_of(&folder);
        let manifest = Manifest::read(&folder.manifest());
        let errors = report.as_ref().map_or(0, |report| {
            let is_error = |finding: &&FindingOf| finding.severity == "error";
            report.findings.iter().filter(is_error).count()
        });
        let verdict = verdict(report, &manifest);
        let (stack, command) = manifest.map_or_else(
            |_| Default::default(),
            |manifest| (manifest.stack.kind, manifest.command.join(" ")),
        );
        Self {
            id: folder.id,
            verdict,
            errors,
            stack,
            command,
        }
    }
}

/// How long things took the last time that the same command came to a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastTimes {
    /// By the phase's name.
    pub phases: BTreeMap<String, Duration>,
    pub examples: BTreeMap<String, Duration>,
}

#[derive(Deserialize)]
struct Report {
    verdict: String,
    findings: Vec<FindingOf>,
}

#[derive(Deserialize)]
struct FindingOf {
    severity: String,
}

/// Runs that are kept; older ones go, unless they were given another name.
const KEPT: usize = 20;

/// Removes the runs beyond the newest 20. One whose folder was renamed stays, and so does one that still goes on.
pub fn prune(workspace: &Workspace) {
    let unnamed: Vec<RunFolder> = RunFolder::all(workspace)
        .into_iter()
        .filter(|run| run.has_given_name() && !locks::is_held(&run.lock()))
        .collect();
    for old in &unnamed[..unnamed.len().saturating_sub(KEPT)] {
        let _ = std::fs::remove_dir_all(&old.path);
    }
}

/// All runs that are kept, oldest first.
pub fn list(workspace: &Workspace) -> Vec<KeptRun> {
    RunFolder::all(workspace)
        .into_iter()
        .map(KeptRun::of)
        .collect()
}

/// The times of the newest run of `command`, such as `run-all`, that was judged; none where there is no such run.
pub fn last_times(workspace: &Workspace, command: &str) -> LastTimes {
    let newest_first = RunFolder::all(workspace).into_iter().rev();
    let judged = newest_first
        .filter_map(|run| Manifest::read(&run.manifest()).ok())
        .find(|run| {
            run.command.first().is_some_and(|word| word == command) && !run.phases.is_empty()
        });
    // A manifest may have been edited by hand.
    let took = |seconds| Duration::try_from_secs_f64(seconds).ok();
    judged.map_or_else(LastTimes::default, |run| LastTimes {
        phases: run
            .phases
            .into_iter()
            .filter_map(|phase| Some((phase.name, took(phase.seconds)?)))
            .collect(),
        examples: run
            .examples
            .into_iter()
            .filter_map(|example| Some((example.name, took(example.seconds)?)))
            .collect(),
    })
}

fn report_of(folder: &RunFolder) -> Option<Report> {
    let file = File::open(folder.report_json()).ok()?;
    serde_json::from_reader(BufReader::new(file)).ok()
}

fn verdict(report: Option<Report>, manifest: &Result<Manifest>) -> String {
    match (report, manifest) {
        (Some(report), _) => report.verdict,
        (
            None,
            Ok(Manifest {
                failure: Some(failure),
                ..
            }),
        ) => format!("no verdict: {failure}"),
        (None, Ok(_)) => "no verdict: it is still running, or only a stack was up".to_owned(),
        (None, Err(_)) => "no verdict: it was ended before it began".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_runs_and_the_named_ones_are_kept() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::fixture(root.path());
        let name = |second: usize| format!("20261122T1015{second:02}Z-00000a");
        for second in 0..25 {
            std::fs::create_dir_all(workspace.runs().join(name(second))).expect("made");
        }
        std::fs::rename(
            workspace.runs().join(name(1)),
            workspace.runs().join("before-upgrade"),
        )
        .expect("renamed");

        let going_on = workspace.runs().join(name(2)).join("lock");
        let lock = locks::hold(&going_on).expect("held");

        prune(&workspace);

        let left: Vec<String> = list(&workspace).into_iter().map(|run| run.id).collect();
        let expected: Vec<String> = std::iter::once(2)
            .chain(5..25)
            .map(name)
            .chain(["before-upgrade".to_owned()])
            .collect();
        assert_eq!(left, expected);

        drop(lock);
        prune(&workspace);
        assert!(!going_on.exists(), "it has ended");
    }
}
