//! Follows the capture of a stack that is kept up, line by line, across rotations.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use otlp_capture::Signal;
use otlp_capture::{Rotation, Secrets};
use supervise::{Failure, IoContext, Result, disk};

use crate::spans::live::{Live, feed};

/// The files that the capture of a stack that stays keeps beside the one that is written.
const KEPT_ROTATED: u32 = 3;
/// It keeps the newest 64 MiB of each signal.
pub const KEPT_ROTATION: Rotation = Rotation {
    max_bytes: 16 << 20,
    keep: KEPT_ROTATED,
};

/// A signal's file that is being written, from some point on.
#[derive(Debug)]
pub struct Follow {
    signal: Signal,
    path: PathBuf,
    file: File,
    /// The beginning of a line whose end hasn't come yet.
    partial: Vec<u8>,
    /// Written to no copy.
    pub secrets: Secrets,
}

impl Follow {
    /// Starts at the present end of the signal's file in a capture's folder.
    pub fn from_end(folder: &Path, signal: Signal) -> Result<Self> {
        let path = folder.join(signal.file_name(0));
        let mut file = File::open(&path).at("read", &path)?;
        file.seek(SeekFrom::End(0)).at("read", &path)?;
        Ok(Self {
            signal,
            path,
            file,
            partial: Vec::new(),
            secrets: Secrets::default(),
        })
    }

    /// Appends the whole lines that have come to the file of the same name in `folder`, and feeds spans to `live`.
    pub fn take_in(&mut self, folder: &Path, live: &Live) -> Result<()> {
        let copy = folder.join(self.signal.file_name(0));
        let mut lines = self.lines()?;
        self.secrets.redact(&mut lines);
        disk::append(&copy)
            .and_then(|mut copy| copy.write_all(&lines))
            .at("write", &copy)?;
        if self.signal != Signal::Traces {
            return Ok(());
        }
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .for_each(|line| feed(live, line));
        Ok(())
    }

    /// The whole lines that have come since the last time.
    pub fn lines(&mut self) -> Result<Vec<u8>> {
        let mut read = std::mem::take(&mut self.partial);
        self.drain(&mut read)?;
        if self.was_rotated() {
            let newer = self.newer()?;
            // The old handle still reads the lines that were written between the last read and the rotation.
            self.drain(&mut read)?;
            for file in newer {
                self.file = file;
                self.drain(&mut read)?;
            }
        }
        let whole = read
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.partial = read.split_off(whole);
        Ok(read)
    }

    fn drain(&mut self, into: &mut Vec<u8>) -> Result<()> {
        self.file.read_to_end(into).at("read", &self.path)?;
        Ok(())
    }

    fn was_rotated(&self) -> bool {
        let now = inode(std::fs::metadata(&self.path));
        now.is_some() && now != inode(self.file.metadata())
    }

    /// The files that were begun after the one that is read, oldest first. Fails where that one is gone: what came
    /// between is lost.
    fn newer(&self) -> Result<Vec<File>> {
        let own = inode(self.file.metadata());
        let mut newest_first: Vec<File> = Vec::new();
        // Names move on to older files meanwhile: going the same way, a file may be met twice, and none is missed.
        for number in 0..=KEPT_ROTATED {
            let Ok(file) = File::open(rotated(&self.path, self.signal, number)) else {
                continue;
            };
            let this = inode(file.metadata());
            if this == own {
                newest_first.reverse();
                return Ok(newest_first);
            }
            if newest_first.last().map(|last| inode(last.metadata())) != Some(this) {
                newest_first.push(file);
            }
        }
        Err(Failure::new(format!(
            "the capture `{}` was rotated faster than it was read: telemetry of this run is lost",
            self.path.display()
        ))
        .hint("a stack that is kept up keeps only the newest telemetry: stop other programs from exporting to it"))
    }
}

fn inode(metadata: std::io::Result<Metadata>) -> Option<u64> {
    metadata.map(|of| of.ino()).ok()
}

fn rotated(current: &Path, signal: Signal, number: u32) -> PathBuf {
    current.with_file_name(signal.file_name(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// As the capture does it.
    fn rotate(current: &Path) {
        for number in (0..KEPT_ROTATED).rev() {
            let from = rotated(current, Signal::Traces, number);
            if from.exists() {
                std::fs::rename(from, rotated(current, Signal::Traces, number + 1)).unwrap();
            }
        }
    }

    #[test]
    fn as_many_rotations_between_two_readings_as_files_are_kept_lose_nothing() {
        let check = |rotations: u32, expected: Option<&str>| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("capture.jsonl");
            std::fs::write(&path, "before\n").unwrap();
            let mut follow = Follow::from_end(folder.path(), Signal::Traces).unwrap();
            append(&path, "0\n");
            for number in 1..=rotations {
                rotate(&path);
                append(&path, &format!("{number}\n"));
            }
            let lines = follow.lines().ok();
            let lines = lines.map(|lines| String::from_utf8(lines).unwrap());
            assert_eq!(lines.as_deref(), expected, "{rotations} rotations");
            if expected.is_some() {
                append(&path, "last\n");
                assert_eq!(follow.lines().unwrap(), b"last\n");
            }
        };
        check(0, Some("0\n"));
        check(1, Some("0\n1\n"));
        check(2, Some("0\n1\n2\n"));
        check(3, Some("0\n1\n2\n3\n"));
        check(4, None);
    }

    #[test]
    fn what_came_since_is_read_once_and_whole_across_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.jsonl");
        let append = |text: &str| append(&path, text);
        append("before\n");
        let mut follow = Follow::from_end(folder.path(), Signal::Traces).unwrap();
        let mut check = |expected: &str| {
            assert_eq!(
                String::from_utf8(follow.lines().unwrap()).unwrap(),
                expected
            );
        };
        check("");
        append("one\ntw");
        check("one\n");
        append("o\n");
        check("two\n");
        append("three\n");
        std::fs::rename(&path, folder.path().join("capture-1.jsonl")).unwrap();
        append("four\nfi");
        check("three\nfour\n");
        append("ve\n");
        check("five\n");
    }
}
