//! Finds captured traces and shows them as trees.

use std::fmt::Write;
use std::path::Path;

use supervise::{Failure, Result};
use trace_parity::{Contract, ExampleTrace, Trace, Traces};
use trace_report::{Charset, TerminalStyle, escape, tree};

use crate::folder::RunFolder;
use crate::run::judge::{self, CaptureArgument};
use crate::workspace::Workspace;

/// The most columns that a trace's label takes in a list.
const LABEL_COLUMNS: usize = 40;

/// The trace whose id begins with `what`, or the traces of the run or file called so, as text for a terminal.
///
/// Of a run with several traces, they are listed, and the newest one is shown whole.
pub fn trace(workspace: &Workspace, what: Option<&str>, style: &TerminalStyle) -> Result<String> {
    if let Some(file) = what.filter(|what| *what == "-" || Path::new(what).exists()) {
        return of_file(workspace, file, style);
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
    match id {
        Some(id) => one(&traces, id, &run, style),
        None => all(&traces, &run, workspace.program(), style),
    }
}

/// The traces of a file, or of a folder of files: where there are several they are listed, and the longest one is shown whole.
fn of_file(workspace: &Workspace, file: &str, style: &TerminalStyle) -> Result<String> {
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
    Ok(text + &tree(&longest, style))
}

fn one(traces: &Traces, id: &str, run: &RunFolder, style: &TerminalStyle) -> Result<String> {
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
        return Ok(tree(&first, style));
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

fn all(traces: &Traces, run: &RunFolder, program: &str, style: &TerminalStyle) -> Result<String> {
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
            let _ = writeln!(text, "{}  {}", trace.trace.id(), label(trace, style));
        }
        let _ = writeln!(
            text,
            "\nthe newest, {}; `{program} trace ID` shows another:\n",
            label(newest, style)
        );
    }
    text += &tree(&newest.trace, style);
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
