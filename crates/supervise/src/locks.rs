//! Lock files, which stay locked while their holder lives. A process id alone could belong to another process by now.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::failure::{Failure, IoContext, Result};

const POLL: Duration = Duration::from_millis(20);

/// The longest time that processes which only check a lock can keep its holder from taking it.
const LOOKED_AT_LIMIT: Duration = Duration::from_secs(5);

/// The process that holds a lock, as it signed the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub since: SystemTime,
}

/// Takes a lock without competitors. It is held as long as the returned file is open.
pub fn hold(path: &Path) -> Result<File> {
    let lock = open(path)?;
    let began = Instant::now();
    while !try_take(&lock, path)? {
        if began.elapsed() > LOOKED_AT_LIMIT {
            return Err(Failure::new(format!(
                "another process holds the lock `{}`",
                path.display()
            )));
        }
        std::thread::sleep(POLL);
    }
    sign(&lock, path)?;
    Ok(lock)
}

/// Waits for a lock that others may hold. Returns `None` after `limit`.
///
/// If the lock is held, `waiting` is called once, with the holder. Dropping the future stops the wait.
pub async fn acquire(
    path: &Path,
    limit: Duration,
    waiting: impl FnOnce(Option<Holder>),
) -> Result<Option<File>> {
    let lock = open(path)?;
    let began = Instant::now();
    let mut waiting = Some(waiting);
    while !try_take(&lock, path)? {
        if began.elapsed() > limit {
            return Ok(None);
        }
        // A process that only checks the lock releases it before the next try, so only a holder is reported.
        if began.elapsed() > POLL
            && let Some(tell) = waiting.take()
        {
            tell(holder(path));
        }
        tokio::time::sleep(POLL).await;
    }
    tracing::debug!(?path, waited = ?began.elapsed(), "took a lock");
    sign(&lock, path)?;
    Ok(Some(lock))
}

/// The error of a wait for `path` that has reached its limit. `what` is the purpose of the wait.
pub fn still_held(path: &Path, limit: Duration, what: &str) -> Failure {
    let who = holder(path).map_or_else(
        || "another process".to_owned(),
        |holder| format!("process {}", holder.pid),
    );
    Failure::new(format!(
        "can't {what}: {who} has held the lock `{}` for more than {} s",
        path.display(),
        limit.as_secs()
    ))
    .hint(format!("end {who}, then try again"))
}

/// Whether a living process holds the lock. Two simultaneous checks don't mistake each other for the holder.
pub fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// The process that signed the lock last; `None` if it was never signed.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    let (pid, since) = text.trim_end().split_once(' ')?;
    Some(Holder {
        pid: pid.parse().ok()?,
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(since.parse().ok()?),
    })
}

/// Doesn't truncate the file, because it has the signature of the present holder.
fn open(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .at("write", path)
}

fn try_take(lock: &File, path: &Path) -> Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path),
    }
}

fn sign(mut lock: &File, path: &Path) -> Result<()> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| write!(lock, "{} {since}", std::process::id()))
        .at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_holder_releases_it_and_not_by_a_check() {
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

    #[tokio::test]
    async fn a_waiting_process_learns_the_holder_and_gets_the_lock_afterwards() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lock");
        let first = hold(&path).expect("held");
        let (told, holder) = tokio::sync::oneshot::channel();
        let waiting = acquire(&path, Duration::from_secs(60), |holder| {
            told.send(holder).expect("somebody listens");
        });
        let (second, ()) = tokio::join!(waiting, async {
            let holder = holder.await.expect("it waits").expect("it is signed");
            assert_eq!(holder.pid, std::process::id());
            drop(first);
        });
        assert!(second.expect("no error").is_some());
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_limit_and_keeps_the_holders_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lock");
        let _held = hold(&path).expect("held");
        let none = acquire(&path, Duration::from_millis(50), |_| ()).await;
        assert!(none.expect("no error").is_none());
        assert_eq!(
            holder(&path).map(|holder| holder.pid),
            Some(std::process::id())
        );
    }
}
