//! Lines of a bounded width, out of pieces that have a role each.

use std::path::Path;

use super::{Role, TerminalStyle};
use crate::escape;

const NARROWEST: usize = 40;
/// A paragraph from a hostile trace ends after so many columns.
const LONGEST_PARAGRAPH: usize = 2_000;

/// The text so far.
pub(super) struct Page {
    pub(super) style: TerminalStyle,
    out: String,
}

impl Page {
    pub(super) fn new(style: TerminalStyle) -> Self {
        Self {
            style,
            out: String::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn width(&self) -> usize {
        self.style.width.max(NARROWEST)
    }

    /// Text that was made harmless before, in one line.
    pub(super) fn line(&mut self, pieces: &[(Role, String)]) {
        let mut line = String::new();
        for (role, text) in pieces {
            line.push_str(&self.style.paint(*role, text));
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// One empty line, unless there is one already.
    pub(super) fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.blank();
        }
    }

    /// Any text, over as many lines as it needs; the first begins with `first`, the others with `indent`.
    pub(super) fn paragraph(&mut self, first: &'static str, indent: &'static str, text: &str) {
        let charset = self.style.charset();
        let text = escape::clipped(text, LONGEST_PARAGRAPH, charset);
        let widths = [first, indent]
            .map(|label| self.width().saturating_sub(escape::columns(label)).max(10));
        for (index, line) in wrap(&text, widths).into_iter().enumerate() {
            let label = if index == 0 { first } else { indent };
            let role = if index == 0 && !label.trim().is_empty() {
                Role::Heading
            } else {
                Role::Plain
            };
            self.line(&[(role, label.to_owned()), (Role::Plain, line)]);
        }
    }

    /// A path is never cut, so that it can be copied.
    pub(super) fn path(&mut self, label: &str, path: &Path) {
        let path = escape::visible(&path.to_string_lossy(), self.style.charset());
        self.line(&[(Role::Heading, label.to_owned()), (Role::Plain, path)]);
    }
}

/// Breaks at single spaces; a word that is longer than a line is broken where the line ends. `widths` are those of the
/// first line and of the others.
fn wrap(text: &str, widths: [usize; 2]) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for (index, word) in text.split(' ').enumerate() {
        let room = |lines: &Vec<String>| widths[usize::from(lines.len() > 1)];
        let columns = escape::columns(word);
        if index > 0 && used + 1 + columns <= room(&lines) {
            lines.last_mut().expect("there is a line").push(' ');
            used += 1;
        } else if index > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let columns = escape::columns(c.encode_utf8(&mut [0; 4]));
            if used + columns > room(&lines) {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is a line").push(c);
            used += columns;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Charset;

    #[test]
    fn wraps_at_spaces_and_breaks_what_is_too_long() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[""]),
            ("one two three", &["one two", "three"]),
            ("one  two", &["one  two"]),
            ("seventeen letters", &["seventee", "n", "letters"]),
            ("a seventeen", &["a", "seventee", "n"]),
            ("検索検索検索", &["検索検索", "検索"]),
        ];
        for (text, expected) in cases {
            assert_eq!(wrap(text, [8, 8]), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(text in any::<String>(), first in 8_usize..20, rest in 8_usize..20) {
            let text = escape::visible(&text, Charset::Unicode);
            let lines = wrap(&text, [first, rest]);
            prop_assert!(escape::columns(&lines[0]) <= first);
            prop_assert!(lines[1..].iter().all(|line| escape::columns(line) <= rest));
        }
    }
}
