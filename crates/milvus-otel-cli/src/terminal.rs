//! What goes to the terminal beside reports: failures, and what the terminal can show.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use supervise::Failure;
use trace_report::{Charset, Detail, TerminalStyle, escape};

use crate::place::named;

/// A quoted log line is cut after so many columns.
const DETAIL_COLUMNS: usize = 200;

/// Text that isn't read on a terminal is this wide, and a table is no easier to read for being wider than the other.
const PIPED_COLUMNS: usize = 80;
const MOST_COLUMNS: usize = 160;

/// What the command line says, once, for all that is printed.
static DETAIL: OnceLock<Detail> = OnceLock::new();

pub fn set_detail(detail: Detail) {
    let _ = DETAIL.set(detail);
}

/// How much is said.
pub fn detail() -> Detail {
    DETAIL.get().copied().unwrap_or_default()
}

/// How standard output wants its text.
pub fn style() -> TerminalStyle {
    let terminal = std::io::stdout().is_terminal();
    TerminalStyle {
        width: columns(std::io::stdout()),
        color: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        ascii: !is_utf8_locale(),
        detail: detail(),
    }
}

/// As many as the terminal has; one that doesn't know says 0.
fn columns(output: impl AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(output);
    match size.map(|size| usize::from(size.ws_col)) {
        Ok(columns) if columns > 0 => columns.min(MOST_COLUMNS),
        _ => PIPED_COLUMNS,
    }
}

/// Prints to standard output; a reader that has gone away is no fault.
pub fn print(content: &[u8]) {
    let _ = std::io::stdout().write_all(content);
}

pub fn print_text(text: &str) {
    print(text.as_bytes());
}

/// Prints what happened, what belongs to it and what to do.
pub fn print_failure(failure: &Failure) {
    let charset = charset();
    let mut text = format!("error: {}\n", escape::visible(&failure.message, charset));
    for line in &failure.detail {
        text += &format!("    {}\n", escape::log_line(line, DETAIL_COLUMNS, charset));
    }
    if let Some(hint) = &failure.hint {
        text += &format!("\nhint: {}\n", escape::visible(&named(hint), charset));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Which characters the user's locale has.
pub fn charset() -> Charset {
    if is_utf8_locale() {
        Charset::Unicode
    } else {
        Charset::Ascii
    }
}

/// As POSIX orders them: the first that is set decides.
fn is_utf8_locale() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
