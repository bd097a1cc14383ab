//! A running capture and its clients: a real OTLP/gRPC client, and simpler ones for requests that
//! such a client never sends.

mod accounts;
mod corpus;
mod forward;
mod grpc;
mod http;
mod lab;
mod life;
mod process;
mod secrets;
mod signals;
