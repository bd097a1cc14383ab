//! Lines of a bounded width, out of pieces that have a role each.

use std::path::Path;

use super::style::{Role, TerminalStyle};
use crate::escape;
use crate::wrap::wrap;

const NARROWEST: usize = 40;
/// No system has longer paths.
const LONGEST_PATH: usize = 4_096;
/// A paragraph from a hostile trace ends after so many columns.
const LONGEST_PARAGRAPH: usize = 2_000;

/// The text so far.
pub(crate) struct Page {
    pub(crate) style: TerminalStyle,
    out: String,
}

impl Page {
    pub(crate) fn new(style: TerminalStyle) -> Self {
        Self {
            style,
            out: String::new(),
        }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    pub(crate) fn width(&self) -> usize {
        self.style.width.max(NARROWEST)
    }

    /// Text that was made harmless before, in one line.
    pub(crate) fn line(&mut self, pieces: &[(Role, String)]) {
        let plain: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        let mut line = String::new();
        if let Some(command) = escape::without_workflow_command(&plain) {
            line = escape::clipped(&command, self.width(), self.style.charset());
        } else {
            line.extend(
                pieces
                    .iter()
                    .map(|(role, text)| self.style.paint(*role, text)),
            );
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    pub(crate) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// One empty line, unless there is one already.
    pub(crate) fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.blank();
        }
    }

    /// Any text, over as many lines as it needs; the first begins with `first`, the others with `indent`.
    pub(crate) fn paragraph(&mut self, first: &'static str, indent: &'static str, text: &str) {
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

    /// A path is not cut to the width, so that it can be copied.
    pub(crate) fn path(&mut self, label: &str, path: &Path) {
        let path = escape::clipped(&path.to_string_lossy(), LONGEST_PATH, self.style.charset());
        self.line(&[(Role::Heading, label.to_owned()), (Role::Plain, path)]);
    }
}
