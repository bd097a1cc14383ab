//! Ids as the two JSON forms write them: hex (OTLP) or base64 (proto3 JSON).

/// The `N` bytes that a text stands for, by its length and alphabet; `None` where it is neither.
pub(crate) fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() == 2 * N {
        hex(text)
    } else {
        base64(text)
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

/// Standard or URL-safe alphabet, padded or not.
fn base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let unpadded = text.iter().rposition(|&byte| byte != b'=')? + 1;
    if unpadded != (N * 8).div_ceil(6) || text.len() > unpadded.next_multiple_of(4) {
        return None;
    }
    let mut id = [0; N];
    let (mut bits, mut held, mut filled) = (0_u32, 0, 0);
    for &byte in &text[..unpadded] {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            id[filled] = (bits >> held & 255) as u8;
            filled += 1;
        }
    }
    Some(id)
}

/// Bytes as proto3 JSON writes them.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            let padding = digit > chunk.len();
            text.push(if padding {
                '='
            } else {
                char::from(DIGITS[value as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{encode, id};

    #[test]
    fn bytes_are_padded() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(encode(bytes), expected);
        check(b"", "");
        check(b"f", "Zg==");
        check(b"fo", "Zm8=");
        check(b"foo", "Zm9v");
        check(b"foob", "Zm9vYg==");
        check(&[255, 255, 255], "////");
    }

    #[test]
    fn ids_are_hex_or_base64() {
        let check =
            |text: &str, expected: Option<[u8; 8]>| assert_eq!(id(text), expected, "{text}");
        let bytes = [0xdc, 0xc9, 0xea, 0x95, 0x6b, 0x85, 0x34, 0x9b];
        check("dcc9ea956b85349b", Some(bytes));
        check("DCC9EA956B85349B", Some(bytes));
        check("3MnqlWuFNJs=", Some(bytes));
        check("3MnqlWuFNJs", Some(bytes));
        check(
            "/////////+8=",
            Some([255, 255, 255, 255, 255, 255, 255, 239]),
        );
        check(
            "_________-8",
            Some([255, 255, 255, 255, 255, 255, 255, 239]),
        );
        check("", None);
        check("====", None);
        check("0X", None);
        check("dcc9ea956b85349", None);
        check("gcc9ea956b85349b", None);
        check("dcc9ea956b85349bdcc9ea956b85349b", None);
        check("3MnqlWuFNJs====", None);
    }
}
