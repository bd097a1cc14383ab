//! The lines of Milvus's log: `[time] [LEVEL] [file.go:1] ["message"] [key=value] …`, in zap's console format.

use std::io::{self, BufRead};

use chrono::DateTime;

use crate::json;
use crate::lines;
use crate::model::ServerLine;
use crate::reader::{Place, Reader, clipped};

/// Fields that a reader of a trace doesn't miss: the trace's id is above, and a stack fills screens.
const LEFT_OUT: [&str; 2] = ["traceID=", "stack="];

impl Reader {
    /// Reads the log that Milvus writes to its standard output. Lines that name no trace are left out.
    ///
    /// # Errors
    /// Those of `input`.
    pub fn server_log(&mut self, file: &str, input: impl BufRead) -> io::Result<()> {
        lines::each(input, |line, bytes| {
            let place = Place { file, line };
            let named = bytes.filter(|bytes| memchr::memmem::find(bytes, b"[traceID=").is_some());
            let text = named.map(String::from_utf8_lossy);
            if let Some(line) = text.and_then(|text| parse(&text, line)) {
                self.server_line(place, line);
            }
        })
    }
}

fn parse(text: &str, line: u64) -> Option<ServerLine> {
    let mut fields = Fields(text);
    let time = DateTime::parse_from_str(fields.next()?, "%Y/%m/%d %H:%M:%S%.3f %:z").ok()?;
    let (level, caller) = (fields.next()?, fields.next()?);
    let rest: Vec<&str> = fields.collect();
    let trace = rest
        .iter()
        .find_map(|field| field.strip_prefix("traceID="))?;
    let told = rest
        .iter()
        .filter(|field| !LEFT_OUT.iter().any(|prefix| field.starts_with(prefix)));
    let told: Vec<&str> = told.map(|field| unquoted(field).unwrap_or(field)).collect();
    Some(ServerLine {
        time: time.timestamp_nanos_opt()?.try_into().ok()?,
        level: level.to_owned(),
        caller: caller.to_owned(),
        text: clipped(told.join(" ")),
        trace_id: json::id(trace.as_bytes())?,
        line,
    })
}

fn unquoted(field: &str) -> Option<&str> {
    field.strip_prefix('"')?.strip_suffix('"')
}

/// The contents of brackets that stand side by side. Brackets within them nest; within quotes they are text.
struct Fields<'t>(&'t str);

impl<'t> Iterator for Fields<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let text = self.0.trim_start().strip_prefix('[')?;
        let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'[' if !quoted => depth += 1,
                b']' if !quoted && depth > 0 => depth -= 1,
                b']' if !quoted => {
                    self.0 = &text[at + 1..];
                    return Some(&text[..at]);
                }
                _ => {}
            }
        }
        None
    }
}
