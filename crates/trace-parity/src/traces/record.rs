//! The records of the store.

use std::fmt;
use std::ops::Range;

use super::attribute::Slice;
use crate::intern::Str;

pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug, Default)]
pub(crate) struct SpanRecord {
    pub(crate) id: [u8; 8],
    pub(crate) parent_id: [u8; 8],
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) trace: u32,
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    pub(crate) name: Str,
    pub(crate) status_message: Str,
    /// An index of [`Traces::rarities`].
    pub(crate) rarities: u32,
    /// 1-based; zero in a format without lines.
    pub(crate) line: u32,
    pub(crate) attributes: Slice,
    pub(crate) events: Slice,
    pub(crate) input: u16,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
}

/// What most spans of an input have in common or lack. Equal ones share a place, which keeps a [`SpanRecord`] at 80 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rarities {
    pub(crate) flags: u32,
    pub(crate) trace_state: Str,
    pub(crate) links: Slice,
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
    /// Jaeger's remarks about the span, one a line.
    pub(crate) warnings: Str,
    /// Jaeger may have made the parent of a link: it is one only where that span is there.
    pub(crate) parent_is_link: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct EventRecord {
    pub(crate) time: u64,
    pub(crate) name: Str,
    pub(crate) attributes: Slice,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LinkRecord {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) trace_state: Str,
    pub(crate) attributes: Slice,
    pub(crate) flags: u32,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ResourceRecord {
    pub(crate) attributes: Slice,
    pub(crate) schema_url: Str,
    pub(crate) dropped_attributes: u32,
    pub(crate) source: u32,
    pub(crate) service_name: Option<Str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ScopeRecord {
    pub(crate) name: Str,
    pub(crate) version: Str,
    pub(crate) attributes: Slice,
    pub(crate) schema_url: Str,
    pub(crate) dropped_attributes: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct TraceRecord {
    pub(crate) id: [u8; 16],
    /// An index of [`Traces::sources`]: inputs with names are kept apart even where trace ids meet.
    pub(crate) source: u32,
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl TraceRecord {
    pub(crate) fn spans(&self) -> Range<u32> {
        self.first..self.first + self.len
    }
}

/// A span's kind, as OTLP numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Unspecified,
        Kind::Internal,
        Kind::Server,
        Kind::Client,
        Kind::Producer,
        Kind::Consumer,
    ];

    /// As people write it: `client`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unspecified => "unspecified",
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A span's status code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    #[default]
    Unset,
    Ok,
    Error,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Unset => "UNSET",
            Status::Ok => "OK",
            Status::Error => "ERROR",
        })
    }
}
