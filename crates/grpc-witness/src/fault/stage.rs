//! Plays faults on one connection, between the records and the server: the records show the client's side.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::block::{Block, write_block};
use crate::call::Messages;
use crate::connection::PREFACE;
use crate::fault::before::Before;
use crate::fault::plan::{Action, GoAwayKind, Hold, Replacement, Status};
use crate::fault::play::Playing;
use crate::frame::{END_STREAM, FrameReader, Head, Kind, Piece};
use crate::hpack::{Decoder, encode, encode_size};
use crate::record::{OutOfSight, Traffic, deadline};

/// An answer that is held until after a deadline is held this much longer.
const PAST_DEADLINE: Duration = Duration::from_secs(1);

/// Of held answers, a connection keeps this many bytes. Beyond, nothing more is read from the server until they are due.
const HELD_BYTES: usize = 1 << 20;

type FieldList = Vec<(Vec<u8>, Vec<u8>)>;

/// A connection's faults.
#[derive(Debug)]
pub(crate) struct Stage {
    playing: Arc<Playing>,
    client: Side,
    server: Side,
    /// Bytes of the preface that have arrived.
    prefaced: usize,
    /// It isn't HTTP/2, so that no fault can be played.
    is_bypassed: bool,
    /// The latest stream that the client began, and the latest of them that the server sees.
    latest: u32,
    latest_forwarded: u32,
    /// Streams above it are refused by a GOAWAY.
    refused_above: Option<u32>,
    plays: HashMap<u32, Play>,
    /// Requests that the server has to get before calls that are in `plays`.
    before: VecDeque<Before>,
    to_server: Out,
    to_client: Out,
    played: Vec<Played>,
    is_cut: bool,
}

/// A fault on a call.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) stream: u32,
    /// In the plan.
    pub(crate) fault: usize,
    /// Headers that it removed.
    pub(crate) stripped: Vec<String>,
}

/// What is played on an open call.
#[derive(Debug)]
enum Play {
    /// The server doesn't see the call. The witness acts once the request's first message, or its end, has come.
    Instead {
        fault: usize,
        request: Messages,
    },
    /// Whatever comes is dropped.
    Over,
    Cut,
    Trailers {
        status: Status,
        name: String,
        has_begun: bool,
    },
    Held(Held),
    /// The request's messages wait until all have come.
    Request {
        fault: usize,
        fields: FieldList,
        frames: Out,
        body: Vec<u8>,
    },
}

/// An answer that waits.
#[derive(Debug)]
struct Held {
    until: Instant,
    frames: Out,
    /// Bytes of DATA, which count against the connection's window.
    data: usize,
}

/// The frames that go to one side.
#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    /// A frame has begun and not ended.
    is_open: bool,
    /// Frames that wait for its end.
    waiting: Vec<u8>,
}

/// The frames that come from one side.
#[derive(Debug, Default)]
struct Side {
    frames: FrameReader,
    decoder: Decoder,
    block: Block,
    /// Table sizes that the other side hasn't been told.
    sizes: Vec<usize>,
}

/// A decoded header block.
struct Headers {
    stream: u32,
    ends_stream: bool,
    fields: FieldList,
}

impl Stage {
    pub(crate) fn new(playing: Arc<Playing>) -> Self {
        Self {
            playing,
            client: Side::default(),
            server: Side::default(),
            prefaced: 0,
            is_bypassed: false,
            latest: 0,
            latest_forwarded: 0,
            refused_above: None,
            plays: HashMap::new(),
            before: VecDeque::new(),
            to_server: Out::default(),
            // The server's settings go first.
            to_client: Out {
                is_open: true,
                ..Out::default()
            },
            played: Vec::new(),
            is_cut: false,
        }
    }

    /// Takes bytes from the client. Fails if they aren't frames of HTTP/2.
    pub(crate) fn read_client(&mut self, bytes: &[u8], now: Instant) -> Result<(), OutOfSight> {
        let preface = bytes.len().min(PREFACE.len() - self.prefaced);
        let (preface, frames) = bytes.split_at(preface);
        self.is_bypassed |= !PREFACE[self.prefaced..].starts_with(preface);
        if self.is_bypassed {
            self.to_server.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        self.prefaced += preface.len();
        self.to_server.bytes.extend_from_slice(preface);
        let mut reader = std::mem::take(&mut self.client.frames);
        let read = reader.read(frames, |piece| self.client_piece(&piece, now));
        self.client.frames = reader;
        read
    }

    /// Takes bytes from the server. Fails if they aren't frames of HTTP/2.
    pub(crate) fn read_server(&mut self, bytes: &[u8]) -> Result<(), OutOfSight> {
        if self.is_bypassed {
            self.to_client.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let mut reader = std::mem::take(&mut self.server.frames);
        let read = reader.read(bytes, |piece| self.server_piece(&piece));
        self.server.frames = reader;
        read
    }

    /// When the next held answer is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held().map(|held| held.until).min()
    }

    /// Sends on held answers that are due.
    pub(crate) fn release(&mut self, now: Instant) {
        let is_due = |play: &Play| matches!(play, Play::Held(held) if held.until <= now && !held.frames.is_open);
        let due: Vec<u32> = self
            .plays
            .iter()
            .filter_map(|(stream, play)| is_due(play).then_some(*stream))
            .collect();
        for stream in due {
            if let Some(Play::Held(held)) = self.plays.remove(&stream) {
                self.to_client.insert(&held.frames.bytes);
            }
        }
    }

    /// Whether so much is held that the server has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.held()
            .map(|held| held.frames.bytes.len())
            .sum::<usize>()
            > HELD_BYTES
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.plays.values().filter_map(|play| match play {
            Play::Held(held) => Some(held),
            _ => None,
        })
    }

    /// A request that the server has to get before the rest of a call.
    pub(crate) fn take_before(&mut self) -> Option<Before> {
        self.before.pop_front()
    }

    /// Sends on the messages of a call that waited.
    pub(crate) fn proceed(&mut self, stream: u32) {
        if let Some(Play::Request { frames, .. }) = self.plays.remove(&stream) {
            self.to_server.insert(&frames.bytes);
        }
    }

    /// Whether a fault cuts the connection.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn take_played(&mut self) -> Vec<Played> {
        std::mem::take(&mut self.played)
    }

    pub(crate) fn take_to_server(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_server.bytes)
    }

    pub(crate) fn take_to_client(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_client.bytes)
    }

    fn client_piece(&mut self, piece: &Piece<'_>, now: Instant) -> Result<(), OutOfSight> {
        let head = piece.head();
        let stream = head.stream();
        if let Piece::Whole { head, payload } = *piece
            && matches!(head.kind(), Kind::Headers | Kind::Continuation)
        {
            if let Some(headers) = self.client.headers(head, payload)? {
                self.request(headers, now);
            }
            return Ok(());
        }
        let ends =
            |kind| head.kind() == kind && matches!(piece, Piece::End { .. } | Piece::Whole { .. });
        match self.plays.get_mut(&stream) {
            Some(Play::Instead { request, .. }) => {
                let mut read = Traffic::default();
                if let Piece::Part { content, .. } = piece
                    && head.kind() == Kind::Data
                {
                    request.read(content, &mut read);
                }
                self.give_back_to_client(piece);
                if ends(Kind::ResetStream) {
                    self.plays.insert(stream, Play::Over);
                } else if read.messages > 0 || ends(Kind::Data) && head.has(END_STREAM) {
                    self.act(stream);
                }
            }
            Some(Play::Over) => self.give_back_to_client(piece),
            Some(Play::Request { frames, body, .. }) => {
                frames.piece(piece);
                if let Piece::Part { content, .. } = piece
                    && head.kind() == Kind::Data
                {
                    body.extend_from_slice(content);
                }
                if ends(Kind::ResetStream) {
                    self.proceed(stream);
                } else if ends(Kind::Data) && head.has(END_STREAM) {
                    self.rewrite(stream);
                }
            }
            Some(Play::Held(held)) if ends(Kind::ResetStream) => {
                // The client never sees these bytes, and so won't enlarge the connection's window for them.
                let update = window_update(held.data);
                self.plays.insert(stream, Play::Over);
                self.to_server.piece(piece);
                self.to_server.insert(&update);
            }
            _ => self.to_server.piece(piece),
        }
        Ok(())
    }

    /// Enlarges the client's window for DATA that the server doesn't see.
    fn give_back_to_client(&mut self, piece: &Piece<'_>) {
        if let Piece::Part { head, raw, .. } = piece
            && head.kind() == Kind::Data
        {
            self.to_client.insert(&window_update(raw.len()));
        }
    }

    fn request(&mut self, mut headers: Headers, now: Instant) {
        let stream = headers.stream;
        if stream <= self.latest {
            // Trailers of a request.
            match self.plays.get_mut(&stream) {
                Some(Play::Instead { .. }) if headers.ends_stream => self.act(stream),
                Some(Play::Instead { .. } | Play::Over) => {}
                Some(Play::Request { frames, .. }) => {
                    self.client.write(&headers, frames);
                    self.rewrite(stream);
                }
                _ => self.client.write(&headers, &mut self.to_server),
            }
            return;
        }
        self.latest = stream;
        if self.refused_above.is_some_and(|last| stream > last) {
            self.plays.insert(stream, Play::Over);
            return;
        }
        let path = headers.value(b":path").unwrap_or_default();
        let playing = self.playing.clone();
        let Some(index) = playing.next(&path, now) else {
            return self.forward(&headers);
        };
        let fault = playing.fault(index);
        let mut stripped = Vec::new();
        match &fault.action {
            Action::Answer(_) | Action::Reset(_) | Action::Goaway(GoAwayKind::Refused) => {
                let request = Messages::default();
                let play = Play::Instead {
                    fault: index,
                    request,
                };
                self.plays.insert(stream, play);
            }
            Action::Goaway(GoAwayKind::Graceful) => {
                self.forward(&headers);
                self.go_away(stream);
            }
            Action::Cut => self.play(&headers, Play::Cut),
            Action::Trailers(status) => {
                let (status, name) = (*status, fault.name.clone());
                let has_begun = false;
                self.play(
                    &headers,
                    Play::Trailers {
                        status,
                        name,
                        has_begun,
                    },
                );
            }
            Action::Hold(hold) => {
                let timeout = headers.value(b"grpc-timeout");
                let span = hold_span(*hold, timeout.as_deref());
                let (until, frames, data) = (now + span, Out::default(), 0);
                self.play(
                    &headers,
                    Play::Held(Held {
                        until,
                        frames,
                        data,
                    }),
                );
            }
            Action::Strip(names) => {
                stripped = headers.strip(names);
                self.forward(&headers);
            }
            Action::First(_) | Action::Replace(_) => {
                let fields = headers.fields.clone();
                let (frames, body) = (Out::default(), Vec::new());
                self.play(
                    &headers,
                    Play::Request {
                        fault: index,
                        fields,
                        frames,
                        body,
                    },
                );
            }
            Action::Refuse(span) => {
                playing.refuse_until(now + span.0);
                self.is_cut = true;
            }
        }
        self.played.push(Played {
            stream,
            fault: index,
            stripped,
        });
        if headers.ends_stream && matches!(self.plays.get(&stream), Some(Play::Instead { .. })) {
            self.act(stream);
        }
    }

    fn play(&mut self, headers: &Headers, play: Play) {
        self.plays.insert(headers.stream, play);
        self.forward(headers);
    }

    fn forward(&mut self, headers: &Headers) {
        self.latest_forwarded = headers.stream;
        self.client.write(headers, &mut self.to_server);
    }

    /// Acts on a whole request.
    fn rewrite(&mut self, stream: u32) {
        let Some(Play::Request {
            fault,
            fields,
            frames,
            body,
        }) = self.plays.get_mut(&stream)
        else {
            return;
        };
        match &self.playing.fault(*fault).action {
            Action::First(method) => {
                self.before.push_back(Before {
                    stream,
                    method: method.clone(),
                    fields: std::mem::take(fields),
                    body: std::mem::take(body),
                });
                return;
            }
            Action::Replace(texts) if !replace(&mut frames.bytes, texts) => {
                self.playing.unplayed(*fault);
            }
            _ => {}
        }
        self.proceed(stream);
    }

    /// Ends a call in the server's place.
    fn act(&mut self, stream: u32) {
        let Some(Play::Instead { fault, .. }) = self.plays.insert(stream, Play::Over) else {
            return;
        };
        let playing = self.playing.clone();
        let fault = playing.fault(fault);
        match &fault.action {
            Action::Reset(code) => {
                let frame = frame(3, stream, &code.0.to_be_bytes());
                self.to_client.insert(&frame);
            }
            Action::Goaway(_) => self.go_away(self.latest_forwarded),
            Action::Answer(status) => {
                let mut fields = opening();
                fields.extend(closing(*status, &fault.name));
                self.answer(stream, true, fields);
            }
            _ => {}
        }
    }

    fn go_away(&mut self, last: u32) {
        const NO_ERROR: u32 = 0;
        self.refused_above = Some(last);
        let payload = [last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat();
        self.to_client.insert(&frame(7, 0, &payload));
    }

    fn answer(&mut self, stream: u32, ends_stream: bool, fields: FieldList) {
        let headers = Headers {
            stream,
            ends_stream,
            fields,
        };
        self.server.write(&headers, &mut self.to_client);
    }

    fn server_piece(&mut self, piece: &Piece<'_>) -> Result<(), OutOfSight> {
        let head = piece.head();
        let stream = head.stream();
        if let Piece::Whole { head, payload } = *piece {
            match head.kind() {
                Kind::Headers | Kind::Continuation => {
                    if let Some(headers) = self.server.headers(head, payload)? {
                        self.answered(headers);
                    }
                    return Ok(());
                }
                // Clients of gRPC don't allow pushes.
                Kind::PushPromise => return Err(OutOfSight::Frame),
                _ => {}
            }
        }
        let is_of_answer = matches!(head.kind(), Kind::Data | Kind::ResetStream);
        match self.plays.get_mut(&stream) {
            Some(Play::Cut) if is_of_answer => self.is_cut = true,
            Some(Play::Held(held)) if is_of_answer => {
                held.frames.piece(piece);
                if let Piece::Part { raw, .. } = piece {
                    held.data += raw.len();
                }
            }
            Some(Play::Over) => {
                if let Piece::Part { raw, .. } = piece
                    && is_of_answer
                {
                    self.to_server.insert(&window_update(raw.len()));
                }
            }
            _ => self.to_client.piece(piece),
        }
        Ok(())
    }

    fn answered(&mut self, headers: Headers) {
        let stream = headers.stream;
        match self.plays.get_mut(&stream) {
            Some(Play::Cut) => self.is_cut = true,
            Some(Play::Over) => {}
            Some(Play::Held(held)) => self.server.write(&headers, &mut held.frames),
            Some(Play::Trailers { has_begun, .. }) if !headers.ends_stream => {
                *has_begun = true;
                self.server.write(&headers, &mut self.to_client);
            }
            Some(Play::Trailers {
                status,
                name,
                has_begun,
            }) => {
                let (trailers, has_begun) = (closing(*status, name), *has_begun);
                self.plays.remove(&stream);
                if !has_begun {
                    self.answer(stream, false, opening());
                }
                self.answer(stream, true, trailers);
            }
            _ => self.server.write(&headers, &mut self.to_client),
        }
    }
}

impl Out {
    /// Appends a part of a frame that is forwarded.
    fn piece(&mut self, piece: &Piece<'_>) {
        match *piece {
            Piece::Start { head } => {
                self.is_open = true;
                self.bytes.extend_from_slice(&head.0);
            }
            Piece::Part { raw, .. } => self.bytes.extend_from_slice(raw),
            Piece::End { .. } => {
                self.is_open = false;
                self.bytes.append(&mut self.waiting);
            }
            Piece::Whole { head, payload } => {
                self.bytes.extend_from_slice(&head.0);
                self.bytes.extend_from_slice(payload);
            }
        }
    }

    /// Appends whole frames, once no other frame is open.
    fn insert(&mut self, frames: &[u8]) {
        match self.is_open {
            true => self.waiting.extend_from_slice(frames),
            false => self.bytes.extend_from_slice(frames),
        }
    }
}

impl Side {
    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<Option<Headers>, OutOfSight> {
        let Some(block) = self.block.add(head, payload)? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        let decoded = self.decoder.decode(block.bytes, |name, value| {
            fields.push((name.to_owned(), value.to_owned()));
        });
        let (stream, ends_stream) = (block.stream, block.ends_stream);
        self.block.close();
        decoded.map_err(|_| OutOfSight::HeaderBlock)?;
        self.sizes.extend_from_slice(self.decoder.sizes());
        Ok(Some(Headers {
            stream,
            ends_stream,
            fields,
        }))
    }

    /// Writes a header block that uses no dynamic table, because blocks are left out and added.
    fn write(&mut self, headers: &Headers, to: &mut Out) {
        let mut block = Vec::new();
        for size in self.sizes.drain(..) {
            encode_size(size, &mut block);
        }
        for (name, value) in &headers.fields {
            encode(name, value, &mut block);
        }
        let mut frames = Vec::new();
        write_block(headers.stream, headers.ends_stream, &block, &mut frames);
        to.insert(&frames);
    }
}

impl Headers {
    fn value(&self, name: &[u8]) -> Option<String> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(known, _)| known == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Removes headers, and returns the names of those that were there.
    fn strip(&mut self, names: &[String]) -> Vec<String> {
        let mut stripped = Vec::new();
        self.fields.retain(|(name, _)| {
            let found = names.iter().find(|known| known.as_bytes() == name);
            stripped.extend(found.cloned());
            found.is_none()
        });
        stripped.dedup();
        stripped
    }
}

/// The headers of an answer.
fn opening() -> FieldList {
    [(":status", "200"), ("content-type", "application/grpc")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}

/// The trailers of an answer.
fn closing(status: Status, fault: &str) -> FieldList {
    let status = (b"grpc-status".to_vec(), status.0.to_string().into());
    let message = format!("fault {fault}");
    let escaped = message.bytes().flat_map(|byte| match byte {
        b' '..=b'~' if byte != b'%' => vec![byte],
        _ => format!("%{byte:02X}").into_bytes(),
    });
    vec![status, (b"grpc-message".to_vec(), escaped.collect())]
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = Head::new(payload.len(), kind, 0, stream);
    [head.0.as_slice(), payload].concat()
}

/// Replaces a text wherever it is; `false` if it is nowhere.
fn replace(bytes: &mut [u8], texts: &Replacement) -> bool {
    let (from, to) = (texts.from.as_bytes(), texts.to.as_bytes());
    let mut is_there = false;
    for begin in 0..(bytes.len() + 1).saturating_sub(from.len()) {
        let place = &mut bytes[begin..begin + from.len()];
        if place == from {
            place.copy_from_slice(to);
            is_there = true;
        }
    }
    is_there
}

/// A frame that enlarges the connection's window; nothing for 0 bytes, which would be an error.
fn window_update(bytes: usize) -> Vec<u8> {
    match u32::try_from(bytes) {
        Ok(bytes @ 1..) => frame(8, 0, &bytes.to_be_bytes()),
        _ => Vec::new(),
    }
}

/// How long after the request's headers the answer may be sent on.
fn hold_span(hold: Hold, timeout: Option<&str>) -> Duration {
    match hold {
        Hold::For(span) => span,
        Hold::PastDeadline => timeout
            .and_then(deadline)
            .map(|span| span.saturating_add(PAST_DEADLINE))
            .filter(|span| *span < Hold::LONGEST)
            .unwrap_or(Hold::LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_until_after_the_deadline() {
        let check = |timeout: Option<&str>, expected: u64| {
            let span = hold_span(Hold::PastDeadline, timeout);
            assert_eq!(span.as_millis(), u128::from(expected), "{timeout:?}");
        };
        check(Some("4999m"), 5999);
        check(Some("10S"), 11_000);
        check(Some("1000000u"), 2000);
        check(Some("60S"), 61_000);
        check(Some("24H"), 75_000);
        check(Some("x"), 75_000);
        check(None, 75_000);
    }
}
