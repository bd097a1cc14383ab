//! Makes text from telemetry and logs harmless, whatever it holds.
//!
//! What would be invisible or would move the cursor is written out, as `\x1b` or `\u{202e}`, so that two names that
//! differ never look the same, and so that nothing read from a trace acts on the place it is shown in.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks, such as accents, that may stand on one character before they are written out.
const MARKS_PER_CHARACTER: usize = 4;

/// No screen is wider.
const WHOLE: usize = 1_000;
/// Bytes of a character and its marks.
const MOST_BYTES: usize = 4 * (1 + MARKS_PER_CHARACTER);

/// Which characters the reader's screen has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    #[default]
    Unicode,
    /// Everything else is written as `\u{e9}`.
    Ascii,
}

/// Writes out everything invisible: control characters, line ends, direction marks, zero-width characters.
///
/// The result is one line in which every character takes its place on the screen.
pub fn visible(text: &str, charset: Charset) -> String {
    let mut out = String::with_capacity(text.len());
    units(text, charset).for_each(|unit| unit.write(&mut out));
    out
}

/// As [`visible`], and cut to `columns` with an ellipsis where it is longer. Reads no more of `text` than it needs.
pub fn clipped(text: &str, columns: usize, charset: Charset) -> String {
    let ellipsis = ellipsis(charset);
    let room = columns.saturating_sub(ellipsis.width());
    let mut out = String::new();
    let mut used = 0;
    // Where the ellipsis goes, if it turns out that one is needed.
    let mut cut = 0;
    for unit in units(text, charset) {
        used += unit.columns();
        if used > columns {
            out.truncate(cut);
            // A column narrower than the ellipsis gets as much of it as fits.
            out.extend(ellipsis.chars().take(columns));
            return out;
        }
        unit.write(&mut out);
        if used <= room {
            cut = out.len();
        }
    }
    out
}

/// As [`clipped`], but leaves out the middle, because the end of a long name is the most significant part.
pub fn clipped_inside(text: &str, columns: usize, charset: Charset) -> String {
    let whole = clipped(text, WHOLE, charset);
    if self::columns(&whole) <= columns {
        return whole;
    }
    let ellipsis = ellipsis(charset);
    let room = columns.saturating_sub(ellipsis.width());
    let head = take(units(text, charset), room / 4);
    // Of a very long text, only the last part is searched for the end.
    let last_part = text.len() - text.len().min(WHOLE * MOST_BYTES);
    let last_part = &text[floor_char_boundary(text, last_part)..];
    let mut tail: Vec<Unit<'_>> = units(last_part, charset).collect();
    let mut left = room - head.iter().map(Unit::columns).sum::<usize>();
    let fits = tail.iter().rev().take_while(|unit| {
        let fits = unit.columns() <= left;
        left = left.saturating_sub(unit.columns());
        fits
    });
    let tail = tail.split_off(tail.len() - fits.count());
    let mut out = String::new();
    head.iter().for_each(|unit| unit.write(&mut out));
    out.extend(ellipsis.chars().take(columns));
    tail.iter().for_each(|unit| unit.write(&mut out));
    out
}

/// The units at the beginning that fit.
fn take<'a>(units: impl Iterator<Item = Unit<'a>>, columns: usize) -> Vec<Unit<'a>> {
    let mut used = 0;
    let fits = |unit: &Unit<'_>| {
        used += unit.columns();
        used <= columns
    };
    units.take_while(fits).collect()
}

fn ellipsis(charset: Charset) -> &'static str {
    match charset {
        Charset::Unicode => "…",
        Charset::Ascii => "...",
    }
}

/// The columns that text made [`visible`] takes on a terminal.
pub fn columns(visible: &str) -> usize {
    visible.width()
}

/// A character with the marks on it, or one written out.
enum Unit<'a> {
    Shown { text: &'a str, columns: usize },
    WrittenOut(char),
}

impl Unit<'_> {
    fn columns(&self) -> usize {
        match self {
            Unit::Shown { columns, .. } => *columns,
            Unit::WrittenOut(c) => written_out(*c).len(),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Unit::Shown { text, .. } => out.push_str(text),
            Unit::WrittenOut(c) => out.push_str(&written_out(*c)),
        }
    }
}

fn units(text: &str, charset: Charset) -> impl Iterator<Item = Unit<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let columns = first.width().unwrap_or(0);
        let shown = columns > 0 && !is_hidden(first) && !begins_ci_command(rest);
        if !shown || (charset == Charset::Ascii && !first.is_ascii()) {
            rest = &rest[first.len_utf8()..];
            return Some(Unit::WrittenOut(first));
        }
        let marks: usize = rest
            .chars()
            .skip(1)
            .take(MARKS_PER_CHARACTER)
            .take_while(|c| charset == Charset::Unicode && c.width() == Some(0) && !is_hidden(*c))
            .map(char::len_utf8)
            .sum();
        let (text, after) = rest.split_at(first.len_utf8() + marks);
        rest = after;
        Some(Unit::Shown { text, columns })
    })
}

fn written_out(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        c => format!("\\u{{{:x}}}", u32::from(c)),
    }
}

/// Control characters, and Unicode's default-ignorable characters, which change the look of others without being visible.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A line that a CI system would take for a command to it, changed so that it doesn't; `None` for any other.
///
/// GitHub obeys `::set-output` and its like wherever a line begins with them, spaces aside.
pub fn without_workflow_command(line: &str) -> Option<String> {
    let text = line.trim_start();
    text.starts_with("::")
        .then(|| format!("{}\\x3a{}", &line[..line.len() - text.len()], &text[1..]))
}

/// For the text or a quoted attribute of an XML or HTML document.
pub fn markup(text: &str, columns: usize) -> String {
    let text = clipped(text, columns, Charset::Unicode);
    replaced(&text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        _ => None,
    })
}

/// As prose in an HTML document: text between backticks is code.
pub fn html_prose(text: &str, columns: usize) -> String {
    let text = markup(text, columns);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text;
    }
    let parts = parts.iter().enumerate();
    parts
        .map(|(index, part)| match index % 2 {
            0 => (*part).to_owned(),
            _ => format!("<code>{part}</code>"),
        })
        .collect()
}

/// For the text of a GitHub workflow command.
pub fn github_data(text: &str, columns: usize) -> String {
    let text = clipped(text, columns, Charset::Unicode);
    replaced(&text, |c| match c {
        '%' => Some("%25"),
        '\r' => Some("%0D"),
        '\n' => Some("%0A"),
        _ => None,
    })
}

/// For a property of a GitHub workflow command.
pub fn github_property(text: &str, columns: usize) -> String {
    replaced(&github_data(text, columns), |c| match c {
        ':' => Some("%3A"),
        ',' => Some("%2C"),
        _ => None,
    })
}

/// As code inside a line of Markdown, a table's cell included. Nobody is mentioned there and nothing linked.
pub fn code_span(text: &str, columns: usize) -> String {
    let text = clipped(text, columns, Charset::Unicode);
    if text.trim().is_empty() {
        return "(empty)".to_owned();
    }
    // A cell ends at a bar even inside code, and a span at a backtick; written out they are as readable.
    let text = replaced(&text, |c| match c {
        '`' => Some("\\x60"),
        '|' => Some("\\x7c"),
        _ => None,
    });
    format!("`{text}`")
}

/// As a block of code in Markdown; the lines were made harmless before.
pub fn fence(lines: &[String]) -> String {
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|c| c != '`'))
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

/// As prose in a line of Markdown, a table's cell included: text between backticks and every word that could mean
/// something to Markdown or GitHub is code.
pub fn markdown(text: &str, columns: usize) -> String {
    let text = clipped(text, columns, Charset::Unicode);
    let parts: Vec<&str> = text.split('`').collect();
    let balanced = parts.len() % 2 == 1;
    if !balanced {
        return prose(&text);
    }
    let mut out = String::new();
    for (index, part) in parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
    {
        let part = if index % 2 == 0 {
            prose(part)
        } else {
            code_span(part, usize::MAX)
        };
        // Two spans without a space between them would be one.
        if out.ends_with('`') && part.starts_with('`') {
            out.push(' ');
        }
        out.push_str(&part);
    }
    out
}

fn prose(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        if word.is_empty() || is_plain(word) {
            word.to_owned()
        } else {
            code_span(word, usize::MAX)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word that Markdown shows as it is and GitHub doesn't turn into a link to a person, issue, commit or page.
fn is_plain(word: &str) -> bool {
    let word = word.strip_prefix(['(', '"']).unwrap_or(word);
    let word = word.trim_end_matches(['.', ',', ';', ':', ')', '"', '?']);
    let is_number = word
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '/'));
    let is_word = word.split('-').all(is_plain_part) && !looks_like_commit(word);
    !word.is_empty() && (is_word || is_number)
}

fn is_plain_part(part: &str) -> bool {
    let mut letters = part.chars();
    letters.all(|c| c.is_alphanumeric() || matches!(c, '\'' | '…' | '–'))
        && !part.is_empty()
        && !part.ends_with(|c: char| c.is_ascii_digit())
}

fn looks_like_commit(word: &str) -> bool {
    word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit())
}

fn replaced(text: &str, replacement: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match replacement(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
    }
    out
}

/// `##[group]`, `##vso[task]`, `##teamcity[test]`: some CI systems obey these wherever they stand in a line.
fn begins_ci_command(text: &str) -> bool {
    text.strip_prefix("##")
        .is_some_and(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_alphabetic()))
}

/// One line of a program's output: its colours are taken out, its tabs are spaces, the rest is [`clipped`].
pub fn log_line(line: &str, columns: usize, charset: Charset) -> String {
    // A line can have any length; the part far beyond the screen isn't parsed.
    let enough = floor_char_boundary(line, columns.saturating_mul(16));
    let plain = anstream::adapter::strip_str(&line[..enough]).to_string();
    let plain = plain.trim_end_matches(['\r', '\n']).replace('\t', "    ");
    clipped(&plain, columns, charset)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn makes_the_invisible_visible() {
        let cases = [
            ("", "", ""),
            (
                "milvus.proto/Search",
                "milvus.proto/Search",
                "milvus.proto/Search",
            ),
            ("a\nb\tc\r", r"a\nb\tc\r", r"a\nb\tc\r"),
            (
                "\x1b[31mred\x1b[0m",
                r"\x1b[31mred\x1b[0m",
                r"\x1b[31mred\x1b[0m",
            ),
            ("\u{9b}31m", r"\u{9b}31m", r"\u{9b}31m"),
            ("\0\x7f", r"\x00\x7f", r"\x00\x7f"),
            (
                "a\u{202e}b\u{2066}c",
                r"a\u{202e}b\u{2066}c",
                r"a\u{202e}b\u{2066}c",
            ),
            (
                "zero\u{200b}width",
                r"zero\u{200b}width",
                r"zero\u{200b}width",
            ),
            ("é 検索", "é 検索", r"\u{e9} \u{691c}\u{7d22}"),
            ("e\u{301}", "e\u{301}", r"e\u{301}"),
            (
                "see ##[add-path]x",
                r"see \x23#[add-path]x",
                r"see \x23#[add-path]x",
            ),
            ("# ## title", "# ## title", "# ## title"),
            ("\u{301}alone", r"\u{301}alone", r"\u{301}alone"),
        ];
        for (text, unicode, ascii) in cases {
            assert_eq!(visible(text, Charset::Unicode), unicode);
            assert_eq!(visible(text, Charset::Ascii), ascii);
        }
    }

    #[test]
    fn a_heap_of_marks_is_written_out() {
        let heap = format!("a{}", "\u{301}".repeat(6));
        assert_eq!(
            visible(&heap, Charset::Unicode),
            format!("a{}{}", "\u{301}".repeat(4), r"\u{301}\u{301}")
        );
    }

    #[test]
    fn cuts_by_columns() {
        let cases = [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("検索検索", 7, "検索検…"),
            ("検索検索", 6, "検索…"),
            ("検索検索", 8, "検索検索"),
            ("ab\x1bcd", 4, "ab…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(
                clipped(text, columns, Charset::Unicode),
                expected,
                "{text:?} in {columns}"
            );
        }
        assert_eq!(clipped("abcdefg", 6, Charset::Ascii), "abc...");
        assert_eq!(clipped("abcdefg", 2, Charset::Ascii), "..");
    }

    #[test]
    fn cuts_in_the_middle() {
        let cases = [
            ("short", 10, "short"),
            (
                "milvus.proto.milvus.MilvusService/Search",
                20,
                "milv…sService/Search",
            ),
            ("検索検索検索", 7, "…索検索"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(clipped_inside(text, columns, Charset::Unicode), expected);
        }
        let long = format!("{}/end", "x".repeat(1 << 20));
        assert!(clipped_inside(&long, 20, Charset::Unicode).ends_with("/end"));
    }

    #[test]
    fn reads_no_more_than_it_shows() {
        let long = "x".repeat(64 << 20);
        // The shortest of several times, because a busy machine lengthens each.
        let shortest = |work: &dyn Fn() -> usize, result| {
            let time = || {
                let began = std::time::Instant::now();
                assert_eq!(work(), result);
                began.elapsed()
            };
            (0..5).map(|_| time()).min().expect("five times")
        };
        let reading = shortest(&|| long.chars().count(), long.len());
        let clipping = shortest(&|| columns(&clipped(&long, 80, Charset::Unicode)), 80);
        let logging = shortest(&|| columns(&log_line(&long, 80, Charset::Unicode)), 80);
        assert!(
            clipping.max(logging) < reading / 10,
            "{clipping:?}, {logging:?}: {reading:?}"
        );
    }

    #[test]
    fn log_lines_lose_their_colours_and_can_do_nothing() {
        let shown = |line| log_line(line, 60, Charset::Unicode);
        assert_eq!(shown("\x1b[1;31merror\x1b[0m: no\r\n"), "error: no");
        assert_eq!(shown("\tat io.milvus.Client"), "    at io.milvus.Client");
        assert_eq!(
            shown("ding\u{202e}gnod\u{9b}2J"),
            r"ding\u{202e}gnod\u{9b}2J"
        );
        assert_eq!(shown("\x1b]0;title\x07text\x1b[2J"), "text");
    }

    #[test]
    fn workflow_commands_are_none() {
        assert_eq!(
            without_workflow_command("  ::error::x").as_deref(),
            Some(r"  \x3a:error::x")
        );
        assert_eq!(without_workflow_command("a ::error::x"), None);
        assert_eq!(without_workflow_command(""), None);
    }

    #[test]
    fn prose_in_markdown_keeps_only_plain_words() {
        let cases = [
            ("15.2 s", "15.2 s"),
            ("Milvus 2.3.5 embedded", "Milvus 2.3.5 embedded"),
            (
                "writes `/` or `grpc.` before it",
                "writes `/` or `grpc.` before it",
            ),
            ("unbalanced ` tick", r"unbalanced `\x60` tick"),
            ("@org/team, #12 and GH-3", "`@org/team,` `#12` and `GH-3`"),
            (
                "see https://example.org/ or www.example.org",
                "see `https://example.org/` or `www.example.org`",
            ),
            ("<b> *x* a|b", r"`<b>` `*x*` `a\x7cb`"),
            ("- [ ] 1. item", "`-` `[` `]` 1. item"),
            (
                "otel-go, a no-op --- -x x-",
                "otel-go, a no-op `---` `-x` `x-`",
            ),
            ("in deadbeef or decade", "in `deadbeef` or decade"),
        ];
        for (text, expected) in cases {
            assert_eq!(markdown(text, 80), expected);
        }
    }

    #[test]
    fn prose_in_html_keeps_its_code_and_no_markup() {
        let cases = [
            ("a `<b>` c", "a <code>&lt;b&gt;</code> c"),
            ("`a` b `c", "`a` b `c"),
            ("\"x\" 'y' &", "&quot;x&quot; &apos;y&apos; &amp;"),
            ("a\u{202e}b", r"a\u{202e}b"),
        ];
        for (text, expected) in cases {
            assert_eq!(html_prose(text, 80), expected);
        }
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let lines = ["a ```` b".to_owned(), "```".to_owned()];
        assert_eq!(fence(&lines), "`````text\na ```` b\n```\n`````\n");
    }

    fn nothing_hidden(text: &str) -> bool {
        text.chars().all(|c| !is_hidden(c))
    }

    proptest! {
        #[test]
        fn nothing_invisible_is_left(text in any::<String>()) {
            prop_assert!(nothing_hidden(&visible(&text, Charset::Unicode)));
            prop_assert!(nothing_hidden(&log_line(&text, 80, Charset::Unicode)));
            prop_assert!(visible(&text, Charset::Ascii).chars().all(|c| matches!(c, ' '..='~')));
        }

        #[test]
        fn html_holds_no_tag_but_code(text in any::<String>()) {
            let html = html_prose(&text, 80);
            let plain = html.replace("<code>", "").replace("</code>", "");
            prop_assert!(!plain.contains(['<', '>', '"', '\'']));
            prop_assert!(nothing_hidden(&plain));
            prop_assert_eq!(html.matches("<code>").count(), html.matches("</code>").count());
        }

        #[test]
        fn a_cell_of_a_table_stays_one(text in any::<String>()) {
            for cell in [markdown(&text, 80), code_span(&text, 80)] {
                prop_assert!(!cell.contains(['|', '\n']) && nothing_hidden(&cell), "{cell}");
            }
        }

        #[test]
        fn is_never_wider_than_asked(text in any::<String>(), limit in 0_usize..100) {
            prop_assert!(columns(&clipped(&text, limit, Charset::Unicode)) <= limit);
            prop_assert!(columns(&clipped(&text, limit, Charset::Ascii)) <= limit);
            prop_assert!(columns(&clipped_inside(&text, limit, Charset::Unicode)) <= limit);
            prop_assert!(columns(&log_line(&text, limit, Charset::Unicode)) <= limit);
        }

        #[test]
        fn what_fits_is_whole(text in any::<String>()) {
            let whole = visible(&text, Charset::Unicode);
            prop_assert_eq!(clipped(&text, usize::MAX, Charset::Unicode), whole);
        }

        #[test]
        fn doing_it_twice_changes_nothing(text in any::<String>()) {
            let once = visible(&text, Charset::Unicode);
            prop_assert_eq!(visible(&once, Charset::Unicode), once);
        }
    }
}
