//! Writes the file of records, in one thread and in whole lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;

use crate::record::{Line, Stats};

/// The most lines that wait to be written. A connection with another one waits until there is room.
const WAITING: usize = 16 << 10;

/// The most lines of one write.
const BATCH: usize = 256;

pub(crate) type Queue = mpsc::Sender<Line>;

/// Shared counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Stats>>);

impl Tally {
    pub(crate) fn add(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn stats(&self) -> Stats {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Creates or truncates the file, readable by its owner alone, and starts the thread, which ends when the last queue is dropped.
pub(crate) fn start(path: &Path, tally: Tally) -> io::Result<(Queue, JoinHandle<()>)> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let file = LineFile {
        file: options.open(path)?,
        length: 0,
    };
    let (queue, lines) = mpsc::channel(WAITING);
    let thread = thread::Builder::new()
        .name("grpc-witness".to_owned())
        .spawn(move || write(file, lines, &tally))?;
    Ok((queue, thread))
}

fn write(mut file: LineFile, mut lines: mpsc::Receiver<Line>, tally: &Tally) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut text = Vec::new();
    while lines.blocking_recv_many(&mut batch, BATCH) > 0 {
        text.clear();
        let written = batch
            .iter()
            .try_for_each(|line| {
                serde_json::to_writer(&mut text, line)?;
                text.push(b'\n');
                Ok(())
            })
            .and_then(|()| file.append(&text));
        if let Err(error) = written {
            tally.add(|stats| {
                stats.unwritten += batch.len() as u64;
                stats.write_error = Some(error.to_string());
            });
        }
        batch.clear();
    }
}

/// A file that holds whole lines only.
#[derive(Debug)]
struct LineFile {
    file: File,
    length: u64,
}

impl LineFile {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self.file.write_all(lines) {
            Ok(()) => {
                self.length += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Fails for devices, which hold no partial lines.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }
}
