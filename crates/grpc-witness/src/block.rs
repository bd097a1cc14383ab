//! Header blocks, which may be cut into several frames.

use crate::frame::{END_HEADERS, END_STREAM, Head, Kind};
use crate::record::OutOfSight;

/// The longest header block, over all of its frames.
const LONGEST_BLOCK: usize = 256 << 10;

/// The longest frame that any peer takes.
const LONGEST_FRAME: usize = 16 << 10;

/// A header block and its frames so far.
#[derive(Debug, Default)]
pub(crate) struct Block {
    stream: u32,
    ends_stream: bool,
    is_promise: bool,
    is_open: bool,
    bytes: Vec<u8>,
}

/// A complete header block.
pub(crate) struct Fields<'b> {
    pub(crate) stream: u32,
    pub(crate) ends_stream: bool,
    pub(crate) is_promise: bool,
    pub(crate) bytes: &'b [u8],
}

impl Block {
    /// Adds a frame, and returns the block if it was the last one.
    pub(crate) fn add<'b>(
        &'b mut self,
        head: Head,
        payload: &'b [u8],
    ) -> Result<Option<Fields<'b>>, OutOfSight> {
        if self.is_open != (head.kind() == Kind::Continuation) {
            return Err(OutOfSight::Frame);
        }
        let fragment = head.fragment(payload).ok_or(OutOfSight::Frame)?;
        if !self.is_open {
            self.stream = head.stream();
            self.ends_stream = head.kind() == Kind::Headers && head.has(END_STREAM);
            self.is_promise = head.kind() == Kind::PushPromise;
            if head.has(END_HEADERS) {
                return Ok(Some(self.whole(fragment)));
            }
            self.is_open = true;
        }
        if self.stream != head.stream() {
            return Err(OutOfSight::Frame);
        }
        if self.bytes.len() + fragment.len() > LONGEST_BLOCK {
            return Err(OutOfSight::HeaderBlock);
        }
        self.bytes.extend_from_slice(fragment);
        Ok(head.has(END_HEADERS).then(|| self.whole(&self.bytes)))
    }

    fn whole<'b>(&self, bytes: &'b [u8]) -> Fields<'b> {
        Fields {
            stream: self.stream,
            ends_stream: self.ends_stream,
            is_promise: self.is_promise,
            bytes,
        }
    }

    pub(crate) fn close(&mut self) {
        self.is_open = false;
        // A block of several frames is rare, so its memory is freed.
        self.bytes = Vec::new();
    }
}

/// Appends a header block as one or more frames.
pub(crate) fn write_block(stream: u32, ends_stream: bool, block: &[u8], out: &mut Vec<u8>) {
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    let frames = block.len().div_ceil(LONGEST_FRAME).max(1);
    for at in 0..frames {
        let part = &block[at * LONGEST_FRAME..block.len().min((at + 1) * LONGEST_FRAME)];
        let mut flags = 0;
        if at == 0 && ends_stream {
            flags |= END_STREAM;
        }
        if at + 1 == frames {
            flags |= END_HEADERS;
        }
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        out.extend_from_slice(&Head::new(part.len(), kind, flags, stream).0);
        out.extend_from_slice(part);
    }
}
