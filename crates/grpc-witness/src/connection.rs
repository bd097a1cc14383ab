//! Follows one connection, call by call.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::call::Call;
use crate::frame::{END_HEADERS, END_STREAM, FrameReader, Head, Kind, Piece};
use crate::hpack::Decoder;
use crate::mend::Mender;
use crate::record::{
    CallRecord, ConnectionRecord, Ending, GoAway, OutOfSight, Party, Reset, code_name,
};

/// The first bytes that a client sends over HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest header block, over all of its frames.
const LONGEST_BLOCK: usize = 256 << 10;

/// The longest frame that any peer takes.
const LONGEST_FRAME: usize = 16 << 10;

/// The first byte of a TLS handshake.
const TLS: u8 = 0x16;

/// The number of open calls over all connections, and its limit.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) taken: Arc<AtomicUsize>,
    pub(crate) limit: usize,
}

/// A connection and its open calls.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) record: ConnectionRecord,
    /// Records of calls that have ended and aren't in the queue yet.
    pub(crate) ended: VecDeque<CallRecord>,
    client: Direction,
    server: Direction,
    calls: Calls,
    /// Bytes of the preface that have arrived.
    prefaced: usize,
    is_begun_by_server: bool,
    mender: Option<Mender>,
    /// The client's bytes as they are forwarded when contexts are mended.
    rewritten: Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    frames: FrameReader,
    decoder: Decoder,
    block: Block,
}

/// A header block and its frames so far.
#[derive(Debug, Default)]
struct Block {
    stream: u32,
    ends_stream: bool,
    is_promise: bool,
    is_open: bool,
    bytes: Vec<u8>,
}

/// A complete header block.
struct Fields<'b> {
    stream: u32,
    ends_stream: bool,
    is_promise: bool,
    bytes: &'b [u8],
}

#[derive(Debug)]
struct Calls {
    /// The latest stream; a higher one is a new call.
    latest: u32,
    open: HashMap<u32, Call>,
    room: Room,
}

impl Connection {
    pub(crate) fn new(record: ConnectionRecord, room: Room, mends: bool) -> Self {
        Self {
            record,
            ended: VecDeque::new(),
            client: Direction::default(),
            server: Direction::default(),
            calls: Calls {
                latest: 0,
                open: HashMap::new(),
                room,
            },
            prefaced: 0,
            is_begun_by_server: false,
            mender: mends.then(Mender::default),
            rewritten: Vec::new(),
        }
    }

    /// Follows bytes from one side and returns the bytes to forward: the same ones, unless contexts are mended.
    ///
    /// Fails if they have to be mended and can't be read.
    pub(crate) fn pass<'b>(
        &'b mut self,
        by: Party,
        bytes: &'b [u8],
        now: u64,
    ) -> Result<&'b [u8], OutOfSight> {
        match by {
            Party::Client => self.record.from_client += bytes.len() as u64,
            Party::Server => self.record.from_server += bytes.len() as u64,
        }
        self.rewritten.clear();
        if self.record.out_of_sight.is_some() {
            return Ok(bytes);
        }
        let was_prefaced = self.prefaced == PREFACE.len();
        let followed = match by {
            Party::Client => self.follow_client(bytes, now),
            Party::Server => self.follow_server(bytes, now),
        };
        let is_rewritten = by == Party::Client && self.mender.is_some();
        if let Err(why) = followed {
            self.record.out_of_sight = Some(why);
            self.end_all(Ending::OutOfSight, now);
            if is_rewritten && was_prefaced {
                return Err(why);
            }
            return Ok(bytes);
        }
        Ok(if is_rewritten { &self.rewritten } else { bytes })
    }

    /// Ends all open calls.
    pub(crate) fn end_all(&mut self, ending: Ending, now: u64) {
        let mut streams: Vec<u32> = self.calls.open.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.end(stream, ending, now);
        }
    }

    fn end(&mut self, stream: u32, ending: Ending, now: u64) {
        if let Some(call) = self.calls.remove(stream) {
            self.ended.push_back(CallRecord {
                end_unix_nano: now,
                ending,
                ..call.record
            });
        }
    }

    fn follow_client(&mut self, bytes: &[u8], now: u64) -> Result<(), OutOfSight> {
        let preface = bytes.len().min(PREFACE.len() - self.prefaced);
        let (preface, frames) = bytes.split_at(preface);
        if !PREFACE[self.prefaced..].starts_with(preface) {
            let first = PREFACE[..self.prefaced].first().or(bytes.first());
            return Err(match first {
                Some(&TLS) => OutOfSight::Tls,
                // A method, such as `POST`.
                Some(b'A'..=b'Z') => OutOfSight::Http1,
                _ => OutOfSight::NotHttp2,
            });
        }
        self.prefaced += preface.len();
        self.rewritten.extend_from_slice(preface);
        let mut reader = std::mem::take(&mut self.client.frames);
        let read = reader.read(frames, |piece| self.client_piece(&piece, now));
        self.client.frames = reader;
        read
    }

    fn follow_server(&mut self, bytes: &[u8], now: u64) -> Result<(), OutOfSight> {
        let mut reader = std::mem::take(&mut self.server.frames);
        let read = reader.read(bytes, |piece| self.server_piece(&piece, now));
        self.server.frames = reader;
        read
    }

    fn client_piece(&mut self, piece: &Piece<'_>, now: u64) -> Result<(), OutOfSight> {
        if self.mender.is_some() {
            self.send_on(piece);
        }
        match *piece {
            Piece::Part { head, content, .. } if head.kind() == Kind::Data => {
                if let Some(call) = self.calls.open.get_mut(&head.stream()) {
                    call.body(Party::Client, content);
                }
            }
            Piece::End { head } if head.kind() == Kind::Data && head.has(END_STREAM) => {
                self.half_closed(head.stream(), now);
            }
            Piece::Whole { head, payload } => match head.kind() {
                Kind::Headers | Kind::Continuation => self.request_block(head, payload, now)?,
                kind => self.control(Party::Client, kind, head, payload, now),
            },
            _ => {}
        }
        Ok(())
    }

    fn server_piece(&mut self, piece: &Piece<'_>, now: u64) -> Result<(), OutOfSight> {
        if !self.is_begun_by_server {
            let is_settings =
                matches!(piece, Piece::Start { head } if head.kind() == Kind::Settings);
            if !is_settings {
                return Err(OutOfSight::NotHttp2);
            }
            self.is_begun_by_server = true;
        }
        match *piece {
            Piece::Part { head, content, .. } if head.kind() == Kind::Data => {
                if let Some(call) = self.calls.open.get_mut(&head.stream()) {
                    call.body(Party::Server, content);
                }
            }
            Piece::End { head } if head.kind() == Kind::Data && head.has(END_STREAM) => {
                self.end(head.stream(), Ending::Answered, now);
            }
            Piece::Whole { head, payload } => match head.kind() {
                Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                    self.answer_block(head, payload, now)?;
                }
                kind => self.control(Party::Server, kind, head, payload, now),
            },
            _ => {}
        }
        Ok(())
    }

    /// Forwards everything but header blocks unchanged.
    fn send_on(&mut self, piece: &Piece<'_>) {
        let out = &mut self.rewritten;
        match *piece {
            Piece::Start { head } => out.extend_from_slice(&head.0),
            Piece::Part { raw, .. } => out.extend_from_slice(raw),
            Piece::Whole { head, payload }
                if !matches!(head.kind(), Kind::Headers | Kind::Continuation) =>
            {
                out.extend_from_slice(&head.0);
                out.extend_from_slice(payload);
            }
            Piece::Whole { .. } | Piece::End { .. } => {}
        }
    }

    fn request_block(&mut self, head: Head, payload: &[u8], now: u64) -> Result<(), OutOfSight> {
        let Some(fields) = self.client.block.add(head, payload)? else {
            return Ok(());
        };
        let (stream, ends_stream) = (fields.stream, fields.ends_stream);
        let mut call = Call::default();
        let decoder = &mut self.client.decoder;
        let decoded = match &mut self.mender {
            None => decoder.decode(fields.bytes, |name, value| call.header(name, value)),
            Some(mender) => {
                let mended = mender.mend(decoder, fields.bytes, |name, value, mended| {
                    call.header(name, value);
                    if let Some(mended) = mended {
                        call.mended(mended);
                    }
                });
                mended.map(|block| write_block(stream, ends_stream, block, &mut self.rewritten))
            }
        };
        self.client.block.close();
        decoded.map_err(|_| OutOfSight::HeaderBlock)?;
        if stream > self.calls.latest {
            self.calls.latest = stream;
            self.record.calls += 1;
            call.record.connection = self.record.connection;
            call.record.stream = stream;
            call.record.headers_unix_nano = now;
            if !self.calls.insert(stream, call) {
                self.record.unrecorded_calls += 1;
            }
        }
        if ends_stream {
            self.half_closed(stream, now);
        }
        Ok(())
    }

    fn half_closed(&mut self, stream: u32, now: u64) {
        if let Some(call) = self.calls.open.get_mut(&stream) {
            call.record.half_close_unix_nano = Some(now);
        }
    }

    fn answer_block(&mut self, head: Head, payload: &[u8], now: u64) -> Result<(), OutOfSight> {
        let Some(fields) = self.server.block.add(head, payload)? else {
            return Ok(());
        };
        let (stream, ends_stream) = (fields.stream, fields.ends_stream);
        let open = self.calls.open.get_mut(&stream);
        let mut call = open.filter(|_| !fields.is_promise);
        let decoded = self.server.decoder.decode(fields.bytes, |name, value| {
            if let Some(call) = &mut call {
                call.answer_header(name, value);
            }
        });
        self.server.block.close();
        decoded.map_err(|_| OutOfSight::HeaderBlock)?;
        let Some(call) = call else { return Ok(()) };
        let record = &mut call.record;
        // Informational headers precede the answer.
        let is_answer = !matches!(record.http_status, Some(100..200));
        if is_answer && record.first_byte_unix_nano.is_none() {
            record.first_byte_unix_nano = Some(now);
            record.trailers_only = ends_stream;
        }
        if ends_stream {
            self.end(stream, Ending::Answered, now);
        }
        Ok(())
    }

    fn control(&mut self, by: Party, kind: Kind, head: Head, payload: &[u8], now: u64) {
        match (kind, payload) {
            (Kind::ResetStream, &[a, b, c, d]) => {
                let stream = head.stream();
                if let Some(call) = self.calls.open.get_mut(&stream) {
                    let code = code_name(u32::from_be_bytes([a, b, c, d]));
                    call.record.reset = Some(Reset { by, code });
                    self.end(stream, Ending::Reset, now);
                }
            }
            (Kind::GoAway, &[a, b, c, d, e, f, g, h, ..]) => {
                let last_stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
                self.go_away(GoAway {
                    by,
                    unix_nano: now,
                    last_stream,
                    code: code_name(u32::from_be_bytes([e, f, g, h])),
                });
            }
            _ => {}
        }
    }

    fn go_away(&mut self, goaway: GoAway) {
        /// A peer sends one or two.
        const KEPT: usize = 8;
        if goaway.by == Party::Server {
            let mut refused: Vec<u32> = self.calls.open.keys().copied().collect();
            refused.retain(|&stream| stream > goaway.last_stream);
            refused.sort_unstable();
            for stream in refused {
                self.end(stream, Ending::Refused, goaway.unix_nano);
            }
        }
        if self.record.goaways.len() < KEPT {
            self.record.goaways.push(goaway);
        }
    }
}

impl Block {
    /// Adds a frame, and returns the block if it was the last one.
    fn add<'b>(
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

    fn close(&mut self) {
        self.is_open = false;
        // A block of several frames is rare, so its memory is freed.
        self.bytes = Vec::new();
    }
}

impl Calls {
    /// Follows a call, unless the limit is reached. Returns whether it does.
    fn insert(&mut self, stream: u32, call: Call) -> bool {
        let taken = self.room.taken.fetch_add(1, Ordering::Relaxed);
        if taken >= self.room.limit {
            self.room.taken.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.open.insert(stream, call);
        true
    }

    fn remove(&mut self, stream: u32) -> Option<Call> {
        let call = self.open.remove(&stream)?;
        self.room.taken.fetch_sub(1, Ordering::Relaxed);
        Some(call)
    }
}

/// Appends a header block as one or more frames.
fn write_block(stream: u32, ends_stream: bool, block: &[u8], out: &mut Vec<u8>) {
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
