//! The sources of a run's spans: its own capture, the followed capture of a stack that is up, or a queried store.

pub mod fetch;
pub mod follow;
pub mod http;
pub mod live;
pub mod source;
pub mod tls;
