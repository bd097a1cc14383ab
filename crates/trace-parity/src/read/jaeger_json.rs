//! Jaeger's own JSON, as the UI downloads it and `/api/traces` returns it: `data[].spans` and `data[].processes`.
//!
//! What OTLP says in fields, Jaeger says in tags: kind, status and scope are read back from them. Times are microseconds there.

use std::collections::HashMap;

use serde::de::{MapAccess, SeqAccess};

use super::ProblemKind;
use super::builder::Builder;
use super::bytes;
use super::fields::{Fields, Items, List, Object, Raw, raw, skip};
use crate::intern::Str;
use crate::traces::{EventRecord, Kind, Scalar, Slice, SpanRecord, Status};

const NANOS: u64 = 1_000;

/// The traces under `data`.
pub(crate) struct Data<'b>(pub(crate) &'b mut Builder);

impl<'de> Items<'de> for Data<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut trace = TraceOf {
            first: self.0.span_count(),
            builder: self.0,
            processes: HashMap::new(),
            made_by: Vec::new(),
        };
        let read = seq.next_element_seed(Object(&mut trace));
        trace.keep();
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        self.0.problem(
            ProblemKind::LostRecord,
            format!("expected `data` to be an array, found {found}"),
        );
    }
}

struct TraceOf<'b> {
    builder: &'b mut Builder,
    /// Where its spans begin.
    first: usize,
    /// The process of each span; processes may stand behind the spans.
    made_by: Vec<Str>,
    /// Attributes of each process's resource.
    processes: HashMap<Str, Slice>,
}

impl TraceOf<'_> {
    /// Keeps the spans whose process is there.
    fn keep(self) {
        let mut kept = self.first;
        for (place, process) in (self.first..).zip(&self.made_by) {
            if let Some(&attributes) = self.processes.get(process) {
                let resource = self.builder.resource(attributes);
                self.builder.keep_span(kept, place, resource);
                kept += 1;
            } else {
                let message = "a span's `processID` names no process".to_owned();
                self.builder.problem(ProblemKind::LostSpan, message);
            }
        }
        self.builder.cut_spans(kept);
    }
}

impl<'de> Fields<'de> for TraceOf<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "spans" => map.next_value_seed(List(&mut Spans {
                builder: self.builder,
                made_by: &mut self.made_by,
            })),
            "processes" => map.next_value_seed(Object(&mut Processes {
                builder: self.builder,
                processes: &mut self.processes,
            })),
            "traceID" | "warnings" => skip(map),
            _ => unknown(self.builder, "a trace", key, map),
        }
    }

    fn misfit(&mut self, found: &'static str) {
        self.builder.problem(
            ProblemKind::LostRecord,
            format!("expected a trace to be an object, found {found}"),
        );
    }
}

fn unknown<'de, A: MapAccess<'de>>(
    builder: &mut Builder,
    owner: &str,
    field: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    builder.problem(
        ProblemKind::UnknownField,
        format!("unknown field `{field}` in {owner}"),
    );
    skip(map)
}

struct Processes<'x> {
    builder: &'x mut Builder,
    processes: &'x mut HashMap<Str, Slice>,
}

impl<'de> Fields<'de> for Processes<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let name = self.builder.intern(key);
        let opened = self.builder.open_list();
        map.next_value_seed(Object(&mut Process(self.builder)))?;
        let attributes = self.builder.close_list(opened);
        self.processes.insert(name, attributes);
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        self.builder.problem(
            ProblemKind::LostRecord,
            format!("expected `processes` to be an object, found {found}"),
        );
    }
}

struct Process<'x>(&'x mut Builder);

impl<'de> Fields<'de> for Process<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "serviceName" => {
                let value = raw(map)?;
                let key = self.0.intern("service.name");
                let name = self.0.intern(value.text().unwrap_or_default());
                self.0.push_attribute(key, Scalar::Str(name));
                Ok(())
            }
            "tags" => map.next_value_seed(List(&mut Tags {
                builder: self.0,
                special: None,
            })),
            _ => unknown(self.0, "a process", key, map),
        }
    }

    fn misfit(&mut self, found: &'static str) {
        self.0.problem(
            ProblemKind::LostRecord,
            format!("expected a process to be an object, found {found}"),
        );
    }
}

struct Spans<'x> {
    builder: &'x mut Builder,
    made_by: &'x mut Vec<Str>,
}

impl<'de> Items<'de> for Spans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut span = Span {
            builder: self.builder,
            record: SpanRecord::default(),
            trace_id: None,
            process: Str::EMPTY,
            special: Special::default(),
            duration: 0,
            bad: None,
        };
        let more = seq.next_element_seed(Object(&mut span))?.is_some();
        if more && let Some(process) = span.finish() {
            self.made_by.push(process);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        self.builder.problem(
            ProblemKind::LostRecord,
            format!("expected `spans` to be an array, found {found}"),
        );
    }
}

struct Span<'x> {
    builder: &'x mut Builder,
    record: SpanRecord,
    trace_id: Option<[u8; 16]>,
    process: Str,
    special: Special,
    duration: u64,
    bad: Option<&'static str>,
}

/// What tags say that OTLP has fields for.
#[derive(Default)]
struct Special {
    kind: Kind,
    status: Status,
    error: bool,
    message: Str,
    scope_name: Str,
    scope_version: Str,
}

impl Span<'_> {
    /// Puts the span into the store and says which process made it.
    fn finish(mut self) -> Option<Str> {
        let trace_id = self.trace_id.filter(|_| self.record.id != [0; 8]);
        let (Some(trace_id), None) = (trace_id, self.bad) else {
            let bad = self
                .bad
                .unwrap_or("a span's `traceID` or `spanID` isn't one");
            self.builder.problem(ProblemKind::LostSpan, bad.to_owned());
            return None;
        };
        self.record.end = self.record.start.saturating_add(self.duration);
        self.record.kind = self.special.kind;
        self.record.status = if self.special.error {
            Status::Error
        } else {
            self.special.status
        };
        self.record.status_message = self.special.message;
        self.record.trace = self.builder.trace(trace_id);
        let (name, version) = (self.special.scope_name, self.special.scope_version);
        self.record.scope = self.builder.scope(name, version, Slice::default());
        self.builder.push_span(self.record);
        Some(self.process)
    }

    fn micros<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<u64, A::Error> {
        let value = raw(map)?
            .unsigned()
            .and_then(|micros| micros.checked_mul(NANOS));
        if value.is_none() {
            self.bad = Some("a span's time isn't microseconds");
        }
        Ok(value.unwrap_or_default())
    }
}

/// Ids are hex without leading zeros in old versions.
fn id<const N: usize>(raw: &Raw<'_>) -> Option<[u8; N]> {
    let text = raw
        .text()
        .filter(|text| !text.is_empty() && text.len() <= 2 * N)?;
    bytes::id(&format!("{text:0>width$}", width = 2 * N))
}

impl<'de> Fields<'de> for Span<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "traceID" => self.trace_id = id(&raw(map)?).filter(|id| *id != [0; 16]),
            "spanID" => self.record.id = id(&raw(map)?).unwrap_or_default(),
            "parentSpanID" => {
                if let Some(id) = id(&raw(map)?) {
                    self.record.parent_id = id;
                }
            }
            "operationName" => {
                let name = raw(map)?;
                self.record.name = self.builder.intern(name.text().unwrap_or_default());
            }
            "references" => {
                let mut parent = None;
                map.next_value_seed(List(&mut References {
                    builder: self.builder,
                    parent: &mut parent,
                }))?;
                self.record.parent_id = parent.unwrap_or(self.record.parent_id);
            }
            "startTime" => self.record.start = self.micros(map)?,
            "duration" => self.duration = self.micros(map)?,
            "flags" => {
                self.record.flags = raw(map)?
                    .unsigned()
                    .and_then(|flags| u32::try_from(flags).ok())
                    .unwrap_or_default();
            }
            "processID" => {
                let name = raw(map)?;
                self.process = self.builder.intern(name.text().unwrap_or_default());
            }
            "tags" => {
                let opened = self.builder.open_list();
                map.next_value_seed(List(&mut Tags {
                    builder: self.builder,
                    special: Some(&mut self.special),
                }))?;
                self.record.attributes = self.builder.close_list(opened);
            }
            "logs" => {
                let start = self.builder.event_count();
                map.next_value_seed(List(&mut Logs(self.builder)))?;
                self.record.events = self.builder.events_since(start);
            }
            "startTimeMillis" | "warnings" | "process" => skip(map)?,
            _ => unknown(self.builder, "a span", key, map)?,
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {
        self.bad = Some("a span isn't an object");
    }
}

struct References<'x> {
    builder: &'x mut Builder,
    parent: &'x mut Option<[u8; 8]>,
}

impl<'de> Items<'de> for References<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut reference = Reference {
            builder: self.builder,
            child: false,
            span: None,
        };
        let more = seq.next_element_seed(Object(&mut reference))?.is_some();
        if reference.child {
            *self.parent = self.parent.or(reference.span);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        self.builder.problem(
            ProblemKind::LostRecord,
            format!("expected `references` to be an array, found {found}"),
        );
    }
}

struct Reference<'x> {
    builder: &'x mut Builder,
    child: bool,
    span: Option<[u8; 8]>,
}

impl<'de> Fields<'de> for Reference<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "refType" => self.child = raw(map)?.text() == Some("CHILD_OF"),
            "spanID" => self.span = id(&raw(map)?),
            "traceID" | "span" => skip(map)?,
            _ => unknown(self.builder, "a reference", key, map)?,
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct Tags<'x> {
    builder: &'x mut Builder,
    /// Where a span's tags go that are no attributes; a process has none.
    special: Option<&'x mut Special>,
}

impl<'de> Items<'de> for Tags<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut tag = Tag {
            builder: self.builder,
            key: None,
            type_name: None,
            value: Raw::Null,
        };
        let more = seq.next_element_seed(Object(&mut tag))?.is_some();
        let (key, value) = (tag.key.take(), tag.scalar());
        if let Some(key) = key
            && !self
                .special
                .as_mut()
                .is_some_and(|special| special.take(&key, value, self.builder))
        {
            let key = self.builder.intern(&key);
            self.builder.push_attribute(key, value);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        self.builder.problem(
            ProblemKind::LostRecord,
            format!("expected `tags` to be an array, found {found}"),
        );
    }
}

impl Special {
    /// `true` for a tag that is no attribute.
    fn take(&mut self, key: &str, value: Scalar, builder: &Builder) -> bool {
        let handle = if let Scalar::Str(text) = value {
            text
        } else {
            Str::EMPTY
        };
        let text = builder.text(handle);
        match key {
            "span.kind" => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
                self.kind = kind.unwrap_or_default();
            }
            "otel.status_code" => {
                self.status = if text == "ERROR" {
                    Status::Error
                } else {
                    Status::Ok
                };
            }
            "error" => self.error = value == Scalar::Bool(true) || text == "true",
            "otel.status_description" => self.message = handle,
            "otel.scope.name" | "otel.library.name" => self.scope_name = handle,
            "otel.scope.version" | "otel.library.version" => self.scope_version = handle,
            "internal.span.format" | "w3c.tracestate" => {}
            _ => return false,
        }
        true
    }
}

struct Tag<'x, 'de> {
    builder: &'x mut Builder,
    key: Option<String>,
    type_name: Option<String>,
    value: Raw<'de>,
}

impl Tag<'_, '_> {
    fn scalar(&mut self) -> Scalar {
        match (self.type_name.as_deref(), &self.value) {
            (Some("int64"), value) => value.signed().map_or(Scalar::Empty, Scalar::Int),
            (Some("float64"), value) => value.float().map_or(Scalar::Empty, Scalar::Double),
            (Some("binary"), Raw::Text(text)) => Scalar::Bytes(self.builder.intern(text)),
            (_, Raw::Bool(value)) => Scalar::Bool(*value),
            (Some("bool"), Raw::Text(text)) => Scalar::Bool(text == "true"),
            (_, Raw::Text(text)) => Scalar::Str(self.builder.intern(text)),
            (_, Raw::Int(value)) => Scalar::Int(*value),
            (_, Raw::Uint(value)) => i64::try_from(*value).map_or(Scalar::Empty, Scalar::Int),
            (_, Raw::Float(value)) => Scalar::Double(*value),
            (_, Raw::Null | Raw::Nested) => Scalar::Empty,
        }
    }
}

impl<'de> Fields<'de> for Tag<'_, 'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "key" => self.key = raw(map)?.text().map(str::to_owned),
            "type" => self.type_name = raw(map)?.text().map(str::to_owned),
            "value" => self.value = raw(map)?,
            _ => unknown(self.builder, "a tag", key, map)?,
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct Logs<'x>(&'x mut Builder);

impl<'de> Items<'de> for Logs<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let opened = self.0.open_list();
        let mut log = Log {
            builder: self.0,
            time: 0,
        };
        let more = seq.next_element_seed(Object(&mut log))?.is_some();
        let time = log.time;
        let name = self.0.take_open(opened, "event");
        let attributes = self.0.close_list(opened);
        if more {
            self.0.push_event(EventRecord {
                time,
                name,
                attributes,
            });
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        self.0.problem(
            ProblemKind::LostRecord,
            format!("expected `logs` to be an array, found {found}"),
        );
    }
}

struct Log<'x> {
    builder: &'x mut Builder,
    time: u64,
}

impl<'de> Fields<'de> for Log<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "timestamp" => {
                self.time = raw(map)?
                    .unsigned()
                    .unwrap_or_default()
                    .saturating_mul(NANOS);
                Ok(())
            }
            "fields" => map.next_value_seed(List(&mut Tags {
                builder: self.builder,
                special: None,
            })),
            _ => unknown(self.builder, "a log", key, map),
        }
    }

    fn misfit(&mut self, _: &'static str) {}
}
