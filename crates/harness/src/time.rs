//! Times as they are written: UTC, in the form of RFC 3339.

use chrono::{DateTime, SecondsFormat, Utc};

/// Now, in whole seconds.
pub fn now() -> String {
    text(Utc::now(), SecondsFormat::Secs)
}

/// Now, in milliseconds.
pub fn now_in_millis() -> String {
    text(Utc::now(), SecondsFormat::Millis)
}

fn text(time: DateTime<Utc>, precision: SecondsFormat) -> String {
    time.to_rfc3339_opts(precision, true)
}
