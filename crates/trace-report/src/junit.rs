//! A run as JUnit XML: a suite per example, a case per family of rules and step.

use std::collections::{HashMap, HashSet};

use trace_parity::{
    ExampleOutcome, ExampleVerdict, Family, Finding, ObservedDivergence, Severity, Verdict,
};

use crate::escape::{self, Charset};
use crate::run::{ExampleRun, Note, Run};
use crate::words;

/// Columns of an attribute; a name or a message beyond it is cut.
const ATTRIBUTE: usize = 400;
/// Columns of a line of text.
const TEXT: usize = 4_000;
/// The suite of findings that belong to no single example.
const WHOLE_RUN: &str = "run";
/// The case of findings that belong to no single step.
const WHOLE_TRACE: &str = "trace";

/// The run as one XML document. Findings at or above `fail_on` fail their case; milder ones stand in its output.
///
/// A divergence that the contract expects is a skipped case with its reason, and so is a family of rules that had
/// nothing to judge.
pub fn junit(run: &Run, fail_on: Severity) -> String {
    let suites = suites(run, fail_on);
    let total = suites
        .iter()
        .map(Suite::counts)
        .fold([0; 4], |a, b| std::array::from_fn(|i| a[i] + b[i]));
    let mut xml = Xml::default();
    xml.open_suite(
        "testsuites",
        "milvus-otel",
        total,
        run.wall_seconds.unwrap_or(0.0),
    );
    suites.iter().for_each(|suite| suite.write(&mut xml));
    xml.close("testsuites");
    xml.out
}

struct Suite {
    name: String,
    seconds: f64,
    properties: Vec<(String, String)>,
    cases: Vec<Case>,
    /// Lines for `system-out`.
    output: Vec<String>,
}

struct Case {
    class: String,
    name: String,
    seconds: f64,
    result: CaseResult,
    /// The findings that don't fail the case.
    notes: Vec<String>,
}

enum CaseResult {
    Passed,
    Skipped {
        reason: String,
    },
    Failed {
        rule: &'static str,
        message: String,
        text: Vec<String>,
    },
    NotJudged {
        reason: String,
    },
}

fn suites(run: &Run, fail_on: Severity) -> Vec<Suite> {
    let verdict = &run.verdict;
    let found = Found::of_verdict(verdict);
    let judging = Judging { run, fail_on };
    let mut suites: Vec<Suite> = verdict
        .examples
        .iter()
        .enumerate()
        .map(|(column, example)| {
            let process = run
                .examples
                .iter()
                .find(|process| process.name == example.name);
            let cases = example_cases(judging, column, process, &found);
            example_suite(example, process, cases)
        })
        .collect();
    let cases: Vec<Case> = Family::ALL
        .into_iter()
        .filter_map(|family| {
            let findings = found.at(family, None, None);
            (!findings.is_empty()).then(|| judging.case(WHOLE_RUN, family, WHOLE_TRACE, findings))
        })
        .chain(
            suites
                .is_empty()
                .then(|| not_judged(WHOLE_RUN, "there was nothing to judge")),
        )
        .collect();
    if !cases.is_empty() || !run.notes.is_empty() {
        let seconds = run.wall_seconds.unwrap_or(0.0);
        suites.push(Suite {
            name: WHOLE_RUN.to_owned(),
            seconds,
            properties: Vec::new(),
            cases,
            output: run.notes.iter().map(noted).collect(),
        });
    }
    suites
}

fn example_suite(
    example: &ExampleVerdict,
    process: Option<&ExampleRun>,
    cases: Vec<Case>,
) -> Suite {
    let mut properties: Vec<(String, String)> = example
        .trace_id
        .iter()
        .map(|id| ("trace_id".to_owned(), id.to_string()))
        .collect();
    let command = process.map(|process| process.command.join(" "));
    let command = command.filter(|command| !command.is_empty());
    properties.extend(command.map(|command| ("command".to_owned(), command)));
    properties.extend(process.iter().flat_map(|process| process.versions.clone()));
    Suite {
        name: example.name.clone(),
        seconds: process.map_or(0.0, |process| process.seconds),
        properties,
        cases,
        output: process.map_or_else(Vec::new, |process| process.log_tail.clone()),
    }
}

fn noted(note: &Note) -> String {
    format!("note: {}", words::note(note))
}

/// Why a family has nothing to judge in an example without a finding; `None` where it does.
fn unjudged(verdict: &Verdict, example: &ExampleVerdict, family: Family) -> Option<&'static str> {
    use Family::{Bookkeeping, Delivery, Join, Scenario, Server, Signals, Vocabulary};
    match family {
        Delivery | Bookkeeping => None,
        _ if example.spans == 0 => Some("no span of it arrived"),
        Signals if verdict.signals.is_empty() => Some("no metrics or logs arrived"),
        Scenario | Server if verdict.steps.is_empty() => Some("judged by a contract only"),
        Join | Scenario | Vocabulary | Server if example.client_rpcs == 0 => {
            Some("it has no client call")
        }
        _ => None,
    }
}

fn example_cases<'a>(
    judging: Judging<'a>,
    column: usize,
    process: Option<&ExampleRun>,
    found: &Found<'a>,
) -> Vec<Case> {
    let verdict = &judging.run.verdict;
    let example = &verdict.examples[column];
    let own = found.of(&example.name);
    if example.outcome == ExampleOutcome::CouldNotRun && own.is_empty() {
        let reason =
            process.map_or_else(|| "it never ran".to_owned(), |p| format!("it {}", p.exit));
        return vec![not_judged(&example.name, &reason)];
    }
    let steps = steps_of(verdict, column, own);
    let mut cases = Vec::new();
    for family in Family::ALL {
        let whole = found.at(family, Some(&example.name), None);
        let unjudged = unjudged(verdict, example, family).filter(|_| whole.is_empty());
        cases.push(match unjudged {
            Some(reason) => skipped(&example.name, family, WHOLE_TRACE, reason),
            None => judging.case(&example.name, family, WHOLE_TRACE, whole),
        });
        for (step, seconds) in &steps {
            let here = found.at(family, Some(&example.name), Some(step));
            if words::is_by_step(family) || !here.is_empty() {
                let case = judging.case(&example.name, family, step, here);
                cases.push(Case {
                    seconds: if family == Family::Scenario {
                        *seconds
                    } else {
                        0.0
                    },
                    ..case
                });
            }
        }
        let expected = verdict.expected_divergences.iter().filter(|divergence| {
            divergence.rule.family() == family && divergence.examples.contains(&example.name)
        });
        cases.extend(expected.map(|divergence| diverging(&example.name, family, divergence)));
    }
    cases
}

/// The steps that the example took, with the seconds in their calls, and those with a finding.
fn steps_of<'a>(verdict: &'a Verdict, column: usize, own: &[&'a Finding]) -> Vec<(&'a str, f64)> {
    let taken = verdict.steps.iter().filter_map(|row| {
        let cell = row.cells.get(column)?.as_ref()?;
        Some((row.name.as_str(), cell.client_ns as f64 / 1e9))
    });
    let mut steps: Vec<(&str, f64)> = taken.collect();
    for finding in own {
        if let Some(step) = &finding.step
            && !steps.iter().any(|(name, _)| name == step)
        {
            steps.push((step, 0.0));
        }
    }
    steps
}

/// Family, example and step.
type Place<'a> = (Family, Option<&'a str>, Option<&'a str>);

/// The findings by example and by case. A finding about no example with a suite belongs to the whole run.
struct Found<'a> {
    by_example: HashMap<&'a str, Vec<&'a Finding>>,
    by_case: HashMap<Place<'a>, Vec<&'a Finding>>,
}

impl<'a> Found<'a> {
    fn of_verdict(verdict: &'a Verdict) -> Self {
        let known: HashSet<&str> = verdict.examples.iter().map(|e| e.name.as_str()).collect();
        let mut found = Self {
            by_example: HashMap::new(),
            by_case: HashMap::new(),
        };
        for finding in &verdict.findings {
            let example = finding.example.as_deref().filter(|e| known.contains(e));
            let step = example.and(finding.step.as_deref());
            let case = (finding.rule.family(), example, step);
            found.by_case.entry(case).or_default().push(finding);
            if let Some(example) = example {
                found.by_example.entry(example).or_default().push(finding);
            }
        }
        found
    }

    fn of(&self, example: &str) -> &[&'a Finding] {
        self.by_example.get(example).map_or(&[], Vec::as_slice)
    }

    fn at(
        &self,
        family: Family,
        example: Option<&'a str>,
        step: Option<&'a str>,
    ) -> &[&'a Finding] {
        let case = self.by_case.get(&(family, example, step));
        case.map_or(&[], Vec::as_slice)
    }
}

#[derive(Clone, Copy)]
struct Judging<'a> {
    run: &'a Run,
    fail_on: Severity,
}

impl Judging<'_> {
    fn case(self, suite: &str, family: Family, name: &str, findings: &[&Finding]) -> Case {
        let (failing, milder): (Vec<&Finding>, Vec<&Finding>) =
            findings.iter().partition(|f| f.severity >= self.fail_on);
        let result = match failing.as_slice() {
            [] => CaseResult::Passed,
            [first, rest @ ..] => CaseResult::Failed {
                rule: first.rule.name(),
                message: match rest.len() {
                    0 => first.message.clone(),
                    more => format!("{} (and {more} more)", first.message),
                },
                text: failing
                    .iter()
                    .flat_map(|finding| described(self.run, finding))
                    .collect(),
            },
        };
        let notes = milder
            .iter()
            .flat_map(|finding| described(self.run, finding))
            .collect();
        Case {
            class: format!("{suite}.{family}"),
            name: name.to_owned(),
            seconds: 0.0,
            result,
            notes,
        }
    }
}

fn described(run: &Run, finding: &Finding) -> Vec<String> {
    let title = format!(
        "{}: {}",
        words::severity(finding.severity),
        words::title(finding)
    );
    std::iter::once(title)
        .chain(words::body(run, finding))
        .collect()
}

fn diverging(suite: &str, family: Family, divergence: &ObservedDivergence) -> Case {
    let rule = divergence.rule.name();
    let name = format!("{rule} {} of {}", divergence.subject, divergence.scope);
    let reason = format!("expected: {}", divergence.reason);
    skipped(suite, family, &name, &reason)
}

fn skipped(suite: &str, family: Family, name: &str, reason: &str) -> Case {
    Case {
        class: format!("{suite}.{family}"),
        name: name.to_owned(),
        seconds: 0.0,
        result: CaseResult::Skipped {
            reason: reason.to_owned(),
        },
        notes: Vec::new(),
    }
}

fn not_judged(suite: &str, reason: &str) -> Case {
    Case {
        class: suite.to_owned(),
        name: WHOLE_TRACE.to_owned(),
        seconds: 0.0,
        result: CaseResult::NotJudged {
            reason: reason.to_owned(),
        },
        notes: Vec::new(),
    }
}

impl Suite {
    /// All, failed, not judged, skipped.
    fn counts(&self) -> [usize; 4] {
        let count = |wanted: fn(&CaseResult) -> bool| {
            self.cases
                .iter()
                .filter(|case| wanted(&case.result))
                .count()
        };
        [
            self.cases.len(),
            count(|result| matches!(result, CaseResult::Failed { .. })),
            count(|result| matches!(result, CaseResult::NotJudged { .. })),
            count(|result| matches!(result, CaseResult::Skipped { .. })),
        ]
    }

    fn write(&self, xml: &mut Xml) {
        xml.open_suite("testsuite", &self.name, self.counts(), self.seconds);
        if !self.properties.is_empty() {
            xml.open("properties", &[]);
            for (name, value) in &self.properties {
                xml.empty("property", &[("name", name), ("value", value)]);
            }
            xml.close("properties");
        }
        self.cases.iter().for_each(|case| case.write(xml));
        if !self.output.is_empty() {
            let lines = self
                .output
                .iter()
                .map(|line| escape::log_line(line, TEXT, Charset::Unicode));
            xml.text("system-out", &[], &lines.collect::<Vec<_>>());
        }
        xml.close("testsuite");
    }
}

impl Case {
    fn write(&self, xml: &mut Xml) {
        let seconds = format!("{:.3}", self.seconds);
        let attributes = [
            ("classname", self.class.as_str()),
            ("name", &self.name),
            ("time", &seconds),
        ];
        if matches!(self.result, CaseResult::Passed) && self.notes.is_empty() {
            xml.empty("testcase", &attributes);
            return;
        }
        xml.open("testcase", &attributes);
        match &self.result {
            CaseResult::Passed => {}
            CaseResult::Skipped { reason } => xml.empty("skipped", &[("message", reason)]),
            CaseResult::NotJudged { reason } => {
                xml.empty("error", &[("message", reason), ("type", "could-not-run")]);
            }
            CaseResult::Failed {
                rule,
                message,
                text,
            } => {
                xml.text("failure", &[("message", message), ("type", rule)], text);
            }
        }
        if !self.notes.is_empty() {
            xml.text("system-out", &[], &self.notes);
        }
        xml.close("testcase");
    }
}

/// An indented document. Every value is escaped here and nowhere else.
///
/// Written by hand: `quick-junit` would add uuid, quick-xml and four more crates to the compile time before a first run. The
/// tests read every document back with it.
struct Xml {
    out: String,
    depth: usize,
}

impl Default for Xml {
    fn default() -> Self {
        Self {
            out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            depth: 0,
        }
    }
}

impl Xml {
    fn open(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.start(tag, attributes);
        self.out.push_str(">\n");
        self.depth += 1;
    }

    /// A suite, or all of them.
    fn open_suite(&mut self, tag: &str, name: &str, counts: [usize; 4], seconds: f64) {
        let [tests, failures, errors, skipped] = counts.map(|count| count.to_string());
        let attributes = [
            ("name", name),
            ("tests", &tests),
            ("failures", &failures),
            ("errors", &errors),
            ("skipped", &skipped),
            ("time", &format!("{seconds:.3}")),
        ];
        self.open(tag, &attributes);
    }

    fn close(&mut self, tag: &str) {
        self.depth -= 1;
        self.indent();
        self.out.push_str(&format!("</{tag}>\n"));
    }

    fn empty(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.start(tag, attributes);
        self.out.push_str("/>\n");
    }

    fn text(&mut self, tag: &str, attributes: &[(&str, &str)], lines: &[String]) {
        self.start(tag, attributes);
        self.out.push('>');
        let lines: Vec<String> = lines
            .iter()
            .map(|line| escape::markup(line, TEXT))
            .collect();
        self.out.push_str(&lines.join("\n"));
        self.out.push_str(&format!("</{tag}>\n"));
    }

    fn start(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.out.push('<');
        self.out.push_str(tag);
        for (name, value) in attributes {
            self.out
                .push_str(&format!(" {name}=\"{}\"", escape::markup(value, ATTRIBUTE)));
        }
    }

    fn indent(&mut self) {
        self.out.push_str(&"  ".repeat(self.depth));
    }
}
