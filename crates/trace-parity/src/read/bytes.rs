//! Ids, byte values and text: hex (OTLP JSON) or base64 (proto3 JSON); UTF-8 or nearly.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The `N` bytes of an id in hex or base64, told apart by its length; `None` for any other text.
pub(crate) fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() == 2 * N {
        hex(text.as_bytes())
    } else if text.len() <= 2 * N {
        decoded(text)?.try_into().ok()
    } else {
        None
    }
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut id = [0; N];
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        *byte = HEX[pair[0] as usize] << 4 | HEX[pair[1] as usize] & 15;
        if (HEX[pair[0] as usize] | HEX[pair[1] as usize]) > 15 {
            return None;
        }
    }
    Some(id)
}

/// The value of each hex digit; 255 for any other byte.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// The text; each stretch of bytes that is not UTF-8 becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Much quicker than the lossy way, which nearly no input needs.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Padding may be missing, and the last digit may hold bits that are not used: proto3 JSON asks a reader to take both.
const fn lenient(alphabet: &Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(
        alphabet,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    )
}

const ENGINES: [GeneralPurpose; 2] = [lenient(&STANDARD), lenient(&URL_SAFE)];

/// The bytes that a base64 text of either alphabet stands for.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    ENGINES.iter().find_map(|engine| engine.decode(text).ok())
}

/// Bytes as proto3 JSON writes them.
pub(crate) fn encode(bytes: &[u8]) -> String {
    ENGINES[0].encode(bytes)
}
