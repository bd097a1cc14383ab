//! Room on the disk.

use std::path::Path;

/// With less, what fails may well have failed for want of room, and its log can't say so either.
const FULL: u64 = 64 << 20;

/// Bytes that this user can still write where `path` is, or will be.
pub(crate) fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

pub(crate) fn is_full(path: &Path) -> bool {
    free(path).is_some_and(|free| free < FULL)
}
