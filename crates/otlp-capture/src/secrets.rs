//! Finds secrets in data, in clear and in base64, and replaces them with stars.
//!
//! A secret is replaced with as many asterisks as it has bytes. The lengths in a protobuf message
//! stay right, and a stream needs no more memory than the longest secret.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use memchr::memmem::Finder;
use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

/// Texts that must not be stored.
#[derive(Clone, Default)]
pub struct Secrets {
    needles: Arc<[Finder<'static>]>,
}

/// The minimum length of a secret part of a token. Shorter parts, such as `root`, occur in many
/// texts.
const SHORTEST_PART: usize = 8;
/// The minimum length of a searched form. The rest of a short secret's base64 could occur in any
/// text.
const SHORTEST_FORM: usize = 6;

impl Secrets {
    /// These texts, each in clear, escaped for JSON and for URLs, and in base64.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut forms: Vec<Vec<u8>> = texts.into_iter().flat_map(forms_of).collect();
        forms.sort();
        forms.dedup();
        Self {
            needles: forms
                .iter()
                .map(|form| Finder::new(form).into_owned())
                .collect(),
        }
    }

    /// A token, and those of its parts (`user:password`) that are long enough.
    pub fn token(token: &str) -> Vec<&str> {
        let parts = token
            .split_once(':')
            .map_or_else(Vec::new, |(user, password)| vec![user, password]);
        let long = parts.into_iter().filter(|part| part.len() >= SHORTEST_PART);
        std::iter::once(token).chain(long).collect()
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Replaces the secrets that are complete in `bytes`.
    pub fn redact(&self, bytes: &mut [u8]) {
        for range in self.found_in(bytes) {
            bytes[range].fill(b'*');
        }
    }

    /// The text without secrets.
    pub fn redacted(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.redact(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A writer that passes on everything except secrets, even if they are split over several
    /// writes.
    pub fn writer<W: Write>(&self, inner: W) -> Redacting<W> {
        Redacting {
            secrets: self.clone(),
            inner,
            held: Vec::new(),
            starred: 0,
        }
    }

    /// The positions of secrets, which may overlap.
    fn found_in(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for needle in self.needles.iter() {
            let mut from = 0;
            while let Some(at) = needle.find(&bytes[from..]) {
                found.push(from + at..from + at + needle.needle().len());
                from += at + 1;
            }
        }
        found
    }

    /// The length of the longest suffix of `bytes` that may be the beginning of a secret.
    fn begun_in(&self, bytes: &[u8]) -> usize {
        let begun = |needle: &Finder<'_>| {
            let needle = needle.needle();
            let longest = (needle.len() - 1).min(bytes.len());
            (1..=longest)
                .rev()
                .find(|&length| bytes.ends_with(&needle[..length]))
        };
        self.needles.iter().filter_map(begun).max().unwrap_or(0)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Passes on data without secrets. Bytes that may be the beginning of a secret are held back until
/// more is written, or until the end.
#[derive(Debug)]
pub struct Redacting<W: Write> {
    secrets: Secrets,
    inner: W,
    /// Unchanged bytes that may begin a secret.
    held: Vec<u8>,
    /// The number of these bytes that belong to a secret already found.
    starred: usize,
}

impl<W: Write> Redacting<W> {
    /// Passes on the bytes held back at the end of the data.
    ///
    /// # Errors
    /// Those of the inner writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.pass_on(0)?;
        self.inner.flush()
    }

    /// Passes on all but the last `kept` bytes.
    fn pass_on(&mut self, kept: usize) -> io::Result<()> {
        let found = self.secrets.found_in(&self.held);
        let end = self.held.len() - kept;
        let kept = self.held.split_off(end);
        let mut passed = mem::replace(&mut self.held, kept);
        let mut starred_after = self.starred.saturating_sub(end);
        let already = self.starred.min(end);
        passed[..already].fill(b'*');
        for range in found {
            starred_after = starred_after.max(range.end.saturating_sub(end));
            let cut = range.start.min(end)..range.end.min(end);
            passed[cut].fill(b'*');
        }
        self.starred = starred_after;
        self.inner.write_all(&passed)
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let kept = self.secrets.begun_in(&self.held);
        self.pass_on(kept)?;
        Ok(bytes.len())
    }

    /// Doesn't pass on the bytes held back: a secret may be flushed in halves.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for Redacting<W> {
    fn drop(&mut self) {
        // To see an error, call `finish`.
        let _ = self.pass_on(0);
    }
}

/// The forms in which a text can occur.
fn forms_of(text: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(text).expect("a text is written to memory");
    let plain = [
        text.to_owned(),
        json[1..json.len() - 1].to_owned(),
        url_encoded(text),
    ];
    let mut forms: Vec<Vec<u8>> = plain.into_iter().map(String::into_bytes).collect();
    for offset in 0..3 {
        forms.extend(base64_at(offset, text.as_bytes()));
    }
    forms.retain(|form| {
        !form.is_empty() && (form.len() >= SHORTEST_FORM || form == text.as_bytes())
    });
    forms
}

/// The base64 digits that depend only on the text, if the text begins `offset` bytes after a whole
/// group of three; in both alphabets.
fn base64_at(offset: usize, text: &[u8]) -> [Vec<u8>; 2] {
    let padded = [&[0; 2][..offset], text].concat();
    let own = (offset * 8).div_ceil(6)..padded.len() * 8 / 6;
    [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD].map(|alphabet| {
        let digits = alphabet.encode(&padded).into_bytes();
        digits.get(own.clone()).unwrap_or_default().to_vec()
    })
}

fn url_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
        url
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    const TOKEN: &str = "root:p\"s?w\\rd~~ÿ";

    fn secrets() -> Secrets {
        Secrets::new(Secrets::token(TOKEN))
    }

    #[test]
    fn a_token_is_starred_out_in_every_spelling() {
        fn check(text: &str, hidden: &str) {
            let redacted = secrets().redacted(text);
            assert_eq!(redacted.len(), text.len(), "{text}");
            assert!(!redacted.contains(hidden), "{redacted}");
            let (before, after) = text.split_once(hidden).expect("it stands there");
            assert!(redacted.starts_with(before), "{redacted}");
            assert!(redacted.ends_with(after), "{redacted}");
        }
        let password = &TOKEN[5..];
        check(&format!("token {TOKEN}, and more"), TOKEN);
        check(&format!("password {password}!"), password);
        check(
            "{\"a\":\"root:p\\\"s?w\\\\rd~~ÿ\"}",
            "root:p\\\"s?w\\\\rd~~ÿ",
        );
        check(
            "http://root%3Ap%22s%3Fw%5Crd~~%C3%BF@host/",
            "root%3Ap%22s%3Fw%5Crd~~%C3%BF",
        );
        let untouched = "root, and the roots of a word: not a secret";
        assert_eq!(secrets().redacted(untouched), untouched);
    }

    #[test]
    fn base64_is_starred_out_at_each_offset_and_in_both_alphabets() {
        for secret in [TOKEN, &TOKEN[5..]] {
            for before in ["", "a", "ab", "abc", "abcd"] {
                for after in ["", "z", "yz"] {
                    let text = format!("{before}{secret}{after}");
                    for alphabet in [BASE64_STANDARD, BASE64_URL_SAFE] {
                        let encoded = alphabet.encode(&text);
                        let redacted = secrets().redacted(&format!("<{encoded}>"));
                        let digits: Vec<u8> = redacted.bytes().filter(|&b| b != b'*').collect();
                        // The remaining digits also encode neighboring bytes.
                        let most = 2 + (before.len() + after.len()) * 4 / 3 + 6;
                        assert!(digits.len() <= most, "{text}: {redacted}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_stream_is_redacted_as_the_whole_is_wherever_it_is_cut() {
        let secrets = Secrets::new(["abcabcabd", "bdbdxyz", "aaaa"]);
        let text = b"abcabcabcabdbdxyz aaaaaaa abcabcab aaa abcabcabd";
        let mut whole = text.to_vec();
        secrets.redact(&mut whole);
        assert_eq!(
            &whole[..],
            b"abc************** ******* abcabcab aaa *********"
        );
        for size in 1..=text.len() {
            let mut written = Vec::new();
            let mut writer = secrets.writer(&mut written);
            for chunk in text.chunks(size) {
                writer.write_all(chunk).expect("written to memory");
                writer.flush().expect("written to memory");
            }
            writer.finish().expect("written to memory");
            assert_eq!(written, whole, "in pieces of {size}");
        }
    }

    #[test]
    fn what_begins_no_secret_is_passed_on_at_once() {
        let mut written = Vec::new();
        let mut writer = secrets().writer(&mut written);
        writer.write_all(b"a line\nroo").expect("written to memory");
        assert_eq!(writer.inner, b"a line\n");
        writer.finish().expect("written to memory");
        assert_eq!(written, b"a line\nroo");
    }

    #[test]
    fn it_does_not_show_itself() {
        assert_eq!(format!("{:?}", secrets()), "Secrets(…)");
    }
}
