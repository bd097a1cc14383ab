//! OTLP JSON: `resourceSpans`, as SDKs, collectors and Jaeger's query API v3 (inside `result`) write it.
//!
//! Names are accepted as OTLP JSON writes them and as the protocol's own files do (`resource_spans`), which proto3 JSON asks of a
//! reader.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::builder::{Builder, DEEPEST};
use super::fields::{Fields, Items, List, Object, Raw, raw, skip};
use super::jaeger_json::{Data, TraceOf};
use super::problem::ProblemKind;
use super::zipkin_json::ZipkinSpan;
use super::{bytes, foreign};
use crate::intern::Str;
use crate::traces::{
    EventRecord, Kind, LinkRecord, Rarities, ResourceRecord, Scalar, ScopeRecord, Slice,
    SpanRecord, Status,
};

/// One document: an export request, or whatever else holds spans.
pub(crate) struct Document<'b> {
    builder: &'b mut Builder,
    /// A field of a known format was seen.
    known: bool,
    /// Documents around this one.
    depth: usize,
    group: Group,
    trace: Option<TraceOf>,
    zipkin: Option<Box<ZipkinSpan>>,
    /// Names of unknown fields, as far as they tell the format.
    unknown: Vec<String>,
    answered: bool,
    /// Its unknown fields say nothing of spans.
    is_log_record: bool,
}

/// Jaeger wraps an answer, Tempo a trace, Zipkin traces in an array; nobody wraps more often.
const WRAPPED: usize = 3;

impl<'b> Document<'b> {
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        builder: &'b mut Builder,
    ) -> Result<(), D::Error> {
        let mut document = Document::new(builder, 0);
        let read = Object(&mut document).deserialize(deserializer);
        document.close(read.is_ok());
        read
    }

    fn new(builder: &'b mut Builder, depth: usize) -> Self {
        Document {
            group: Group::new(builder),
            builder,
            known: false,
            depth,
            trace: None,
            zipkin: None,
            unknown: Vec::new(),
            answered: false,
            is_log_record: false,
        }
    }

    /// Puts together what the fields held, which may stand in any order; not `whole` where the document breaks off.
    fn close(self, whole: bool) {
        let builder = self.builder;
        let mut known = self.known;
        if let Some(trace) = self.trace {
            trace.keep(builder);
        } else {
            self.group.close(whole, builder);
        }
        if let Some(zipkin) = self.zipkin.filter(|span| span.is_one()) {
            known = true;
            zipkin.keep(builder);
        }
        if known {
            builder.count_record();
            let unknown_fields = self.unknown.iter().filter(|_| !self.is_log_record);
            for field in unknown_fields {
                unknown(builder, "the document", field);
            }
        } else if whole && !self.answered {
            builder.problem(ProblemKind::LostRecord, foreign::document(&self.unknown));
        }
    }

    fn unknown(&mut self, field: &str) {
        const TOLD: usize = 16;
        if self.unknown.len() < TOLD {
            self.unknown.push(field.to_owned());
        }
    }

    /// Reads the document that is the value of a field.
    fn inner<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        self.answered = true;
        let mut inner = Document::new(self.builder, self.depth + 1);
        let read = map.next_value_seed(Object(&mut inner));
        inner.close(read.is_ok());
        read
    }
}

/// The spans of one resource, as they stand in a request, or alone on a line as Java's logging exporter writes them.
struct Group {
    /// Where its spans begin.
    first: usize,
    resource: ResourceRecord,
    known: bool,
    has_spans: bool,
}

impl Group {
    fn new(builder: &Builder) -> Self {
        Group {
            first: builder.span_count(),
            resource: ResourceRecord::default(),
            known: false,
            has_spans: false,
        }
    }

    /// `false` where it has no such field.
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        builder: &mut Builder,
        key: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            "resource" => {
                let schema_url = self.resource.schema_url;
                let mut resource = Resource {
                    builder,
                    record: ResourceRecord::default(),
                };
                map.next_value_seed(Object(&mut resource))?;
                self.resource = resource.record;
                self.resource.schema_url = schema_url;
                self.known = true;
            }
            "scopeSpans"
            | "scope_spans"
            | "instrumentationLibrarySpans"
            | "instrumentation_library_spans" => {
                self.has_spans = true;
                map.next_value_seed(List(&mut AllScopeSpans(builder)))?;
            }
            "schemaUrl" | "schema_url" => {
                self.resource.schema_url = text(builder, map, &mut None, "a `schemaUrl`")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Gives the spans their resource.
    fn close(self, whole: bool, builder: &mut Builder) {
        if !self.has_spans {
            return;
        }
        if !whole && !self.known {
            // The resource stood behind the place where the record breaks off.
            builder.cut_spans(self.first);
        }
        if builder.span_count() > self.first {
            let resource = builder.resource(self.resource);
            builder.set_resource(self.first, resource);
        }
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

/// A value of a resource or a scope that has the wrong shape.
fn lost_value(builder: &mut Builder, bad: Option<String>) {
    if let Some(bad) = bad {
        builder.problem(ProblemKind::LostValue, bad);
    }
}

impl<'de> Fields<'de> for Document<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            // `batches` is Tempo's name.
            "resourceSpans" | "resource_spans" | "batches" => {
                self.known = true;
                let mut all = AllResourceSpans(self.builder);
                map.next_value_seed(List(&mut all))
            }
            // Version 3 of Jaeger's query API and version 2 of Tempo's wrap a request.
            "result" | "trace" if self.depth < WRAPPED => {
                let outer = self.builder.links_may_be_parents(key == "result");
                let read = self.inner(map);
                self.builder.links_may_be_parents(outer);
                read
            }
            // Version 2 of Jaeger's query API has traces of its own.
            "data" => {
                self.known = true;
                map.next_value_seed(List(&mut Data(self.builder)))
            }
            "errors" => map.next_value_seed(List(&mut Errors {
                builder: self.builder,
                seen: &mut self.answered,
            })),
            "total" | "limit" | "offset" | "structuredErrors" | "status" | "metrics" => skip(map),
            // One of Jaeger's traces alone.
            "spans" | "processes" | "warnings" | "traceID" => {
                self.known |= key == "spans";
                let trace = self.trace.get_or_insert_with(|| TraceOf::new(self.builder));
                trace.field(self.builder, key, map).map(drop)
            }
            // The Collector's file exporter writes all signals alike, and some people keep them in one file.
            "resourceMetrics" | "resourceLogs" | "resourceProfiles" | "resource_metrics"
            | "resource_logs" | "resource_profiles" => {
                self.known = true;
                skip(map)
            }
            "scopeMetrics" | "scopeLogs" | "scopeProfiles" => {
                self.known = true;
                skip(map)
            }
            // otlp-stdout for Lambda.
            "payload" if self.depth < WRAPPED => {
                let mut payload = Payload {
                    document: Document::new(self.builder, self.depth + 1),
                    is_object: false,
                };
                let read = map.next_value_seed(Object(&mut payload));
                // What else it is, the fields around it tell.
                payload.document.answered |= !payload.is_object;
                self.answered |= payload.is_object;
                self.known |= payload.document.known;
                payload.document.close(read.is_ok());
                read
            }
            // A container runtime and journald record each line that a program wrote.
            "log" | "message" | "MESSAGE" => {
                let line = raw(map)?;
                if let Some(line) = line.text().filter(|line| line.contains("Spans\"")) {
                    self.known = true;
                    self.is_log_record = true;
                    self.builder.put_inner(line.as_bytes().to_vec());
                } else {
                    self.unknown(key);
                }
                Ok(())
            }
            "__otel_otlp_stdout" | "source" | "endpoint" | "method" | "content-type"
            | "content-encoding" | "headers" | "base64" => skip(map),
            _ if ZipkinSpan::has(key) => {
                let zipkin = self.zipkin.get_or_insert_default();
                zipkin.field(self.builder, key, map)
            }
            _ if foreign::is_named(&self.unknown) => skip(map),
            _ => {
                let is_group = self.group.field(self.builder, key, map)?;
                self.known |= is_group && key != "resource";
                if !is_group {
                    self.unknown(key);
                    skip(map)?;
                }
                Ok(())
            }
        }
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "a document", found);
        self.answered = true;
    }

    fn items<A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<(), A::Error> {
        self.answered = true;
        if self.depth == WRAPPED {
            lost(self.builder, "a document", "an array");
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        loop {
            let mut inner = Document::new(self.builder, self.depth + 1);
            match seq.next_element_seed(Object(&mut inner)) {
                Ok(Some(())) => inner.close(true),
                Ok(None) => return Ok(()),
                Err(error) => {
                    inner.close(false);
                    return Err(error);
                }
            }
        }
    }
}

/// A request within a log record: JSON, as a value or as text, or any bytes in base64.
struct Payload<'b> {
    document: Document<'b>,
    is_object: bool,
}

impl<'de> Fields<'de> for Payload<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.is_object = true;
        self.document.field(key, map)
    }

    fn text(&mut self, text: &str) {
        let is_json = text.trim_start().starts_with('{');
        let request = is_json.then(|| text.as_bytes().to_vec());
        if let Some(request) = request.or_else(|| bytes::decoded(text)) {
            self.document.known = true;
            self.document.builder.put_inner(request);
        }
    }

    fn misfit(&mut self, _: &'static str) {}
}

/// What went wrong where Jaeger's query API answers.
struct Errors<'x> {
    builder: &'x mut Builder,
    seen: &'x mut bool,
}

impl<'de> Items<'de> for Errors<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut error = AnswerError(None);
        let more = seq.next_element_seed(Object(&mut error))?.is_some();
        if let Some(message) = error.0 {
            *self.seen = true;
            self.builder.problem(
                ProblemKind::LostRecord,
                format!("Jaeger answered with an error: {message}"),
            );
        }
        Ok(more)
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct AnswerError(Option<String>);

impl<'de> Fields<'de> for AnswerError {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "msg" {
            const QUOTED: usize = 200;
            let message = raw(map)?;
            let message = message.text().unwrap_or_default().chars().take(QUOTED);
            self.0 = Some(message.collect());
            return Ok(());
        }
        skip(map)
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct AllResourceSpans<'b>(&'b mut Builder);

impl<'de> Items<'de> for AllResourceSpans<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut one = ResourceSpans {
            group: Group::new(self.0),
            builder: self.0,
        };
        let read = seq.next_element_seed(Object(&mut one));
        one.group.close(read.is_ok(), one.builder);
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.0, "`resourceSpans` to be an array", found);
    }
}

struct ResourceSpans<'b> {
    builder: &'b mut Builder,
    group: Group,
}

impl<'de> Fields<'de> for ResourceSpans<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if !self.group.field(self.builder, key, map)? {
            unknown(self.builder, "`resourceSpans`", key);
            skip(map)?;
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`resourceSpans` to hold objects", found);
    }
}

struct Resource<'b> {
    builder: &'b mut Builder,
    record: ResourceRecord,
}

impl<'de> Fields<'de> for Resource<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "attributes" => {
                let mut bad = None;
                self.record.attributes = attributes(self.builder, map, &mut bad, DEEPEST)?;
                lost_value(self.builder, bad);
                Ok(())
            }
            "droppedAttributesCount" | "dropped_attributes_count" => {
                let mut bad = None;
                self.record.dropped_attributes = count(map, key, &mut bad)?;
                lost_value(self.builder, bad);
                Ok(())
            }
            "entityRefs" | "entity_refs" => skip(map),
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
            scope: ScopeRecord::default(),
        };
        let read = seq.next_element_seed(Object(&mut one));
        let record = one.scope;
        let scope = self.0.scope(record);
        self.0.set_scope(first, scope);
        Ok(read?.is_some())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.0, "`scopeSpans` to be an array", found);
    }
}

struct ScopeSpans<'b> {
    builder: &'b mut Builder,
    scope: ScopeRecord,
}

impl<'de> Fields<'de> for ScopeSpans<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "scope" | "instrumentationLibrary" | "instrumentation_library" => {
                let mut scope = Scope {
                    builder: self.builder,
                    fields: ScopeRecord {
                        schema_url: self.scope.schema_url,
                        ..ScopeRecord::default()
                    },
                };
                map.next_value_seed(Object(&mut scope))?;
                self.scope = scope.fields;
                Ok(())
            }
            "spans" => map.next_value_seed(List(&mut SpansIn(self.builder))),
            "schemaUrl" | "schema_url" => {
                self.scope.schema_url = text(self.builder, map, &mut None, "a `schemaUrl`")?;
                Ok(())
            }
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
    fields: ScopeRecord,
}

impl<'de> Fields<'de> for Scope<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let mut bad = None;
        match key {
            "name" => self.fields.name = text(self.builder, map, &mut bad, "a scope's `name`")?,
            "version" => {
                self.fields.version = text(self.builder, map, &mut bad, "a scope's `version`")?;
            }
            "attributes" => {
                self.fields.attributes = attributes(self.builder, map, &mut bad, DEEPEST)?;
            }
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.fields.dropped_attributes = count(map, key, &mut bad)?;
            }
            _ => {
                unknown(self.builder, "`scope`", key);
                skip(map)?;
            }
        }
        lost_value(self.builder, bad);
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        lost(self.builder, "`scope` to be an object", found);
    }
}

struct SpansIn<'b>(&'b mut Builder);

impl<'de> Items<'de> for SpansIn<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut span = SpanIn::new(self.0);
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

struct SpanIn<'b> {
    builder: &'b mut Builder,
    record: SpanRecord,
    rarities: Rarities,
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

impl<'b> SpanIn<'b> {
    fn new(builder: &'b mut Builder) -> Self {
        SpanIn {
            builder,
            record: SpanRecord::default(),
            rarities: Rarities::default(),
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
                self.rarities.parent_is_link =
                    self.builder
                        .is_linked(self.rarities.links, id, self.record.parent_id);
                self.record.rarities = self.builder.rarities(self.rarities);
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
        Raw::Long(value) => format!("`{value}`"),
        Raw::Nested => "an object or array".to_owned(),
    }
}

impl<'de> Fields<'de> for SpanIn<'_> {
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
                    Some(flags) => self.rarities.flags = flags,
                    None => self.reject(key, "32 bits", &written),
                }
            }
            "attributes" => {
                self.record.attributes = attributes(self.builder, map, &mut self.bad, DEEPEST)?;
            }
            "events" => {
                let start = self.builder.event_count();
                let mut events = EventsIn {
                    builder: self.builder,
                    bad: &mut self.bad,
                };
                map.next_value_seed(List(&mut events))?;
                self.record.events = self.builder.events_since(start);
            }
            "status" => map.next_value_seed(Object(&mut StatusOf(self)))?,
            "links" => {
                let start = self.builder.link_count();
                let mut links = LinksIn {
                    builder: self.builder,
                    bad: &mut self.bad,
                };
                map.next_value_seed(List(&mut links))?;
                self.rarities.links = self.builder.links_since(start);
            }
            "traceState" | "trace_state" => {
                self.rarities.trace_state =
                    text(self.builder, map, &mut self.bad, "a span's `traceState`")?;
            }
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.rarities.dropped_attributes = count(map, key, &mut self.bad)?;
            }
            "droppedEventsCount" | "dropped_events_count" => {
                self.rarities.dropped_events = count(map, key, &mut self.bad)?;
            }
            "droppedLinksCount" | "dropped_links_count" => {
                self.rarities.dropped_links = count(map, key, &mut self.bad)?;
            }
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

struct StatusOf<'x, 'b>(&'x mut SpanIn<'b>);

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

struct EventsIn<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
}

impl<'de> Items<'de> for EventsIn<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut event = EventIn {
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

struct EventIn<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    record: EventRecord,
}

impl<'de> Fields<'de> for EventIn<'_> {
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
            "attributes" => {
                self.record.attributes = attributes(self.builder, map, self.bad, DEEPEST)?;
            }
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.record.dropped_attributes = count(map, key, self.bad)?;
            }
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

struct LinksIn<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
}

impl<'de> Items<'de> for LinksIn<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut link = LinkIn {
            builder: self.builder,
            bad: self.bad,
            record: LinkRecord::default(),
        };
        let more = seq.next_element_seed(Object(&mut link))?.is_some();
        let record = link.record;
        if more {
            self.builder.push_link(record);
        }
        Ok(more)
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected `links` to be an array, found {found}"));
    }
}

struct LinkIn<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    record: LinkRecord,
}

impl<'de> Fields<'de> for LinkIn<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "traceId" | "trace_id" => {
                self.record.trace_id = raw(map)?.text().and_then(bytes::id).unwrap_or_default();
            }
            "spanId" | "span_id" => {
                self.record.span_id = raw(map)?.text().and_then(bytes::id).unwrap_or_default();
            }
            "traceState" | "trace_state" => {
                self.record.trace_state =
                    text(self.builder, map, self.bad, "a link's `traceState`")?;
            }
            "attributes" => {
                self.record.attributes = attributes(self.builder, map, self.bad, DEEPEST)?;
            }
            "droppedAttributesCount" | "dropped_attributes_count" => {
                self.record.dropped_attributes = count(map, key, self.bad)?;
            }
            "flags" => self.record.flags = count(map, key, self.bad)?,
            _ => {
                unknown(self.builder, "a link", key);
                skip(map)?;
            }
        }
        Ok(())
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected a link to be an object, found {found}"));
    }
}

/// A number of 32 bits.
fn count<'de, A: MapAccess<'de>>(
    map: &mut A,
    key: &str,
    bad: &mut Option<String>,
) -> Result<u32, A::Error> {
    let written = raw(map)?;
    let count = written
        .unsigned()
        .and_then(|count| u32::try_from(count).ok());
    if count.is_none() {
        let found = shown(&written);
        bad.get_or_insert_with(|| format!("expected `{key}` to be a count, found {found}"));
    }
    Ok(count.unwrap_or(0))
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
    depth: usize,
) -> Result<Slice, A::Error> {
    let opened = builder.open_list();
    map.next_value_seed(List(&mut Pairs {
        builder,
        bad,
        depth,
    }))?;
    Ok(builder.close_list(opened))
}

struct Pairs<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    depth: usize,
}

impl<'de> Items<'de> for Pairs<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut pair = Pair {
            builder: self.builder,
            bad: self.bad,
            depth: self.depth,
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
    depth: usize,
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
                    depth: self.depth,
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
    /// How many arrays and maps may still stand within each other.
    depth: usize,
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
        if matches!(written, Raw::Null) {
            return Ok(());
        }
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
                _ => None,
            }),
            "doubleValue" | "double_value" => {
                self.scalar(key, map, |_, raw| raw.float().map(Scalar::Double))
            }
            "bytesValue" | "bytes_value" => self.scalar(key, map, |builder, raw| {
                let text = bytes::encode(&bytes::decoded(raw.text()?)?);
                Some(Scalar::Bytes(builder.intern(&text)))
            }),
            "arrayValue" | "array_value" | "kvlistValue" | "kvlist_value" if self.depth == 0 => {
                self.builder.too_deep();
                skip(map)
            }
            "arrayValue" | "array_value" | "kvlistValue" | "kvlist_value" => {
                let is_map = key.starts_with("kvlist");
                let mut values = Values {
                    builder: self.builder,
                    bad: self.bad,
                    depth: self.depth - 1,
                    is_map,
                    slice: Some(Slice::default()),
                };
                map.next_value_seed(Object(&mut values))?;
                let made = if is_map { Scalar::Map } else { Scalar::Array };
                self.value = values.slice.map_or(self.value, made);
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
    depth: usize,
    is_map: bool,
    slice: Option<Slice>,
}

impl<'de> Fields<'de> for Values<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key != "values" {
            unknown(self.builder, "a list of values", key);
            return skip(map);
        }
        if self.is_map {
            self.slice = Some(attributes(self.builder, map, self.bad, self.depth)?);
            return Ok(());
        }
        let opened = self.builder.open_list();
        map.next_value_seed(List(&mut Elements {
            builder: self.builder,
            bad: self.bad,
            depth: self.depth,
        }))?;
        self.slice = Some(self.builder.close_list(opened));
        Ok(())
    }

    fn unset(&mut self) {
        self.slice = None;
    }

    fn misfit(&mut self, found: &'static str) {
        *self.bad = Some(format!("expected a list of values, found {found}"));
    }
}

struct Elements<'x> {
    builder: &'x mut Builder,
    bad: &'x mut Option<String>,
    depth: usize,
}

impl<'de> Items<'de> for Elements<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut value = AnyValue {
            builder: self.builder,
            bad: self.bad,
            depth: self.depth,
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
