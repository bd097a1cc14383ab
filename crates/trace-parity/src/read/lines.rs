//! JSON lines, or one JSON document over many lines.

use serde::de::IgnoredAny;

use super::builder::Builder;
use super::document;

/// From this size on, a second thread is worth its start.
const HALVED_FROM: usize = 8 * 1024 * 1024;

/// Reads every line as a document of its own; where the first one isn't whole, the input as one document.
///
/// Of a large input the second half is read at the same time, and put behind the first: what comes of it is the same.
pub(crate) fn read(bytes: &[u8], builder: &mut Builder) {
    let Some((front, back)) = halves(bytes) else {
        return each(bytes, 0, true, builder);
    };
    let behind = std::thread::scope(|scope| {
        let behind = scope.spawn(|| {
            let mut builder = Builder::default();
            let before = memchr::memchr_iter(b'\n', front).count() as u64;
            each(back, before, false, &mut builder);
            builder
        });
        each(front, 0, true, builder);
        behind.join()
    });
    builder.absorb(behind.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
}

/// Two parts of a large input of several lines.
fn halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = bytes.trim_ascii_start();
    let first = &start[..memchr::memchr(b'\n', start)?];
    let one_document =
        serde_json::from_slice::<IgnoredAny>(first).is_err_and(|error| error.is_eof());
    if bytes.len() < HALVED_FROM || one_document {
        return None;
    }
    let middle = bytes.len() / 2;
    let end = middle + memchr::memchr(b'\n', &bytes[middle..])? + 1;
    Some(bytes.split_at(end))
}

/// Reads the lines behind the first `number` ones.
fn each(bytes: &[u8], mut number: u64, mut first: bool, builder: &mut Builder) {
    let mut line_start = 0;
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
