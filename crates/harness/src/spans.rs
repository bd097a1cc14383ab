//! Where a run's spans come from: the capture of its own, another's that is followed, a store that is asked.

pub mod fetch;
pub mod follow;
pub mod http;
pub mod live;
pub mod source;
pub mod tls;
