//! OTLP's messages as tables: field number, JSON name and kind, for traces, metrics, logs and their
//! common messages.
//!
//! Both directions of the transcoder use only these tables. They follow opentelemetry-proto 1.11.

use Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Int32, Message as Of, Sfixed64, Sint32, String,
    Uint32, Uint64,
};

/// The kind of telemetry in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order of the file names.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// What the names of the signal's files begin with.
    pub fn file_stem(self) -> &'static str {
        match self {
            Signal::Traces => "capture",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// The name of the signal's file `number`. Number 0 is the current file; rotated files are
    /// numbered from 1, the newest first.
    pub fn file_name(self, number: u32) -> std::string::String {
        let stem = self.file_stem();
        match number {
            0 => format!("{stem}.jsonl"),
            _ => format!("{stem}-{number}.jsonl"),
        }
    }

    /// The path of the signal's gRPC method.
    pub fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// The signal's path over HTTP.
    pub fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }

    pub(crate) fn request(self) -> &'static Message {
        match self {
            Signal::Traces => &EXPORT_TRACE_SERVICE_REQUEST,
            Signal::Metrics => &EXPORT_METRICS_SERVICE_REQUEST,
            Signal::Logs => &EXPORT_LOGS_SERVICE_REQUEST,
        }
    }
}

/// A message. Its fields are ordered by number.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// Whether this message is counted as a record: a span, a data point, a log record.
    pub(crate) is_record: bool,
    /// Position in `fields` by number.
    positions: [u8; MAX_NUMBER + 1],
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The JSON name in quotes, with the colon.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) label: Label,
    /// The field's number and name before OTLP 0.15, which old SDKs still send.
    former: Option<(u32, &'static str)>,
}

/// How often a field occurs in its message, and when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// Once; a default value isn't written.
    Implicit,
    /// Once; written if present.
    Explicit,
    /// A member of the message's oneof; written if present.
    Oneof,
    /// Any number of times.
    Repeated,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Sint32,
    Uint32,
    Fixed32,
    Int64,
    Uint64,
    Fixed64,
    Sfixed64,
    Double,
    String,
    /// Bytes, in base64 in JSON.
    Bytes,
    /// A trace or span id of this many bytes, or empty; in hexadecimal in JSON.
    Id(usize),
    /// An enum, a number in JSON; input may also use the names.
    Enum(&'static [(&'static str, i32)]),
    Message(&'static Message),
}

impl Message {
    /// The field with this number, if the message has one.
    pub(crate) fn field(&self, number: u32) -> Option<&'static Field> {
        match self.positions.get(number as usize) {
            Some(&position) => self.fields.get(position as usize),
            None => self.fields.iter().find(|field| field.has_number(number)),
        }
    }

    /// The field with this name, in JSON's lowerCamelCase or the definition's snake_case.
    pub(crate) fn field_named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.is_named(name))
    }
}

impl Field {
    pub(crate) fn name(&self) -> &'static str {
        &self.key[1..self.key.len() - 2]
    }

    /// Whether the field has, or had, this number.
    pub(crate) fn has_number(&self, number: u32) -> bool {
        self.number == number || self.former.is_some_and(|(former, _)| former == number)
    }

    fn is_named(&self, name: &str) -> bool {
        let is_name = |own: &str| own == name || is_snake_case_of(name, own);
        is_name(self.name()) || self.former.is_some_and(|(_, former)| is_name(former))
    }

    const fn formerly(self, number: u32, name: &'static str) -> Self {
        Self {
            former: Some((number, name)),
            ..self
        }
    }
}

fn is_snake_case_of(snake: &str, camel: &str) -> bool {
    let mut snake = snake.bytes();
    camel.bytes().all(|c| match c {
        b'A'..=b'Z' => snake.next() == Some(b'_') && snake.next() == Some(c.to_ascii_lowercase()),
        _ => snake.next() == Some(c),
    }) && snake.next().is_none()
}

const MAX_NUMBER: usize = 16;
const ABSENT: u8 = u8::MAX;

const fn message(name: &'static str, fields: &'static [Field]) -> Message {
    let mut positions = [ABSENT; MAX_NUMBER + 1];
    let mut i = 0;
    while i < fields.len() {
        assert!(
            i == 0 || fields[i - 1].number < fields[i].number,
            "fields stand in the order of their numbers"
        );
        positions[fields[i].number as usize] = i as u8;
        i += 1;
    }
    Message {
        name,
        fields,
        is_record: false,
        positions,
    }
}

const fn record(name: &'static str, fields: &'static [Field]) -> Message {
    Message {
        is_record: true,
        ..message(name, fields)
    }
}

const fn one(number: u32, key: &'static str, kind: Kind) -> Field {
    Field {
        number,
        key,
        kind,
        label: Label::Implicit,
        former: None,
    }
}

const fn optional(number: u32, key: &'static str, kind: Kind) -> Field {
    Field {
        number,
        key,
        kind,
        label: Label::Explicit,
        former: None,
    }
}

const fn oneof(number: u32, key: &'static str, kind: Kind) -> Field {
    Field {
        number,
        key,
        kind,
        label: Label::Oneof,
        former: None,
    }
}

const fn many(number: u32, key: &'static str, kind: Kind) -> Field {
    Field {
        number,
        key,
        kind,
        label: Label::Repeated,
        former: None,
    }
}

macro_rules! key {
    ($name:literal) => {
        concat!("\"", $name, "\":")
    };
}

const TRACE_ID: Kind = Kind::Id(16);
const SPAN_ID: Kind = Kind::Id(8);

// opentelemetry.proto.common.v1

static ANY_VALUE: Message = message(
    "AnyValue",
    &[
        oneof(1, key!("stringValue"), String),
        oneof(2, key!("boolValue"), Bool),
        oneof(3, key!("intValue"), Kind::Int64),
        oneof(4, key!("doubleValue"), Double),
        oneof(5, key!("arrayValue"), Of(&ARRAY_VALUE)),
        oneof(6, key!("kvlistValue"), Of(&KEY_VALUE_LIST)),
        oneof(7, key!("bytesValue"), Bytes),
        oneof(8, key!("stringValueStrindex"), Int32),
    ],
);

static ARRAY_VALUE: Message = message("ArrayValue", &[many(1, key!("values"), Of(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message =
    message("KeyValueList", &[many(1, key!("values"), Of(&KEY_VALUE))]);

static KEY_VALUE: Message = message(
    "KeyValue",
    &[
        one(1, key!("key"), String),
        one(2, key!("value"), Of(&ANY_VALUE)),
        one(3, key!("keyStrindex"), Int32),
    ],
);

static INSTRUMENTATION_SCOPE: Message = message(
    "InstrumentationScope",
    &[
        one(1, key!("name"), String),
        one(2, key!("version"), String),
        many(3, key!("attributes"), Of(&KEY_VALUE)),
        one(4, key!("droppedAttributesCount"), Uint32),
    ],
);

static ENTITY_REF: Message = message(
    "EntityRef",
    &[
        one(1, key!("schemaUrl"), String),
        one(2, key!("type"), String),
        many(3, key!("idKeys"), String),
        many(4, key!("descriptionKeys"), String),
    ],
);

// opentelemetry.proto.resource.v1

static RESOURCE: Message = message(
    "Resource",
    &[
        many(1, key!("attributes"), Of(&KEY_VALUE)),
        one(2, key!("droppedAttributesCount"), Uint32),
        many(3, key!("entityRefs"), Of(&ENTITY_REF)),
    ],
);

// opentelemetry.proto.trace.v1 and its collector

static EXPORT_TRACE_SERVICE_REQUEST: Message = message(
    "ExportTraceServiceRequest",
    &[many(1, key!("resourceSpans"), Of(&RESOURCE_SPANS))],
);

static RESOURCE_SPANS: Message = message(
    "ResourceSpans",
    &[
        one(1, key!("resource"), Of(&RESOURCE)),
        many(2, key!("scopeSpans"), Of(&SCOPE_SPANS)).formerly(1000, "instrumentationLibrarySpans"),
        one(3, key!("schemaUrl"), String),
    ],
);

static SCOPE_SPANS: Message = message(
    "ScopeSpans",
    &[
        one(1, key!("scope"), Of(&INSTRUMENTATION_SCOPE)).formerly(1, "instrumentationLibrary"),
        many(2, key!("spans"), Of(&SPAN)),
        one(3, key!("schemaUrl"), String),
    ],
);

static SPAN: Message = record(
    "Span",
    &[
        one(1, key!("traceId"), TRACE_ID),
        one(2, key!("spanId"), SPAN_ID),
        one(3, key!("traceState"), String),
        one(4, key!("parentSpanId"), SPAN_ID),
        one(5, key!("name"), String),
        one(6, key!("kind"), Enum(SPAN_KIND)),
        one(7, key!("startTimeUnixNano"), Fixed64),
        one(8, key!("endTimeUnixNano"), Fixed64),
        many(9, key!("attributes"), Of(&KEY_VALUE)),
        one(10, key!("droppedAttributesCount"), Uint32),
        many(11, key!("events"), Of(&SPAN_EVENT)),
        one(12, key!("droppedEventsCount"), Uint32),
        many(13, key!("links"), Of(&SPAN_LINK)),
        one(14, key!("droppedLinksCount"), Uint32),
        one(15, key!("status"), Of(&STATUS)),
        one(16, key!("flags"), Fixed32),
    ],
);

static SPAN_EVENT: Message = message(
    "Span.Event",
    &[
        one(1, key!("timeUnixNano"), Fixed64),
        one(2, key!("name"), String),
        many(3, key!("attributes"), Of(&KEY_VALUE)),
        one(4, key!("droppedAttributesCount"), Uint32),
    ],
);

static SPAN_LINK: Message = message(
    "Span.Link",
    &[
        one(1, key!("traceId"), TRACE_ID),
        one(2, key!("spanId"), SPAN_ID),
        one(3, key!("traceState"), String),
        many(4, key!("attributes"), Of(&KEY_VALUE)),
        one(5, key!("droppedAttributesCount"), Uint32),
        one(6, key!("flags"), Fixed32),
    ],
);

static STATUS: Message = message(
    "Status",
    &[
        one(2, key!("message"), String),
        one(3, key!("code"), Enum(STATUS_CODE)),
    ],
);

const SPAN_KIND: &[(&str, i32)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

const STATUS_CODE: &[(&str, i32)] = &[
    ("STATUS_CODE_UNSET", 0),
    ("STATUS_CODE_OK", 1),
    ("STATUS_CODE_ERROR", 2),
];

// opentelemetry.proto.metrics.v1 and its collector

static EXPORT_METRICS_SERVICE_REQUEST: Message = message(
    "ExportMetricsServiceRequest",
    &[many(1, key!("resourceMetrics"), Of(&RESOURCE_METRICS))],
);

static RESOURCE_METRICS: Message = message(
    "ResourceMetrics",
    &[
        one(1, key!("resource"), Of(&RESOURCE)),
        many(2, key!("scopeMetrics"), Of(&SCOPE_METRICS))
            .formerly(1000, "instrumentationLibraryMetrics"),
        one(3, key!("schemaUrl"), String),
    ],
);

static SCOPE_METRICS: Message = message(
    "ScopeMetrics",
    &[
        one(1, key!("scope"), Of(&INSTRUMENTATION_SCOPE)).formerly(1, "instrumentationLibrary"),
        many(2, key!("metrics"), Of(&METRIC)),
        one(3, key!("schemaUrl"), String),
    ],
);

static METRIC: Message = message(
    "Metric",
    &[
        one(1, key!("name"), String),
        one(2, key!("description"), String),
        one(3, key!("unit"), String),
        oneof(5, key!("gauge"), Of(&GAUGE)),
        oneof(7, key!("sum"), Of(&SUM)),
        oneof(9, key!("histogram"), Of(&HISTOGRAM)),
        oneof(10, key!("exponentialHistogram"), Of(&EXPONENTIAL_HISTOGRAM)),
        oneof(11, key!("summary"), Of(&SUMMARY)),
        many(12, key!("metadata"), Of(&KEY_VALUE)),
    ],
);

static GAUGE: Message = message(
    "Gauge",
    &[many(1, key!("dataPoints"), Of(&NUMBER_DATA_POINT))],
);

static SUM: Message = message(
    "Sum",
    &[
        many(1, key!("dataPoints"), Of(&NUMBER_DATA_POINT)),
        one(
            2,
            key!("aggregationTemporality"),
            Enum(AGGREGATION_TEMPORALITY),
        ),
        one(3, key!("isMonotonic"), Bool),
    ],
);

static HISTOGRAM: Message = message(
    "Histogram",
    &[
        many(1, key!("dataPoints"), Of(&HISTOGRAM_DATA_POINT)),
        one(
            2,
            key!("aggregationTemporality"),
            Enum(AGGREGATION_TEMPORALITY),
        ),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = message(
    "ExponentialHistogram",
    &[
        many(1, key!("dataPoints"), Of(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one(
            2,
            key!("aggregationTemporality"),
            Enum(AGGREGATION_TEMPORALITY),
        ),
    ],
);

static SUMMARY: Message = message(
    "Summary",
    &[many(1, key!("dataPoints"), Of(&SUMMARY_DATA_POINT))],
);

static NUMBER_DATA_POINT: Message = record(
    "NumberDataPoint",
    &[
        one(2, key!("startTimeUnixNano"), Fixed64),
        one(3, key!("timeUnixNano"), Fixed64),
        oneof(4, key!("asDouble"), Double),
        many(5, key!("exemplars"), Of(&EXEMPLAR)),
        oneof(6, key!("asInt"), Sfixed64),
        many(7, key!("attributes"), Of(&KEY_VALUE)),
        one(8, key!("flags"), Uint32),
    ],
);

static HISTOGRAM_DATA_POINT: Message = record(
    "HistogramDataPoint",
    &[
        one(2, key!("startTimeUnixNano"), Fixed64),
        one(3, key!("timeUnixNano"), Fixed64),
        one(4, key!("count"), Fixed64),
        optional(5, key!("sum"), Double),
        many(6, key!("bucketCounts"), Fixed64),
        many(7, key!("explicitBounds"), Double),
        many(8, key!("exemplars"), Of(&EXEMPLAR)),
        many(9, key!("attributes"), Of(&KEY_VALUE)),
        one(10, key!("flags"), Uint32),
        optional(11, key!("min"), Double),
        optional(12, key!("max"), Double),
    ],
);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = record(
    "ExponentialHistogramDataPoint",
    &[
        many(1, key!("attributes"), Of(&KEY_VALUE)),
        one(2, key!("startTimeUnixNano"), Fixed64),
        one(3, key!("timeUnixNano"), Fixed64),
        one(4, key!("count"), Fixed64),
        optional(5, key!("sum"), Double),
        one(6, key!("scale"), Sint32),
        one(7, key!("zeroCount"), Fixed64),
        one(8, key!("positive"), Of(&BUCKETS)),
        one(9, key!("negative"), Of(&BUCKETS)),
        one(10, key!("flags"), Uint32),
        many(11, key!("exemplars"), Of(&EXEMPLAR)),
        optional(12, key!("min"), Double),
        optional(13, key!("max"), Double),
        one(14, key!("zeroThreshold"), Double),
    ],
);

static BUCKETS: Message = message(
    "ExponentialHistogramDataPoint.Buckets",
    &[
        one(1, key!("offset"), Sint32),
        many(2, key!("bucketCounts"), Uint64),
    ],
);

static SUMMARY_DATA_POINT: Message = record(
    "SummaryDataPoint",
    &[
        one(2, key!("startTimeUnixNano"), Fixed64),
        one(3, key!("timeUnixNano"), Fixed64),
        one(4, key!("count"), Fixed64),
        one(5, key!("sum"), Double),
        many(6, key!("quantileValues"), Of(&VALUE_AT_QUANTILE)),
        many(7, key!("attributes"), Of(&KEY_VALUE)),
        one(8, key!("flags"), Uint32),
    ],
);

static VALUE_AT_QUANTILE: Message = message(
    "SummaryDataPoint.ValueAtQuantile",
    &[
        one(1, key!("quantile"), Double),
        one(2, key!("value"), Double),
    ],
);

static EXEMPLAR: Message = message(
    "Exemplar",
    &[
        one(2, key!("timeUnixNano"), Fixed64),
        oneof(3, key!("asDouble"), Double),
        one(4, key!("spanId"), SPAN_ID),
        one(5, key!("traceId"), TRACE_ID),
        oneof(6, key!("asInt"), Sfixed64),
        many(7, key!("filteredAttributes"), Of(&KEY_VALUE)),
    ],
);

const AGGREGATION_TEMPORALITY: &[(&str, i32)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];

// opentelemetry.proto.logs.v1 and its collector

static EXPORT_LOGS_SERVICE_REQUEST: Message = message(
    "ExportLogsServiceRequest",
    &[many(1, key!("resourceLogs"), Of(&RESOURCE_LOGS))],
);

static RESOURCE_LOGS: Message = message(
    "ResourceLogs",
    &[
        one(1, key!("resource"), Of(&RESOURCE)),
        many(2, key!("scopeLogs"), Of(&SCOPE_LOGS)).formerly(1000, "instrumentationLibraryLogs"),
        one(3, key!("schemaUrl"), String),
    ],
);

static SCOPE_LOGS: Message = message(
    "ScopeLogs",
    &[
        one(1, key!("scope"), Of(&INSTRUMENTATION_SCOPE)).formerly(1, "instrumentationLibrary"),
        many(2, key!("logRecords"), Of(&LOG_RECORD)),
        one(3, key!("schemaUrl"), String),
    ],
);

static LOG_RECORD: Message = record(
    "LogRecord",
    &[
        one(1, key!("timeUnixNano"), Fixed64),
        one(2, key!("severityNumber"), Enum(SEVERITY_NUMBER)),
        one(3, key!("severityText"), String),
        one(5, key!("body"), Of(&ANY_VALUE)),
        many(6, key!("attributes"), Of(&KEY_VALUE)),
        one(7, key!("droppedAttributesCount"), Uint32),
        one(8, key!("flags"), Fixed32),
        one(9, key!("traceId"), TRACE_ID),
        one(10, key!("spanId"), SPAN_ID),
        one(11, key!("observedTimeUnixNano"), Fixed64),
        one(12, key!("eventName"), String),
    ],
);

const SEVERITY_NUMBER: &[(&str, i32)] = &[
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];
