//! gzip and zstd, found by their first bytes.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Telemetry repeats itself, but not like this: what grows by more is made to fill memory.
const MOST_TIMES: usize = 200;

/// So that a small input may grow by more.
const ALLOWED_ANYWAY: usize = 16 * 1024 * 1024;

/// How much an input may still grow by, all its compressed parts together.
pub(crate) struct Allowance(usize);

impl Allowance {
    pub(crate) fn of(input: &[u8]) -> Self {
        Allowance(input.len().saturating_mul(MOST_TIMES).max(ALLOWED_ANYWAY))
    }
}

/// The bytes as they were before compression, and what is wrong with the rest where it breaks off.
pub(crate) fn open<'b>(
    bytes: &'b [u8],
    allowance: &mut Allowance,
) -> (Cow<'b, [u8]>, Option<String>) {
    if bytes.starts_with(&GZIP) {
        let (opened, problem) = drain(MultiGzDecoder::new(bytes), allowance, "gzip");
        (Cow::Owned(opened), problem)
    } else if bytes.starts_with(&ZSTD) {
        let (opened, problem) = zstd(bytes, allowance);
        (Cow::Owned(opened), problem)
    } else {
        (Cow::Borrowed(bytes), None)
    }
}

/// Every frame of a file: a writer that appends makes one each time.
fn zstd(mut bytes: &[u8], allowance: &mut Allowance) -> (Vec<u8>, Option<String>) {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (mut opened, problem) = match StreamingDecoder::new(&mut bytes) {
            Ok(decoder) => drain(decoder, allowance, "zstd"),
            Err(error) => (
                Vec::new(),
                Some(format!("the zstd stream breaks off: {error}")),
            ),
        };
        all.append(&mut opened);
        if problem.is_some() {
            return (all, problem);
        }
    }
    (all, None)
}

fn drain(
    decoder: impl Read,
    Allowance(limit): &mut Allowance,
    format: &str,
) -> (Vec<u8>, Option<String>) {
    let mut opened = Vec::new();
    let read = decoder.take(*limit as u64 + 1).read_to_end(&mut opened);
    let problem = match read {
        Err(error) => Some(format!("the {format} stream breaks off: {error}")),
        Ok(_) if opened.len() > *limit => Some(format!(
            "the input holds over {MOST_TIMES} times its own size in {format} streams"
        )),
        Ok(_) => None,
    };
    opened.truncate(*limit);
    *limit -= opened.len();
    (opened, problem)
}
