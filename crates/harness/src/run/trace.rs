//! Finds captured traces and shows them as trees.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use supervise::{Failure, Result};
use trace_parity::{Contract, ExampleTrace, Signals, Span, Trace, TraceLogs, Traces, Wire};
use trace_report::{Beside, Charset, TerminalStyle, escape, tree_with};

use crate::folder::RunFolder;
use crate::manifest::read_wire;
use crate::run::judge::{self, CaptureArgument};
use crate::signals;
use crate::workspace::Workspace;

/// The most columns that a trace's label takes in a list.
const LABEL_COLUMNS: usize = 40;

/// How traces are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Showing {
    /// With what programs and the server logged in each span.
    pub logs: bool,
    /// Only the slowest call of this method.
    pub call: Option<String>,
}

/// The trace whose id begins with `what`, or the traces of the run or file called so, as text for a terminal.
///
/// Of a run with several traces, they are listed, and the newest one is shown whole.
pub fn trace(
    workspace: &Workspace,
    what: Option<&str>,
    showing: &Showing,
    style: &TerminalStyle,
) -> Result<String> {
    if let Some(file) = what.filter(|what| *what == "-" || Path::new(what).exists()) {
        return match run_at(file) {
            Some(run) => {
                let shown = Shown::of(showing, &run, style)?;
                all(
                    &judge::traces_of_run(&run)?,
                    &run,
                    workspace.program(),
                    &shown,
                )
            }
            None => of_file(workspace, file, showing, style),
        };
    }
    let run = RunFolder::open(workspace, what.unwrap_or("latest"));
    let (run, id) = match (run, what) {
        (Ok(run), _) => (run, None),
        (Err(_), Some(id)) if is_trace_id_prefix(id) => {
            (RunFolder::open(workspace, "latest")?, Some(id))
        }
        (Err(failure), _) => return Err(failure),
    };
    let traces = judge::traces_of_run(&run)?;
    let shown = Shown::of(showing, &run, style)?;
    match id {
        Some(id) => one(&traces, id, &run, &shown),
        None => all(&traces, &run, workspace.program(), &shown),
    }
}

/// The run whose folder lies at a path.
fn run_at(path: &str) -> Option<RunFolder> {
    let run = RunFolder::at(path);
    run.manifest().is_file().then_some(run)
}

/// What a trace is shown with.
struct Shown<'s> {
    showing: &'s Showing,
    signals: Option<Arc<Signals>>,
    wire: Option<Arc<Wire>>,
    style: &'s TerminalStyle,
}

impl<'s> Shown<'s> {
    fn of(showing: &'s Showing, run: &RunFolder, style: &'s TerminalStyle) -> Result<Self> {
        let signals = if showing.logs {
            let signals = signals::read(run)?;
            let any = signals.filter(|all| !all.logs.is_empty() || !all.server_lines.is_empty());
            Some(any.ok_or_else(|| {
                let folder = run.path.display();
                Failure::new(format!("there are no logs in `{folder}`")).hint(
                    "a run has the server's log where it started the server, and a program's where it exports them \
                     (`OTEL_LOGS_EXPORTER=otlp`)",
                )
            })?)
        } else {
            None
        };
        Ok(Self {
            showing,
            signals,
            wire: read_wire(&run.wire())?,
            style,
        })
    }

    fn tree(&self, trace: &Trace<'_>) -> Result<String> {
        let slowest = match &self.showing.call {
            Some(method) => Some(slowest(trace, method)?),
            None => None,
        };
        let signals = self.signals.as_deref();
        let beside = Beside {
            logs: signals.map_or_else(Default::default, |signals| {
                TraceLogs::new(signals).of(trace)
            }),
            wire: self.wire.as_ref().map_or_else(Default::default, |wire| {
                trace_parity::wire_times(trace, wire)
            }),
        };
        Ok(tree_with(trace, slowest.as_ref(), &beside, self.style))
    }
}

/// The trace's longest span whose name ends with the method.
fn slowest<'t>(trace: &Trace<'t>, method: &str) -> Result<Span<'t>> {
    let is_call = |span: &Span<'_>| {
        let name = span.name().rsplit(['/', '.']).next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(method))
    };
    let calls = trace.spans().filter(is_call);
    calls.max_by_key(Span::duration_ns).ok_or_else(|| {
        Failure::new(format!("trace {} has no call of `{method}`", trace.id()))
            .hint("name a method as in the names of spans: `Search`, `Insert`")
    })
}

/// The traces of a file, or of a folder of files: where there are several they are listed, and the longest one is shown whole.
fn of_file(
    workspace: &Workspace,
    file: &str,
    showing: &Showing,
    style: &TerminalStyle,
) -> Result<String> {
    let capture = CaptureArgument {
        name: None,
        path: file.into(),
    };
    let (traces, problems) = judge::traces_of(workspace, &capture)?;
    let Some(longest) = traces.iter().max_by_key(Trace::len) else {
        let told = problems.iter().map(|problem| problem.message.clone());
        return Err(
            Failure::new(format!("no spans could be read from `{file}`")).detail(told.take(10)),
        );
    };
    let mut text = String::new();
    if traces.iter().count() > 1 {
        for trace in traces.iter() {
            let _ = writeln!(text, "{}  {} spans", trace.id(), trace.len());
        }
        let _ = writeln!(text, "\nthe longest, {}:\n", longest.id());
    }
    let folder = RunFolder::of_file(Path::new(file));
    Ok(text + &Shown::of(showing, &folder, style)?.tree(&longest)?)
}

fn one(traces: &Traces, id: &str, run: &RunFolder, shown: &Shown<'_>) -> Result<String> {
    let mut found = traces.find(id);
    let Some(first) = found.next() else {
        return Err(
            Failure::new(format!("no trace in run {} begins with `{id}`", run.id)).hint(
                "`{program} trace` lists the newest run's traces, `{program} trace RUN` another's",
            ),
        );
    };
    let others: Vec<String> = found.map(|trace| trace.id().to_string()).collect();
    if others.is_empty() {
        return shown.tree(&first);
    }
    Err(
        Failure::new(format!("{} traces begin with `{id}`", others.len() + 1))
            .detail(
                std::iter::once(first.id().to_string())
                    .chain(others)
                    .take(10),
            )
            .hint("give more of the id"),
    )
}

fn all(traces: &Traces, run: &RunFolder, program: &str, shown: &Shown<'_>) -> Result<String> {
    let of_examples = trace_parity::example_traces(traces, Some(&Contract::builtin()), None);
    let Some(newest) = of_examples
        .iter()
        .max_by_key(|trace| trace.root.as_ref().map(trace_parity::Span::start_ns))
    else {
        return Err(Failure::new(format!("run {} captured no client's trace", run.id)).hint(
            "a client's trace has a span outside Milvus; does the program export to the address that `{program} status` shows?",
        ));
    };
    let mut text = String::new();
    if of_examples.len() > 1 {
        for trace in &of_examples {
            let _ = writeln!(text, "{}  {}", trace.trace.id(), label(trace, shown.style));
        }
        let _ = writeln!(
            text,
            "\nthe newest, {}; `{program} trace ID` shows another:\n",
            label(newest, shown.style)
        );
    }
    text += &shown.tree(&newest.trace)?;
    Ok(text)
}

fn label(trace: &ExampleTrace<'_>, style: &TerminalStyle) -> String {
    let charset = if style.ascii {
        Charset::Ascii
    } else {
        Charset::Unicode
    };
    escape::clipped(&trace.label, LABEL_COLUMNS, charset)
}

fn is_trace_id_prefix(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
