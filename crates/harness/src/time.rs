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

/// A time in microseconds since 1970, with as many decimals as it has; the latest one that can be written if it is later still.
pub fn of_micros(micros: u128) -> String {
    let time = i64::try_from(micros)
        .ok()
        .and_then(DateTime::from_timestamp_micros);
    text(
        time.unwrap_or(DateTime::<Utc>::MAX_UTC),
        SecondsFormat::AutoSi,
    )
}

fn text(time: DateTime<Utc>, precision: SecondsFormat) -> String {
    time.to_rfc3339_opts(precision, true)
}
