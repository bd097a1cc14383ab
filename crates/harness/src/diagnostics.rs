//! Diagnostics: which programs were started, how long each wait took, and each decision, as lines of `tracing`.
//!
//! A run's folder keeps them in `logs/xtask.log`. They also go to standard error if the caller asks for that.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use otlp_capture::Secrets;
use supervise::{Failure, IoContext, Result, disk};
use trace_report::{Charset, escape};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::time;

/// The variable that sets the level of the lines on standard error.
pub const VARIABLE: &str = "MILVUS_OTEL_LOG";

const LEVELS: &str = "`off`, `error`, `warn`, `info`, `debug` or `trace`";
/// Longer lines are truncated.
const COLUMNS: usize = 4_000;
/// Lines that come before the run has a folder wait in memory, up to this size.
const BACKLOG_BYTES: usize = 1 << 20;
/// The crates whose events are written. Those of the HTTP library would name every frame.
const TARGETS: [&str; 6] = [
    "harness",
    "supervise",
    "otlp_capture",
    "compat",
    "xtask",
    "milvus_otel",
];

static DIAGNOSTICS: OnceLock<Diagnostics> = OnceLock::new();

/// The subscriber of this process. A subscriber of spans isn't needed: there are only events.
#[derive(Clone, Debug)]
struct Diagnostics {
    stderr: LevelFilter,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    /// The file of the run, once there is one.
    file: Option<File>,
    backlog: Vec<String>,
    backlog_bytes: usize,
    secrets: Secrets,
}

/// Starts the diagnostics of this process. Standard error gets the lines up to the level of `MILVUS_OTEL_LOG`; if that
/// isn't set, those of `debug` if `verbose`, otherwise none.
///
/// # Errors
/// The variable has another value than a level.
pub fn start(verbose: bool) -> Result<()> {
    let stderr = match std::env::var(VARIABLE) {
        Ok(level) if !level.is_empty() => LevelFilter::from_str(&level).map_err(|_| {
            Failure::new(format!("`{VARIABLE}` is `{level}`, which isn't a level"))
                .hint(format!("set it to {LEVELS}, or unset it"))
        })?,
        _ if verbose => LevelFilter::DEBUG,
        _ => LevelFilter::OFF,
    };
    let diagnostics = Diagnostics {
        stderr,
        lines: Arc::default(),
    };
    // The first call decides, as with the subscriber itself.
    if DIAGNOSTICS.set(diagnostics.clone()).is_ok() {
        let _ = tracing::subscriber::set_global_default(diagnostics);
    }
    Ok(())
}

/// Appends the lines so far and all further ones to `path`, without `secrets`.
pub fn keep_in(path: &Path, secrets: &Secrets) -> Result<()> {
    let Some(diagnostics) = DIAGNOSTICS.get() else {
        return Ok(());
    };
    let file = disk::append(path).at("write", path)?;
    let mut lines = diagnostics.lines();
    lines.secrets = secrets.clone();
    lines.file = Some(file);
    lines.backlog_bytes = 0;
    for line in std::mem::take(&mut lines.backlog) {
        lines.write(&line);
    }
    // The event takes the lock again.
    drop(lines);
    let arguments: Vec<_> = std::env::args_os().collect();
    let folder = std::env::current_dir();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        ?arguments,
        ?folder,
        "the run has its folder"
    );
    Ok(())
}

impl Diagnostics {
    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Diagnostics that can't be written stop nothing.
    fn write(&mut self, line: &str) {
        match &mut self.file {
            Some(file) => {
                let _ = file.write_all(shown(line, &self.secrets).as_bytes());
            }
            None if self.backlog_bytes + line.len() <= BACKLOG_BYTES => {
                self.backlog_bytes += line.len();
                self.backlog.push(line.to_owned());
            }
            None => {}
        }
    }
}

/// The line without secrets and control characters, with a line end.
fn shown(line: &str, secrets: &Secrets) -> String {
    let line = match secrets.is_empty() {
        true => line.to_owned(),
        false => secrets.redacted(line),
    };
    escape::log_line(&line, COLUMNS, Charset::Unicode) + "\n"
}

impl Subscriber for Diagnostics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        metadata.is_event()
            && *metadata.level() <= self.stderr.max(LevelFilter::DEBUG)
            && TARGETS.iter().any(|ours| {
                let rest = target.strip_prefix(ours);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
            })
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.stderr.max(LevelFilter::DEBUG))
    }

    fn event(&self, event: &Event<'_>) {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let mut line = format!("{} {level:5} {target}:", time::now_in_millis());
        event.record(&mut Text(&mut line));
        let mut lines = self.lines();
        if *level <= self.stderr {
            let _ = std::io::stderr().write_all(shown(&line, &lines.secrets).as_bytes());
        }
        if *level <= Level::DEBUG {
            lines.write(&line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Appends the message, and each other field as `name=value`.
struct Text<'l>(&'l mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_secret_and_no_control_character() {
        let diagnostics = Diagnostics {
            stderr: LevelFilter::OFF,
            lines: Arc::default(),
        };
        let subscriber = diagnostics.clone();
        tracing::subscriber::with_default(subscriber, || {
            let command = ["client", "--token=root:hush hush", "a\nb\u{1b}[2Jc\u{202e}"];
            tracing::debug!(?command, wait_ms = 12, "started a program");
            tracing::debug!(target: "hyper::proto", "a frame");
            tracing::trace!("too fine");
        });
        let lines = diagnostics.lines();
        assert_eq!(lines.backlog.len(), 1, "{:?}", lines.backlog);
        let line = shown(&lines.backlog[0], &Secrets::new(["root:hush hush"]));
        let (time, text) = line.split_once(' ').expect("a time");
        assert!(
            time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
            "{time}"
        );
        let expected = "DEBUG harness::diagnostics::tests: started a program \
            command=[\"client\", \"--token=**************\", \"a\\nb\\u{1b}[2Jc\\u{202e}\"] wait_ms=12\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_lines_before_a_run_are_in_its_file_too_and_the_memory_for_them_is_limited() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut lines = Lines::default();
        lines.write("first");
        lines.write(&"x".repeat(BACKLOG_BYTES));
        assert_eq!(lines.backlog, ["first"]);
        lines.file = Some(File::create(&path).expect("a file"));
        for line in std::mem::take(&mut lines.backlog) {
            lines.write(&line);
        }
        lines.write("second");
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, "first\nsecond\n");
    }
}
