//! Metrics and logs of a run's folder, for the engine.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use otlp_signals::{Reader, Signals};
use supervise::{IoContext, Result};

use crate::folder::RunFolder;

/// What the folder holds beside traces; `None` where nobody sent metrics or logs and the server wasn't asked.
pub fn read(folder: &RunFolder) -> Result<Option<Arc<Signals>>> {
    let mut reader = Reader::default();
    for path in folder.metrics() {
        reader
            .metrics(&name(&path), open(&path)?)
            .at("read", &path)?;
    }
    for path in folder.program_logs() {
        reader.logs(&name(&path), open(&path)?).at("read", &path)?;
    }
    let log = folder.server_log();
    if log.is_file() {
        reader
            .server_log(&name(&log), open(&log)?)
            .at("read", &log)?;
    }
    let [before, after] = folder.server_metrics();
    if before.is_file() && after.is_file() {
        let page = |path: &Path| std::fs::read_to_string(path).at("read", path);
        reader.server_pages(&page(&before)?, &page(&after)?);
    }
    let signals = reader.finish();
    Ok((signals != Signals::default()).then(|| Arc::new(signals)))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).at("read", path)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
