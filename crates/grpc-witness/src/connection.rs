//! Follows one connection, call by call.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::block::{Block, write_block};
use crate::call::Call;
use crate::frame::{END_STREAM, FrameReader, Head, Kind, Piece};
use crate::hpack::Decoder;
use crate::mend::Mender;
use crate::record::{
    CallRecord, ConnectionRecord, Ending, GoAway, OutOfSight, Party, Reset, code_name,
};

/// The first bytes that a client sends over HTTP/2.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

    /// Notes the fault that was played on a call, and the headers that it removed.
    pub(crate) fn faulted(&mut self, stream: u32, fault: &str, stripped: Vec<String>) {
        if let Some(call) = self.calls.open.get_mut(&stream) {
            call.record.fault = Some(fault.to_owned());
            call.record.stripped = stripped;
        }
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
            call.record.client.clone_from(&self.record.client);
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
