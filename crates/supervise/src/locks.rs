//! Files that are locked by whoever lives: a process id alone may be anybody's.

use std::fs::File;
use std::path::Path;

use crate::failure::{IoContext, Result};

/// Holds the lock for as long as the file that is returned.
pub fn hold(path: &Path) -> Result<File> {
    let lock = File::create(path).at("write", path)?;
    lock.lock().at("lock", path)?;
    Ok(lock)
}

/// Whether somebody holds it. Two who look at once don't take each other for its holder.
pub fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_holder_lets_go_and_not_by_who_looks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lock");
        assert!(!is_held(&path));
        let lock = hold(&path).expect("held");
        assert!(is_held(&path));
        drop(lock);
        let looking = File::open(&path).expect("it is there");
        looking.try_lock_shared().expect("nobody holds it");
        assert!(!is_held(&path));
    }
}
