//! One JSON document, of whatever kind.

use super::ProblemKind;
use super::builder::Builder;
use super::otlp_json::Document;

/// Reads a whole document that stands on lines of its own.
pub(crate) fn read(bytes: &[u8], builder: &mut Builder) {
    builder.set_line(None);
    if let Err(error) = parse(bytes, builder) {
        broken(&error, error.line() as u64, builder);
    }
}

/// Reads a document; what stood before a mistake is kept.
pub(crate) fn parse(bytes: &[u8], builder: &mut Builder) -> Result<(), serde_json::Error> {
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

pub(crate) fn broken(error: &serde_json::Error, line: u64, builder: &mut Builder) {
    builder.forget_open();
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
