//! Rewrites contexts that old servers drop.

use crate::hpack::{Decoder, Malformed, encode, encode_size};
use crate::record::Mended;

/// A `traceparent` of version 00: `00-` trace id `-` span id `-` flags.
const LENGTH: usize = 55;
const FLAGS: usize = 53;

/// Rewrites the header blocks of one direction.
///
/// A changed block would make the dynamic tables of both ends differ, so rewritten blocks don't use them.
#[derive(Debug, Default)]
pub(crate) struct Mender {
    block: Vec<u8>,
}

impl Mender {
    /// Calls `on` with each original field and its change, and returns the block to forward.
    pub(crate) fn mend(
        &mut self,
        decoder: &mut Decoder,
        block: &[u8],
        mut on: impl FnMut(&[u8], &[u8], Option<Mended>),
    ) -> Result<&[u8], Malformed> {
        let mut traceparents = 0;
        let fields = &mut self.block;
        fields.clear();
        decoder.decode(block, |name, value| {
            if name != b"traceparent" {
                on(name, value, None);
                return encode(name, value, fields);
            }
            traceparents += 1;
            if traceparents > 1 {
                return on(name, value, Some(Mended::SecondTraceparent));
            }
            let sampled = sampled_alone(value);
            on(name, value, sampled.map(|_| Mended::Flags));
            encode(
                name,
                sampled.as_ref().map_or(value, |mended| mended),
                fields,
            );
        })?;
        if !decoder.sizes().is_empty() {
            // Size changes precede all fields.
            let mut sizes = Vec::new();
            for &size in decoder.sizes() {
                encode_size(size, &mut sizes);
            }
            self.block.splice(0..0, sizes);
        }
        Ok(&self.block)
    }
}

/// The mended value of a `traceparent` of version 00 with flags above 01: only the sampled bit is kept.
fn sampled_alone(traceparent: &[u8]) -> Option<[u8; LENGTH]> {
    let mut mended: [u8; LENGTH] = traceparent.try_into().ok()?;
    let flags = std::str::from_utf8(&mended[FLAGS..]).ok()?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    if flags <= 1 || !mended.starts_with(b"00-") {
        return None;
    }
    mended[FLAGS] = b'0';
    mended[FLAGS + 1] = b'0' + (flags & 1);
    Some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

    fn mended(fields: &[(&str, String)]) -> (Vec<(String, String)>, Vec<Mended>) {
        let mut block = Vec::new();
        encode_size(0, &mut block);
        for (name, value) in fields {
            encode(name.as_bytes(), value.as_bytes(), &mut block);
        }
        let mut done = Vec::new();
        let mut mender = Mender::default();
        let block = mender
            .mend(&mut Decoder::default(), &block, |_, _, mended| {
                done.extend(mended);
            })
            .expect("well formed");
        let mut decoder = Decoder::default();
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder
            .decode(block, |name, value| fields.push((text(name), text(value))))
            .expect("well formed");
        assert_eq!(decoder.sizes(), [0]);
        (fields, done)
    }

    #[test]
    fn flags_keep_the_sampled_bit_alone() {
        let check = |version: &str, flags: &str, expected: &str| {
            let sent = format!("{version}{PREFIX}{flags}");
            let expected = format!("{version}{PREFIX}{expected}");
            let is_changed = sent != expected;
            let (fields, done) = mended(&[("traceparent", sent)]);
            assert_eq!(fields, [("traceparent".to_owned(), expected)]);
            assert_eq!(done.contains(&Mended::Flags), is_changed, "{flags}");
        };
        check("00", "03", "01");
        check("00", "02", "00");
        check("00", "ff", "01");
        check("00", "01", "01");
        check("00", "00", "00");
        check("01", "03", "03");
        check("00", "0x", "0x");
        check("00", "03-more", "03-more");
    }

    #[test]
    fn the_first_of_two_contexts_is_kept() {
        let context = |flags: &str| format!("00{PREFIX}{flags}");
        let sent = [
            (":path", "/a.B/C".to_owned()),
            ("traceparent", context("01")),
            ("authorization", "kept".to_owned()),
            ("traceparent", context("03")),
        ];
        let (fields, done) = mended(&sent);
        let left: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left, [":path", "traceparent", "authorization"]);
        assert_eq!(done, [Mended::SecondTraceparent]);
    }
}
