//! The map as one HTML page: a heat map whose cells link to the results. It has no script and loads nothing.

use std::fmt::Write;

use trace_parity::{Family, Severity};
use trace_report::escape;

use crate::map::{Entry, Found, FoundFinding, Language, Map};
use crate::outcome::Outcome;

/// The maximum length of a text. A message may quote a whole log.
const TEXT: usize = 4_000;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(map: &Map) -> String {
    let mut html = head(map);
    for language in &map.examples {
        heat(&mut html, language);
    }
    for language in &map.examples {
        let _ = writeln!(html, "<h2>What was found: {}</h2>", text(&language.name));
        for entry in &language.variants {
            details(&mut html, language, entry);
        }
    }
    if !map.unmeasured.is_empty() {
        html += "<h2>Not measured</h2>\n<dl>\n";
        for one in &map.unmeasured {
            let _ = writeln!(
                html,
                "<dt>{}</dt><dd>{}</dd>",
                prose(&one.what),
                prose(&one.reason)
            );
        }
        html += "</dl>\n";
    }
    html += "</body></html>\n";
    html
}

fn head(map: &Map) -> String {
    let days = match map.days() {
        Some((first, last)) if first == last => first.to_owned(),
        Some((first, last)) => format!("{first} to {last}"),
        None => "never".to_owned(),
    };
    let links = map.examples.iter().fold(String::new(), |links, language| {
        let name = text(&language.name);
        links + &format!("<a href=\"#{name}\">{name}</a>")
    });
    let chips = map
        .counts()
        .into_iter()
        .fold(String::new(), |chips, (outcome, count)| {
            chips + &format!("<li class=\"{}\">{count} {outcome}</li>", heat_of(outcome))
        });
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Which versions keep a trace whole</title><style>{STYLE}</style></head><body>\n\
         <h1>Which versions keep a trace whole</h1>\n\
         <p class=\"soft\">{} variants against {}, measured {} on {}, {} cores, {} GiB</p>\n\
         <ul class=\"chips\">{chips}</ul>\n<nav>{links}</nav>\n\
         <p class=\"soft\">Bold is what isn't the example's own. A cell leads to what was found; ✓ means that nothing was found.</p>\n",
        map.entries().count(),
        text(&map.server),
        text(&days),
        text(&map.machine.system),
        map.machine.cores,
        map.machine.memory_gib,
    )
}

fn heat(html: &mut String, language: &Language) {
    let name = text(&language.name);
    let _ = write!(
        html,
        "<h2 id=\"{name}\">{name}</h2>\n<div class=\"wide\" tabindex=\"0\"><table class=\"heat\"><thead><tr><th>variant</th><th>what becomes of it</th>"
    );
    for axis in &language.axes {
        let _ = write!(
            html,
            "<th title=\"{}\">{}</th>",
            text(&axis.packages.join(", ")),
            text(&axis.name)
        );
    }
    for family in families() {
        let _ = write!(html, "<th>{family}</th>");
    }
    html.push_str("</tr></thead>\n");
    for entry in &language.variants {
        heat_row(html, language, entry);
    }
    html.push_str("</table></div>\n");
}

/// Variants are judged by their spans alone.
fn families() -> impl Iterator<Item = Family> {
    let all = Family::ALL.into_iter();
    all.filter(|family| *family != Family::Signals)
}

fn heat_row(html: &mut String, language: &Language, entry: &Entry) {
    let id = id(language, entry);
    let odd = entry.found.as_ref().is_some_and(|found| !found.as_expected);
    let class = if odd { " class=\"odd\"" } else { "" };
    let _ = write!(
        html,
        "<tr{class}><td><a href=\"#{id}\">{}</a></td>",
        text(&entry.name)
    );
    let (class, words) = match &entry.found {
        None => ("none", "not measured"),
        Some(found) => (heat_of(found.outcome), found.outcome.words()),
    };
    let surprise = if odd { ", not as expected" } else { "" };
    let _ = write!(
        html,
        "<td class=\"c outcome\"><a class=\"{class}\" href=\"#{id}\">{words}{surprise}</a></td>"
    );
    for axis in &language.axes {
        let version = entry.versions.get(&axis.name).map_or("", String::as_str);
        let class = match entry.set.contains(&axis.name) {
            true => " class=\"set\"",
            false => "",
        };
        let _ = write!(html, "<td{class}>{}</td>", text(version));
    }
    for family in families() {
        let (class, words) = cell(entry.found.as_ref(), family);
        let _ = write!(
            html,
            "<td class=\"c\"><a class=\"{class}\" href=\"#{id}\">{words}</a></td>"
        );
    }
    html.push_str("</tr>\n");
}

fn heat_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Whole => "ok",
        Outcome::NotHonoured | Outcome::Differs => "warn",
        Outcome::ServerHalfLost | Outcome::ClientHalfLost => "bad",
        Outcome::DoesNotBuild | Outcome::CouldNotRun => "none",
    }
}

fn cell(found: Option<&Found>, family: Family) -> (&'static str, &'static str) {
    let Some(found) = found.filter(|found| found.client_rpcs > 0 || !found.findings.is_empty())
    else {
        return ("blank", "–");
    };
    let worst = found.families.iter().find(|(name, _)| *name == family);
    match worst.map(|(_, severity)| *severity) {
        None => ("quiet", "✓"),
        Some(Severity::Info) => ("quiet", "info"),
        Some(Severity::Warning) => ("warn", "warning"),
        Some(Severity::Error) => ("bad", "error"),
    }
}

fn details(html: &mut String, language: &Language, entry: &Entry) {
    let _ = writeln!(
        html,
        "<section id=\"{}\"><h3>{} {}</h3>\n<p class=\"soft\">{}</p>\n<dl>",
        id(language, entry),
        text(&language.name),
        text(&entry.name),
        text(&entry.changes())
    );
    let mut term = |name: &str, what: String| {
        let _ = writeln!(html, "<dt>{name}</dt><dd>{what}</dd>");
    };
    let expected = match entry.expected_rules.is_empty() {
        true => entry.expected.words().to_owned(),
        false => format!("{} ({})", entry.expected, entry.expected_rules.join(", ")),
    };
    let reason = entry.reason.as_deref().map(prose);
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    term("expected", format!("{}{why}", text(&expected)));
    let Some(found) = &entry.found else {
        term("found", "not measured yet".to_owned());
        html.push_str("</dl></section>\n");
        return;
    };
    term(
        "found",
        format!("<b>{}</b>: {}", found.outcome, prose(&found.message)),
    );
    if let Some(mend) = &found.mend {
        term("mend", format!("<code>{}</code>", text(mend)));
    }
    for divergence in &found.divergences {
        term("expected divergence", prose(divergence));
    }
    term(
        "measured",
        format!(
            "{}, prepared in {:.1} s, ran {:.1} s, {} of {} calls joined",
            text(&found.measured),
            found.seconds.0,
            found.seconds.1,
            found.joined,
            found.client_rpcs
        ),
    );
    term("kept", kept(language, entry, found));
    html.push_str("</dl>\n");
    if !found.findings.is_empty() {
        findings(html, &found.findings);
    }
    if !found.all_versions.is_empty() {
        html.push_str("<details><summary>versions as resolved</summary><pre>");
        for (name, version) in &found.all_versions {
            let _ = writeln!(html, "{} {}", text(name), text(version));
        }
        html.push_str("</pre></details>\n");
    }
    html.push_str("</section>\n");
}

/// The page is beside the results. A variant that ran has its own report there.
fn kept(language: &Language, entry: &Entry, found: &Found) -> String {
    let folder = format!("<code>{}</code>", text(&found.folder.to_string_lossy()));
    match found.all_versions.is_empty() {
        true => folder,
        false => format!(
            "<a href=\"{}/{}/report.html\">report</a>, capture and logs in {folder}",
            text(&language.name),
            text(&entry.name)
        ),
    }
}

fn findings(html: &mut String, findings: &[FoundFinding]) {
    html.push_str("<table><thead><tr><th>rule</th><th>severity</th><th>times</th><th>what was seen</th><th>what to do</th></tr></thead>\n");
    for finding in findings {
        let severity = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{severity}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            text(&finding.rule),
            finding.count,
            prose(&finding.message),
            prose(finding.hint.as_deref().unwrap_or_default())
        );
    }
    html.push_str("</table>\n");
}

/// Names are checked when the plan is read, so they need no escaping.
fn id(language: &Language, entry: &Entry) -> String {
    format!("{}-{}", language.name, entry.name)
}

fn prose(raw: &str) -> String {
    escape::html_prose(raw, TEXT)
}

fn text(raw: &str) -> String {
    escape::markup(raw, TEXT)
}

#[cfg(test)]
mod tests {
    use crate::map::tests::sample;

    #[test]
    fn nothing_from_a_trace_or_a_log_is_markup() {
        let page = super::page(&sample());
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains('\u{1b}'));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("a&lt;b&gt; 1"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_markup_or_moves_the_reader(
            said in r#"[@<>`"'&\u{202e}\u{200b}\u{1b}\n a-z/=-]{0,60}"#
        ) {
            let html = super::prose(&said);
            let without_code = html.replace("<code>", "").replace("</code>", "");
            proptest::prop_assert!(!without_code.contains(['<', '>', '"', '\u{202e}', '\u{200b}', '\u{1b}', '\n']), "{}", html);
        }
    }

    #[test]
    fn every_cell_leads_to_its_details() {
        let page = super::page(&sample());
        let mut linked = 0;
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!(" id=\"{id}\">")), "{id}");
            linked += 1;
        }
        // One cell for the example; a name, an outcome and nine families for each of five variants.
        assert_eq!(linked, 1 + 5 * 11);
    }
}
