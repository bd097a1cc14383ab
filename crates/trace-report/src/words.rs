//! The words and numbers that several formats share.

use std::fmt;

use trace_parity::{
    Cell, Family, Finding, LogLine, OperationCell, Outcome, Rule, Severity, SignalCell,
    SignalState, StepRow, Verdict,
};

use crate::run::{Note, Run, Subject};

/// `1 example`, `5 examples`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// `15.2 s`, or `2 min 5 s` from two minutes on.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round();
    format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0)
}

/// A line of a log: `INFO proxy/impl.go:111: received …`.
pub(crate) fn log_line(line: &LogLine<'_>) -> String {
    format!("{} {}: {}", line.level, line.source, line.text)
}

/// `850 ns`, `12.3 µs`, `4.07 ms`, `1.23 s`: three digits.
pub(crate) fn nanoseconds(ns: u64) -> String {
    let units = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let value = ns as f64;
    let (unit, size) = units
        .into_iter()
        .rev()
        .find(|(_, size)| value >= *size)
        .unwrap_or(units[0]);
    let scaled = value / size;
    match scaled {
        _ if unit == "ns" => format!("{ns} ns"),
        s if s < 9.995 => format!("{s:.2} {unit}"),
        s if s < 99.95 => format!("{s:.1} {unit}"),
        s => format!("{s:.0} {unit}"),
    }
}

/// An operation's calls: `3/4 joined`.
pub(crate) fn operation(cell: &OperationCell) -> String {
    let joined = match cell.calls {
        0 => "no call".to_owned(),
        calls if cell.joined < calls => format!("{}/{calls} joined", cell.joined),
        calls => format!("{calls} joined"),
    };
    match cell.without_calls {
        some if some > 0 && cell.calls > 0 => format!("{joined}, {some} no call"),
        _ => joined,
    }
}

/// The program's own words for an operation: `milvus.search (database conventions)`; empty where no span of its tells of one.
pub(crate) fn told_as(cell: &OperationCell) -> String {
    if cell.names.is_empty() {
        return String::new();
    }
    format!("{} ({})", cell.names.join(", "), cell.forms.join(", "))
}

/// A cell of the table of signals, without its mark: names and numbers, or `missing`.
pub(crate) fn signal(cell: &SignalCell) -> String {
    match (cell.state, &cell.name) {
        (SignalState::Missing, _) => "missing".to_owned(),
        (_, Some(name)) => format!("{name} ×{}", cell.text),
        (_, None) => cell.text.clone(),
    }
}

/// What it would take to get the signals that are missing, with the examples that lack them.
pub(crate) fn missing_signals(verdict: &Verdict) -> Vec<(String, Vec<&str>)> {
    let mut missing: Vec<(String, Vec<&str>)> = Vec::new();
    for row in &verdict.signals {
        for (cell, example) in row.cells.iter().zip(&verdict.examples) {
            let Some(takes) = &cell.takes else { continue };
            let text = format!("{}: {takes}", row.name);
            match missing.iter_mut().find(|(known, _)| *known == text) {
                Some((_, examples)) => examples.push(&example.name),
                None => missing.push((text, vec![&example.name])),
            }
        }
    }
    missing
}

/// Its rules judge each step by itself.
pub(crate) fn is_by_step(family: Family) -> bool {
    use Family::{Join, Outcome, Scenario, Server, Vocabulary};
    matches!(family, Join | Scenario | Vocabulary | Server | Outcome)
}

/// The run in a few words, the most important first.
pub(crate) fn summary(run: &Run) -> Vec<String> {
    let counts = Counts::of(&run.verdict.findings);
    let expected = run.verdict.expected_divergences.len();
    let parts = [
        (counts != Counts::default()).then(|| counts.to_string()),
        Some(plural(run.verdict.examples.len(), subject(run.subject))),
        run.stack.clone(),
        run.wall_seconds.map(seconds),
        (expected > 0).then(|| plural(expected, "expected divergence")),
    ];
    parts.into_iter().flatten().collect()
}

/// The noun for one judged program or example.
pub(crate) fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::Examples => "example",
        Subject::Programs => "program",
    }
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Consistent => "consistent",
        Outcome::Inconsistent => "inconsistent",
        Outcome::CouldNotRun => "could not run",
    }
}

/// The rule, and where it was broken.
pub(crate) fn title(finding: &Finding) -> String {
    let mut title = finding.rule.name().to_owned();
    if let Some(example) = &finding.example {
        title.push_str(&format!(" in {example}"));
    }
    if let Some(step) = &finding.step {
        title.push_str(&format!(", step {step}"));
    }
    if finding.count > 1 {
        title.push_str(&format!(" ({} places)", finding.count));
    }
    title
}

/// Where a finding was made, as far as that is known.
pub(crate) fn place(finding: &Finding) -> Option<String> {
    let parts: Vec<String> = [
        finding.trace_id.map(|id| format!("trace {id}")),
        finding.span_id.map(|id| format!("span {id}")),
        finding
            .input_line
            .map(|line| format!("line {line} of the input")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The placeholder for the command's name in a hint.
const PROGRAM: &str = "{program}";

/// The actions for a finding, the likeliest first: the lines of its hint.
pub(crate) fn actions(run: &Run, finding: &Finding) -> Vec<String> {
    let lines = finding.hint.iter().flat_map(|hint| hint.split('\n'));
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.replace(PROGRAM, &run.program))
        .collect()
}

/// One action as it is; several with their numbers.
pub(crate) fn numbered(actions: Vec<String>) -> Vec<String> {
    if actions.len() < 2 {
        return actions;
    }
    let numbered = actions.into_iter().enumerate();
    numbered
        .map(|(index, action)| format!("{}. {action}", index + 1))
        .collect()
}

/// The finding without its title: facts, place and actions.
pub(crate) fn body(run: &Run, finding: &Finding) -> Vec<String> {
    let mut lines = vec![finding.message.clone()];
    lines.extend(place(finding).map(|place| format!("at {place}")));
    for (index, action) in numbered(actions(run, finding)).into_iter().enumerate() {
        if index == 0 {
            lines.push(String::new());
        }
        lines.push(format!("{}{action}", HINT[index.min(1)]));
    }
    lines
}

/// Labels of the first action and of the others.
pub(crate) const HINT: [&str; 2] = ["hint: ", "      "];

pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A note as one sentence, with its example in front.
pub(crate) fn note(note: &Note) -> String {
    match &note.example {
        Some(example) => format!("{example}: {}", note.text),
        None => note.text.clone(),
    }
}

/// Findings by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) infos: usize,
}

impl Counts {
    pub(crate) fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Error => counts.errors += 1,
                Severity::Warning => counts.warnings += 1,
                Severity::Info => counts.infos += 1,
            }
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.infos, "info"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| plural(count, noun))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// The subject of a difference in vocabulary, in a word that fits a table.
pub(crate) fn vocabulary(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::SpanName => Some("name"),
        Rule::AttributeMissing => Some("missing"),
        Rule::AttributeRenamed => Some("renamed"),
        Rule::AttributeType => Some("type"),
        Rule::AttributeValue => Some("value"),
        _ => None,
    }
}

/// Each once, in order of first appearance.
pub(crate) fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// The worst that is said of one cell of the table.
pub(crate) fn worst_at(verdict: &Verdict, example: &str, step: &str) -> Option<Severity> {
    verdict
        .findings
        .iter()
        .filter(|f| f.example.as_deref() == Some(example) && f.step.as_deref() == Some(step))
        .map(|f| f.severity)
        .max()
}

/// The texts of a row's cells, one per example, in order; possibly empty.
pub(crate) fn cells(row: &StepRow) -> Vec<String> {
    let methods = differing_methods(row);
    row.cells
        .iter()
        .enumerate()
        .map(|(index, cell)| match cell {
            None => String::new(),
            Some(cell) if cell.joined < cell.count => {
                format!("{}/{} joined", cell.joined, cell.count) + &through(cell)
            }
            Some(cell) if cell.polling => plural(cell.count as usize, "poll") + &through(cell),
            Some(cell) => {
                methods
                    .as_ref()
                    .map_or_else(|| "joined".to_owned(), |m| m[index].clone())
                    + &through(cell)
            }
        })
        .collect()
}

/// `, through envoy`: what lies between the calls and the server, by the last part of its name.
fn through(cell: &Cell) -> String {
    let names: Vec<&str> = cell
        .through
        .iter()
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", through {}", names.join(" and "))
    }
}

/// Where each example makes one kind of call in this step and they aren't the same: the methods, without the last
/// words that all of them share.
fn differing_methods(row: &StepRow) -> Option<Vec<String>> {
    let mut single = Vec::new();
    for cell in row.cells.iter().flatten() {
        let [method] = cell.rpcs.as_slice() else {
            return None;
        };
        single.push(method.as_str());
    }
    let first = *single.first()?;
    if single.iter().all(|method| *method == first) {
        return None;
    }
    let shared = shared_last_words(&single);
    Some(
        row.cells
            .iter()
            .map(|cell| {
                cell.as_ref().map_or_else(String::new, |cell| {
                    let method = &cell.rpcs[0];
                    method[..method.len() - shared].to_owned()
                })
            })
            .collect(),
    )
}

/// The length of the longest ending that begins with a capital, that all have, and that leaves something of each.
fn shared_last_words(methods: &[&str]) -> usize {
    let first = methods[0];
    first
        .char_indices()
        .skip(1)
        .filter(|(_, c)| c.is_ascii_uppercase())
        .map(|(at, _)| &first[at..])
        .find(|end| {
            methods
                .iter()
                .all(|m| m.len() > end.len() && m.ends_with(end))
        })
        .map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_340, "12.3 µs"),
            (4_070_000, "4.07 ms"),
            (9_999_000, "10.0 ms"),
            (123_400_000, "123 ms"),
            (1_230_000_000, "1.23 s"),
        ];
        for (ns, expected) in cases {
            assert_eq!(nanoseconds(ns), expected);
        }
        assert_eq!(seconds(15.24), "15.2 s");
        assert_eq!(seconds(125.0), "2 min 5 s");
        assert_eq!(seconds(179.9), "3 min 0 s");
    }

    #[test]
    fn shared_last_words_are_whole_and_leave_something() {
        let cases: [(&[&str], usize); 5] = [
            (&["DescribeCollection", "HasCollection"], "Collection".len()),
            (&["GetLoadState", "GetLoadingProgress"], 0),
            (&["Collection", "HasCollection"], 0),
            (&["A", "B"], 0),
            (&["GetLoadState", "SetLoadState"], "LoadState".len()),
        ];
        for (methods, expected) in cases {
            assert_eq!(shared_last_words(methods), expected, "{methods:?}");
        }
    }
}
