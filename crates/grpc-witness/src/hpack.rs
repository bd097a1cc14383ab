//! Header compression (RFC 7541): a stateful decoder and an encoder without state.

mod huffman;
mod malformed;
mod table;

use table::Table;

pub(crate) use malformed::Malformed;

/// The largest dynamic table that is supported.
const LARGEST_TABLE: usize = 1 << 20;

/// Decodes the header blocks of one direction, in order.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    table: Table,
    /// Table sizes that the latest block set.
    sizes: Vec<usize>,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Calls `on` with each field's name and value.
    pub(crate) fn decode(
        &mut self,
        mut block: &[u8],
        mut on: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Malformed> {
        self.sizes.clear();
        while let Some(&first) = block.first() {
            match first {
                0x80.. => {
                    let number = integer(&mut block, 7)?;
                    let (name, value) = self.table.get(number).ok_or(Malformed)?;
                    on(name, value);
                }
                0x40.. => {
                    self.literal(&mut block, 6)?;
                    on(&self.name, &self.value);
                    self.table.insert(&self.name, &self.value);
                }
                0x20.. => {
                    let size = integer(&mut block, 5)?;
                    if size > LARGEST_TABLE {
                        return Err(Malformed);
                    }
                    self.table.resize(size);
                    self.sizes.push(size);
                }
                _ => {
                    self.literal(&mut block, 4)?;
                    on(&self.name, &self.value);
                }
            }
        }
        Ok(())
    }

    /// Table sizes that the latest block set, in order.
    pub(crate) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(), Malformed> {
        self.name.clear();
        self.value.clear();
        match integer(block, prefix)? {
            0 => string(block, &mut self.name)?,
            number => {
                let (name, _) = self.table.get(number).ok_or(Malformed)?;
                self.name.extend_from_slice(name);
            }
        }
        string(block, &mut self.value)
    }
}

/// Appends a field as a literal that is never indexed.
pub(crate) fn encode(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    const NEVER_INDEXED: u8 = 0x10;
    block.push(NEVER_INDEXED);
    for text in [name, value] {
        encode_integer(text.len(), 7, 0, block);
        block.extend_from_slice(text);
    }
}

/// Appends a table size.
pub(crate) fn encode_size(size: usize, block: &mut Vec<u8>) {
    encode_integer(size, 5, 0x20, block);
}

/// Reads an integer that begins in the last `prefix` bits of the first byte.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let all = (1 << prefix) - 1;
    let first = usize::from(byte(block)?) & all;
    if first < all {
        return Ok(first);
    }
    let mut value = first;
    for shift in [0, 7, 14, 21] {
        let next = byte(block)?;
        value += usize::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn encode_integer(value: usize, prefix: u32, pattern: u8, block: &mut Vec<u8>) {
    let all = (1 << prefix) - 1;
    if value < all {
        block.push(pattern | value as u8);
        return;
    }
    block.push(pattern | all as u8);
    let mut rest = value - all;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn string(block: &mut &[u8], text: &mut Vec<u8>) -> Result<(), Malformed> {
    let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (encoded, rest) = block.split_at_checked(length).ok_or(Malformed)?;
    *block = rest;
    if is_huffman {
        return huffman::decode(encoded, text);
    }
    text.extend_from_slice(encoded);
    Ok(())
}

fn byte(block: &mut &[u8]) -> Result<u8, Malformed> {
    let (&first, rest) = block.split_first().ok_or(Malformed)?;
    *block = rest;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields = Vec::new();
        decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    /// RFC 7541, appendix C.4: three requests of one connection, with Huffman coding.
    #[test]
    fn later_blocks_refer_to_earlier_ones() {
        let mut decoder = Decoder::default();
        let mut check = |hex: &str, expected: &[(&str, &str)]| {
            let block: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
                .collect();
            let expected = expected
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(read(&mut decoder, &block), Ok(expected), "{hex}");
        };
        let common = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
        let with = |others: &[(&'static str, &'static str)]| [&common, others].concat();
        check(
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            &with(&[(":authority", "www.example.com")]),
        );
        check(
            "828684be5886a8eb10649cbf",
            &with(&[
                (":authority", "www.example.com"),
                ("cache-control", "no-cache"),
            ]),
        );
        check(
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            &[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ],
        );
    }

    #[test]
    fn a_block_that_breaks_off_or_points_nowhere_is_malformed() {
        let check = |block: &[u8]| {
            assert_eq!(
                read(&mut Decoder::default(), block),
                Err(Malformed),
                "{block:?}"
            );
        };
        check(&[0x80]);
        check(&[0xbe]);
        check(&[0x40, 0x05, b'a']);
        check(&[0x41]);
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        check(&[0x3f, 0xff, 0xff, 0xff, 0x7f]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            fields in prop::collection::vec((".{0,40}", ".{0,300}"), 0..20),
            size in 0_usize..5000,
        ) {
            let mut block = Vec::new();
            encode_size(size, &mut block);
            for (name, value) in &fields {
                encode(name.as_bytes(), value.as_bytes(), &mut block);
            }
            let mut decoder = Decoder::default();
            prop_assert_eq!(read(&mut decoder, &block), Ok(fields));
            prop_assert_eq!(decoder.sizes(), [size]);
        }

        #[test]
        fn any_bytes_are_decoded_or_malformed(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut decoder = Decoder::default();
            for block in &blocks {
                let _ = read(&mut decoder, block);
            }
        }
    }
}
