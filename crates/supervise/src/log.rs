//! The ends of log files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The size of the part at a file's end that is searched for its last lines.
const TAIL_BYTES: u64 = 64 << 10;
/// Longer lines are truncated when they are quoted.
const LINE_CHARS: usize = 400;

/// The last `lines` lines of a file, oldest first; empty if it can't be read. Unescaped.
pub fn tail(path: &Path, lines: usize) -> Vec<String> {
    let text = end_of(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..]
        .iter()
        .map(|line| cut(line))
        .collect()
}

/// The value after `key` in the last line that begins with it.
pub fn last_value(path: &Path, key: &str) -> Option<String> {
    let text = end_of(path)?;
    text.lines()
        .rev()
        .find_map(|line| line.strip_prefix(key))
        .map(str::to_owned)
}

/// The first line of a log that contains `text`. Unescaped.
pub fn line_with(path: &Path, text: &str) -> Option<String> {
    let lines = BufReader::new(File::open(path).ok()?).split(b'\n');
    lines
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .find(|line| line.contains(text))
        .map(|line| cut(&line))
}

/// The last 64 KiB of a file; `None` if it can't be read. Unescaped.
pub fn end_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line, truncated for quoting.
pub fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}
