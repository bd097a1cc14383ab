//! JSON documents in any layout: one a line, several on a line, one over many lines, behind a log's prefix, RFC 7464.

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::builder::Builder;
use super::document;
use super::problem::ProblemKind;

/// From this size on, a second thread is worth its start.
const HALVED_FROM: usize = 8 * 1024 * 1024;

/// What stands before each document in RFC 7464.
pub(crate) const RECORD_SEPARATOR: u8 = 0x1e;

/// Reads every line by itself, and a document that doesn't end on its line as far as it goes.
///
/// The second half of a large input is read at the same time and appended; the result is the same.
pub(crate) fn read(bytes: &[u8], builder: &mut Builder) {
    let Some((front, back)) = halves(bytes) else {
        return each(bytes, 0, true, builder);
    };
    let mut behind = builder.beside();
    let behind = std::thread::scope(|scope| {
        let behind = scope.spawn(move || {
            each(back, lines_in(front), false, &mut behind);
            behind
        });
        each(front, 0, true, builder);
        behind.join()
    });
    builder.absorb(behind.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
}

/// Two parts of a large input of several lines.
fn halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = trimmed(bytes);
    let first = &start[..memchr::memchr(b'\n', start)?];
    let one_document = length(first).is_err_and(|error| error.is_eof());
    if bytes.len() < HALVED_FROM || one_document {
        return None;
    }
    let middle = bytes.len() / 2;
    let end = middle + memchr::memchr(b'\n', &bytes[middle..])? + 1;
    Some(bytes.split_at(end))
}

/// Without white space and record separators before it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_text = |&byte: &u8| !byte.is_ascii_whitespace() && byte != RECORD_SEPARATOR;
    &bytes[bytes.iter().position(is_text).unwrap_or(bytes.len())..]
}

/// How long the document is that the bytes begin with.
fn length(bytes: &[u8]) -> Result<usize, serde_json::Error> {
    let mut documents = Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    documents.next().transpose()?;
    Ok(documents.byte_offset())
}

fn is_whole(bytes: &[u8]) -> bool {
    length(bytes).is_ok_and(|length| trimmed(&bytes[length..]).is_empty())
}

/// Reads the lines behind the first `number` ones.
fn each(bytes: &[u8], mut number: u64, mut first: bool, builder: &mut Builder) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest);
        let line = trimmed(&rest[..end.unwrap_or(rest.len())]);
        let mut behind = &rest[end.map_or(rest.len(), |end| end + 1)..];
        number += 1;
        if !line.is_empty() {
            builder.set_line(Some(number));
            let before = builder.span_count();
            if let Err(error) = self::line(line, builder) {
                let document = trimmed(rest);
                let goes_on = error.is_eof() && !trimmed(behind).is_empty();
                let whole = goes_on.then(|| length(document).ok()).flatten();
                if whole.is_some() || goes_on && first && !begins(behind) {
                    builder.cut_spans(before);
                    builder.forget_open();
                    behind = match whole {
                        Some(length) => {
                            spread(&document[..length], number, builder);
                            &document[length..]
                        }
                        None => spread(document, number, builder),
                    };
                    let over = &document[..document.len() - behind.len()];
                    // The next round counts the line that it begins on.
                    number = (number + lines_in(over)).saturating_sub(1);
                } else {
                    document::broken(&error, number, builder);
                }
            }
            first = false;
        }
        rest = behind;
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Whether a document begins here: one over many lines is indented.
fn begins(line: &[u8]) -> bool {
    matches!(line.first(), Some(&(b'{' | b'[' | RECORD_SEPARATOR)))
}

/// Reads a document that begins on line `number` and goes over several; where it breaks off, tells the lines from the next one that
/// begins like a document.
fn spread<'b>(bytes: &'b [u8], number: u64, builder: &mut Builder) -> &'b [u8] {
    builder.set_line(Some(number));
    let Err(error) = document::parse(trimmed(bytes), builder) else {
        return &[];
    };
    document::broken(
        &error,
        number + (error.line() as u64).saturating_sub(1),
        builder,
    );
    let mut behind = bytes;
    // The line with the mistake may be the next document's first.
    for _ in 0..error.line().saturating_sub(1).max(1) {
        let end = memchr::memchr(b'\n', behind);
        behind = &behind[end.map_or(behind.len(), |end| end + 1)..];
    }
    while !behind.is_empty() && !begins(behind) {
        let end = memchr::memchr(b'\n', behind);
        behind = &behind[end.map_or(behind.len(), |end| end + 1)..];
    }
    behind
}

/// Reads the documents of one line, which may stand behind a log's prefix.
fn line(line: &[u8], builder: &mut Builder) -> Result<(), serde_json::Error> {
    if line[0] == b'{' {
        return document::parse(line, builder);
    }
    if line[0] == b'[' && length(line).is_ok_and(|length| length > 2) {
        return document::parse(line, builder);
    }
    let record = memchr::memmem::find_iter(line, b"{\"").map(|start| &line[start..]);
    if let Some(record) = record.take(PREFIXES).find(|record| is_whole(record)) {
        return document::parse(record, builder);
    }
    if line[0] == b'[' {
        return document::parse(line, builder);
    }
    if memchr::memmem::find(line, b"\":").is_some() {
        builder.problem(
            ProblemKind::LostRecord,
            "the line begins within a record, whose head is cut off".to_owned(),
        );
        return Ok(());
    }
    builder.problem(ProblemKind::OtherText, "a line is not JSON".to_owned());
    Ok(())
}

/// At how many places of a line a record is looked for.
const PREFIXES: usize = 4;
