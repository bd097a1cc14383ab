//! A run as one page that needs nothing else: no server, no network, no other file.
//!
//! Frame, loader, style and program are constants. The loader unpacks style and program, which the page's policy allows by
//! their hashes. What comes from the run is data in two blocks of its own, which the program shows as text; a third block
//! holds the raw spans, so that the page alone can be judged again.

mod data;
mod embedded;
mod spans;
mod stages;

use std::io::{self, Write};

use trace_parity::{TraceLogs, Traces};

use crate::escape;
use crate::run::Run;
use crate::terminal::{TerminalStyle, terminal};
use crate::words;
use data::PageData;
use spans::SpanBlock;

pub use embedded::raw_spans;

const FRAME: &str = include_str!("../assets/report.html");
const STYLE: &str = include_str!("../assets/report.css");
const LOADER: &str = include_str!("../assets/loader.js");
/// One module; the parts share its scope, each using those before it.
const PROGRAM: &str = concat!(
    include_str!("../assets/program/data.js"),
    include_str!("../assets/program/dom.js"),
    include_str!("../assets/program/verdict.js"),
    include_str!("../assets/program/table.js"),
    include_str!("../assets/program/scale.js"),
    include_str!("../assets/program/waterfall.js"),
    include_str!("../assets/program/search.js"),
    include_str!("../assets/program/traces.js"),
    include_str!("../assets/program/stages.js"),
    include_str!("../assets/program/page.js"),
);

/// The content security policy: this style, loader and program, each by its hash, and nothing else.
const POLICY: &str = concat!(
    "default-src 'none'; base-uri 'none'; form-action 'none'; ",
    "style-src 'sha256-kE02goxsdtxU4aimOTawAz/7BrGRliUG9t938GzoETo='; ",
    "script-src 'sha256-VU7l2dD8hvXx+OnAkOoMPAqx4uHKWicMU+YzxjoElKA=' 'sha256-NaTED815mdmpujVu//USZwRPmttn3HQ++p+GQTbTz1E='",
);

/// Writes the run as an HTML document.
///
/// `traces` are the spans that the verdict is about, and `raw` the OTLP JSON they were read from, a request a line, which
/// [`raw_spans`] gives back. A trace too large to look at is shown in part, and the page says so; `raw` is always whole.
///
/// # Errors
///
/// Those of `out`.
pub fn html(run: &Run, traces: &Traces, raw: &[u8], mut out: impl Write) -> io::Result<()> {
    let logs = run.signals.as_deref().map(TraceLogs::new);
    let spans = SpanBlock::of(&run.verdict, traces, &logs.unwrap_or_default());
    let page = PageData::of(run, traces, &spans, raw.len());
    let mut rest = FRAME;
    while let Some((before, after)) = rest.split_once("{{") {
        let (slot, after) = after
            .split_once("}}")
            .expect("the frame closes what it opens");
        out.write_all(before.as_bytes())?;
        match slot {
            "title" => out.write_all(title(run).as_bytes())?,
            "policy" => out.write_all(POLICY.as_bytes())?,
            "loader" => out.write_all(LOADER.as_bytes())?,
            "style" => embedded::packed(without_comments(STYLE).as_bytes(), &mut out)?,
            "program" => embedded::packed(without_comments(PROGRAM).as_bytes(), &mut out)?,
            "text" => out.write_all(text(run).as_bytes())?,
            "report" => embedded::packed_json(&page, &mut out)?,
            "spans" => embedded::packed_json(&spans, &mut out)?,
            "raw" => embedded::packed(raw, &mut out)?,
            other => unreachable!("the frame has no slot `{other}`"),
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

/// The text without indentation and the lines that are comments, which are a sixth of it.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(str::trim_start);
    let lines =
        lines.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("/*"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn title(run: &Run) -> String {
    let what = run
        .stack
        .as_deref()
        .or(run.id.as_deref())
        .unwrap_or("traces compared");
    let outcome = words::outcome(run.verdict.outcome);
    format!("{outcome} · {} · milvus-otel", escape::markup(what, 80))
}

/// The text for readers without JavaScript.
fn text(run: &Run) -> String {
    let style = TerminalStyle {
        width: 100,
        ..TerminalStyle::default()
    };
    terminal(run, &style)
        .lines()
        .map(|line| escape::markup(line, usize::MAX) + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Of a comment over several lines, only the first line would be removed.
    #[test]
    fn comments_end_where_they_begin() {
        for text in [STYLE, PROGRAM] {
            let begin = text
                .lines()
                .map(str::trim_start)
                .filter(|line| line.starts_with("/*"));
            begin.for_each(|line| assert!(line.ends_with("*/"), "{line}"));
            assert!(
                !text
                    .lines()
                    .any(|line| line.trim_start().starts_with('*') && !line.contains('{'))
            );
        }
    }

    #[test]
    fn the_policy_allows_these_assets_and_no_others() {
        let [style, program] = [STYLE, PROGRAM].map(without_comments);
        for (what, text) in [
            ("style", &*style),
            ("loader", LOADER),
            ("program", &*program),
        ] {
            let source = format!(
                "'sha256-{}'",
                STANDARD.encode(hmac_sha256::Hash::hash(text.as_bytes()))
            );
            assert!(
                POLICY.contains(&source),
                "the {what} changed, and its hash is now {source}"
            );
        }
    }
}
