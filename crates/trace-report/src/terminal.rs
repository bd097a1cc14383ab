//! A run as text for a terminal: the verdict, the aligned table, the findings, and the next commands.

pub(crate) mod layout;
pub(crate) mod style;
pub(crate) mod table;

use trace_parity::{Exit, Finding, ObservedDivergence, Outcome, Rule, Severity, TraceId, Verdict};

use crate::escape;
use crate::run::{ExampleRun, Run, Subject};
use crate::words::{self, Counts};
use layout::Page;
use style::Role;

pub use style::{Detail, TerminalStyle};

/// Findings that are written out; the report has the rest.
const FINDINGS_SHOWN: usize = 20;
/// Columns of a part of the first line.
const HEADLINE_PART: usize = 40;
/// Lines of a failed example's output.
const LOG_LINES: usize = 12;
/// Rules that the last lines offer to explain.
const RULES_EXPLAINED: usize = 3;

/// The run as text, each line ended. Nothing read from a trace or a log acts on the terminal.
pub fn terminal(run: &Run, style: &TerminalStyle) -> String {
    let mut page = Page::new(*style);
    headline(&mut page, run);
    if style.detail == Detail::Quiet {
        findings_in_lines(&mut page, run);
        return page.finish();
    }
    table::outcome(&mut page, run);
    table::signals(&mut page, &run.verdict);
    findings(&mut page, run);
    notes(&mut page, run);
    not_started(&mut page, &run.examples);
    for example in &run.examples {
        log_tail(&mut page, example);
    }
    expected(&mut page, &run.verdict.expected_divergences);
    if style.detail == Detail::Verbose {
        missing_signals(&mut page, &run.verdict);
        table::times(&mut page, &run.verdict);
        phases(&mut page, run);
        versions(&mut page, run);
    }
    ending(&mut page, run);
    page.finish()
}

fn headline(page: &mut Page, run: &Run) {
    let role = if run.verdict.outcome == Outcome::Consistent {
        Role::Good
    } else {
        Role::Bad
    };
    let word = words::outcome(run.verdict.outcome);
    let charset = page.style.charset();
    let parts = words::summary(run);
    let parts: Vec<String> = parts
        .iter()
        .map(|part| escape::clipped(part, HEADLINE_PART, charset))
        .collect();
    let separator = page.style.separator();
    let mut line = format!("  {}", parts[0]);
    for part in &parts[1..] {
        // Parts that don't fit are left out; the least important is last.
        if word.len() + escape::columns(&line) + escape::columns(separator) + escape::columns(part)
            > page.width()
        {
            break;
        }
        line.push_str(separator);
        line.push_str(part);
    }
    page.line(&[(role, word.to_owned()), (Role::Plain, line)]);
}

fn findings_in_lines(page: &mut Page, run: &Run) {
    for finding in run
        .verdict
        .findings
        .iter()
        .filter(|f| f.severity > Severity::Info)
    {
        let head = words::title(finding);
        let text = format!("{head}: {}", finding.message);
        let text = escape::clipped(&text, page.width(), page.style.charset());
        page.line(&[(Role::Plain, text)]);
    }
}

fn findings(page: &mut Page, run: &Run) {
    let wanted = |finding: &&Finding| {
        finding.severity > Severity::Info || page.style.detail == Detail::Verbose
    };
    let all: Vec<&Finding> = run.verdict.findings.iter().filter(wanted).collect();
    let shown = if page.style.detail == Detail::Verbose {
        all.len()
    } else {
        FINDINGS_SHOWN
    };
    for finding in all.iter().take(shown) {
        page.gap();
        self::finding(page, run, finding);
    }
    let left = Counts::of(all.iter().skip(shown).copied());
    if left != Counts::default() {
        page.gap();
        page.line(&[(Role::Plain, format!("and {left} more; `-v` shows all"))]);
    }
}

fn finding(page: &mut Page, run: &Run, finding: &Finding) {
    let role = match finding.severity {
        Severity::Error => Role::Bad,
        Severity::Warning => Role::Warning,
        Severity::Info => Role::Faint,
    };
    let severity = words::severity(finding.severity);
    let charset = page.style.charset();
    let title = escape::clipped(
        &words::title(finding),
        page.width() - severity.len() - 2,
        charset,
    );
    page.line(&[
        (role, format!("{severity}:")),
        (Role::Heading, format!(" {title}")),
    ]);
    page.paragraph("  ", "  ", &finding.message);
    if let Some(place) = words::place(finding) {
        page.paragraph("  at ", "     ", &place);
    }
    for (index, action) in words::numbered(words::actions(run, finding))
        .iter()
        .enumerate()
    {
        if index == 0 {
            page.blank();
        }
        page.paragraph(["  hint: ", "        "][index.min(1)], "        ", action);
    }
}

/// Observations of the runner that no rule covers.
fn notes(page: &mut Page, run: &Run) {
    if !run.notes.is_empty() {
        page.gap();
    }
    for note in &run.notes {
        page.paragraph("note: ", "      ", &words::note(note));
    }
}

/// The expected divergences; divergences of one rule with one reason share a paragraph.
fn expected(page: &mut Page, divergences: &[ObservedDivergence]) {
    let mut groups: Vec<(&ObservedDivergence, Vec<&str>, Vec<&str>)> = Vec::new();
    for divergence in divergences {
        let same = |(first, ..): &&mut (&ObservedDivergence, _, _)| {
            first.rule == divergence.rule && first.reason == divergence.reason
        };
        if groups.iter_mut().find(same).is_none() {
            groups.push((divergence, Vec::new(), Vec::new()));
        }
        let (_, examples, subjects) = groups
            .iter_mut()
            .find(same)
            .expect("pushed if it wasn't there");
        examples.extend(divergence.examples.iter().map(String::as_str));
        subjects.push(&divergence.subject);
    }
    if !groups.is_empty() {
        page.gap();
    }
    for (divergence, examples, subjects) in groups {
        let text = format!(
            "{}  {}  {}: {}",
            words::distinct(examples).join(", "),
            divergence.rule.name(),
            words::distinct(subjects).join(", "),
            divergence.reason,
        );
        page.paragraph("expected: ", "          ", &text);
    }
}

/// What it would take to get the signals that are missing.
fn missing_signals(page: &mut Page, verdict: &Verdict) {
    let missing = words::missing_signals(verdict);
    if !missing.is_empty() {
        page.gap();
    }
    for (text, examples) in missing {
        page.paragraph(
            "missing: ",
            "         ",
            &format!("{}  {text}", examples.join(", ")),
        );
    }
}

fn not_started(page: &mut Page, examples: &[ExampleRun]) {
    let names: Vec<&str> = examples
        .iter()
        .filter(|e| e.exit == Exit::NotStarted)
        .map(|e| e.name.as_str())
        .collect();
    if !names.is_empty() {
        page.gap();
        page.paragraph("not started: ", "             ", &names.join(", "));
    }
}

fn log_tail(page: &mut Page, example: &ExampleRun) {
    if example.exit.is_success() || example.exit == Exit::NotStarted {
        return;
    }
    page.gap();
    let what = format!(
        "{} {} after {}",
        example.name,
        example.exit,
        words::seconds(example.seconds)
    );
    page.paragraph("", "", &what);
    let bar = if page.style.ascii { "  | " } else { "  │ " };
    let skipped = example.log_tail.len().saturating_sub(LOG_LINES);
    for line in &example.log_tail[skipped..] {
        let text = escape::log_line(line, page.width() - 4, page.style.charset());
        page.line(&[(Role::Faint, bar.to_owned()), (Role::Plain, text)]);
    }
    if let Some(log) = &example.log {
        page.path("  log: ", log);
    }
}

fn phases(page: &mut Page, run: &Run) {
    if run.phases.is_empty() {
        return;
    }
    let text: Vec<String> = run
        .phases
        .iter()
        .map(|p| format!("{} {}", p.name, words::seconds(p.seconds)))
        .collect();
    page.gap();
    page.paragraph("phases: ", "        ", &text.join(page.style.separator()));
}

fn versions(page: &mut Page, run: &Run) {
    let with_versions = run.examples.iter().filter(|e| !e.versions.is_empty());
    for (index, example) in with_versions.enumerate() {
        if index == 0 {
            page.gap();
        }
        let versions: Vec<String> = example
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let text = format!("versions of {}: {}", example.name, versions.join(", "));
        page.paragraph("", "    ", &text);
    }
}

/// The next commands after a failure, and where the report is.
fn ending(page: &mut Page, run: &Run) {
    if run.verdict.outcome != Outcome::Consistent {
        page.gap();
        let program = escape::clipped(&run.program, HEADLINE_PART, page.style.charset());
        for (index, command) in next_commands(run).iter().enumerate() {
            let label = if index == 0 { "next: " } else { "      " };
            page.line(&[
                (Role::Heading, label.to_owned()),
                (Role::Plain, format!("{program} {command}")),
            ]);
        }
    }
    if let Some(folder) = &run.folder {
        if run.verdict.outcome == Outcome::Consistent {
            page.gap();
        }
        page.path("report: ", &folder.join("report.html"));
    }
}

/// Commands that help with a failure, without the program's name.
fn next_commands(run: &Run) -> Vec<String> {
    let verdict = &run.verdict;
    if verdict.outcome == Outcome::CouldNotRun {
        return vec!["doctor".to_owned()];
    }
    let errors: Vec<&Finding> = verdict
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    let rules = words::distinct(errors.iter().map(|finding| finding.rule));
    let mut commands: Vec<String> = rules
        .into_iter()
        .take(RULES_EXPLAINED)
        .map(|rule| format!("explain {}", rule.name()))
        .collect();
    let failed = errors
        .iter()
        .filter(|finding| finding.rule == Rule::ExampleFailed);
    let failed = failed
        .filter(|_| run.subject == Subject::Examples)
        .filter_map(|finding| finding.example.as_deref())
        .find(|name| is_plain_word(name));
    commands.extend(failed.map(|name| format!("run {name}")));
    let trace = errors
        .iter()
        .find_map(|finding| finding.trace_id.or_else(|| trace_of(verdict, finding)));
    commands.extend(trace.map(|trace| format!("trace {trace}")));
    commands
}

fn trace_of(verdict: &Verdict, finding: &Finding) -> Option<TraceId> {
    verdict
        .examples
        .iter()
        .find(|e| Some(&e.name) == finding.example.as_ref())?
        .trace_id
}

/// A name that can be typed into any shell as it is.
fn is_plain_word(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
