//! Reads HTTP/2 frames from passing bytes (RFC 9113, section 4).

use crate::record::OutOfSight;

/// The longest payload that is read whole. Frames such as DATA are read in parts and have no limit.
const LONGEST_WHOLE: usize = 256 << 10;

pub(crate) const HEAD: usize = 9;

pub(crate) const END_STREAM: u8 = 0x01;
pub(crate) const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    ResetStream,
    Settings,
    PushPromise,
    GoAway,
    Continuation,
    Other,
}

/// The nine bytes before a frame's payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head(pub(crate) [u8; HEAD]);

/// One step of the reader.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A frame with its payload.
    Whole { head: Head, payload: &'a [u8] },
    /// The head of a frame whose payload follows in parts.
    Start { head: Head },
    Part {
        head: Head,
        raw: &'a [u8],
        /// Without padding.
        content: &'a [u8],
    },
    /// The end of a frame whose payload was read in parts.
    End { head: Head },
}

impl Piece<'_> {
    pub(crate) fn head(&self) -> Head {
        match *self {
            Self::Whole { head, .. }
            | Self::Start { head }
            | Self::Part { head, .. }
            | Self::End { head } => head,
        }
    }
}

impl Head {
    pub(crate) fn new(length: usize, kind: u8, flags: u8, stream: u32) -> Self {
        let [_, a, b, c] = (length as u32).to_be_bytes();
        let [d, e, f, g] = stream.to_be_bytes();
        Self([a, b, c, kind, flags, d, e, f, g])
    }

    fn length(self) -> usize {
        let [a, b, c, ..] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize
    }

    pub(crate) fn kind(self) -> Kind {
        match self.0[3] {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::ResetStream,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            7 => Kind::GoAway,
            9 => Kind::Continuation,
            _ => Kind::Other,
        }
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0[4] & flag != 0
    }

    pub(crate) fn stream(self) -> u32 {
        let [.., d, e, f, g] = self.0;
        u32::from_be_bytes([d & 0x7f, e, f, g])
    }

    /// The part of a header block that a frame carries, without padding and priority.
    pub(crate) fn fragment(self, payload: &[u8]) -> Option<&[u8]> {
        let mut rest = payload;
        let mut padding = 0;
        let kind = self.kind();
        if self.has(PADDED) && kind != Kind::Continuation {
            let (&length, after) = rest.split_first()?;
            (padding, rest) = (usize::from(length), after);
        }
        if self.has(PRIORITY) && kind == Kind::Headers {
            rest = rest.get(5..)?;
        }
        if kind == Kind::PushPromise {
            rest = rest.get(4..)?;
        }
        rest.get(..rest.len().checked_sub(padding)?)
    }

    fn is_read_whole(self) -> bool {
        matches!(
            self.kind(),
            Kind::Headers
                | Kind::ResetStream
                | Kind::PushPromise
                | Kind::GoAway
                | Kind::Continuation
        )
    }
}

/// Splits one direction of a connection into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    head: Head,
    /// Bytes of `head` that have arrived.
    headed: usize,
    /// Bytes of the payload that haven't arrived yet.
    left: usize,
    /// Number of padding bytes at the payload's end; `None` until it has arrived.
    padding: Option<usize>,
    /// The payload so far, of a frame that is read whole.
    held: Vec<u8>,
}

impl FrameReader {
    /// Calls `on` with each piece in `bytes`.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        mut on: impl FnMut(Piece<'_>) -> Result<(), OutOfSight>,
    ) -> Result<(), OutOfSight> {
        while !bytes.is_empty() {
            if self.headed < HEAD {
                let taken = take(&mut bytes, HEAD - self.headed);
                self.head.0[self.headed..self.headed + taken.len()].copy_from_slice(taken);
                self.headed += taken.len();
                if self.headed < HEAD {
                    return Ok(());
                }
                self.begin(&mut on)?;
            } else if self.head.is_read_whole() {
                self.hold(&mut bytes, &mut on)?;
            } else {
                self.pass(&mut bytes, &mut on)?;
            }
            if self.headed == HEAD && self.left == 0 {
                self.end(&mut on)?;
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        on: &mut impl FnMut(Piece<'_>) -> Result<(), OutOfSight>,
    ) -> Result<(), OutOfSight> {
        let head = self.head;
        self.left = head.length();
        self.padding = (head.kind() != Kind::Data || !head.has(PADDED)).then_some(0);
        self.held.clear();
        if head.is_read_whole() {
            let is_short = self.left <= LONGEST_WHOLE;
            return is_short.then_some(()).ok_or(OutOfSight::HeaderBlock);
        }
        on(Piece::Start { head })
    }

    /// Reads a frame that is read whole. Its payload is copied only if it arrives in several chunks.
    fn hold(
        &mut self,
        bytes: &mut &[u8],
        on: &mut impl FnMut(Piece<'_>) -> Result<(), OutOfSight>,
    ) -> Result<(), OutOfSight> {
        let taken = take(bytes, self.left);
        self.left -= taken.len();
        if self.left == 0 && self.held.is_empty() {
            self.headed = 0;
            return on(Piece::Whole {
                head: self.head,
                payload: taken,
            });
        }
        self.held.extend_from_slice(taken);
        Ok(())
    }

    fn pass(
        &mut self,
        bytes: &mut &[u8],
        on: &mut impl FnMut(Piece<'_>) -> Result<(), OutOfSight>,
    ) -> Result<(), OutOfSight> {
        let raw = take(bytes, self.left);
        self.left -= raw.len();
        let mut content = raw;
        let padding = match (self.padding, raw.split_first()) {
            (Some(padding), _) => padding,
            (None, Some((&padding, rest))) => {
                content = rest;
                *self.padding.insert(usize::from(padding))
            }
            (None, None) => 0,
        };
        let cut = padding.saturating_sub(self.left);
        let content = &content[..content.len().saturating_sub(cut)];
        on(Piece::Part {
            head: self.head,
            raw,
            content,
        })
    }

    fn end(
        &mut self,
        on: &mut impl FnMut(Piece<'_>) -> Result<(), OutOfSight>,
    ) -> Result<(), OutOfSight> {
        self.headed = 0;
        let head = self.head;
        if head.is_read_whole() {
            return on(Piece::Whole {
                head,
                payload: &self.held,
            });
        }
        on(Piece::End { head })
    }
}

fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader says of `bytes` that come in `chunks`.
    fn read(bytes: &[u8], chunk: usize) -> (Vec<u8>, Vec<String>) {
        let mut reader = FrameReader::default();
        let mut content = Vec::new();
        let mut frames = Vec::new();
        for chunk in bytes.chunks(chunk) {
            let read = reader.read(chunk, |piece| {
                match piece {
                    Piece::Whole { head, payload } => frames.push(format!(
                        "{:?} {} {:?}",
                        head.kind(),
                        head.stream(),
                        head.fragment(payload)
                    )),
                    Piece::Part {
                        head,
                        content: part,
                        ..
                    } if head.kind() == Kind::Data => {
                        content.extend_from_slice(part);
                    }
                    Piece::End { head } => {
                        frames.push(format!("{:?} {}", head.kind(), head.stream()));
                    }
                    Piece::Start { .. } | Piece::Part { .. } => {}
                }
                Ok(())
            });
            if let Err(lost) = read {
                frames.push(format!("{lost:?}"));
                break;
            }
        }
        (content, frames)
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        [
            Head::new(payload.len(), kind, flags, stream).0.as_slice(),
            payload,
        ]
        .concat()
    }

    #[test]
    fn frames_are_cut_alike_however_their_bytes_come() {
        let bytes = [
            frame(4, 0, 0, &[]),
            frame(
                1,
                END_HEADERS | PADDED | PRIORITY,
                1,
                &[2, 0, 0, 0, 0, 9, b'a', b'b', 0, 0],
            ),
            frame(0, PADDED, 1, &[3, b'x', b'y', 0, 0, 0]),
            frame(0, 0, 1, b"z"),
            frame(9, END_HEADERS, 1, &[]),
            frame(3, 0, 1, &[0, 0, 0, 8]),
            frame(0x42, 0, 0, &[1; 40]),
        ]
        .concat();
        let whole = read(&bytes, bytes.len());
        assert_eq!(whole.0, b"xyz");
        assert_eq!(
            whole.1,
            [
                "Settings 0",
                "Headers 1 Some([97, 98])",
                "Data 1",
                "Data 1",
                "Continuation 1 Some([])",
                "ResetStream 1 Some([0, 0, 0, 8])",
                "Other 0"
            ]
        );
        for chunk in 1..bytes.len() {
            assert_eq!(read(&bytes, chunk), whole, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_header_frame_over_the_limit_is_out_of_sight() {
        let head = Head::new(LONGEST_WHOLE + 1, 1, END_HEADERS, 1);
        assert_eq!(read(&head.0, HEAD).1, ["HeaderBlock"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_however_they_come(bytes in prop::collection::vec(any::<u8>(), 1..400), chunk in 1_usize..60) {
            prop_assert_eq!(read(&bytes, chunk), read(&bytes, bytes.len()));
        }
    }
}
