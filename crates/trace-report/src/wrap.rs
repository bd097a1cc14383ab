//! Breaks text into lines of a bounded width.

use crate::escape;

/// Breaks at single spaces; a word that is longer than a line is broken where the line ends. `widths` are those of the
/// first line and of the others.
pub fn wrap(text: &str, widths: [usize; 2]) -> Vec<String> {
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
    use crate::{Charset, escape};

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
