//! The terminal's abilities, the reader's wishes, and colours.

use anstyle::{AnsiColor, Style};

use crate::escape::Charset;

/// The terminal's abilities, and how much the reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Columns; at least 40 are used.
    pub width: usize,
    pub color: bool,
    /// Nothing but ASCII, for a locale that isn't UTF-8.
    pub ascii: bool,
    pub detail: Detail,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The verdict, and a line for each finding.
    Quiet,
    #[default]
    Normal,
    /// Notes, times, phases and versions too.
    Verbose,
}

impl Default for TerminalStyle {
    /// Plain text, 80 columns wide.
    fn default() -> Self {
        Self {
            width: 80,
            color: false,
            ascii: false,
            detail: Detail::Normal,
        }
    }
}

/// The role of a piece of text. Its color only repeats the meaning of its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Plain,
    Heading,
    Good,
    Bad,
    Warning,
    Known,
    Faint,
}

impl TerminalStyle {
    pub(crate) fn charset(&self) -> Charset {
        if self.ascii {
            Charset::Ascii
        } else {
            Charset::Unicode
        }
    }

    pub(crate) fn separator(&self) -> &'static str {
        if self.ascii { ", " } else { " · " }
    }

    pub(super) fn paint(&self, role: Role, text: &str) -> String {
        let style = match role {
            Role::Plain => Style::new(),
            Role::Heading => Style::new().bold(),
            Role::Good => AnsiColor::Green.on_default().bold(),
            Role::Bad => AnsiColor::Red.on_default().bold(),
            Role::Warning => AnsiColor::Yellow.on_default().bold(),
            Role::Known => AnsiColor::Cyan.on_default(),
            Role::Faint => Style::new().dimmed(),
        };
        if self.color && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}
