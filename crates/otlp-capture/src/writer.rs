//! The only thread that writes: one line per request and one file per signal, with rotation.

use crate::budget::Reservation;
use crate::config::{Observer, Rotation};
use crate::error::Error;
use crate::forward::ForwardQueue;
use crate::ledger::{Ledger, SenderId};
use crate::schema::Signal;
use bytes::Bytes;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// The lines to write. The queue is bounded by the budget, of which each line holds a part.
pub(crate) type JobQueue = mpsc::UnboundedSender<Job>;

#[derive(Debug)]
pub(crate) enum Job {
    Write {
        line: Line,
        done: oneshot::Sender<Result<(), String>>,
    },
    Flush {
        done: oneshot::Sender<()>,
    },
}

/// A request's line, with its line feed.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) signal: Signal,
    pub(crate) json: Vec<u8>,
    pub(crate) records: u64,
    /// The protobuf request, if it is to be forwarded.
    pub(crate) message: Option<Bytes>,
    pub(crate) reservation: Reservation,
    /// The account of the sender.
    pub(crate) sender: SenderId,
    /// The digest that identifies the request when it is retried.
    pub(crate) digest: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    /// Opens the files and starts the thread, which ends when the last queue is dropped.
    pub(crate) fn start(
        dir: PathBuf,
        rotation: Option<Rotation>,
        observer: Option<Observer>,
        forward: Option<ForwardQueue>,
        ledger: Arc<Ledger>,
    ) -> Result<(Self, JobQueue), Error> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(&dir).map_err(|source| Error::File {
            path: dir.clone(),
            source,
        })?;
        let mut files = Vec::new();
        for signal in Signal::ALL {
            files.push(LineFile::open(&dir, signal, rotation)?);
        }
        let (queue, jobs) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name("otlp-capture".to_owned())
            .spawn(move || write(jobs, files, observer, forward, &ledger))
            .map_err(|source| Error::File { path: dir, source })?;
        Ok((Self { thread }, queue))
    }

    /// Waits until the thread has written everything.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        joined
            .map_err(|_| Error::WriterPanicked)?
            .map_err(|_| Error::WriterPanicked)
    }
}

fn write(
    mut jobs: mpsc::UnboundedReceiver<Job>,
    mut files: Vec<LineFile>,
    mut observer: Option<Observer>,
    forward: Option<ForwardQueue>,
    ledger: &Ledger,
) {
    while let Some(job) = jobs.blocking_recv() {
        match job {
            // The client or the caller may be gone.
            Job::Flush { done } => drop(done.send(())),
            Job::Write { line, done } => {
                let Line {
                    signal,
                    json,
                    records,
                    message,
                    reservation,
                    sender,
                    digest,
                } = line;
                if let Err(error) = files[signal as usize].append(&json) {
                    ledger.not_written(sender, records, &error);
                    ledger.asked_again(sender, digest);
                    drop(done.send(Err(error)));
                    continue;
                }
                ledger.stored(sender, signal, records, json.len());
                drop(done.send(Ok(())));
                if let (Some(forward), Some(message)) = (&forward, message) {
                    forward.offer(signal, message, records, sender);
                }
                if let Some(observer) = &mut observer {
                    observer(signal, json.trim_ascii_end());
                }
                drop(reservation);
            }
        }
    }
}

/// A file that contains only whole lines.
#[derive(Debug)]
struct LineFile {
    dir: PathBuf,
    signal: Signal,
    rotation: Option<Rotation>,
    file: File,
    length: u64,
    /// The file ends with a part of a line.
    is_torn: bool,
}

impl LineFile {
    fn open(dir: &Path, signal: Signal, rotation: Option<Rotation>) -> Result<Self, Error> {
        let path = dir.join(signal.file_name(0));
        match open_after_whole_line(&path) {
            Ok((file, length)) => Ok(Self {
                dir: dir.to_owned(),
                signal,
                rotation,
                file,
                length,
                is_torn: false,
            }),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    fn append(&mut self, line: &[u8]) -> Result<(), String> {
        self.try_append(line).map_err(|error| {
            // Truncate immediately, so that nobody reads half a line. If that fails, the next write
            // tries again.
            drop(self.mend());
            let message = format!("cannot write `{}`: {error}", self.path(0).display());
            tracing::error!(message);
            message
        })
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.make_room(line.len() as u64)?;
        self.is_torn = true;
        self.file.write_all(line)?;
        self.is_torn = false;
        self.length += line.len() as u64;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn make_room(&mut self, length: u64) -> io::Result<()> {
        match self.rotation {
            Some(rotation) if self.length > 0 && self.length + length > rotation.max_bytes => {
                self.rotate(rotation.keep)
            }
            _ => Ok(()),
        }
    }

    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        let current = self.path(0);
        // The file is missing if an earlier attempt failed after the rename.
        if current.try_exists()? {
            for number in (0..keep).rev() {
                match fs::rename(self.path(number), self.path(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            if keep == 0 {
                fs::remove_file(&current)?;
            }
        }
        (self.file, self.length) = open_after_whole_line(&current)?;
        Ok(())
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(self.signal.file_name(number))
    }
}

/// Opens a file to append to. A partial line at its end, from a crash, is terminated with a line
/// feed.
fn open_after_whole_line(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path)?;
    let mut length = file.seek(SeekFrom::End(0))?;
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
    }
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_cut_off_before_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = LineFile::open(dir.path(), Signal::Traces, None).expect("opened");
        file.append(b"one\n").expect("written");
        // The state that `write_all` leaves when the disk is full.
        file.file.write_all(b"tw").expect("written");
        file.is_torn = true;
        file.append(b"three\n").expect("written");
        assert_eq!(
            fs::read_to_string(file.path(0)).expect("a file"),
            "one\nthree\n"
        );
    }

    #[test]
    fn a_rotation_that_was_interrupted_loses_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let rotation = Rotation {
            max_bytes: 4,
            keep: 1,
        };
        let mut file = LineFile::open(dir.path(), Signal::Traces, Some(rotation)).expect("opened");
        file.append(b"one\n").expect("written");
        fs::rename(file.path(0), file.path(1)).expect("moved");
        file.append(b"two\n").expect("written");
        assert_eq!(fs::read_to_string(file.path(0)).expect("a file"), "two\n");
        assert_eq!(fs::read_to_string(file.path(1)).expect("a file"), "one\n");
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be() {
        let dir = tempfile::tempdir().expect("a directory");
        let rotation = Rotation {
            max_bytes: 4,
            keep: 0,
        };
        let mut file = LineFile::open(dir.path(), Signal::Traces, Some(rotation)).expect("opened");
        file.append(b"one\n").expect("written");
        file.append(b"two\n").expect("written");
        assert_eq!(fs::read_to_string(file.path(0)).expect("a file"), "two\n");
        assert_eq!(fs::read_dir(dir.path()).expect("files").count(), 1);
    }
}
