//! The Huffman code of header strings (RFC 7541, appendix B).

use std::sync::LazyLock;

use super::malformed::Malformed;

/// The code length of each byte. The code is canonical, so the lengths define it.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;

struct Code {
    /// For each length, the first code after those of that length, left-aligned in 32 bits.
    beyond: [u64; LONGEST + 1],
    /// For each length, its first code, right-aligned, and the index of that code's byte in `bytes`.
    first: [(u32, usize); LONGEST + 1],
    /// Bytes in the order of their codes.
    bytes: Vec<u8>,
}

static CODE: LazyLock<Code> = LazyLock::new(|| {
    let mut code = Code {
        beyond: [0; LONGEST + 1],
        first: [(0, 0); LONGEST + 1],
        bytes: Vec::with_capacity(LENGTHS.len()),
    };
    let mut next: u32 = 0;
    for length in 1..=LONGEST {
        next <<= 1;
        code.first[length] = (next, code.bytes.len());
        for byte in 0..=u8::MAX {
            if usize::from(LENGTHS[usize::from(byte)]) == length {
                code.bytes.push(byte);
                next += 1;
            }
        }
        code.beyond[length] = u64::from(next) << (32 - length);
    }
    code
});

/// Appends the decoded bytes to `decoded`.
pub(super) fn decode(encoded: &[u8], decoded: &mut Vec<u8>) -> Result<(), Malformed> {
    let code = &*CODE;
    let mut input = encoded.iter();
    let mut bits: u64 = 0;
    let mut held: usize = 0;
    loop {
        while held <= 32
            && let Some(&byte) = input.next()
        {
            bits = bits << 8 | u64::from(byte);
            held += 8;
        }
        let window = match held {
            32.. => bits >> (held - 32) & 0xffff_ffff,
            // Padding is made of ones.
            _ => bits << (32 - held) & 0xffff_ffff | 0xffff_ffff >> held,
        };
        let found = (SHORTEST..=LONGEST).find(|&length| window < code.beyond[length]);
        let Some(length) = found.filter(|&length| length <= held) else {
            let padding = (1 << held.min(8)) - 1;
            let is_padding = held < 8 && bits & padding == padding;
            return if is_padding { Ok(()) } else { Err(Malformed) };
        };
        let (first, place) = code.first[length];
        let value = (window >> (32 - length)) as u32;
        decoded.push(code.bytes[place + (value - first) as usize]);
        held -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the examples of RFC 7541, appendix C.
    #[test]
    fn the_specifications_examples_are_read() {
        let check = |hex: &str, expected: Option<&str>| {
            let encoded: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
                .collect();
            let mut decoded = Vec::new();
            let read = decode(&encoded, &mut decoded).map(|()| decoded.as_slice());
            assert_eq!(read.ok(), expected.map(str::as_bytes), "{hex}");
        };
        check("f1e3c2e5f23a6ba0ab90f4ff", Some("www.example.com"));
        check("a8eb10649cbf", Some("no-cache"));
        check("25a849e95ba97d7f", Some("custom-key"));
        check("25a849e95bb8e8b4bf", Some("custom-value"));
        check(
            "d07abe941054d444a8200595040b8166e082a62d1bff",
            Some("Mon, 21 Oct 2013 20:13:21 GMT"),
        );
        check("640eff", Some("307"));
        check("", Some(""));
        // A whole byte of padding, padding of zeros, and the code that ends a string.
        check("640effff", None);
        check("640e", None);
        check("ffffffff", None);
    }
}
