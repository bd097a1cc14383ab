//! The witness between clients and servers of our own, and of gRPC's own interoperability tests.

mod faults;
mod interop;
mod misbehaving;
mod peers;
mod records;
mod transparent;
