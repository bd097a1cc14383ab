//! From captures on disk to a verdict.

use std::path::{Path, PathBuf};

use supervise::{Failure, IoContext, Result};
use trace_parity::{Contract, Input, Problem, RunFacts, Traces, Verdict};
use trace_report::Run;

use crate::folder::RunFolder;
use crate::manifest::Manifest;

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
    /// What the traces were read from, captures one after the other.
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

    /// What stands before the first `=` is a name, unless the whole is a path that exists.
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

/// Judges captures side by side; one that lies beside its run's manifest is judged with that run's facts.
///
/// Without a contract the built-in one is taken, or none where that run had none.
pub fn compare(captures: &[CaptureArgument], contract: Option<&Contract>) -> Result<Judged> {
    let mut loaded = Vec::new();
    for capture in captures {
        loaded.extend(load(capture)?);
    }
    let manifest = match captures {
        [CaptureArgument { name: None, path }] => manifest_beside(path)?,
        _ => None,
    };
    let builtin = Contract::builtin();
    let contract = match &manifest {
        Some(manifest) if manifest.general_rules => contract,
        _ => contract.or(Some(&builtin)),
    };
    let facts = manifest.as_ref().map(Manifest::facts);
    Ok(
        Captured::read(loaded).judge(contract, facts.as_ref(), |verdict| {
            Run::comparison(crate::PROGRAM, verdict)
        }),
    )
}

impl Captured {
    /// What a run captured.
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

    /// Judges it as `compare` would; `fill` makes the run of the verdict.
    pub fn judge(
        self,
        contract: Option<&Contract>,
        facts: Option<&RunFacts>,
        fill: impl FnOnce(Verdict) -> Run,
    ) -> Judged {
        let verdict = trace_parity::judge(&self.traces, &self.problems, contract, facts);
        Judged {
            run: fill(verdict),
            traces: self.traces,
            raw: self.raw,
        }
    }
}

/// What one argument of the command line names.
pub fn traces_of(capture: &CaptureArgument) -> Result<Traces> {
    Ok(trace_parity::read(&inputs(&load(capture)?)).0)
}

/// What `file` comes to with a run's facts.
pub fn verdict_of(
    file: &Path,
    manifest: &Manifest,
    contract: Option<&Contract>,
) -> Result<Verdict> {
    let loaded = read_all(None, &[file.to_owned()])?;
    let (traces, problems) = trace_parity::read(&inputs(&loaded));
    Ok(trace_parity::judge(
        &traces,
        &problems,
        contract,
        Some(&manifest.facts()),
    ))
}

/// What a run captured.
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
    if !capture.path.is_dir() {
        return read_all(name, std::slice::from_ref(&capture.path));
    }
    let folder = RunFolder {
        id: String::new(),
        path: capture.path.clone(),
    };
    let captures = folder.captures();
    if captures.is_empty() {
        return Err(Failure::new(format!(
            "`{}` holds no capture.jsonl",
            capture.path.display()
        ))
        .hint("name a capture file, or a run's folder; `cargo xtask list` shows the runs"));
    }
    read_all(name, &captures)
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
        Some(path) => Manifest::read(&path).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
