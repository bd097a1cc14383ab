//! OTLP JSON lines into the model.

use std::io::{self, BufRead};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::json::{Data, LogsRequest, MetricMessage, MetricsRequest};
use crate::lines;
use crate::model::{Kind, LogRecord, Resource, Scope, Temporality};
use crate::reader::{Place, Reader, Stream, clipped};

impl Reader {
    /// Reads OTLP JSON metrics, one request a line. `file` names the input in problems.
    ///
    /// # Errors
    /// Those of `input`.
    pub fn metrics(&mut self, file: &str, input: impl BufRead) -> io::Result<()> {
        requests(self, file, input, take_metrics)
    }

    /// Reads OTLP JSON logs, one request a line.
    ///
    /// # Errors
    /// Those of `input`.
    pub fn logs(&mut self, file: &str, input: impl BufRead) -> io::Result<()> {
        requests(self, file, input, take_logs)
    }
}

fn take_metrics(reader: &mut Reader, place: Place<'_>, request: MetricsRequest) {
    for of_resource in request.resource_metrics {
        let resource = reader.resource(of_resource.resource);
        for of_scope in of_resource.scope_metrics {
            let scope = reader.scope(of_scope.scope);
            for message in of_scope.metrics {
                take_metric(reader, place, &resource, &scope, message);
            }
        }
    }
}

fn take_metric(
    reader: &mut Reader,
    place: Place<'_>,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    message: MetricMessage,
) {
    let name = reader.string(&message.name);
    let unit = reader.string(&message.unit);
    let Some((kind, data)) = data(message) else {
        return reader.problem(place, format!("the metric `{name}` has no data"));
    };
    let metric = reader.stream(Stream {
        resource: resource.clone(),
        scope: scope.clone(),
        name,
        unit,
        kind,
        temporality: temporality(data.aggregation_temporality.unsigned()),
        monotonic: data.is_monotonic,
    });
    for point in data.data_points {
        reader.point(place, metric, point);
    }
}

fn take_logs(reader: &mut Reader, place: Place<'_>, request: LogsRequest) {
    for of_resource in request.resource_logs {
        let resource = reader.resource(of_resource.resource);
        for of_scope in of_resource.scope_logs {
            let scope = reader.scope(of_scope.scope);
            for message in of_scope.log_records {
                let happened = message.time_unix_nano.unsigned();
                let time = match happened {
                    0 => message.observed_time_unix_nano.unsigned(),
                    time => time,
                };
                let record = LogRecord {
                    resource: resource.clone(),
                    scope: scope.clone(),
                    time,
                    severity: u8::try_from(message.severity_number.0).unwrap_or(0),
                    severity_text: reader.string(&message.severity_text),
                    body: clipped(message.body.into_text()),
                    attributes: reader.attributes(message.attributes),
                    trace_id: message.trace_id.0,
                    span_id: message.span_id.0,
                    flags: u32::try_from(message.flags.0).unwrap_or(0),
                    line: place.line,
                };
                reader.log(place, record);
            }
        }
    }
}

fn requests<T: DeserializeOwned>(
    reader: &mut Reader,
    file: &str,
    input: impl BufRead,
    mut take: impl FnMut(&mut Reader, Place<'_>, T),
) -> io::Result<()> {
    lines::each(input, |line, bytes| {
        let place = Place { file, line };
        match bytes.map(serde_json::from_slice) {
            Some(Ok(request)) => take(reader, place, request),
            Some(Err(error)) => reader.problem(place, error.to_string()),
            None => reader.problem(place, "the line is too long".to_owned()),
        }
    })
}

fn data(message: MetricMessage) -> Option<(Kind, Data)> {
    let kinds = [
        (Kind::Gauge, message.gauge),
        (Kind::Sum, message.sum),
        (Kind::Histogram, message.histogram),
        (Kind::ExponentialHistogram, message.exponential_histogram),
        (Kind::Summary, message.summary),
    ];
    kinds
        .into_iter()
        .find_map(|(kind, data)| Some((kind, data?)))
}

fn temporality(number: u64) -> Temporality {
    match number {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    }
}
