//! The map as one HTML page: a heat map whose cells lead to what was found. No script, nothing loaded from elsewhere.

use std::fmt::Write;

use trace_parity::{Family, Severity};
use trace_report::{Charset, escape};

use super::map::{Entry, Found, Language, Map};
use super::outcome::Outcome;

const FAMILIES: [Family; 9] = [
    Family::Delivery,
    Family::Identity,
    Family::Structure,
    Family::Join,
    Family::Scenario,
    Family::Vocabulary,
    Family::Server,
    Family::Outcome,
    Family::Bookkeeping,
];

const STYLE: &str = "\
:root{color-scheme:light dark;--ok:#2e7d32;--info:#558b2f;--warn:#b26a00;--bad:#b71c1c;--none:#8888}\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:88rem;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.2rem .55rem;text-align:left;border:1px solid #8883}\
th{font-weight:600}td.c{text-align:center;padding:0}td.c a{display:block;padding:.2rem .5rem;color:#fff;text-decoration:none}\
.ok{background:var(--ok)}.info{background:var(--info)}.warn{background:var(--warn)}.bad{background:var(--bad)}.none{background:var(--none)}\
.set{font-weight:700}.odd{outline:3px solid var(--bad)}section{border-top:1px solid #8886;margin-top:1rem}section:target{background:#ffd54f33}\
code,pre{font-family:ui-monospace,monospace;font-size:.92em}pre{white-space:pre-wrap}.wide{overflow-x:auto}.wide th,.wide td{white-space:nowrap;font-size:13px}";

/// The whole page.
pub fn page(map: &Map) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Which versions keep a trace whole</title><style>{STYLE}</style></head><body>\n\
         <h1>Which versions keep a trace whole</h1>\n"
    );
    let days = map.days().map_or_else(String::new, |(first, last)| {
        if first == last {
            first
        } else {
            format!("{first} to {last}")
        }
    });
    let counts: Vec<String> = map
        .counts()
        .into_iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    let _ = writeln!(
        html,
        "<p>{} variants: {}. {}, {}, {} cores, {} GiB, measured {}.</p>",
        map.entries().count(),
        counts.join(", "),
        text(&map.server),
        text(&map.machine.system),
        map.machine.cores,
        map.machine.memory_gib,
        text(&days)
    );
    for language in &map.examples {
        heat(&mut html, language);
    }
    for (language, entry) in map.entries() {
        details(&mut html, language, entry);
    }
    if !map.unmeasured.is_empty() {
        html += "<h2>Not measured</h2><ul>\n";
        for one in &map.unmeasured {
            let _ = writeln!(
                html,
                "<li><b>{}</b>: {}</li>",
                text(&one.what),
                text(&one.reason)
            );
        }
        html += "</ul>\n";
    }
    html += "</body></html>\n";
    html
}

fn heat(html: &mut String, language: &Language) {
    let _ = write!(
        html,
        "<h2>{}</h2>\n<div class=\"wide\"><table><tr><th>variant</th>",
        text(&language.name)
    );
    for axis in &language.axes {
        let _ = write!(
            html,
            "<th title=\"{}\">{}</th>",
            text(&axis.packages.join(", ")),
            text(&axis.name)
        );
    }
    html.push_str("<th>outcome</th>");
    for family in FAMILIES {
        let _ = write!(html, "<th>{family}</th>");
    }
    html.push_str("</tr>\n");
    for entry in &language.variants {
        let id = id(language, entry);
        let odd = entry.found.as_ref().is_some_and(|found| !found.as_expected);
        let class = if odd { " class=\"odd\"" } else { "" };
        let _ = write!(
            html,
            "<tr{class}><td><a href=\"#{id}\">{}</a></td>",
            text(&entry.name)
        );
        for axis in &language.axes {
            let version = entry.versions.get(&axis.name).map_or("", String::as_str);
            let class = if entry.set.contains(&axis.name) {
                " class=\"set\""
            } else {
                ""
            };
            let _ = write!(html, "<td{class}>{}</td>", text(version));
        }
        let (class, words) = match &entry.found {
            None => ("none", "not measured"),
            Some(found) => (heat_of(found.outcome), found.outcome.words()),
        };
        let _ = write!(
            html,
            "<td class=\"c\"><a class=\"{class}\" href=\"#{id}\">{words}</a></td>"
        );
        for family in FAMILIES {
            let (class, words) = cell(entry.found.as_ref(), family);
            let _ = write!(
                html,
                "<td class=\"c\"><a class=\"{class}\" href=\"#{id}\">{words}</a></td>"
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

fn heat_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Whole => "ok",
        Outcome::Differs => "warn",
        Outcome::ServerHalfLost | Outcome::ClientHalfLost => "bad",
        Outcome::DoesNotBuild | Outcome::CouldNotRun => "none",
    }
}

fn cell(found: Option<&Found>, family: Family) -> (&'static str, &'static str) {
    let Some(found) = found.filter(|found| found.client_rpcs > 0 || !found.findings.is_empty())
    else {
        return ("none", "–");
    };
    let worst = found.families.iter().find(|(name, _)| *name == family);
    match worst.map(|(_, severity)| severity) {
        None => ("ok", "ok"),
        Some(Severity::Info) => ("info", "info"),
        Some(Severity::Warning) => ("warn", "warning"),
        Some(Severity::Error) => ("bad", "error"),
    }
}

fn details(html: &mut String, language: &Language, entry: &Entry) {
    let _ = writeln!(
        html,
        "<section id=\"{}\"><h3>{} {}</h3>\n<p>{}</p>",
        id(language, entry),
        text(&language.name),
        text(&entry.name),
        text(&entry.changes())
    );
    let expected = match entry.expected_rules.is_empty() {
        true => entry.expected.words().to_owned(),
        false => format!("{} ({})", entry.expected, entry.expected_rules.join(", ")),
    };
    let reason = entry
        .reason
        .as_deref()
        .map(|reason| format!(": {}", text(reason)))
        .unwrap_or_default();
    let _ = writeln!(html, "<p>expected: {}{reason}</p>", text(&expected));
    let Some(found) = &entry.found else {
        html.push_str("<p>not measured yet</p></section>\n");
        return;
    };
    let _ = writeln!(
        html,
        "<p>found: <b>{}</b>, {} of {} calls joined; measured {}, prepared in {:.1} s, ran {:.1} s</p>\n<p>{}</p>",
        found.outcome,
        found.joined,
        found.client_rpcs,
        text(&found.measured),
        found.seconds.0,
        found.seconds.1,
        text(&found.message)
    );
    if let Some(mend) = &found.mend {
        let _ = writeln!(
            html,
            "<p>the smallest change to a variant that is whole: <code>{}</code></p>",
            text(mend)
        );
    }
    if !found.findings.is_empty() {
        html.push_str("<table><tr><th>rule</th><th>severity</th><th>times</th><th>what was seen</th><th>what to do</th></tr>\n");
        for finding in &found.findings {
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
                text(&finding.message),
                text(finding.hint.as_deref().unwrap_or_default())
            );
        }
        html.push_str("</table>\n");
    }
    for divergence in &found.divergences {
        let _ = writeln!(html, "<p>expected divergence: {}</p>", text(divergence));
    }
    let _ = writeln!(
        html,
        "<p>capture, logs and report: <code>{}</code></p>",
        text(&found.folder.to_string_lossy())
    );
    if !found.all_versions.is_empty() {
        html.push_str("<details><summary>versions as resolved</summary><pre>");
        for (name, version) in &found.all_versions {
            let _ = writeln!(html, "{} {}", text(name), text(version));
        }
        html.push_str("</pre></details>\n");
    }
    html.push_str("</section>\n");
}

/// Names are checked when the plan is read: nothing in them needs escaping.
fn id(language: &Language, entry: &Entry) -> String {
    format!("{}-{}", language.name, entry.name)
}

fn text(raw: &str) -> String {
    escape::visible(raw, Charset::Unicode)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::map::tests::sample;

    #[test]
    fn nothing_from_a_trace_or_a_log_is_markup() {
        let page = super::page(&sample());
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains('\u{1b}'));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("a&lt;b&gt; 1"));
    }

    #[test]
    fn every_cell_leads_to_its_details() {
        let page = super::page(&sample());
        let mut linked = 0;
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
            linked += 1;
        }
        // A name, an outcome and nine families for each of five variants.
        assert_eq!(linked, 5 * 11);
    }
}
