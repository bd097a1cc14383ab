//! JSON documents, of whatever kind.

use std::borrow::Cow;

use serde_json::{Deserializer, Error};

use super::builder::Builder;
use super::bytes;
use super::otlp_json::Document;
use super::problem::ProblemKind;

/// Reads the one document that a message holds.
pub(crate) fn read(bytes: &[u8], builder: &mut Builder) {
    builder.set_line(None);
    if let Err(error) = parse(bytes, builder) {
        broken(&error, error.line() as u64, builder);
    }
}

/// Reads one document after the other; what stood before a mistake is kept.
pub(crate) fn parse(bytes: &[u8], builder: &mut Builder) -> Result<(), Error> {
    let text = mended(bytes);
    let mut deserializer = Deserializer::from_str(&text);
    // The readers have a limit of their own, which costs one value and not the document.
    deserializer.disable_recursion_limit();
    let began = builder.line();
    loop {
        Document::read(&mut deserializer, builder)?;
        let Err(next) = deserializer.end() else {
            return Ok(());
        };
        builder.set_line(began.map(|line| line + (next.line() as u64).saturating_sub(1)));
    }
}

/// JSON that serde_json takes: what is no Unicode costs a character, U+FFFD, instead of the document.
fn mended(bytes: &[u8]) -> Cow<'_, str> {
    let text = bytes::text(bytes);
    let may_be_surrogate = |prefix: &[u8]| memchr::memmem::find(text.as_bytes(), prefix).is_some();
    if may_be_surrogate(b"\\ud") || may_be_surrogate(b"\\uD") {
        Cow::Owned(without_lone_surrogates(&text))
    } else {
        text
    }
}

fn without_lone_surrogates(text: &str) -> String {
    const HIGH: std::ops::Range<u16> = 0xd800..0xdc00;
    const LOW: std::ops::Range<u16> = 0xdc00..0xe000;
    /// The UTF-16 unit of the escape that the text begins with.
    fn unit(text: &str) -> Option<u16> {
        u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
    }
    const ESCAPE: usize = 6;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        out.push_str(before);
        let length = match unit(escape) {
            Some(high)
                if HIGH.contains(&high)
                    && unit(&escape[ESCAPE..]).is_some_and(|low| LOW.contains(&low)) =>
            {
                2 * ESCAPE
            }
            Some(lone) if HIGH.contains(&lone) || LOW.contains(&lone) => {
                out.push_str("\\ufffd");
                rest = &escape[ESCAPE..];
                continue;
            }
            Some(_) => ESCAPE,
            // The backslash and the character that it escapes.
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}

pub(crate) fn broken(error: &Error, line: u64, builder: &mut Builder) {
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
