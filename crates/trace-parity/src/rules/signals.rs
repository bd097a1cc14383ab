//! Do metrics and logs say what the spans say?

mod agreement;
mod logs;
mod metrics;
mod secrets;
mod server;

pub(crate) use agreement::{disagreeing_counts, disagreeing_points};
pub(crate) use logs::{uncorrelated, unseen_errors};
pub(crate) use metrics::{attributes, cardinality, missing, renamed, units};
pub(crate) use secrets::secrets;
pub(crate) use server::server_counts;
