//! OTLP JSON: `resourceSpans`, as SDKs, collectors and Jaeger's query API v3 (inside `result`) write it.
//!
//! Names are accepted as OTLP JSON writes them and as the protocol's own files do (`resource_spans`), which proto3 JSON asks of a
//! reader.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess};

use super::ProblemKind;
use super::builder::Builder;
use super::bytes;
use super::fields::{Fields, Items, List, Object, Raw, raw, skip};
use super::jaeger_json::Data;
use crate::intern::Str;
use crate::traces::{EventRecord, Kind, Scalar, Slice, SpanRecord, Status};

/// One export request, or one document that holds it.
pub(crate) struct Document<'b> {
    builder: &'b mut Builder,
    /// A field that a document of spans has was seen.
    pub(crate) known: bool,
}

impl<'b> Document<'b> {
    pub(crate) fn new(builder: &'b mut Builder) -> Self {
        Document {
            builder,
            known: false,
        }
    }

    pub(crate) fn read<'de, D: Deserializer<'de>>(
        &mut self,
        deserializer: D,
    ) -> Result<(), D::Error> {
        Object(self).deserialize(deserializer)
    }
}

fn unknown(builder: &mut Builder, owner: &str, field: &str) {
    builder.problem(
        ProblemKind::UnknownField,
        format!("unknown field `{field}` in {owner}"),
    );
}

fn lost(builder: &mut Builder, what: &str, found: &str) {
    builder.problem(
        ProblemKind::LostRecord,
        format!("expected {what}, found {found}"),
    );
}

impl<'de> Fields<'de> for Document<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "resourceSpans" | "resource_spans" => {
                self.known = true;
                let mut all = AllResourceSpans(self.builder);
                map.next_value_seed(List(&mut all))
            }
            // Jaeger's query API: version 3 wraps what OTLP has, version 2 has traces of its own.
            "result" => map.next_value_seed(Object(self)),
            "data" => {
                self.known = true;
                map.next_value_seed(List(&mut Data(self.builder)))
            }
            "total" | "limit" | "offset" | "errors" | "structuredErrors" => skip(map),
            // The Collector's file exporter writes all signals alike, and some people keep them in one file.
            "resourceMetrics" | "resourceLogs" | "resourceProfiles" => {
                self.known = true;
                skip(map)
            }
            _ => {
                unknown(self.builder, "the document", key);
                skip(map)
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "a document", found);
        self.known = true;
    }
}

struct AllResourceSpans<'b>(&'b mut Builder);

impl<'de> Items<'de> for AllResourceSpans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let first = self.0.span_count();
        let mut one = ResourceSpans {
            builder: self.0,
            resource: Slice::default(),
            known: false,
        };
        let read = seq.next_element_seed(Object(&mut one));
        let (resource, known) = (one.resource, one.known);
        if read.is_err() && !known {
            // Whose spans these are stood behind the place where the record breaks off.
            self.0.cut_spans(first);
        }
        let resource = self.0.resource(resource);
        self.0.set_resource(first, resource);
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.0, "`resourceSpans` to be an array", found);
    }
}

struct ResourceSpans<'b> {
    builder: &'b mut Builder,
    resource: Slice,
    known: bool,
}

impl<'de> Fields<'de> for ResourceSpans<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "resource" => {
                let mut resource = Resource {
                    builder: self.builder,
                    attributes: Slice::default(),
                };
                map.next_value_seed(Object(&mut resource))?;
                self.resource = resource.attributes;
                self.known = true;
                Ok(())
            }
            "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" => {
                map.next_value_seed(List(&mut AllScopeSpans(self.builder)))
            }
            "schemaUrl" | "schema_url" => skip(map),
            _ => {
                unknown(self.builder, "`resourceSpans`", key);
                skip(map)
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`resourceSpans` to hold objects", found);
    }
}

struct Resource<'b> {
    builder: &'b mut Builder,
    attributes: Slice,
}

impl<'de> Fields<'de> for Resource<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "attributes" => {
                self.attributes = attributes(self.builder, map, &mut None)?;
                Ok(())
            }
            "droppedAttributesCount"
            | "dropped_attributes_count"
            | "entityRefs"
            | "entity_refs" => skip(map),
            _ => {
                unknown(self.builder, "`resource`", key);
                skip(map)
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`resource` to be an object", found);
    }
}

struct AllScopeSpans<'b>(&'b mut Builder);

impl<'de> Items<'de> for AllScopeSpans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let first = self.0.span_count();
        let mut one = ScopeSpans {
            builder: self.0,
            scope: ScopeFields::default(),
        };
        let read = seq.next_element_seed(Object(&mut one));
        let ScopeFields {
            name,
            version,
            attributes,
        } = one.scope;
        let scope = self.0.scope(name, version, attributes);
        self.0.set_scope(first, scope);
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.0, "`scopeSpans` to be an array", found);
    }
}

#[derive(Clone, Copy, Default)]
struct ScopeFields {
    name: Str,
    version: Str,
    attributes: Slice,
}

struct ScopeSpans<'b> {
    builder: &'b mut Builder,
    scope: ScopeFields,
}

impl<'de> Fields<'de> for ScopeSpans<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "scope" | "instrumentationLibrary" => {
                let mut scope = Scope {
                    builder: self.builder,
                    fields: ScopeFields::default(),
                };
                map.next_value_seed(Object(&mut scope))?;
                self.scope = scope.fields;
                Ok(())
            }
            "spans" => map.next_value_seed(List(&mut Spans(self.builder))),
            "schemaUrl" | "schema_url" => skip(map),
            _ => {
                unknown(self.builder, "`scopeSpans`", key);
                skip(map)
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`scopeSpans` to hold objects", found);
    }
}

struct Scope<'b> {
    builder: &'b mut Builder,
    fields: ScopeFields,
}

impl<'de> Fields<'de> for Scope<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.fields.name = text(self.builder, map, &mut None, "a scope's `name`")?,
            "version" => {
                self.fields.version = text(self.builder, map, &mut None, "a scope's `version`")?;
            }
            "attributes" => self.fields.attributes = attributes(self.builder, map, &mut None)?,
            "droppedAttributesCount" | "dropped_attributes_count" => skip(map)?,
            _ => {
                unknown(self.builder, "`scope`", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`scope` to be an object", found);
    }
}

struct Spans<'b>(&'b mut Builder);

impl<'de> Items<'de> for Spans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut span = Span::new(self.0);
        let more = seq.next_element_seed(Object(&mut span))?.is_some();
        if more {
            span.keep();
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.0, "`spans` to be an array", found);
    }
}

struct Span<'b> {
    builder: &'b mut Builder,
    record: SpanRecord,
    trace_id: Option<[u8; 16]>,
    /// Why it can't be kept.
    bad: Option<String>,
}

const KINDS: [(&str, Kind); 6] = [
    ("UNSPECIFIED", Kind::Unspecified),
    ("INTERNAL", Kind::Internal),
    ("SERVER", Kind::Server),
    ("CLIENT", Kind::Client),
    ("PRODUCER", Kind::Producer),
    ("CONSUMER", Kind::Consumer),
];

const STATUSES: [(&str, Status); 3] = [
    ("UNSET", Status::Unset),
    ("OK", Status::Ok),
    ("ERROR", Status::Error),
];

impl<'b> Span<'b> {
    fn new(builder: &'b mut Builder) -> Self {
        Span {
            builder,
            record: SpanRecord::default(),
            trace_id: None,
            bad: None,
        }
    }

    fn keep(mut self) {
        if self.bad.is_none() {
            if self.trace_id.is_none() {
                self.bad = Some("a span has no `traceId`".to_owned());
            } else if self.record.id == [0; 8] {
                self.bad = Some("a span has no `spanId`".to_owned());
            }
        }
        match (self.bad, self.trace_id) {
            (None, Some(id)) => {
                self.record.trace = self.builder.trace(id);
                self.builder.push_span(self.record);
            }
            (bad, _) => {
                let bad = bad.unwrap_or_default();
                self.builder.problem(ProblemKind::LostSpan, bad);
            }
        }
    }

    fn id<'de, const N: usize, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<Option<[u8; N]>, A::Error> {
        let written = raw(map)?;
        match written.text() {
            Some("") => Ok(None),
            Some(text) => {
                let id = bytes::id(text);
                if id.is_none() {
                    self.reject(key, &format!("{N} bytes in hex"), &written);
                }
                Ok(id.filter(|id| *id != [0; N]))
            }
            None => {
                self.reject(key, &format!("{N} bytes in hex"), &written);
                Ok(None)
            }
        }
    }

    fn time<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<u64, A::Error> {
        let written = raw(map)?;
        Ok(written.unsigned().unwrap_or_else(|| {
            self.reject(key, "nanoseconds", &written);
            0
        }))
    }

    fn reject(&mut self, key: &str, expected: &str, found: &Raw<'_>) {
        self.bad.get_or_insert_with(|| {
            format!(
                "expected a span's `{key}` to be {expected}, found {}",
                shown(found)
            )
        });
    }
}

/// A value as a message quotes it: never the whole of a long one.
fn shown(raw: &Raw<'_>) -> String {
    const SHOWN: usize = 40;
    match raw {
        Raw::Null => "null".to_owned(),
        Raw::Bool(value) => format!("`{value}`"),
        Raw::Int(value) => format!("`{value}`"),
        Raw::Uint(value) => format!("`{value}`"),
        Raw::Float(value) => format!("`{value}`"),
        Raw::Text(text) if text.chars().count() > SHOWN => {
            format!("`{}…`", text.chars().take(SHOWN).collect::<String>())
        }
        Raw::Text(text) => format!("`{text}`"),
        Raw::Nested => "an object or array".to_owned(),
    }
}

impl<'de> Fields<'de> for Span<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "traceId" | "trace_id" => self.trace_id = self.id(key, map)?,
            "spanId" | "span_id" => self.record.id = self.id(key, map)?.unwrap_or_default(),
            "parentSpanId" | "parent_span_id" => {
                self.record.parent_id = self.id(key, map)?.unwrap_or_default();
            }
            "name" => self.record.name = text(self.builder, map, &mut self.bad, "a span's `name`")?,
            "kind" => {
                let written = raw(map)?;
                match written.one_of("SPAN_KIND_", &KINDS) {
                    Some(kind) => self.record.kind = kind,
                    None => self.reject(key, "a kind", &written),
                }
            }
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.record.start = self.time(key, map)?;
            }
            "endTimeUnixNano" | "end_time_unix_nano" => self.record.end = self.time(key, map)?,
            "flags" => {
                let written = raw(map)?;
                match written
                    .unsigned()
                    .and_then(|flags| u32::try_from(flags).ok())
                {
                    Some(flags) => self.record.flags = flags,
                    None => self.reject(key, "32 bits", &written),
                }
            }
            "attributes" => {
                self.record.attributes = attributes(self.builder, map, &mut self.bad)?;
            }
            "events" => {
                let start = self.builder.event_count();
                let mut events = Events {
                    builder: self.builder,
                    bad: &mut self.bad,
                };
                map.next_value_seed(List(&mut events))?;
                self.record.events = self.builder.events_since(start);
            }
            "status" => map.next_value_seed(Object(&mut StatusOf(self)))?,
            "links"
            | "traceState"
            | "trace_state"
            | "droppedAttributesCount"
            | "dropped_attributes_count"
            | "droppedEventsCount"
            | "dropped_events_count"
            | "droppedLinksCount"
            | "dropped_links_count" => skip(map)?,
            _ => {
                unknown(self.builder, "a span", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        self.bad = Some(format!("expected a span to be an object, found {found}"));
    }
}

struct StatusOf<'x, 'b>(&'x mut Span<'b>);

impl<'de> Fields<'de> for StatusOf<'_, '_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let span = &mut *self.0;
        match key {
            "code" => {
                let written = raw(map)?;
                match written.one_of("STATUS_CODE_", &STATUSES) {
                    Some(status) => span.record.status = status,
                    None => span.reject("status.code", "a status code", &written),
                }
            }
            "message" => {
                span.record.status_message =
                    text(span.builder, map, &mut span.bad, "a status's `message`")?;
            }
            "deprecatedCode" | "deprecated_code" => skip(map)?,
            _ => {
                unknown(span.builder, "`status`", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        self.0.bad = Some(format!("expected `status` to be an object, found {found}"));
    }
}

struct Events<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
}

impl<'de> Items<'de> for Events<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut event = Event {
            builder: self.builder,
            bad: self.bad,
            record: EventRecord::default(),
        };
        let more = seq.next_element_seed(Object(&mut event))?.is_some();
        let record = event.record;
        if more {
            self.builder.push_event(record);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected `events` to be an array, found {found}"));
    }
}

struct Event<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    record: EventRecord,
}

impl<'de> Fields<'de> for Event<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "timeUnixNano" | "time_unix_nano" => {
                let written = raw(map)?;
                match written.unsigned() {
                    Some(time) => self.record.time = time,
                    None => {
                        let found = shown(&written);
                        self.bad.get_or_insert_with(|| {
                            format!("expected an event's `{key}` to be nanoseconds, found {found}")
                        });
                    }
                }
            }
            "name" => self.record.name = text(self.builder, map, self.bad, "an event's `name`")?,
            "attributes" => self.record.attributes = attributes(self.builder, map, self.bad)?,
            "droppedAttributesCount" | "dropped_attributes_count" => skip(map)?,
            _ => {
                unknown(self.builder, "an event", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected an event to be an object, found {found}"));
    }
}

fn text<'de, A: MapAccess<'de>>(
    builder: &mut Builder,
    map: &mut A,
    bad: &mut Option<String>,
    what: &str,
) -> Result<Str, A::Error> {
    let written = raw(map)?;
    if let Some(text) = written.text() {
        return Ok(builder.intern(text));
    }
    bad.get_or_insert_with(|| format!("expected {what} to be a string, found {}", shown(&written)));
    Ok(Str::EMPTY)
}

/// A list of keys and values, as one slice of the arena.
fn attributes<'de, A: MapAccess<'de>>(
    builder: &mut Builder,
    map: &mut A,
    bad: &mut Option<String>,
) -> Result<Slice, A::Error> {
    let opened = builder.open_list();
    map.next_value_seed(List(&mut Pairs { builder, bad }))?;
    Ok(builder.close_list(opened))
}

struct Pairs<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
}

impl<'de> Items<'de> for Pairs<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut pair = Pair {
            builder: self.builder,
            bad: self.bad,
            key: Str::EMPTY,
            value: Scalar::Empty,
        };
        let more = seq.next_element_seed(Object(&mut pair))?.is_some();
        let (key, value) = (pair.key, pair.value);
        if more {
            self.builder.push_attribute(key, value);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!(
            "expected `attributes` to be an array, found {found}"
        ));
    }
}

struct Pair<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    key: Str,
    value: Scalar,
}

impl<'de> Fields<'de> for Pair<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "key" => self.key = text(self.builder, map, self.bad, "an attribute's `key`")?,
            "value" => {
                let mut value = AnyValue {
                    builder: self.builder,
                    bad: self.bad,
                    value: Scalar::Empty,
                };
                map.next_value_seed(Object(&mut value))?;
                self.value = value.value;
            }
            "keyStrindex" | "key_strindex" => skip(map)?,
            _ => {
                unknown(self.builder, "an attribute", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!(
            "expected an attribute to be an object, found {found}"
        ));
    }
}

struct AnyValue<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    value: Scalar,
}

impl AnyValue<'_> {
    fn scalar<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        convert: impl FnOnce(&mut Builder, &Raw<'de>) -> Option<Scalar>,
    ) -> Result<(), A::Error> {
        let written = raw(map)?;
        match convert(self.builder, &written) {
            Some(value) => self.value = value,
            None => {
                let found = shown(&written);
                self.bad
                    .get_or_insert_with(|| format!("expected a `{key}`, found {found}"));
            }
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for AnyValue<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "stringValue" | "string_value" => self.scalar(key, map, |builder, raw| {
                raw.text().map(|text| Scalar::Str(builder.intern(text)))
            }),
            "intValue" | "int_value" => {
                self.scalar(key, map, |_, raw| raw.signed().map(Scalar::Int))
            }
            "boolValue" | "bool_value" => self.scalar(key, map, |_, raw| match raw {
                Raw::Bool(value) => Some(Scalar::Bool(*value)),
                Raw::Null => Some(Scalar::Bool(false)),
                _ => None,
            }),
            "doubleValue" | "double_value" => {
                self.scalar(key, map, |_, raw| raw.float().map(Scalar::Double))
            }
            "bytesValue" | "bytes_value" => self.scalar(key, map, |builder, raw| {
                raw.text().map(|text| Scalar::Bytes(builder.intern(text)))
            }),
            "arrayValue" | "array_value" | "kvlistValue" | "kvlist_value" => {
                let is_map = key.starts_with("kvlist");
                let mut values = Values {
                    builder: self.builder,
                    bad: self.bad,
                    is_map,
                    slice: Slice::default(),
                };
                map.next_value_seed(Object(&mut values))?;
                let slice = values.slice;
                self.value = if is_map {
                    Scalar::Map(slice)
                } else {
                    Scalar::Array(slice)
                };
                Ok(())
            }
            "stringValueStrindex" | "string_value_strindex" => skip(map),
            _ => {
                unknown(self.builder, "a value", key);
                skip(map)
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected a value to be an object, found {found}"));
    }
}

/// `{"values": […]}` of an array or of a list of pairs.
struct Values<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    is_map: bool,
    slice: Slice,
}

impl<'de> Fields<'de> for Values<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key != "values" {
            unknown(self.builder, "a list of values", key);
            return skip(map);
        }
        if self.is_map {
            self.slice = attributes(self.builder, map, self.bad)?;
            return Ok(());
        }
        let opened = self.builder.open_list();
        map.next_value_seed(List(&mut Elements {
            builder: self.builder,
            bad: self.bad,
        }))?;
        self.slice = self.builder.close_list(opened);
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected a list of values, found {found}"));
    }
}

struct Elements<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
}

impl<'de> Items<'de> for Elements<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut value = AnyValue {
            builder: self.builder,
            bad: self.bad,
            value: Scalar::Empty,
        };
        let more = seq.next_element_seed(Object(&mut value))?.is_some();
        let value = value.value;
        if more {
            self.builder.push_attribute(Str::EMPTY, value);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected `values` to be an array, found {found}"));
    }
}
