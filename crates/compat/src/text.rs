//! The map and a bisection for the terminal.

use std::cmp::Ordering;

use trace_report::{Charset, TerminalStyle, escape};

use crate::bisect::{Bisection, Probe};
use crate::map::{Entry, Found, Language, Map};

/// The width of a table's last column, which fits a terminal of 80 columns.
const NOTE: usize = 42;
const NAME: usize = 18;

/// A table for each example, then the unexpected outcomes.
pub fn map_text(map: &Map, style: &TerminalStyle) -> String {
    let charset = charset(style);
    let mut text = summary(map);
    for language in &map.examples {
        text += &format!("\n{}\n", language.name);
        for entry in &language.variants {
            text += &row(entry, charset);
        }
    }
    let unexpected: Vec<(&Language, &Entry, &Found)> = map
        .entries()
        .filter_map(|(language, entry)| Some((language, entry, entry.found.as_ref()?)))
        .filter(|(_, _, found)| !found.as_expected)
        .collect();
    for (language, entry, found) in unexpected {
        text += &format!(
            "\n{} than expected: {} {}: {}{}, expected {}{}\n    {}\n",
            compared(entry, found),
            language.name,
            entry.name,
            found.outcome,
            listed(&found.rules),
            entry.expected,
            listed(&entry.expected_rules),
            escape::visible(&found.message, charset),
        );
        text += &format!(
            "    hint: read `{}`, then fix the cause or change the expected result in matrix.toml\n",
            found.folder.display()
        );
    }
    for one in &map.unmeasured {
        text += &format!("\nnot measured: {}: {}\n", one.what, one.reason);
    }
    text
}

/// The result of each probe, and the border.
pub fn bisection_text(bisection: &Bisection, style: &TerminalStyle) -> String {
    let charset = charset(style);
    let mut text = String::new();
    for probe in &bisection.probes {
        text += &format!(
            "  {} {:<12} {}{}\n",
            bisection.axis,
            probe.version,
            probe.outcome,
            listed(&probe.rules)
        );
    }
    let words = |probe: &Probe| {
        let rules = if probe.rules.is_empty() {
            probe.outcome.words().to_owned()
        } else {
            probe.rules.join(", ")
        };
        format!("{} {} {rules}", bisection.axis, probe.version)
    };
    match &bisection.border {
        None => {
            text += &format!(
                "\nno border: {} {} to {} all come to the same, as far as both ends tell\n",
                bisection.axis, bisection.from, bisection.to
            );
        }
        Some(border) => {
            text += &format!("\n{}, {}", words(&border.before), words(&border.after));
            if !border.changes.is_empty() {
                text += &format!(": {}", escape::visible(&border.changes.join("; "), charset));
            }
            text.push('\n');
        }
    }
    text += &format!(
        "{} of {} versions tried\n",
        bisection.probes.len(),
        bisection.versions
    );
    text
}

fn summary(map: &Map) -> String {
    let all = map.entries().count();
    let verdict = match (map.is_complete(), map.is_as_expected()) {
        (true, true) => "as expected",
        (true, false) => "not as expected",
        (false, _) => "incomplete",
    };
    let counts: Vec<String> = map
        .counts()
        .into_iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    format!(
        "{verdict}   {all} variants · {}\n{}\n",
        map.server,
        counts.join(" · ")
    )
}

fn row(entry: &Entry, charset: Charset) -> String {
    let name = escape::clipped(&entry.name, NAME, charset);
    let Some(found) = &entry.found else {
        return format!("  {name:<NAME$}  not measured\n");
    };
    let mark = if found.as_expected { ' ' } else { '!' };
    let note = match &entry.reason {
        Some(reason) if found.as_expected && found.cause.is_some() => reason.clone(),
        _ if found.cause.is_some() => found.message.clone(),
        _ if found.rules.is_empty() => entry.changes(),
        _ => found.rules.join(", "),
    };
    let note = escape::clipped(&note, NOTE, charset);
    format!("{mark} {name:<NAME$}  {:<16}  {note}\n", found.outcome)
}

fn compared(entry: &Entry, found: &Found) -> &'static str {
    match found.outcome.rank().cmp(&entry.expected.rank()) {
        Ordering::Less => "better",
        Ordering::Greater => "worse",
        Ordering::Equal => "other",
    }
}

fn listed(rules: &[String]) -> String {
    if rules.is_empty() {
        return String::new();
    }
    format!(" ({})", rules.join(", "))
}

fn charset(style: &TerminalStyle) -> Charset {
    if style.ascii {
        Charset::Ascii
    } else {
        Charset::Unicode
    }
}

#[cfg(test)]
mod tests {
    use crate::map::tests::sample;

    #[test]
    fn a_map_fits_a_terminal() {
        insta::assert_snapshot!(super::map_text(
            &sample(),
            &trace_report::TerminalStyle::default()
        ));
    }
}
