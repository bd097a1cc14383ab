//! JSON lines, or one JSON document over many lines.

use super::ProblemKind;
use super::builder::Builder;
use super::otlp_json::Document;

/// Reads every line as a document of its own; where the first one isn't whole, the input as one document.
pub(crate) fn read(bytes: &[u8], builder: &mut Builder) {
    let mut line_start = 0;
    let mut number = 0;
    let mut first = true;
    while line_start < bytes.len() {
        let line_end = memchr::memchr(b'\n', &bytes[line_start..])
            .map_or(bytes.len(), |length| line_start + length);
        let line = &bytes[line_start..line_end];
        number += 1;
        if !line.trim_ascii().is_empty() {
            builder.set_line(Some(number));
            let before = builder.span_count();
            let read = document(line, builder);
            if let Err(error) = read {
                builder.forget_open();
                if first && error.is_eof() && line_end < bytes.len() {
                    builder.cut_spans(before);
                    whole(&bytes[line_start..], builder);
                    return;
                }
                broken(&error, number, builder);
            }
            first = false;
        }
        line_start = line_end + 1;
    }
}

fn whole(bytes: &[u8], builder: &mut Builder) {
    builder.set_line(None);
    if let Err(error) = document(bytes, builder) {
        builder.forget_open();
        let line = error.line() as u64;
        builder.set_line(Some(line));
        broken(&error, line, builder);
    }
}

fn document(bytes: &[u8], builder: &mut Builder) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut document = Document::new(builder);
    document.read(&mut deserializer)?;
    let known = document.known;
    deserializer.end()?;
    if !known {
        builder.problem(
            ProblemKind::LostRecord,
            "a JSON document without `resourceSpans`".to_owned(),
        );
    }
    Ok(())
}

fn broken(error: &serde_json::Error, line: u64, builder: &mut Builder) {
    let what = if error.is_eof() {
        "breaks off"
    } else {
        "is not JSON"
    };
    builder.set_line(Some(line));
    builder.problem(
        ProblemKind::LostRecord,
        format!("the record {what} at column {}", error.column()),
    );
}
