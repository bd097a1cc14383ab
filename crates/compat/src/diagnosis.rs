//! Finds out from the tools' output why a variant couldn't be prepared.

use std::path::{Path, PathBuf};

use harness::prepare::example::Signs;
use serde::{Deserialize, Serialize};
use supervise::{Failure, disk, log};

use crate::outcome::{Cause, Outcome};

/// The message of every system and of most tools, with or without a capital letter.
const FULL: &str = "no space left on device";
/// A disk with less free space counts as full.
const ROOM: u64 = 1 << 20;

/// The reason why a variant can't be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unready {
    pub outcome: Outcome,
    pub cause: Cause,
    /// The line of output with the reason. Unescaped.
    pub message: String,
    pub log: Option<PathBuf>,
}

/// The outcome of a failed preparation. An unknown failure counts as a failed build.
pub(super) fn diagnosed(failure: &Failure, log: &Path, signs: &Signs) -> Unready {
    let end = log::end_of(log).unwrap_or_default();
    // The signs are in order of significance.
    let said = |signs: &[String]| {
        let line_with = |sign: &String| end.lines().find(|line| line.contains(sign.as_str()));
        signs.iter().find_map(line_with).map(str::to_owned)
    };
    let kinds = [
        (Cause::DiskFull, full_disk(failure, &end, log)),
        (
            Cause::RegistryUnreachable,
            said(&signs.registry_unreachable),
        ),
        (Cause::NoSuchVersion, said(&signs.no_such_version)),
    ];
    let known = kinds
        .into_iter()
        .find_map(|(cause, line)| Some((Outcome::CouldNotRun, cause, line?)));
    let (outcome, cause, line) = known.unwrap_or_else(|| {
        let line = said(&signs.error).unwrap_or_else(|| failure.message.clone());
        (Outcome::DoesNotBuild, Cause::BuildFailed, line)
    });
    Unready {
        outcome,
        cause,
        message: log::cut(line.trim()),
        log: log.is_file().then(|| log.to_owned()),
    }
}

/// The line of output that reports a full disk. It may be missing, because the log itself had no space.
fn full_disk(failure: &Failure, end: &str, log: &Path) -> Option<String> {
    let says_full = |line: &&str| line.to_ascii_lowercase().contains(FULL);
    let mut lines = std::iter::once(failure.message.as_str()).chain(end.lines());
    lines.find(says_full).map(str::to_owned).or_else(|| {
        let folder = log.parent()?;
        (disk::free(folder)? < ROOM).then(|| format!("nothing is left at `{}`", folder.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_the_most_telling_line() {
        let signs = Signs {
            no_such_version: vec!["not found".to_owned()],
            registry_unreachable: vec!["refused".to_owned()],
            error: vec!["conflict".to_owned(), "error:".to_owned()],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prepare.log");
        let check = |log: &str, cause: Cause, message: &str| {
            std::fs::write(&path, log).unwrap();
            let unready = diagnosed(&Failure::new("exit code 1"), &path, &signs);
            assert_eq!((unready.cause, unready.message.as_str()), (cause, message));
        };
        let unreachable = Cause::RegistryUnreachable;
        // With an unreachable registry, no version can be found either.
        check("x not found\n refused: y\n", unreachable, "refused: y");
        check(
            "error: a\nx not found\n",
            Cause::NoSuchVersion,
            "x not found",
        );
        check("error: a\na conflict\n", Cause::BuildFailed, "a conflict");
        check(
            "refused\nENOSPC: no space left on device, write\n",
            Cause::DiskFull,
            "ENOSPC: no space left on device, write",
        );
        check("whatever\n", Cause::BuildFailed, "exit code 1");
        // A line that is too long to quote can still contain a sign.
        let long = format!("error: {} refused\n", "x".repeat(1_000));
        let quoted = format!("error: {}…", "x".repeat(393));
        check(&long, unreachable, &quoted);

        let failure = Failure::new("can't write `x`: No space left on device (os error 28)");
        let absent = folder.path().join("absent.log");
        let unready = diagnosed(&failure, &absent, &signs);
        assert_eq!((unready.cause, unready.log), (Cause::DiskFull, None));
    }
}
