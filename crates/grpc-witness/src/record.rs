//! The lines of `wire.jsonl`. Times are nanoseconds since the Unix epoch.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The format's name and version, in the first line.
pub const SCHEMA: &str = "milvus-otel.wire/1";

/// One line: an object with one key, its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Witness(WitnessRecord),
    Call(CallRecord),
    /// Written when the connection has ended.
    Connection(ConnectionRecord),
    /// The last line; missing if the witness was killed.
    End(EndRecord),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    pub schema: String,
    /// Where clients connect.
    pub address: String,
    /// The server's address.
    pub upstream: String,
    pub began_unix_nano: u64,
    /// Whether contexts that old servers drop are rewritten.
    pub mends: bool,
    /// The names of the faults that it plays.
    #[serde(default)]
    pub faults: Vec<String>,
    /// What it adds to the time of each direction.
    #[serde(default)]
    pub link_delay_nanos: u64,
}

/// One call on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The connection's number, from 1 in order of arrival.
    pub connection: u64,
    /// The client's name, if it has a port of its own.
    #[serde(default)]
    pub client: Option<String>,
    /// The HTTP/2 stream's number.
    pub stream: u32,
    /// When the request's headers passed.
    pub headers_unix_nano: u64,
    /// When the client ended its request; `null` if the call ended first.
    pub half_close_unix_nano: Option<u64>,
    /// When the first headers of the answer passed.
    pub first_byte_unix_nano: Option<u64>,
    pub end_unix_nano: u64,
    pub ending: Ending,
    /// `/package.Service/Method`.
    pub path: String,
    pub authority: String,
    /// The deadline, as `grpc-timeout` has it: `4999m`.
    pub timeout: Option<String>,
    pub user_agent: Option<String>,
    /// Headers that carry a trace context, in lower case, with each value as sent and in the order sent.
    pub context: BTreeMap<String, Vec<String>>,
    /// Contexts were longer than what is kept.
    pub context_is_cut: bool,
    /// Changes on the way to the server.
    pub mended: Vec<Mended>,
    /// The name of the fault that was played on it.
    #[serde(default)]
    pub fault: Option<String>,
    /// Headers that the fault removed on the way to the server.
    #[serde(default)]
    pub stripped: Vec<String>,
    pub request: Traffic,
    pub response: Traffic,
    pub http_status: Option<u16>,
    /// `grpc-status`; `null` if there was none, or it isn't a number.
    pub grpc_status: Option<u32>,
    /// Whether the answer was its trailers alone.
    pub trailers_only: bool,
    pub reset: Option<Reset>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The server ended its answer.
    Answered,
    /// Either side reset the stream.
    Reset,
    /// The server's GOAWAY says that it hasn't processed the call.
    Refused,
    /// The connection ended before the call.
    Cut,
    /// The witness could no longer read the connection.
    OutOfSight,
    /// The call was open when the witness stopped.
    #[default]
    Open,
}

/// A change of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mended {
    /// Trace flags above 01 were reduced to the sampled bit.
    Flags,
    /// A `traceparent` after the first was removed.
    SecondTraceparent,
}

/// The gRPC messages of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Complete messages.
    pub messages: u64,
    /// Bytes of messages on the wire, without gRPC's five-byte prefixes.
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    pub by: Party,
    /// The error code by its name in RFC 9113, or its number.
    pub code: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    Client,
    Server,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRecord {
    pub connection: u64,
    /// The client's name, if it has a port of its own.
    #[serde(default)]
    pub client: Option<String>,
    /// The client's address.
    pub peer: String,
    pub opened_unix_nano: u64,
    pub closed_unix_nano: u64,
    pub calls: u64,
    /// Calls without a record, because too many were open.
    pub unrecorded_calls: u64,
    /// Bytes on the wire.
    pub from_client: u64,
    pub from_server: u64,
    pub goaways: Vec<GoAway>,
    /// Why its calls, or those after some moment, have no record.
    pub out_of_sight: Option<OutOfSight>,
    /// The error that ended it, if any.
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoAway {
    pub by: Party,
    pub unix_nano: u64,
    pub last_stream: u32,
    /// The error code by its name in RFC 9113, or its number.
    pub code: String,
}

/// Why the witness can't read a connection. It forwards it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutOfSight {
    Tls,
    Http1,
    /// It doesn't begin with HTTP/2's preface or settings.
    NotHttp2,
    /// A header block can't be decoded, or is too long.
    HeaderBlock,
    /// Frames are malformed or in a wrong order.
    Frame,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    pub ended_unix_nano: u64,
    pub stats: Stats,
}

/// Counts of a witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub connections: u64,
    pub calls: u64,
    /// Connections that couldn't be read, wholly or from some moment on.
    pub out_of_sight: u64,
    /// Calls without a record, because too many were open.
    pub unrecorded_calls: u64,
    /// Lines that couldn't be written.
    pub unwritten: u64,
    /// The latest reason for that.
    pub write_error: Option<String>,
    /// The faults of the plan, in its order.
    #[serde(default)]
    pub faults: Vec<FaultCount>,
}

/// How often a fault was played.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    pub name: String,
    /// The client's name, if it has a port of its own.
    #[serde(default)]
    pub client: Option<String>,
    /// Calls of its methods.
    pub calls: u64,
    /// Calls on which it was played.
    pub played: u64,
}

/// The error codes of HTTP/2, from 0.
pub(crate) const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// An error code of HTTP/2 by its name.
pub(crate) fn code_name(code: u32) -> String {
    let name = CODES.get(code as usize);
    name.map_or_else(|| code.to_string(), |&name| name.to_owned())
}

impl CallRecord {
    /// Whether it ended after its deadline.
    #[must_use]
    pub fn is_past_deadline(&self) -> bool {
        let took = self.end_unix_nano.saturating_sub(self.headers_unix_nano);
        let limit = self.timeout.as_deref().and_then(deadline);
        limit.is_some_and(|limit| limit <= Duration::from_nanos(took))
    }
}

/// A time as `grpc-timeout` has it.
pub(crate) fn deadline(timeout: &str) -> Option<Duration> {
    let (number, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}
