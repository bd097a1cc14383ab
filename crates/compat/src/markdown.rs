//! The map as a documentation page.

use trace_report::escape;

use crate::around::ScopeSpans;
use crate::map::{Entry, Found, Language, Map, on_days};
use crate::outcome::Outcome;
use crate::sent::{Sent, SentState};

/// Enough for a sentence, not for a log.
const CELL: usize = 300;

const PROGRAMS: &str = "
## Frameworks and other programs

Small programs, each as the documentation of its framework has it, judged by the rules that `exec` applies. *Joined* counts the calls
that have their server's span; calls without any span are in the notes. *Around the calls* lists the instrumentation scopes that write
spans of their own, the calls below these spans, and the first parts of their attributes' names. *Leaks* are texts of the program that
stand in a span: rows, a question.

| program | set-up | outcome | joined | around the calls | leaks | notes |
|---|---|---|---|---|---|---|
";

/// `docs/compatibility.md`: a table for each example, a row for each variant.
pub fn markdown(map: &Map) -> String {
    let mut text = head(map);
    let (programs, examples): (Vec<_>, Vec<_>) = map
        .examples
        .iter()
        .partition(|language| language.is_program);
    for language in examples {
        text += &section(language);
    }
    if !programs.is_empty() {
        text += PROGRAMS;
        for (language, entry) in programs.iter().flat_map(|language| {
            let variants = language.variants.iter();
            variants.map(move |entry| (language, entry))
        }) {
            text += &program_row(language, entry);
        }
    }
    if !map.unmeasured.is_empty() {
        text += "\n## Not measured\n\n";
        for one in &map.unmeasured {
            text += &format!("- **{}**: {}.\n", inline(&one.what), inline(&one.reason));
        }
    }
    text
}

fn head(map: &Map) -> String {
    let days = on_days(map.days());
    let counts: Vec<String> = map
        .counts()
        .into_iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    format!(
        "<!-- Made by `cargo xtask matrix --write`; change matrix.toml instead. -->\n\
         # Which versions keep a trace whole\n\n\
         Each row is an example with other versions or settings and unchanged code. It ran against {} and was judged by the same\n\
         contract as in `run-all`. Measured {days} on {}, {} cores, {} GiB.\n\
         [matrix.toml](../matrix.toml) lists the variants with their expected outcomes. `cargo xtask matrix` measures them again, and\n\
         `cargo xtask bisect` finds the version at which a trace changed. [compatibility.json](compatibility.json)\n\
         ([schema](compatibility.schema.json)) has the same data for programs.\n\n\
         {} variants: {}.\n\n\
         | outcome | meaning |\n|---|---|\n\
         | whole | one trace; each client call has its server span below it |\n\
         | not honoured | whole, but a setting that should change the names of calls or attributes changes none |\n\
         | differs | client and server spans are in one trace, but there are findings of the named rules |\n\
         | server half lost | the client's spans are there, but the server's are in other traces |\n\
         | client half lost | some or all of the client's calls aren't in the trace |\n\
         | does not build | the versions don't fit together, or the program doesn't compile with them |\n\
         | could not run | the program fails with these versions, or they couldn't be downloaded |\n\n\
         *Metrics and logs* names the duration metric of RPCs and says whether exemplars lead to the trace, and whether log records carry ids.\n\
         [What each language sends](signals.md#what-each-language-sends) has the reasons. *Not measured* are variants whose metrics and\n\
         logs weren't captured.\n",
        inline(&map.server),
        inline(&map.machine.system),
        map.machine.cores,
        map.machine.memory_gib,
        map.entries().count(),
        counts.join(", "),
    )
}

fn section(language: &Language) -> String {
    let mut text = format!("\n## {}\n\n", inline(&language.name));
    for axis in &language.axes {
        let packages: Vec<String> = axis.packages.iter().map(|package| code(package)).collect();
        text += &format!("- *{}*: {}\n", inline(&axis.name), packages.join(", "));
    }
    if !language.axes.is_empty() {
        text.push('\n');
    }
    let axes: Vec<String> = language
        .axes
        .iter()
        .map(|axis| inline(&axis.name))
        .collect();
    text += &format!(
        "| variant |{} outcome | metrics and logs | notes |\n",
        columns(&axes)
    );
    text += &format!("|---|{}---|---|---|\n", "---|".repeat(axes.len()));
    for entry in &language.variants {
        text += &row(language, entry);
    }
    for entry in language.variants.iter().filter(|entry| entry.newest) {
        text += &newest(entry);
    }
    text
}

fn row(language: &Language, entry: &Entry) -> String {
    let versions: Vec<String> = language
        .axes
        .iter()
        .map(|axis| {
            let version = entry.versions.get(&axis.name).map_or("", String::as_str);
            match entry.set.contains(&axis.name) {
                true => format!("**{}**", inline(version)),
                false => inline(version),
            }
        })
        .collect();
    let measured = match &entry.found {
        None => "not measured".to_owned(),
        Some(found) => outcome(found),
    };
    let sent = entry.found.as_ref().map(signals).unwrap_or_default();
    format!(
        "| {} |{} {measured} | {sent} | {} |\n",
        inline(&entry.name),
        columns(&versions),
        entry
            .found
            .as_ref()
            .map(|found| note(entry, found))
            .unwrap_or_default()
    )
}

/// Such as `rpc.client.duration`, exemplars, logs with ids.
fn signals(found: &Found) -> String {
    match &found.sent {
        Some(sent) => self::sent(sent),
        None if found.client_rpcs == 0 => String::new(),
        None => "not measured".to_owned(),
    }
}

fn sent(sent: &Sent) -> String {
    let metric = match (&sent.metric, sent.rpc_duration) {
        (None, _) => "no metric".to_owned(),
        (Some(name), SentState::Renamed) => format!("{}, renamed", code(name)),
        (Some(name), SentState::Differs) => format!("{}, with findings", code(name)),
        (Some(name), _) => code(name),
    };
    let exemplars = match sent.exemplars {
        SentState::Missing if sent.metric.is_some() => Some("no exemplars"),
        SentState::Missing => None,
        _ => Some("exemplars"),
    };
    let logs = match (sent.logs, sent.log_ids) {
        (SentState::Missing, _) => "no logs",
        (_, SentState::Missing) => "logs without ids",
        (_, SentState::Differs) => "logs, some without ids",
        _ => "logs with ids",
    };
    let parts = [Some(metric.as_str()), exemplars, Some(logs)];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

fn note(entry: &Entry, found: &Found) -> String {
    let mut parts: Vec<String> = Vec::new();
    let settings = entry
        .env
        .iter()
        .map(|(name, value)| code(&format!("{name}={value}")));
    parts.extend(settings);
    parts.extend(entry.runtime.as_deref().map(inline));
    parts.extend(
        found
            .rules
            .iter()
            .map(|rule| format!("[{rule}](rules/{rule}.md)")),
    );
    if found.outcome != Outcome::Whole {
        let why = match &entry.reason {
            Some(reason) if found.as_expected => inline(reason),
            _ => inline(&found.message),
        };
        parts.push(why);
        parts.extend(
            found
                .mend
                .as_deref()
                .map(|mend| format!("fix: {}", code(mend))),
        );
    }
    parts.join("; ")
}

fn program_row(language: &Language, entry: &Entry) -> String {
    let name = match &language.folder {
        Some(folder) => format!("[{}](../{})", inline(&language.name), folder.display()),
        None => inline(&language.name),
    };
    let versions = entry.versions.iter();
    let versions: Vec<String> = versions
        .map(|(axis, version)| format!("{} {}", inline(axis), inline(version)))
        .collect();
    let setup = [inline(&entry.name)].into_iter().chain(versions);
    let setup = setup.collect::<Vec<_>>().join(", ");
    let Some(found) = &entry.found else {
        return format!("| {name} | {setup} | not measured | | | | |\n");
    };
    let around = found.around.clone().unwrap_or_default();
    // The program's own tracer is called as the program.
    let scopes = around.scopes.iter();
    let scopes = scopes.filter(|spans| spans.scope != language.name);
    let scopes: Vec<String> = scopes.map(scope).collect();
    let leaks = around.leaks.iter();
    let leaks: Vec<String> = leaks
        .map(|leak| format!("{} in {}", inline(&leak.text), code(&leak.attribute)))
        .collect();
    format!(
        "| {name} | {setup} | {} | {} of {} | {} | {} | {} |\n",
        outcome(found),
        found.joined,
        found.client_rpcs,
        scopes.join("; "),
        leaks.join("; "),
        note(entry, found),
    )
}

fn scope(spans: &ScopeSpans) -> String {
    let attributes: Vec<String> = spans.attributes.iter().map(|name| code(name)).collect();
    let attributes = match attributes.is_empty() {
        true => String::new(),
        false => format!(", {}", attributes.join(" ")),
    };
    format!(
        "{} (calls below: {}{attributes})",
        code(&spans.scope),
        spans.calls_below
    )
}

fn outcome(found: &Found) -> String {
    match found.outcome.is_whole() {
        true => found.outcome.words().to_owned(),
        false => format!("**{}**", found.outcome),
    }
}

fn newest(entry: &Entry) -> String {
    let Some(found) = &entry.found else {
        return String::new();
    };
    let what = match (&found.mend, found.outcome) {
        (_, Outcome::Whole) => "keeps the trace whole".to_owned(),
        (Some(mend), outcome) => format!(
            "gives *{outcome}*; the smallest change that fixes it: {}",
            code(mend)
        ),
        (None, outcome) => format!("gives *{outcome}*"),
    };
    format!(
        "\nThe newest of everything ({}) {what}.\n",
        inline(&entry.changes())
    )
}

fn columns(cells: &[String]) -> String {
    cells.iter().map(|cell| format!(" {cell} |")).collect()
}

fn inline(text: &str) -> String {
    escape::markdown(text, CELL)
}

fn code(text: &str) -> String {
    escape::code_span(text, CELL)
}

#[cfg(test)]
mod tests {
    use crate::map::tests::sample;

    #[test]
    fn a_map_is_a_page_of_the_documentation() {
        insta::assert_snapshot!(super::markdown(&sample()));
    }

    proptest::proptest! {
        #[test]
        fn nothing_from_a_log_is_more_than_text(
            said in r"[@#<>|`*_\[\]!()&\u{202e}\u{200b}\u{1b}\n a-z0-9:/.-]{0,60}"
        ) {
            let mut map = sample();
            map.unmeasured[0].what = "what".to_owned();
            map.unmeasured[0].reason = said.clone();
            let found = map.examples[0].variants[2].found.as_mut().unwrap();
            found.as_expected = false;
            found.message = said;
            let page = super::markdown(&map);
            let plain = super::markdown(&sample());
            proptest::prop_assert_eq!(page.lines().count(), plain.lines().count());
            let row = page.lines().find(|line| line.contains("[context-lost]") && line.contains("lost |")).unwrap();
            proptest::prop_assert_eq!(row.matches('|').count(), 7, "{}", row);
            for line in [row, page.lines().last().unwrap()] {
                let outside: String = line.split('`').step_by(2).collect();
                proptest::prop_assert!(!outside.contains(['@', '#', '<', '\u{202e}', '\u{200b}', '\u{1b}']), "{}", line);
                proptest::prop_assert!(!line.contains(['\u{202e}', '\u{200b}', '\u{1b}']), "{}", line);
            }
        }
    }
}
