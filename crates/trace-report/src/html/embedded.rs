//! Data inside the page, packed as gzip in base64.

use std::io::{self, Read as _, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;

/// How the block of raw spans begins; its content follows up to the next `<`.
const RAW: &str = r#"<script type="application/gzip;base64" id="raw">"#;

pub(super) fn packed_json(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    let mut packer = packer(out);
    serde_json::to_writer(&mut packer, value).map_err(io::Error::from)?;
    packer.finish()?.finish().map(drop)
}

pub(super) fn packed(bytes: &[u8], out: impl Write) -> io::Result<()> {
    let mut packer = packer(out);
    packer.write_all(bytes)?;
    packer.finish()?.finish().map(drop)
}

type GzipInBase64<W> = GzEncoder<EncoderWriter<'static, base64::engine::GeneralPurpose, W>>;

fn packer<W: Write>(out: W) -> GzipInBase64<W> {
    GzEncoder::new(EncoderWriter::new(out, &STANDARD), Compression::best())
}

/// The OTLP JSON inside a page that [`html`](super::html) wrote, unpacked up to `limit` bytes. `None` for anything else.
///
/// # Errors
///
/// The page is damaged, or holds more than `limit`.
pub fn raw_spans(page: &[u8], limit: u64) -> Option<io::Result<Vec<u8>>> {
    let start = find(page, RAW.as_bytes())? + RAW.len();
    let end = page[start..].iter().position(|byte| *byte == b'<')?;
    Some(unpacked(&page[start..start + end], limit))
}

fn unpacked(packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let decoder = base64::read::DecoderReader::new(packed, &STANDARD);
    let mut bytes = Vec::new();
    GzDecoder::new(decoder)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the spans in the page are over {limit} bytes"),
        ));
    }
    Ok(bytes)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn raw_spans_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut page = format!("<html>{RAW}").into_bytes();
            packed(&bytes, &mut page).unwrap();
            page.extend_from_slice(b"</script></html>");
            prop_assert_eq!(raw_spans(&page, 2000).unwrap().unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_no_page_or_damaged_or_too_large_is_told_apart() {
        let page = |content: &str| format!("{RAW}{content}</script>").into_bytes();
        let mut packed_zeros = Vec::new();
        packed(&[0; 100_000], &mut packed_zeros).unwrap();
        let bomb = page(&String::from_utf8(packed_zeros).unwrap());
        assert!(raw_spans(b"{\"resourceSpans\":[]}", 100).is_none());
        assert!(raw_spans(&page("not base64!"), 100).unwrap().is_err());
        assert_eq!(raw_spans(&bomb, 100_000).unwrap().unwrap().len(), 100_000);
        let error = raw_spans(&bomb, 99_999).unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the spans in the page are over 99999 bytes"
        );
    }
}
