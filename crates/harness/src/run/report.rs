//! The reports that a run's folder holds.

use std::io::{BufWriter, Write};
use std::path::Path;

use supervise::{IoContext, Result, disk};
use trace_parity::Severity;

use crate::folder::RunFolder;
use crate::run::judge::Judged;

/// Writes `report.json`, `junit.xml` and `report.html`.
pub fn write(judged: &Judged, folder: &RunFolder) -> Result<()> {
    write_text(&folder.report_json(), &trace_report::json(&judged.run))?;
    write_text(
        &folder.junit(),
        &trace_report::junit(&judged.run, Severity::Error),
    )?;
    let page = folder.report_html();
    let out = BufWriter::new(disk::create(&page).at("write", &page)?);
    trace_report::html(&judged.run, &judged.traces, &judged.raw, out).at("write", &page)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    disk::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .at("write", path)
}
