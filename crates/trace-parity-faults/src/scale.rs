//! A real capture made large: copies of it under other ids, other names and later times, until there are spans enough.

use crate::random::Random;

/// At least `spans` spans, in whole copies of `capture`. Written as text, so that a million spans take a second or two.
#[must_use]
pub fn scaled(capture: &[u8], spans: usize, seed: u64) -> Vec<u8> {
    let text = String::from_utf8_lossy(capture);
    let pieces = pieces(&text);
    let own = pieces
        .iter()
        .filter(|piece| matches!(piece, Piece::Span(_)))
        .count()
        .max(1);
    let copies = spans.div_ceil(own).max(1);
    let mut out = String::with_capacity(copies * (text.len() + 1024));
    for copy in 0..copies {
        let salt = Random(seed ^ copy as u64).next();
        for piece in &pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Trace(id) => {
                    let (high, low) = id.split_at(16);
                    out.push_str(&mixed(high, salt));
                    out.push_str(&mixed(low, salt));
                }
                Piece::Span(id) | Piece::Parent(id) => out.push_str(&mixed(id, salt)),
                Piece::Name(name) if copy == 0 => out.push_str(name),
                Piece::Name(name) => {
                    out.push_str(name);
                    out.push_str(&format!("-{copy}"));
                }
                Piece::Time(time) => out.push_str(&(time + copy as u64 * COPY_NS).to_string()),
            }
        }
    }
    out.into_bytes()
}

/// Copies follow each other in time.
const COPY_NS: u64 = 30_000_000_000;

/// A stretch of the capture: as it is, or to be made over.
enum Piece<'t> {
    Text(&'t str),
    Trace(&'t str),
    /// A span's own id: one per span.
    Span(&'t str),
    Parent(&'t str),
    Name(&'t str),
    Time(u64),
}

type Make = for<'t> fn(&'t str) -> Option<Piece<'t>>;

const KEYS: [(&str, Make); 6] = [
    ("\"traceId\":\"", |id| {
        (id.len() == 32).then_some(Piece::Trace(id))
    }),
    ("\"spanId\":\"", |id| {
        (id.len() == 16).then_some(Piece::Span(id))
    }),
    ("\"parentSpanId\":\"", |id| {
        (id.len() == 16).then_some(Piece::Parent(id))
    }),
    (
        "\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"",
        |name| Some(Piece::Name(name)),
    ),
    ("TimeUnixNano\":\"", |time| {
        time.parse().ok().map(Piece::Time)
    }),
    ("\"timeUnixNano\":\"", |time| {
        time.parse().ok().map(Piece::Time)
    }),
];

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let next = KEYS
            .iter()
            .filter_map(|(key, make)| rest.find(key).map(|at| (at + key.len(), make)))
            .min_by_key(|(at, _)| *at);
        let Some((at, make)) = next else { break };
        let end = rest[at..]
            .find('"')
            .map_or(rest.len(), |length| at + length);
        match make(&rest[at..end]) {
            Some(piece) => pieces.extend([Piece::Text(&rest[..at]), piece]),
            None => pieces.push(Piece::Text(&rest[..end])),
        }
        rest = &rest[end..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn mixed(hex: &str, salt: u64) -> String {
    let id = u64::from_str_radix(hex, 16).unwrap_or_default();
    format!("{:016x}", Random(id ^ salt).next() | 1)
}
