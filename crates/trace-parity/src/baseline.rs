//! A run in a small text that people review: no ids, no times, nothing that differs from one good run to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::contract::Contract;
use crate::facts::RunFacts;
use crate::summary::{Summary, summaries};
use crate::traces::Traces;

const HEADING: &str = "# milvus-otel.baseline/1";

/// The text of a run.
///
/// Per example: root, resource, instrumentation with its version, each step with its methods and whether the server answered, the span
/// names with `*` for the method, and which attributes of which type the calls have. Polls are not counted, and of the server's spans
/// only those matter that the contract lists.
#[must_use]
pub fn baseline(traces: &Traces, contract: &Contract, facts: Option<&RunFacts>) -> String {
    let mut out = format!("{HEADING}\n");
    for summary in summaries(traces, contract, facts) {
        out.push('\n');
        write(&mut out, contract, &summary);
    }
    out
}

fn write(out: &mut String, contract: &Contract, summary: &Summary) {
    let _ = writeln!(out, "[{}]", visible(&summary.name));
    if let Some((name, kind)) = &summary.root {
        let _ = writeln!(out, "root {} ({kind})", visible(name));
    }
    for (key, value) in &summary.resource {
        let _ = writeln!(out, "resource {} = {}", visible(key), visible(value));
    }
    for (name, version) in &summary.scopes {
        let _ = writeln!(out, "scope {} {}", visible(name), visible(version));
    }
    let mut named: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut attributes: BTreeMap<&BTreeSet<(String, &str)>, BTreeSet<&str>> = BTreeMap::new();
    for ((step, name), calls) in &summary.calls {
        let _ = match name.as_str() {
            "-" => writeln!(out, "housekeeping"),
            name => writeln!(out, "step {}", visible(name)),
        };
        for (method, call) in calls {
            let answer = if call.joined {
                "answered"
            } else {
                "not answered"
            };
            let failed = if call.failed { ", failed" } else { "" };
            let kinds: Vec<&str> = call.kinds.iter().map(String::as_str).collect();
            let _ = writeln!(
                out,
                "  {} ({}): {answer}{failed}",
                visible(method),
                kinds.join(", ")
            );
            for name in &call.names {
                named
                    .entry(name.replace(method, "*"))
                    .or_default()
                    .insert(method);
            }
            attributes
                .entry(&call.attributes)
                .or_default()
                .insert(method);
        }
        let declared = contract.steps.get(*step);
        for core in declared.iter().flat_map(|step| &step.server_core) {
            if !calls.values().any(|call| call.server.contains(core)) {
                let _ = writeln!(out, "  the server's work lacks {}", visible(core));
            }
        }
    }
    let only = named.len() == 1;
    for (name, methods) in &named {
        let _ = writeln!(out, "{} named {}", calls_of(methods, only), visible(name));
    }
    let only = attributes.len() == 1;
    for (set, methods) in &attributes {
        let _ = writeln!(out, "{} with", calls_of(methods, only));
        for (key, type_name) in *set {
            let _ = writeln!(out, "  {} {type_name}", visible(key));
        }
    }
}

/// `every call`, or the methods.
fn calls_of(methods: &BTreeSet<&str>, only: bool) -> String {
    if only {
        return "every call".to_owned();
    }
    let methods: Vec<String> = methods.iter().map(|method| visible(method)).collect();
    methods.join(", ")
}

/// Telemetry may hold anything; a line stays a line.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            c.is_control()
                .then(|| c.escape_default())
                .into_iter()
                .flatten()
                .chain((!c.is_control()).then_some(c))
        })
        .collect()
}

/// How a run differs from the baseline: the lines that are gone (`-`) and new (`+`), each under its example; `None` where nothing does.
#[must_use]
pub fn against_baseline(baseline: &str, run: &str) -> Option<String> {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (baseline.lines().collect(), run.lines().collect());
    if before == after {
        return None;
    }
    let mut out = String::new();
    let mut example = "";
    let mut shown = "";
    for (sign, line) in compared(&before, &after) {
        if line.starts_with('[') {
            example = line;
        }
        if sign == ' ' {
            continue;
        }
        if example != shown && example != line {
            let _ = writeln!(out, "  {example}");
        }
        shown = example;
        let _ = writeln!(out, "{sign} {line}");
    }
    Some(out)
}

/// The lines of both, in order, with the fewest changes.
///
/// By hand: the crate `similar` would delete 30 lines, and add to the compile time before a first run.
fn compared<'l>(before: &[&'l str], after: &[&'l str]) -> Vec<(char, &'l str)> {
    let width = after.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            common[i * width + j] = if before[i] == after[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            lines.push((' ', before[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == after.len()
            || i < before.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]
        {
            lines.push(('-', before[i]));
            i += 1;
        } else {
            lines.push(('+', after[j]));
            j += 1;
        }
    }
    lines
}
