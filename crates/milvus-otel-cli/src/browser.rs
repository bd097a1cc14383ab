//! A report in the user's browser.

use std::path::Path;
use std::process::{Command, Stdio};

use supervise::{Failure, Result};

/// Opens a file with whatever the user's desktop has for it.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// Opens a page, and fails where nothing does.
pub fn open(page: &Path) -> Result<()> {
    let opened = Command::new(OPENER).arg(page).status();
    match opened.is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err(not_opened(page)),
    }
}

/// The same, without waiting: a browser may stay, and inherits nothing whose end somebody waits for.
pub fn open_apart(page: &Path) -> Result<()> {
    let mut command = Command::new(OPENER);
    command.arg(page).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop).map_err(|_| not_opened(page))
}

fn not_opened(page: &Path) -> Failure {
    Failure::new(format!("`{OPENER}` can't open the report"))
        .hint(format!("open it yourself: {}", page.display()))
}
