//! A pass-through proxy for gRPC over cleartext HTTP/2 that records what each call carried.
//!
//! It forwards the bytes of both sides unchanged and reads them as they pass. Frames, settings, flow control, trailers, resets, pings and
//! deadlines are those of the client and the server, unless a [`Plan`] of faults says otherwise. A connection that it can't read is forwarded too, and its record gives the reason.

mod block;
mod call;
mod clock;
mod connection;
mod door;
mod fault;
mod faulty;
mod frame;
mod hpack;
mod mend;
mod pipe;
mod record;
mod witness;
mod writer;

pub use fault::{
    Action, Fault, GoAwayKind, Hold, Often, Plan, PlanError, Replacement, ResetCode, Span, Status,
    is_call_of,
};
pub use record::{
    CallRecord, ConnectionRecord, EndRecord, Ending, FaultCount, GoAway, Line, Mended, OutOfSight,
    Party, Reset, SCHEMA, Stats, Traffic, WitnessRecord,
};
pub use witness::{Config, Error, Limits, Witness};
