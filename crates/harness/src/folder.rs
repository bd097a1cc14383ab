//! A run's folder: its id, its files, and the list of all runs.

use std::fs::DirBuilder;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::Utc;
use otlp_capture::Signal;
use supervise::{Failure, IoContext, Result};

use crate::workspace::Workspace;

/// Beside the manifest.
pub const WIRE_FILE: &str = "wire.jsonl";

/// `runs/<id>/`, in `target/milvus-otel` of a checkout or `.milvus-otel` of any other folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub id: String,
    pub path: PathBuf,
}

/// Makes a folder that only its user can read: what programs and servers print may be private.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).at("make", path)
}

impl RunFolder {
    /// Makes a new one and points `runs/latest` at it.
    pub fn make(workspace: &Workspace) -> Result<Self> {
        let now = Utc::now();
        let unique = RandomState::new().hash_one(now.timestamp_nanos_opt()) & 0xff_ffff;
        let id = format!("{}-{unique:06x}", now.format("%Y%m%dT%H%M%SZ"));
        let path = workspace.runs().join(&id);
        let folder = Self { id, path };
        workspace.make_runs()?;
        for path in [&folder.path, &folder.logs()] {
            make_private(path)?;
        }
        folder.become_latest(&workspace.latest_run())?;
        Ok(folder)
    }

    /// The folder of a run at any path. Its id is the folder's name.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or_default();
        Self {
            id: name.to_string_lossy().into_owned(),
            path,
        }
    }

    /// The folder that a run's file is in.
    pub fn of_file(file: &Path) -> Self {
        Self::at(file.parent().unwrap_or(Path::new("")))
    }

    /// The run of that id, or the newest for `latest`.
    pub fn open(workspace: &Workspace, id: &str) -> Result<Self> {
        let path = workspace.runs().join(id);
        let plain = !id.is_empty() && !id.contains(['/', '\\']) && id != "." && id != "..";
        let path = match path.canonicalize() {
            Ok(path) if plain => path,
            _ => {
                return Err(Failure::new(format!("no run is called `{id}`"))
                    .hint("`{program} list` shows the runs that are kept"));
            }
        };
        Ok(Self::at(path))
    }

    /// All runs that are kept, oldest first.
    pub fn all(workspace: &Workspace) -> Vec<Self> {
        let entries = std::fs::read_dir(workspace.runs())
            .into_iter()
            .flatten()
            .flatten();
        let mut runs: Vec<Self> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| Self::at(entry.path()))
            .collect();
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        runs
    }

    /// Whether it still has the name that [`RunFolder::make`] gave it.
    pub fn has_given_name(&self) -> bool {
        let shape = self.id.bytes().map(|byte| match byte {
            b'0'..=b'9' => b'0',
            other => other,
        });
        self.id.len() == 23 && shape.take(17).eq(*b"00000000T000000Z-")
    }

    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The diagnostics of this process: programs, waits and decisions.
    pub fn diagnostics(&self) -> PathBuf {
        self.logs().join("xtask.log")
    }

    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Milvus's own metrics before the programs, and after them.
    pub fn server_metrics(&self) -> [PathBuf; 2] {
        let folder = self.path.join("server-metrics");
        ["before.prom", "after.prom"].map(|file| folder.join(file))
    }

    /// The calls that a witness saw, where there was one.
    pub fn wire(&self) -> PathBuf {
        self.path.join(WIRE_FILE)
    }

    /// The lock that a run holds until it ends.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub fn report_json(&self) -> PathBuf {
        self.path.join("report.json")
    }

    pub fn report_html(&self) -> PathBuf {
        self.path.join("report.html")
    }

    pub fn junit(&self) -> PathBuf {
        self.path.join("junit.xml")
    }

    /// The captured traces, oldest file first; several where a long capture was rotated.
    pub fn captures(&self) -> Vec<PathBuf> {
        self.files_of(Signal::Traces)
    }

    /// The captured metrics, oldest file first.
    pub fn metrics(&self) -> Vec<PathBuf> {
        self.files_of(Signal::Metrics)
    }

    /// The captured log records, oldest file first.
    pub fn program_logs(&self) -> Vec<PathBuf> {
        self.files_of(Signal::Logs)
    }

    /// What a server of the run's own wrote.
    pub fn server_log(&self) -> PathBuf {
        self.logs().join("milvus.log")
    }

    /// The signal's file and those that were rotated, oldest first.
    fn files_of(&self, signal: Signal) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten();
        let mut rotated: Vec<(u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name
                    .to_str()?
                    .strip_prefix(signal.file_stem())?
                    .strip_prefix('-')?
                    .strip_suffix(".jsonl")?;
                Some((number.parse().ok()?, entry.path()))
            })
            .collect();
        rotated.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let newest = self.path.join(signal.file_name(0));
        rotated
            .into_iter()
            .map(|(_, path)| path)
            .chain(newest.is_file().then_some(newest))
            .collect()
    }

    fn become_latest(&self, latest: &Path) -> Result<()> {
        let new = latest.with_extension(&self.id);
        std::os::unix::fs::symlink(&self.id, &new).at("make", &new)?;
        std::fs::rename(&new, latest).at("write", latest)
    }
}
