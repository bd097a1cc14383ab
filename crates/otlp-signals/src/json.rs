//! OTLP's messages as JSON has them, as far as they are read. A field may be absent or null.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

/// Declares messages whose every field may be left out.
macro_rules! messages {
    ($($name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Debug, Default, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub(crate) struct $name {
                $(#[serde(deserialize_with = "or_default")] pub(crate) $field: $type,)*
            }
        )*
    };
}

messages! {
    MetricsRequest { resource_metrics: Vec<ResourceMetrics>, }
    ResourceMetrics { resource: ResourceMessage, scope_metrics: Vec<ScopeMetrics>, }
    ScopeMetrics { scope: ScopeMessage, metrics: Vec<MetricMessage>, }
    MetricMessage {
        name: String,
        unit: String,
        gauge: Option<Data>,
        sum: Option<Data>,
        histogram: Option<Data>,
        exponential_histogram: Option<Data>,
        summary: Option<Data>,
    }
    Data {
        data_points: Vec<DataPoint>,
        aggregation_temporality: Integer,
        is_monotonic: bool,
    }
    DataPoint {
        attributes: Vec<KeyValue>,
        start_time_unix_nano: Integer,
        time_unix_nano: Integer,
        as_double: Option<Float>,
        as_int: Option<Integer>,
        count: Integer,
        sum: Float,
        explicit_bounds: Vec<Float>,
        bucket_counts: Vec<Integer>,
        exemplars: Vec<ExemplarMessage>,
    }
    ExemplarMessage {
        time_unix_nano: Integer,
        as_double: Option<Float>,
        as_int: Option<Integer>,
        trace_id: Id<16>,
        span_id: Id<8>,
    }
    LogsRequest { resource_logs: Vec<ResourceLogs>, }
    ResourceLogs { resource: ResourceMessage, scope_logs: Vec<ScopeLogs>, }
    ScopeLogs { scope: ScopeMessage, log_records: Vec<LogMessage>, }
    LogMessage {
        time_unix_nano: Integer,
        observed_time_unix_nano: Integer,
        severity_number: Integer,
        severity_text: String,
        body: AnyValue,
        attributes: Vec<KeyValue>,
        trace_id: Id<16>,
        span_id: Id<8>,
        flags: Integer,
    }
    ResourceMessage { attributes: Vec<KeyValue>, }
    ScopeMessage { name: String, version: String, }
    KeyValue { key: String, value: AnyValue, }
    AnyValue {
        string_value: Option<String>,
        bool_value: Option<bool>,
        int_value: Option<Integer>,
        double_value: Option<Float>,
        bytes_value: Option<String>,
        array_value: Option<Value>,
        kvlist_value: Option<Value>,
    }
}

impl AnyValue {
    pub(crate) fn into_text(self) -> String {
        let scalar = self
            .string_value
            .or(self.bool_value.map(|value| value.to_string()))
            .or(self.int_value.map(|value| value.0.to_string()))
            .or(self.double_value.map(|value| value.0.to_string()))
            .or(self.bytes_value);
        let nested = || self.array_value.or(self.kvlist_value);
        scalar.unwrap_or_else(|| nested().map_or(String::new(), |value| value.to_string()))
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(|value: Option<T>| value.unwrap_or_default())
}

/// A whole number, written as one or as text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Integer(pub(crate) i128);

/// A number, or `NaN`, `Infinity`, `-Infinity` as text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Float(pub(crate) f64);

/// An id in hexadecimal; zero where it is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Default for Id<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl Integer {
    /// Zero where it is negative or too large, which no time and no count is.
    pub(crate) fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }
}

struct Scalar<T>(
    &'static str,
    fn(f64) -> Option<T>,
    fn(i128) -> T,
    fn(&str) -> Option<T>,
);

impl<T> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        Ok((self.2)(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Ok((self.2)(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.1)(value).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.3)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = |value: f64| (value.fract() == 0.0).then_some(Self(value as i128));
        let parsed = |text: &str| text.parse().ok().map(Self);
        deserializer.deserialize_any(Scalar("a whole number", whole, Self, parsed))
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let exact = |value: i128| Self(value as f64);
        let parsed = |text: &str| text.parse().ok().map(Self);
        deserializer.deserialize_any(Scalar("a number", |value| Some(Self(value)), exact, parsed))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Id<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex<const N: usize>;
        impl<const N: usize> Visitor<'_> for Hex<N> {
            type Value = Id<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} hexadecimal digits", 2 * N)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<N>, E> {
                if text.is_empty() {
                    return Ok(Id::default());
                }
                id(text.as_bytes())
                    .map(Id)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// An id of `2 * N` hexadecimal digits.
pub(crate) fn id<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut id = [0; N];
    (digits.len() == 2 * N).then_some(())?;
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(id)
}
