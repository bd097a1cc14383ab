//! From captures on disk to a verdict.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use supervise::{Failure, IoContext, Result};
use trace_parity::{Contract, Input, Problem, RunFacts, Signals, Trace, Traces, Verdict};
use trace_report::Run;

use crate::PROGRAM;
use crate::folder::RunFolder;
use crate::manifest::Manifest;
use crate::signals;
use crate::workspace::Workspace;

/// Bytes of spans that a report's page may unpack to.
const PAGE_LIMIT: u64 = 4 << 30;

/// `[NAME=]CAPTURE` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureArgument {
    pub name: Option<String>,
    pub path: PathBuf,
}

/// A filled run, with the spans that its verdict is about.
#[derive(Debug)]
pub struct Judged {
    pub run: Run,
    pub traces: Traces,
    /// The content of the captures, one after the other.
    pub raw: Vec<u8>,
}

/// Captures that were read and not yet judged.
#[derive(Debug)]
pub struct Captured {
    pub traces: Traces,
    problems: Vec<Problem>,
    raw: Vec<u8>,
}

/// A capture's content, with the name that the command line gave it.
struct Loaded {
    name: Option<String>,
    bytes: Vec<u8>,
}

impl std::str::FromStr for CaptureArgument {
    type Err = std::convert::Infallible;

    /// The part before the first `=` is a name, unless the whole text is an existing path.
    fn from_str(argument: &str) -> std::result::Result<Self, Self::Err> {
        let named = argument.split_once('=').filter(|(name, _)| {
            !name.is_empty() && !name.contains('/') && !Path::new(argument).exists()
        });
        Ok(match named {
            Some((name, path)) => Self {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            None => Self {
                name: None,
                path: argument.into(),
            },
        })
    }
}

/// The contract in `path`, or the built-in one.
pub fn contract(path: Option<&Path>) -> Result<Contract> {
    let Some(path) = path else {
        return Ok(Contract::builtin());
    };
    let text = std::fs::read_to_string(path).at("read", path)?;
    Contract::parse(&text).map_err(|error| {
        Failure::new(format!("`{}` is not a contract: {error}", path.display()))
            .hint("the built-in one is crates/trace-parity/src/contract/quick_setup.toml")
    })
}

/// The rules that captures are judged by.
#[derive(Debug)]
pub enum Rules {
    /// The built-in contract, or none where the run that captured them had none.
    AsRun,
    Contract(Box<Contract>),
    /// Those that need no contract.
    General,
}

impl Rules {
    /// By `--contract FILE` or `--contract none`.
    pub fn named(contract: Option<&Path>) -> Result<Self> {
        match contract {
            None => Ok(Rules::AsRun),
            Some(path) if path == Path::new("none") => Ok(Rules::General),
            Some(path) => {
                self::contract(Some(path)).map(|contract| Rules::Contract(Box::new(contract)))
            }
        }
    }
}

/// The traces of an input that are looked at; those that fit every part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The beginning of a trace's id.
    pub trace: Option<String>,
    /// A service of one of its spans.
    pub service: Option<String>,
    /// Unix nanoseconds; its first span starts no earlier.
    pub since: Option<u64>,
}

impl Selection {
    fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    fn keeps(&self, trace: &Trace<'_>) -> bool {
        let by_id = self.trace.as_ref().is_none_or(|prefix| {
            let prefix = prefix.to_ascii_lowercase();
            trace.id().to_string().starts_with(&prefix)
        });
        let by_service = self
            .service
            .as_deref()
            .is_none_or(|name| trace.spans().any(|span| span.service_name() == Some(name)));
        let start = trace.spans().next().map(|span| span.start_ns());
        by_id && by_service && self.since.is_none_or(|since| start >= Some(since))
    }
}

/// A stretch of time such as `30s`, `10m`, `2h` or `1d`.
pub fn stretch(text: &str) -> std::result::Result<Duration, String> {
    const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let found = UNITS.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds).map(Duration::from_secs)
    });
    found.ok_or_else(|| "expected a time such as 30s, 10m, 2h, 1d".to_owned())
}

/// `--since`: a time such as `2026-11-27T10:00:00Z`, or a stretch before now such as `10m`.
pub fn since(text: &str) -> std::result::Result<u64, String> {
    let nanos = |time: DateTime<Utc>| u64::try_from(time.timestamp_nanos_opt()?).ok();
    let ago = stretch(text).ok();
    let ago = ago.and_then(|ago| u64::try_from(ago.as_nanos()).ok());
    let time = match ago {
        Some(ago) => nanos(Utc::now()).map(|now| now.saturating_sub(ago)),
        None => text.parse().ok().and_then(nanos),
    };
    time.ok_or_else(|| {
        "expected a time such as 2026-11-27T10:00:00Z, or 30s, 10m, 2h, 1d".to_owned()
    })
}

/// Judges captures side by side; one that lies beside its run's manifest is judged with that run's facts.
///
/// `program` is the command that the user types.
pub fn compare(
    program: &str,
    captures: &[CaptureArgument],
    rules: &Rules,
    selection: &Selection,
) -> Result<Judged> {
    let mut loaded = Vec::new();
    for capture in captures {
        loaded.extend(load(capture)?);
    }
    let manifest = match captures {
        [CaptureArgument { name: None, path }] => manifest_beside(path)?,
        _ => None,
    };
    let builtin = Contract::builtin();
    let contract = match (rules, &manifest) {
        (Rules::Contract(contract), _) => Some(&**contract),
        (Rules::General, _) => None,
        (Rules::AsRun, Some(manifest)) if manifest.general_rules => None,
        (Rules::AsRun, _) => Some(&builtin),
    };
    // Those that were chosen are no whole run.
    let facts = manifest
        .as_ref()
        .filter(|_| selection.is_everything())
        .map(Manifest::facts);
    let captured = Captured::read(loaded).chosen(selection)?;
    Ok(captured.judge(program, contract, facts.as_ref()))
}

impl Captured {
    /// The capture of a run.
    pub fn of(folder: &RunFolder) -> Result<Self> {
        Ok(Self::read(read_all(None, &folder.captures())?))
    }

    fn read(loaded: Vec<Loaded>) -> Self {
        let (traces, problems) = trace_parity::read(&inputs(&loaded));
        Self {
            traces,
            problems,
            raw: concatenated(loaded),
        }
    }

    fn chosen(mut self, selection: &Selection) -> Result<Self> {
        if selection.is_everything() {
            return Ok(self);
        }
        let count = self.traces.iter().count();
        self.traces = self.traces.chosen(|trace| selection.keeps(&trace));
        if self.traces.span_count() == 0 {
            let message = format!("none of the {count} traces matches the selection");
            return Err(Failure::new(message)
                .hint("`--trace`, `--service` and `--since` must all match; `{program} trace FILE` lists what is there"));
        }
        Ok(self)
    }

    /// The same as [`of`](Self::of), on a thread of its own.
    pub async fn of_apart(run: &RunFolder) -> Result<Self> {
        let run = run.clone();
        apart(move || Self::of(&run)).await
    }

    /// The same as [`judge`](Self::judge), on a thread of its own.
    pub async fn judge_apart(
        self,
        program: &'static str,
        contract: Option<&Contract>,
        facts: RunFacts,
    ) -> Judged {
        let contract = contract.cloned();
        apart(move || self.judge(program, contract.as_ref(), Some(&facts))).await
    }

    /// Judges it. The caller fills in the other fields of the run.
    pub fn judge(
        self,
        program: &str,
        contract: Option<&Contract>,
        facts: Option<&RunFacts>,
    ) -> Judged {
        let verdict = trace_parity::judge(&self.traces, &self.problems, contract, facts);
        Judged {
            run: Run {
                signals: facts.and_then(|facts| facts.signals.clone()),
                ..Run::comparison(program, verdict)
            },
            traces: self.traces,
            raw: self.raw,
        }
    }
}

/// Computes on a thread of its own, so that a large capture doesn't keep an interrupt waiting. If the future is dropped, the
/// thread goes on until the process ends.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let computed = tokio::task::spawn_blocking(work).await;
    computed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The traces that one argument of the command line names: a file, a folder, a run, or a trace of the newest run. With what could
/// not be read of them.
pub fn traces_of(
    workspace: &Workspace,
    capture: &CaptureArgument,
) -> Result<(Traces, Vec<Problem>)> {
    let path = &capture.path;
    let id = path
        .to_str()
        .filter(|_| !path.exists() && path != Path::new(STDIN));
    let Some(id) = id else {
        return Ok(trace_parity::read(&inputs(&load(capture)?)));
    };
    if let Ok(run) = RunFolder::open(workspace, id) {
        return Ok(trace_parity::read(&inputs(&read_all(
            None,
            &run.captures(),
        )?)));
    }
    let is_id = id.len() >= 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id && let Ok(newest) = RunFolder::open(workspace, "latest") {
        let selection = Selection {
            trace: Some(id.to_owned()),
            ..Selection::default()
        };
        let chosen = Captured::of(&newest)?.chosen(&selection)?;
        return Ok((chosen.traces, chosen.problems));
    }
    Err(
        Failure::new(format!("there is no file, run or trace `{id}`")).hint(
            "`{program} list` shows the runs, `{program} trace` the traces of the newest one",
        ),
    )
}

/// The traces that one argument names, and what could not be read of them, a line each. An error where that is everything.
pub fn spans_named(
    workspace: &Workspace,
    capture: &CaptureArgument,
) -> Result<(Traces, Vec<String>)> {
    let (traces, problems) = traces_of(workspace, capture)?;
    let shown = capture.path.display();
    let unread = problems.iter().map(|problem| {
        let line = problem
            .line
            .map_or(String::new(), |line| format!(":{line}"));
        let count = match problem.count {
            1 => String::new(),
            count => format!(" (in {count} places)"),
        };
        format!("{shown}{line}: {}{count}", problem.message)
    });
    let unread: Vec<String> = unread.collect();
    if traces.span_count() > 0 {
        return Ok((traces, unread));
    }
    Err(
        Failure::new(format!("no spans could be read from `{shown}`"))
            .detail(unread.into_iter().take(10))
            .hint("name a capture file, a run's folder, a run or a trace of the newest run"),
    )
}

/// Metrics and logs beside the traces that one argument names: in the run's folder, or in that of the file.
pub fn signals_beside(
    workspace: &Workspace,
    capture: &CaptureArgument,
) -> Result<Option<Arc<Signals>>> {
    let path = &capture.path;
    let folder = if path.is_dir() {
        RunFolder::at(path)
    } else if path.exists() {
        RunFolder::of_file(path)
    } else if path == Path::new(STDIN) {
        return Ok(None);
    } else {
        let named = path.to_str().map(|id| RunFolder::open(workspace, id));
        match named {
            Some(Ok(run)) => run,
            _ => RunFolder::open(workspace, "latest")?,
        }
    };
    signals::read(&folder)
}

/// Standard input, where a file may be named.
const STDIN: &str = "-";

/// Judges `file` with the facts of its run.
pub fn verdict_of(
    file: &Path,
    manifest: &Manifest,
    contract: Option<&Contract>,
) -> Result<Verdict> {
    let captured = Captured::read(read_all(None, &[file.to_owned()])?);
    Ok(captured
        .judge(PROGRAM, contract, Some(&manifest.facts()))
        .run
        .verdict)
}

/// The capture of a run.
pub fn traces_of_run(folder: &RunFolder) -> Result<Traces> {
    Ok(Captured::of(folder)?.traces)
}

/// One capture after the other, each ended by a line feed.
fn concatenated(loaded: Vec<Loaded>) -> Vec<u8> {
    let mut all = Vec::new();
    for capture in loaded {
        if !all.is_empty() && !all.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend(capture.bytes);
    }
    all
}

fn inputs(loaded: &[Loaded]) -> Vec<Input<'_>> {
    loaded
        .iter()
        .map(|capture| Input {
            label: capture.name.as_deref(),
            bytes: &capture.bytes,
        })
        .collect()
}

fn load(capture: &CaptureArgument) -> Result<Vec<Loaded>> {
    let name = capture.name.as_deref();
    if capture.path == Path::new(STDIN) {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .at("read", &capture.path)?;
        return Ok(vec![Loaded {
            name: name.map(str::to_owned),
            bytes,
        }]);
    }
    if !capture.path.is_dir() {
        return read_all(name, std::slice::from_ref(&capture.path));
    }
    let folder = RunFolder::at(&capture.path);
    let mut captures = folder.captures();
    if captures.is_empty() {
        captures = files_in(&capture.path)?;
    }
    if captures.is_empty() {
        return Err(Failure::new(format!(
            "`{}` contains no files",
            capture.path.display()
        ))
        .hint("name a capture file, a folder of them, or a run's folder; `{program} list` shows the runs"));
    }
    read_all(name, &captures)
}

/// The files of a folder by name, as the Collector's file exporter rotates them; hidden ones are left out.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.at("read", folder)?.into_iter();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn read_all(name: Option<&str>, paths: &[PathBuf]) -> Result<Vec<Loaded>> {
    paths
        .iter()
        .map(|path| {
            let bytes = spans_of(path, std::fs::read(path).at("read", path)?)?;
            Ok(Loaded {
                name: name.map(str::to_owned),
                bytes,
            })
        })
        .collect()
}

/// A report's page holds the spans that it was made of; any other file is a capture itself.
fn spans_of(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    match trace_report::raw_spans(&bytes, PAGE_LIMIT) {
        None => Ok(bytes),
        Some(Ok(spans)) => Ok(spans),
        Some(Err(error)) => Err(Failure::new(format!(
            "the spans in the page `{}` can't be unpacked: {error}",
            path.display()
        ))
        .hint("it was cut off or changed; take the run's capture.jsonl instead")),
    }
}

fn manifest_beside(capture: &Path) -> Result<Option<Manifest>> {
    let folder = if capture.is_dir() {
        Some(capture)
    } else {
        capture.parent()
    };
    let manifest = folder.map(|folder| folder.join("manifest.json"));
    match manifest.filter(|path| path.is_file()) {
        Some(path) => Manifest::read_whole(&path).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two traces of two services, half a minute apart.
    fn two_traces() -> [String; 2] {
        [(1, "a", 10), (2, "b", 40)].map(|(id, service, second)| {
            format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"{service}","startTimeUnixNano":"{second}000000000","endTimeUnixNano":"{second}000000001"}}]}}]}}]}}"#
            )
        })
    }

    #[test]
    fn a_folder_of_rotated_files_is_one_capture() {
        let folder = tempfile::tempdir().unwrap();
        for (number, text) in two_traces().iter().enumerate() {
            std::fs::write(folder.path().join(format!("traces-{number}.json")), text).unwrap();
        }
        std::fs::write(folder.path().join(".hidden"), "no capture").unwrap();
        let argument = CaptureArgument {
            name: Some("x".to_owned()),
            path: folder.path().to_owned(),
        };
        let captured = Captured::read(load(&argument).unwrap());
        assert_eq!(captured.problems, []);
        let names: Vec<_> = captured
            .traces
            .iter()
            .map(|trace| trace.input_name())
            .collect();
        assert_eq!(names, [Some("x"); 2]);
    }

    #[test]
    fn traces_are_chosen() {
        let check = |selection: Selection, expected: &[&str]| {
            let bytes = two_traces().join("\n").into_bytes();
            let captured = Captured::read(vec![Loaded { name: None, bytes }]);
            let chosen = captured.chosen(&selection).map(|chosen| {
                let spans = chosen
                    .traces
                    .iter()
                    .flat_map(|trace| trace.spans().collect::<Vec<_>>());
                spans.map(|span| span.name().to_owned()).collect::<Vec<_>>()
            });
            assert_eq!(chosen.unwrap_or_default(), expected, "{selection:?}");
        };
        let none = Selection::default;
        check(none(), &["a", "b"]);
        check(
            Selection {
                service: Some("b".to_owned()),
                ..none()
            },
            &["b"],
        );
        check(
            Selection {
                trace: Some("0".to_owned()),
                ..none()
            },
            &["a", "b"],
        );
        check(
            Selection {
                trace: Some(format!("{:032x}", 1)),
                ..none()
            },
            &["a"],
        );
        check(
            Selection {
                since: Some(20_000_000_000),
                ..none()
            },
            &["b"],
        );
        check(
            Selection {
                since: Some(50_000_000_000),
                ..none()
            },
            &[],
        );
        check(
            Selection {
                service: Some("a".to_owned()),
                since: Some(20_000_000_000),
                ..none()
            },
            &[],
        );
    }

    #[test]
    fn since_is_a_time_or_a_stretch() {
        assert_eq!(since("1970-01-01T00:00:10Z"), Ok(10_000_000_000));
        let now = since("0s").unwrap();
        let hour = 3_600_000_000_000;
        assert!((now - hour..now + hour).contains(&since("59m").unwrap()));
        for wrong in ["", "soon", "10", "10 m", "-1h"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_capture_may_be_named() {
        let check = |argument: &str, name: Option<&str>, path: &str| {
            let parsed: CaptureArgument = argument.parse().unwrap();
            assert_eq!(parsed.name.as_deref(), name, "{argument}");
            assert_eq!(parsed.path, Path::new(path), "{argument}");
        };
        check("before=a.jsonl", Some("before"), "a.jsonl");
        check("a.jsonl", None, "a.jsonl");
        check("runs/x=1/capture.jsonl", None, "runs/x=1/capture.jsonl");
        check("=a.jsonl", None, "=a.jsonl");
        check("before=a=b.jsonl", Some("before"), "a=b.jsonl");
    }
}
