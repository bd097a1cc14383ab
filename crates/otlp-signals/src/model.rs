//! The model that every reader fills. Times are nanoseconds since the Unix epoch; ids that are all zero are absent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::prometheus::Page;

/// Metrics and logs of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// By resource, scope and name, in order of first appearance.
    pub metrics: Vec<Metric>,
    /// In order of the file.
    pub logs: Vec<LogRecord>,
    /// The lines of the server's log that name a trace, in order of the file.
    pub server_lines: Vec<ServerLine>,
    /// The server's own counters before the first program started and after the last one ended, where both were read.
    pub server_pages: Option<(Page, Page)>,
    pub problems: Vec<Problem>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name that the caller gave the input.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// A lower-case fragment.
    pub message: String,
    /// How often it came up; `line` is the first.
    pub count: u64,
}

/// Attributes in order of their keys, values as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(pub(crate) Vec<(Arc<str>, Arc<str>)>);

impl Attributes {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| **known == *key);
        found.map(|(_, value)| &**value)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub attributes: Attributes,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub name: String,
    pub version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temporality {
    Unspecified,
    Delta,
    Cumulative,
}

/// All that one instrument of one resource sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    pub name: Arc<str>,
    pub unit: Arc<str>,
    pub kind: Kind,
    pub temporality: Temporality,
    pub monotonic: bool,
    pub series: Vec<Series>,
}

/// The points of one set of attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub attributes: Attributes,
    /// In order of the file.
    pub points: Vec<Point>,
}

/// What an instrument said at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// 0 where it is unknown.
    pub start: u64,
    pub time: u64,
    /// The measurements in it, for histograms and summaries.
    pub count: u64,
    /// The value of a gauge or a sum; the sum of a histogram.
    pub value: f64,
    /// The upper bounds of all buckets but the last one.
    pub bounds: Arc<[f64]>,
    pub buckets: Box<[u64]>,
    pub exemplars: Box<[Exemplar]>,
}

/// A measurement that names the span it was made in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub time: u64,
    pub value: f64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    pub resource: Arc<Resource>,
    pub scope: Arc<Scope>,
    /// When it happened, else when it was seen.
    pub time: u64,
    /// 1 to 24; 0 where it is unknown.
    pub severity: u8,
    pub severity_text: Arc<str>,
    /// As text, cut off where it is long.
    pub body: String,
    pub attributes: Attributes,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    /// The W3C flags of its span.
    pub flags: u32,
    /// Where it stands in its file, from 1.
    pub line: u64,
}

/// A line of the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLine {
    /// To the millisecond, cut off.
    pub time: u64,
    /// `INFO`, `WARN`, `ERROR` and the like.
    pub level: String,
    /// File and line of the source.
    pub caller: String,
    /// The message and its fields, without trace id and stack; cut off where it is long.
    pub text: String,
    pub trace_id: [u8; 16],
    /// Where it stands in its file, from 1.
    pub line: u64,
}

impl LogRecord {
    #[must_use]
    pub fn is_correlated(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// `ERROR`, by number where the record has no text.
    #[must_use]
    pub fn level(&self) -> &str {
        const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        match (&*self.severity_text, self.severity) {
            ("", number @ 1..) => NAMES[usize::from((number - 1) / 4).min(NAMES.len() - 1)],
            (text, _) => text,
        }
    }
}

impl Metric {
    /// The measurements behind it, over all its series.
    #[must_use]
    pub fn count(&self) -> f64 {
        let series = self.series.iter();
        series.map(|series| self.total(series).0).sum()
    }

    /// The measurements of one series and their sum. Of a counter, both are its value.
    ///
    /// Deltas add up. Of cumulative points, the last one of each start counts: a process that began again has a later start, and
    /// processes that share a resource have starts of their own.
    #[must_use]
    pub fn total(&self, series: &Series) -> (f64, f64) {
        let points: Vec<&Point> = if self.temporality == Temporality::Delta {
            series.points.iter().collect()
        } else {
            let by_start = series.points.iter().map(|point| (point.start, point));
            by_start.collect::<BTreeMap<_, _>>().into_values().collect()
        };
        let of = |point: &Point| match self.kind {
            Kind::Gauge | Kind::Sum => (point.value, point.value),
            _ => (point.count as f64, point.value),
        };
        let totals = points.into_iter().map(of);
        totals.fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gauge => "gauge",
            Self::Sum => "sum",
            Self::Histogram => "histogram",
            Self::ExponentialHistogram => "exponential histogram",
            Self::Summary => "summary",
        })
    }
}

impl fmt::Display for Temporality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Delta => "delta",
            Self::Cumulative => "cumulative",
        })
    }
}
