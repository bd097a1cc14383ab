//! The reports that a run's folder holds.

use supervise::{Result, disk};
use trace_parity::Severity;

use crate::folder::RunFolder;
use crate::run::judge::Judged;

/// Writes `report.json`, `junit.xml` and `report.html`.
pub fn write(judged: &Judged, folder: &RunFolder) -> Result<()> {
    let run = &judged.run;
    let junit = trace_report::junit(run, Severity::Error);
    disk::write_whole(&folder.report_json(), trace_report::json(run).as_bytes())?;
    disk::write_whole(&folder.junit(), junit.as_bytes())?;
    disk::write_with(&folder.report_html(), |out| {
        trace_report::html(run, &judged.traces, &judged.raw, out)
    })
}
