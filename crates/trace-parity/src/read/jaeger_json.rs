//! Jaeger's own JSON, as the UI downloads it and `/api/traces` returns it: `data[].spans` and `data[].processes`.
//!
//! What OTLP says in fields, Jaeger says in tags: kind, status and scope are read back from them. Times are microseconds there.

use std::collections::HashMap;

use serde::de::{MapAccess, SeqAccess};

use super::builder::Builder;
use super::bytes;
use super::fields::{Fields, Items, List, Object, Raw, RawSeed, raw, skip};
use super::problem::ProblemKind;
use crate::intern::Str;
use crate::traces::{
    EventRecord, Kind, LinkRecord, Rarities, ResourceRecord, Scalar, ScopeRecord, Slice,
    SpanRecord, Status,
};

const NANOS: u64 = 1_000;

/// The traces under `data`.
pub(crate) struct Data<'b>(pub(crate) &'b mut Builder);

impl<'de> Items<'de> for Data<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut one = TraceIn {
            trace: TraceOf::new(self.0),
            builder: self.0,
        };
        let read = seq.next_element_seed(Object(&mut one));
        one.trace.keep(one.builder);
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        self.0.problem(
            ProblemKind::LostRecord,
            format!("expected `data` to be an array, found {found}"),
        );
    }
}

/// One trace, while it is read.
pub(crate) struct TraceOf {
    /// Where its spans begin.
    first: usize,
    /// The process of each span; processes may stand behind the spans.
    made_by: Vec<MadeBy>,
    /// Attributes of each process's resource.
    processes: HashMap<Str, Slice>,
}

/// A span's process: by its name in the trace, or within the span.
#[derive(Clone, Copy)]
enum MadeBy {
    Named(Str),
    Inline(Slice),
}

impl TraceOf {
    pub(crate) fn new(builder: &Builder) -> Self {
        TraceOf {
            first: builder.span_count(),
            made_by: Vec::new(),
            processes: HashMap::new(),
        }
    }

    pub(crate) fn field<'de, A: MapAccess<'de>>(
        &mut self,
        builder: &mut Builder,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "spans" => map.next_value_seed(List(&mut JaegerSpans {
                builder,
                made_by: &mut self.made_by,
            })),
            "processes" => map.next_value_seed(Object(&mut Processes {
                builder,
                processes: &mut self.processes,
            })),
            "traceID" | "warnings" => skip(map),
            _ => unknown(builder, "a trace", key, map),
        }
    }

    /// Keeps the spans whose process is there.
    pub(crate) fn keep(self, builder: &mut Builder) {
        let mut kept = self.first;
        for (place, process) in (self.first..).zip(&self.made_by) {
            let attributes = match process {
                MadeBy::Named(name) => self.processes.get(name).copied(),
                MadeBy::Inline(attributes) => Some(*attributes),
            };
            if let Some(attributes) = attributes {
                let resource = builder.resource(ResourceRecord {
                    attributes,
                    ..ResourceRecord::default()
                });
                builder.keep_span(kept, place, resource);
                kept += 1;
            } else {
                let message = "a span's `processID` names no process".to_owned();
                builder.problem(ProblemKind::LostSpan, message);
            }
        }
        builder.cut_spans(kept);
    }
}

struct TraceIn<'b> {
    builder: &'b mut Builder,
    trace: TraceOf,
}

impl<'de> Fields<'de> for TraceIn<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.trace.field(self.builder, key, map)
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
            "tags" => map.next_value_seed(List(&mut JaegerTags {
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

struct JaegerSpans<'x> {
    builder: &'x mut Builder,
    made_by: &'x mut Vec<MadeBy>,
}

impl<'de> Items<'de> for JaegerSpans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut span = JaegerSpan {
            builder: self.builder,
            record: SpanRecord::default(),
            trace_id: None,
            process: MadeBy::Named(Str::EMPTY),
            references: Vec::new(),
            warnings: String::new(),
            flags: 0,
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

/// The ids' names tell it from the query API's form.
const STORED: &str = "a span has the form of Jaeger's storage (protobuf's JSON), which isn't read; ask the query API for the trace";

struct JaegerSpan<'x> {
    builder: &'x mut Builder,
    record: SpanRecord,
    trace_id: Option<[u8; 16]>,
    process: MadeBy,
    references: Vec<Reference>,
    /// One a line.
    warnings: String,
    flags: u32,
    special: Special,
    duration: u64,
    bad: Option<&'static str>,
}

/// JaegerTags for which OTLP has fields.
#[derive(Default)]
pub(crate) struct Special {
    pub(crate) kind: Kind,
    pub(crate) message: Str,
    pub(crate) trace_state: Str,
    status: Status,
    /// An OpenTelemetry tag is there, so that `error` is an attribute like any other.
    is_otel: bool,
    error: bool,
    scope: ScopeRecord,
}

impl Special {
    /// What the tags come to together. `error` is left among the open attributes where it is one.
    pub(crate) fn status(&self, opened: usize, builder: &mut Builder) -> Status {
        let status = match self.status {
            Status::Unset if self.error && !self.is_otel => Status::Error,
            status => status,
        };
        if status == Status::Error || !self.is_otel {
            builder.take_open(opened, "error");
        }
        status
    }

    pub(crate) fn scope(&self) -> ScopeRecord {
        self.scope
    }
}

impl JaegerSpan<'_> {
    /// Puts the span into the store and says which process made it.
    fn finish(mut self) -> Option<MadeBy> {
        let trace_id = self.trace_id.filter(|_| self.record.id != [0; 8]);
        let (Some(trace_id), None) = (trace_id, self.bad) else {
            let bad = self
                .bad
                .unwrap_or("the `traceID` or `spanID` of a span isn't hexadecimal");
            self.builder.problem(ProblemKind::LostSpan, bad.to_owned());
            return None;
        };
        self.record.end = self.record.start.saturating_add(self.duration);
        self.record.kind = self.special.kind;
        self.record.status_message = self.special.message;
        self.record.trace = self.builder.trace(trace_id);
        self.record.scope = self.builder.scope(self.special.scope());
        let rarities = self.relations(trace_id);
        self.record.rarities = self.builder.rarities(rarities);
        self.builder.push_span(self.record);
        Some(self.process)
    }

    /// Sets the parent by Jaeger's own rule: the first CHILD_OF of the same trace, else the first FOLLOWS_FROM of it. The other
    /// references are links.
    fn relations(&mut self, trace_id: [u8; 16]) -> Rarities {
        let first = |child: bool| {
            let fits = |reference: &Reference| {
                reference.child == child
                    && reference.span_id.is_some()
                    && reference.trace_id.is_none_or(|id| id == trace_id)
            };
            self.references.iter().position(fits)
        };
        let (child, follows) = (first(true), first(false));
        let parent = child.or(follows);
        let links = self.builder.link_count();
        for (index, reference) in self.references.iter().enumerate() {
            let span_id = reference.span_id.unwrap_or_default();
            if Some(index) == parent {
                self.record.parent_id = span_id;
            } else {
                self.builder.push_link(LinkRecord {
                    trace_id: reference.trace_id.unwrap_or(trace_id),
                    span_id,
                    ..LinkRecord::default()
                });
            }
        }
        Rarities {
            flags: self.flags,
            trace_state: self.special.trace_state,
            links: self.builder.links_since(links),
            warnings: self.builder.intern(&self.warnings),
            parent_is_link: child.is_none() && follows.is_some(),
            ..Rarities::default()
        }
    }

    fn micros<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<u64, A::Error> {
        let value = raw(map)?
            .unsigned()
            .and_then(|micros| micros.checked_mul(NANOS));
        if value.is_none() {
            self.bad.get_or_insert("a span's time isn't microseconds");
        }
        Ok(value.unwrap_or_default())
    }
}

/// Ids are hex without leading zeros in old versions.
pub(crate) fn id<const N: usize>(raw: &Raw<'_>) -> Option<[u8; N]> {
    let text = raw
        .text()
        .filter(|text| !text.is_empty() && text.len() <= 2 * N)?;
    bytes::id(&format!("{text:0>width$}", width = 2 * N))
}

impl<'de> Fields<'de> for JaegerSpan<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "traceId" | "spanId" => {
                self.bad = Some(STORED);
                skip(map)?;
            }
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
            "references" => map.next_value_seed(List(&mut References {
                builder: self.builder,
                references: &mut self.references,
            }))?,
            "warnings" => map.next_value_seed(List(&mut Warnings(&mut self.warnings)))?,
            "process" => {
                let opened = self.builder.open_list();
                map.next_value_seed(Object(&mut Process(self.builder)))?;
                let attributes = self.builder.close_list(opened);
                if attributes.len > 0 {
                    self.process = MadeBy::Inline(attributes);
                }
            }
            "startTime" => self.record.start = self.micros(map)?,
            "duration" => self.duration = self.micros(map)?,
            "flags" => {
                self.flags = raw(map)?
                    .unsigned()
                    .and_then(|flags| u32::try_from(flags).ok())
                    .unwrap_or_default();
            }
            "processID" => {
                let name = raw(map)?;
                if let Some(name) = name.text().filter(|name| !name.is_empty()) {
                    self.process = MadeBy::Named(self.builder.intern(name));
                }
            }
            "tags" => {
                let opened = self.builder.open_list();
                map.next_value_seed(List(&mut JaegerTags {
                    builder: self.builder,
                    special: Some(&mut self.special),
                }))?;
                self.record.status = self.special.status(opened, self.builder);
                self.record.attributes = self.builder.close_list(opened);
            }
            "logs" => {
                let start = self.builder.event_count();
                map.next_value_seed(List(&mut Logs(self.builder)))?;
                self.record.events = self.builder.events_since(start);
            }
            "startTimeMillis" => skip(map)?,
            _ => unknown(self.builder, "a span", key, map)?,
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {
        self.bad = Some("a span isn't an object");
    }
}

struct Warnings<'x>(&'x mut String);

impl<'de> Items<'de> for Warnings<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(warning) = seq.next_element_seed(RawSeed::default())? else {
            return Ok(false);
        };
        for line in warning.text().unwrap_or_default().lines() {
            self.0.push_str(line);
            self.0.push('\n');
        }
        Ok(true)
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct References<'x> {
    builder: &'x mut Builder,
    references: &'x mut Vec<Reference>,
}

impl<'de> Items<'de> for References<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut reference = ReferenceIn {
            builder: self.builder,
            reference: Reference::default(),
        };
        let more = seq.next_element_seed(Object(&mut reference))?.is_some();
        let reference = reference.reference;
        if reference.span_id.is_some() {
            self.references.push(reference);
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

#[derive(Clone, Copy, Default)]
struct Reference {
    /// CHILD_OF, not FOLLOWS_FROM.
    child: bool,
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
}

struct ReferenceIn<'x> {
    builder: &'x mut Builder,
    reference: Reference,
}

impl<'de> Fields<'de> for ReferenceIn<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "refType" => self.reference.child = raw(map)?.text() == Some("CHILD_OF"),
            "spanID" => self.reference.span_id = id(&raw(map)?),
            "traceID" => self.reference.trace_id = id(&raw(map)?),
            "span" => skip(map)?,
            _ => unknown(self.builder, "a reference", key, map)?,
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct JaegerTags<'x> {
    builder: &'x mut Builder,
    /// Where a span's tags go that are no attributes; a process has none.
    special: Option<&'x mut Special>,
}

impl<'de> Items<'de> for JaegerTags<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut tag = JaegerTag {
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
    pub(crate) fn take(&mut self, key: &str, value: Scalar, builder: &Builder) -> bool {
        let handle = if let Scalar::Str(text) = value {
            text
        } else {
            Str::EMPTY
        };
        let text = builder.text(handle);
        self.is_otel |= key.starts_with("otel.");
        match key {
            // A span may carry the tag twice: the first known kind counts, as in Jaeger.
            "span.kind" => {
                if self.kind == Kind::Unspecified {
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
                    self.kind = kind.unwrap_or_default();
                }
            }
            "otel.status_code" => {
                self.status = match text.strip_prefix("STATUS_CODE_").unwrap_or(text) {
                    "ERROR" => Status::Error,
                    "UNSET" => Status::Unset,
                    _ => Status::Ok,
                };
            }
            "error" => {
                let is_false = value == Scalar::Bool(false) || text == "false";
                self.error = !is_false && value != Scalar::Empty;
                return false;
            }
            "otel.status_description" => self.message = handle,
            "otel.scope.name" | "otel.library.name" => self.scope.name = handle,
            "otel.scope.version" | "otel.library.version" => self.scope.version = handle,
            "w3c.tracestate" => self.trace_state = handle,
            "internal.span.format" => {}
            _ => return false,
        }
        true
    }
}

struct JaegerTag<'x, 'de> {
    builder: &'x mut Builder,
    key: Option<String>,
    type_name: Option<String>,
    value: Raw<'de>,
}

impl JaegerTag<'_, '_> {
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
            (_, Raw::Long(value)) => Scalar::Int(value.cast_signed()),
            (_, Raw::Null | Raw::Nested) => Scalar::Empty,
        }
    }
}

impl<'de> Fields<'de> for JaegerTag<'_, 'de> {
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
                dropped_attributes: 0,
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
            "fields" => map.next_value_seed(List(&mut JaegerTags {
                builder: self.builder,
                special: None,
            })),
            _ => unknown(self.builder, "a log", key, map),
        }
    }

    fn misfit(&mut self, _: &'static str) {}
}
