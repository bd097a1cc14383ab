//! Processes as Linux lists them in `/proc`. On other systems the lists are empty.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Pid;

struct Listed {
    parent: i32,
    /// Resident memory in bytes.
    memory: u64,
}

/// The processes whose working folder is `folder` or a folder below it.
pub fn working_in(folder: &Path) -> Vec<Pid> {
    // Linux appends ` (deleted)` to the name of a removed folder.
    let is_it = |there: &Path| {
        let there = there.to_string_lossy();
        there.starts_with(&*folder.to_string_lossy())
    };
    ids()
        .filter(|id| std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| is_it(&cwd)))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The memory of a process and its descendants, in bytes; `None` if the system doesn't say.
pub fn memory(leader: i32) -> Option<u64> {
    let all: BTreeMap<i32, Listed> = ids().filter_map(|id| Some((id, listed(id)?))).collect();
    all.get(&leader)?;
    let comes_of_it = |id: i32| {
        let line = std::iter::successors(Some(id), |id| all.get(id).map(|one| one.parent));
        // Ids that were reused meanwhile could form a cycle.
        line.take(all.len()).any(|id| id == leader)
    };
    let of_it = all.iter().filter(|(id, _)| comes_of_it(**id));
    Some(of_it.map(|(_, one)| one.memory).sum())
}

fn ids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn listed(id: i32) -> Option<Listed> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let number = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some(Listed {
        parent: i32::try_from(number("PPid:")?).ok()?,
        // A process that is ending has no resident memory.
        memory: number("VmRSS:").unwrap_or(0) << 10,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_found_by_its_working_folder_and_its_memory_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep");
        std::fs::create_dir(&deep).unwrap();
        assert_eq!(working_in(folder.path()), []);
        let mut child = Command::new("sleep")
            .arg("60")
            .current_dir(&deep)
            .spawn()
            .unwrap();
        assert_eq!(working_in(folder.path()), [Pid::from_child(&child)]);
        std::fs::remove_dir(&deep).unwrap();
        assert_eq!(working_in(folder.path()), [Pid::from_child(&child)]);

        let id = std::process::id().cast_signed();
        let child_alone = memory(child.id().cast_signed()).unwrap();
        assert!(child_alone > 0);
        assert!(memory(id).unwrap() > child_alone);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory(child.id().cast_signed()), None);
    }
}
