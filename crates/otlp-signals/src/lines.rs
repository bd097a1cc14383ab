//! Lines of bounded length, one at a time.

use std::io::{self, BufRead, Read as _};

/// The longest line that is read: a request of the largest size that OTLP receivers accept by default, written as JSON, is shorter.
const LONGEST: u64 = 256 << 20;

/// Calls `each` with every line that isn't empty and its number from 1; with `None` for a line that is too long.
pub(crate) fn each(
    mut input: impl BufRead,
    mut each: impl FnMut(u64, Option<&[u8]>),
) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = input.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n") || (length as u64) < LONGEST;
        if !is_whole {
            input.skip_until(b'\n')?;
            each(number, None);
        } else if !line.trim_ascii().is_empty() {
            each(number, Some(line.trim_ascii()));
        }
    }
    Ok(())
}
