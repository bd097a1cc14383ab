//! The runs that are kept, and what each came to.

use std::fs::File;
use std::io::BufReader;

use serde::Deserialize;

use crate::folder::RunFolder;
use crate::manifest::Manifest;
use crate::workspace::Workspace;

/// A run that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRun {
    pub id: String,
    /// The verdict, or why there is none. Unescaped.
    pub verdict: String,
}

#[derive(Deserialize)]
struct Report {
    verdict: String,
}

/// All runs that are kept, oldest first.
pub fn list(workspace: &Workspace) -> Vec<KeptRun> {
    RunFolder::all(workspace)
        .into_iter()
        .map(|folder| KeptRun {
            verdict: verdict(&folder),
            id: folder.id,
        })
        .collect()
}

fn verdict(folder: &RunFolder) -> String {
    let report = File::open(folder.report_json())
        .ok()
        .and_then(|file| serde_json::from_reader::<_, Report>(BufReader::new(file)).ok());
    match (report, Manifest::read(&folder.manifest())) {
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
