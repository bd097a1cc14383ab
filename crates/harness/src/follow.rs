//! Following the capture of a stack that stays: what came since, line by line, across its rotation.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::failure::{IoContext, Result};
use crate::session::{Live, feed};

/// A file that is being written, from some point on.
#[derive(Debug)]
pub(crate) struct Follow {
    path: PathBuf,
    file: File,
    /// The beginning of a line whose end hasn't come yet.
    partial: Vec<u8>,
}

impl Follow {
    /// From what is the end now.
    pub(crate) fn from_end(path: PathBuf) -> Result<Self> {
        let mut file = File::open(&path).at("read", &path)?;
        file.seek(SeekFrom::End(0)).at("read", &path)?;
        Ok(Self {
            path,
            file,
            partial: Vec::new(),
        })
    }

    /// Appends the whole lines that have come to `copy`, and feeds them to `live`.
    pub(crate) fn take_in(&mut self, copy: &Path, live: &Live) -> Result<()> {
        let lines = self.lines()?;
        File::options()
            .create(true)
            .append(true)
            .open(copy)
            .and_then(|mut copy| copy.write_all(&lines))
            .at("write", copy)?;
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .for_each(|line| feed(live, line));
        Ok(())
    }

    /// The whole lines that have come since the last time.
    pub(crate) fn lines(&mut self) -> Result<Vec<u8>> {
        let mut read = std::mem::take(&mut self.partial);
        self.drain(&mut read)?;
        if self.was_rotated() {
            // What was written between the last reading and the rotation is still to be had by the old handle.
            self.drain(&mut read)?;
            self.file = File::open(&self.path).at("read", &self.path)?;
            self.drain(&mut read)?;
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
        let inode = |metadata: std::io::Result<std::fs::Metadata>| metadata.map(|of| of.ino()).ok();
        let now = inode(std::fs::metadata(&self.path));
        now.is_some() && now != inode(self.file.metadata())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since_is_read_once_and_whole_across_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.jsonl");
        let append = |text: &str| {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("before\n");
        let mut follow = Follow::from_end(path.clone()).unwrap();
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
