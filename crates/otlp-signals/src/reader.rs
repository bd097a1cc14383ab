//! Collects what the files of a run hold.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::json::{
    DataPoint, ExemplarMessage, Float, Integer, KeyValue, ResourceMessage, ScopeMessage,
};
use crate::model::{
    Attributes, Exemplar, Kind, LogRecord, Metric, Point, Problem, Resource, Scope, Series,
    ServerLine, Signals, Temporality,
};
use crate::prometheus;

/// The most points, records and lines that are kept, of each.
const KEPT: usize = 1_000_000;

/// Bytes of a log record's text that are kept.
const LONGEST_TEXT: usize = 4096;

/// Reads one file after the other into one [`Signals`].
#[derive(Debug, Default)]
pub struct Reader {
    signals: Signals,
    places: HashMap<Stream, usize>,
    /// By metric and attributes.
    series: HashMap<(usize, Attributes), usize>,
    points: usize,
    resources: HashSet<Arc<Resource>>,
    scopes: HashSet<Arc<Scope>>,
    strings: HashSet<Arc<str>>,
    bounds: Option<Arc<[f64]>>,
}

/// What one instrument of one resource is told by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) resource: Arc<Resource>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) name: Arc<str>,
    pub(crate) unit: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) temporality: Temporality,
    pub(crate) monotonic: bool,
}

/// Where something stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'f> {
    pub(crate) file: &'f str,
    pub(crate) line: u64,
}

impl Reader {
    /// Takes the server's pages of Prometheus text, from before the first program and after the last one.
    pub fn server_pages(&mut self, before: &str, after: &str) {
        self.signals.server_pages = Some((prometheus::parse(before), prometheus::parse(after)));
    }

    #[must_use]
    pub fn finish(self) -> Signals {
        self.signals
    }

    pub(crate) fn problem(&mut self, place: Place<'_>, message: String) {
        let mut known = self.signals.problems.iter_mut();
        match known.find(|known| known.file == place.file && known.message == message) {
            Some(known) => known.count += 1,
            None => self.signals.problems.push(Problem {
                file: place.file.to_owned(),
                line: place.line,
                message,
                count: 1,
            }),
        }
    }

    pub(crate) fn stream(&mut self, stream: Stream) -> usize {
        *self.places.entry(stream).or_insert_with_key(|stream| {
            let stream = stream.clone();
            self.signals.metrics.push(Metric {
                resource: stream.resource,
                scope: stream.scope,
                name: stream.name,
                unit: stream.unit,
                kind: stream.kind,
                temporality: stream.temporality,
                monotonic: stream.monotonic,
                series: Vec::new(),
            });
            self.signals.metrics.len() - 1
        })
    }

    pub(crate) fn point(&mut self, place: Place<'_>, metric: usize, mut message: DataPoint) {
        self.points += 1;
        if self.points > KEPT {
            return self.problem(place, format!("only the first {KEPT} data points are kept"));
        }
        let attributes = self.attributes(std::mem::take(&mut message.attributes));
        let point = self.point_of(message);
        let all = &mut self.signals.metrics[metric].series;
        let series =
            *self
                .series
                .entry((metric, attributes))
                .or_insert_with_key(|(_, attributes)| {
                    all.push(Series {
                        attributes: attributes.clone(),
                        points: Vec::new(),
                    });
                    all.len() - 1
                });
        all[series].points.push(point);
    }

    fn point_of(&mut self, message: DataPoint) -> Point {
        let value = number(message.as_int, message.as_double);
        let bounds: Vec<f64> = message
            .explicit_bounds
            .iter()
            .map(|bound| bound.0)
            .collect();
        let last = self.bounds.take().filter(|last| **last == *bounds);
        let bounds = last.unwrap_or_else(|| bounds.into());
        self.bounds = Some(Arc::clone(&bounds));
        Point {
            start: message.start_time_unix_nano.unsigned(),
            time: message.time_unix_nano.unsigned(),
            count: message.count.unsigned(),
            value: value.unwrap_or(message.sum.0),
            bounds,
            buckets: message
                .bucket_counts
                .iter()
                .map(|count| count.unsigned())
                .collect(),
            exemplars: message.exemplars.iter().map(exemplar).collect(),
        }
    }

    pub(crate) fn log(&mut self, place: Place<'_>, record: LogRecord) {
        if self.signals.logs.len() < KEPT {
            self.signals.logs.push(record);
        } else {
            self.problem(place, format!("only the first {KEPT} records are kept"));
        }
    }

    pub(crate) fn server_line(&mut self, place: Place<'_>, line: ServerLine) {
        if self.signals.server_lines.len() < KEPT {
            self.signals.server_lines.push(line);
        } else {
            self.problem(place, format!("only the first {KEPT} lines are kept"));
        }
    }

    pub(crate) fn resource(&mut self, message: ResourceMessage) -> Arc<Resource> {
        let attributes = self.attributes(message.attributes);
        shared(&mut self.resources, Resource { attributes })
    }

    pub(crate) fn scope(&mut self, message: ScopeMessage) -> Arc<Scope> {
        let scope = Scope {
            name: message.name,
            version: message.version,
        };
        shared(&mut self.scopes, scope)
    }

    pub(crate) fn attributes(&mut self, list: Vec<KeyValue>) -> Attributes {
        let mut pairs: Vec<_> = list
            .into_iter()
            .map(|pair| (self.string(&pair.key), self.string(&pair.value.into_text())))
            .collect();
        pairs.sort_unstable();
        Attributes(pairs)
    }

    pub(crate) fn string(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.strings.insert(Arc::clone(&new));
        new
    }
}

/// A value, which is written as one or the other.
fn number(whole: Option<Integer>, float: Option<Float>) -> Option<f64> {
    whole
        .map(|value| value.0 as f64)
        .or(float.map(|value| value.0))
}

fn exemplar(message: &ExemplarMessage) -> Exemplar {
    let value = number(message.as_int, message.as_double);
    Exemplar {
        time: message.time_unix_nano.unsigned(),
        value: value.unwrap_or(0.0),
        trace_id: message.trace_id.0,
        span_id: message.span_id.0,
    }
}

/// The text, cut off behind [`LONGEST_TEXT`] bytes.
pub(crate) fn clipped(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let mut ends = (0..=LONGEST_TEXT).rev();
        let end = ends.find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

fn shared<T: Eq + Hash>(known: &mut HashSet<Arc<T>>, new: T) -> Arc<T> {
    if let Some(known) = known.get(&new) {
        return Arc::clone(known);
    }
    let new = Arc::new(new);
    known.insert(Arc::clone(&new));
    new
}
