//! JSON lines, or one JSON document over many lines.

use super::builder::Builder;
use super::document;

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
            if let Err(error) = document::parse(line, builder) {
                if first && error.is_eof() && line_end < bytes.len() {
                    builder.cut_spans(before);
                    builder.forget_open();
                    document::read(&bytes[line_start..], builder);
                    return;
                }
                document::broken(&error, number, builder);
            }
            first = false;
        }
        line_start = line_end + 1;
    }
}
