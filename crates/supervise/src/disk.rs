//! Free disk space, and files that readers never see half-written.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::failure::{Failure, IoContext, Result};

/// With less free space, a failure was probably caused by the full disk, and its log may lack the message.
const FULL: u64 = 64 << 20;

/// Bytes that this user can still write on the disk of `path`, which needn't exist yet.
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

pub fn is_full(path: &Path) -> bool {
    free(path).is_some_and(|free| free < FULL)
}

/// Replaces a file atomically: a reader sees either the old content or the new.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// The same for content that `write` writes in pieces.
pub fn write_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let new = path.with_extension("new");
    let file = create(&new).at("write", &new)?;
    let mut file = BufWriter::new(file);
    write(&mut file)
        .and_then(|()| file.flush())
        .at("write", &new)?;
    std::fs::rename(&new, path).at("write", path)
}

/// Replaces a file atomically with a value as JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::new(format!("can't write `{}`: {error}", path.display())))?;
    write_whole(path, &text)
}

/// Creates an empty file that only its owner can read.
pub fn create(path: &Path) -> std::io::Result<File> {
    own().write(true).truncate(true).open(path)
}

/// Opens a file that is written at its end. If it isn't there, it is created, and only its owner can read it.
pub fn append(path: &Path) -> std::io::Result<File> {
    own().append(true).open(path)
}

fn own() -> OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600);
    options
}
