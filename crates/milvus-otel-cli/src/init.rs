//! `init`: the lines that make a project's traces whole, and a contract and a CI step beside them.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use compat::init::{Advised, NewFile, advise, files, write};
use supervise::{IoContext, Result};
use trace_report::escape;

use crate::cli::Init;
use crate::place::named;
use crate::terminal;

/// A line is cut after so many columns: it may quote a file.
const COLUMNS: usize = 1_000;

pub(crate) fn init(arguments: &Init) -> Result<ExitCode> {
    let folder = Path::new(".").canonicalize().at("read", Path::new("."))?;
    let advised = advise(&folder)?;
    let words = || arguments.command.iter().map(String::as_str);
    // Only a zero byte can't be quoted, and no argument has one.
    let command = shlex::try_join(words())
        .ok()
        .filter(|text| !text.is_empty());
    let command = command.as_deref();
    let mut text: String = advised
        .iter()
        .map(|one| shown(&folder, one, command))
        .collect();
    let files = files(&folder, &advised[0], command);
    if arguments.write {
        text += &files
            .iter()
            .map(|file| preview(&folder, file))
            .collect::<String>();
    }
    terminal::print_text(&named(&text));
    if arguments.write {
        write(&files)?;
        terminal::print_text("written: review both before you commit them\n");
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(folder: &Path, advised: &Advised, command: Option<&str>) -> String {
    let line = |text: &str| escape::log_line(text, COLUMNS, terminal::charset());
    let file = advised.file.strip_prefix(folder).unwrap_or(&advised.file);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} in {}\n",
        advised.language,
        line(&advised.client),
        line(&file.display().to_string())
    );
    for warning in &advised.warnings {
        let _ = writeln!(
            text,
            "warning  {}\n         cure: {}\n",
            line(&warning.what),
            line(&warning.cure)
        );
    }
    let _ = writeln!(text, "install  {}\n", advised.install);
    let _ = writeln!(text, "add      {}:\n", advised.location);
    for code in advised.lines.lines() {
        let _ = writeln!(text, "{}", format!("    {code}").trim_end());
    }
    text.push('\n');
    for (at, reason) in advised.reasons.iter().enumerate() {
        let _ = writeln!(text, "{:9}{reason}", if at == 0 { "because" } else { "" });
    }
    let command = command.unwrap_or(advised.command);
    let _ = writeln!(text, "\ncheck    {{program}} exec -- {}", line(command));
    text.push('\n');
    text
}

fn preview(folder: &Path, file: &NewFile) -> String {
    let path = file.path.strip_prefix(folder).unwrap_or(&file.path);
    let lines = file.text.lines();
    let lines = lines.map(|line| escape::log_line(line, COLUMNS, terminal::charset()));
    let text: String = lines
        .map(|line| format!("    {line}").trim_end().to_owned() + "\n")
        .collect();
    format!("{}:\n\n{text}\n", path.display())
}
