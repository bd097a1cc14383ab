//! Zipkin's JSON, version 2: an array of spans, or of traces that are arrays of spans.
//!
//! As in Jaeger's own format, tags hold what OTLP has fields for. Times are microseconds.

use serde::de::{MapAccess, SeqAccess};

use super::builder::Builder;
use super::fields::{Fields, Items, List, Object, raw};
use super::jaeger_json::{Special, id};
use super::problem::ProblemKind;
use crate::intern::Str;
use crate::traces::{EventRecord, Kind, Rarities, ResourceRecord, Scalar, SpanRecord};

const NANOS: u64 = 1_000;

/// One span; its fields stand in any order.
#[derive(Default)]
pub(crate) struct ZipkinSpan {
    record: SpanRecord,
    trace_id: Option<[u8; 16]>,
    duration: u64,
    kind: Kind,
    special: Special,
    local: Endpoint,
    remote: Endpoint,
    tags: Vec<(Str, Scalar)>,
    annotations: Vec<EventRecord>,
    bad: bool,
}

#[derive(Clone, Copy, Default)]
struct Endpoint {
    service: Str,
    address: Str,
    port: Option<i64>,
}

impl ZipkinSpan {
    /// Whether a span has such a field.
    pub(crate) fn has(key: &str) -> bool {
        const FIELDS: [&str; 13] = [
            "traceId",
            "parentId",
            "id",
            "kind",
            "name",
            "timestamp",
            "duration",
            "debug",
            "shared",
            "localEndpoint",
            "remoteEndpoint",
            "annotations",
            "tags",
        ];
        FIELDS.contains(&key)
    }

    /// Whether the fields make a span, and not a document that happens to share some of their names.
    pub(crate) fn is_one(&self) -> bool {
        self.trace_id.is_some() && self.record.id != [0; 8]
    }

    pub(crate) fn field<'de, A: MapAccess<'de>>(
        &mut self,
        builder: &mut Builder,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "localEndpoint" | "remoteEndpoint" => {
                let endpoint = if key == "localEndpoint" {
                    &mut self.local
                } else {
                    &mut self.remote
                };
                return map.next_value_seed(Object(&mut EndpointIn { builder, endpoint }));
            }
            "tags" => {
                return map.next_value_seed(Object(&mut ZipkinTags {
                    builder,
                    special: &mut self.special,
                    tags: &mut self.tags,
                }));
            }
            "annotations" => {
                return map.next_value_seed(List(&mut Annotations {
                    builder,
                    annotations: &mut self.annotations,
                }));
            }
            _ => {}
        }
        let value = raw(map)?;
        match key {
            "traceId" => self.trace_id = id(&value).filter(|id| *id != [0; 16]),
            "id" => self.record.id = id(&value).unwrap_or_default(),
            "parentId" => self.record.parent_id = id(&value).unwrap_or_default(),
            "name" => self.record.name = builder.intern(value.text().unwrap_or_default()),
            "kind" => {
                let name = value.text().unwrap_or_default().to_ascii_lowercase();
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                self.kind = kind.unwrap_or_default();
            }
            "timestamp" | "duration" => {
                let nanos = value
                    .unsigned()
                    .and_then(|micros| micros.checked_mul(NANOS));
                self.bad |= nanos.is_none();
                if key == "timestamp" {
                    self.record.start = nanos.unwrap_or(0);
                } else {
                    self.duration = nanos.unwrap_or(0);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts the span into the store.
    pub(crate) fn keep(mut self, builder: &mut Builder) {
        if self.bad {
            let message = "a span's time isn't microseconds".to_owned();
            builder.problem(ProblemKind::LostSpan, message);
            return;
        }
        self.record.end = self.record.start.saturating_add(self.duration);
        self.record.kind = match self.kind {
            Kind::Unspecified => self.special.kind,
            kind => kind,
        };
        let opened = builder.open_list();
        for (key, value) in self.tags {
            builder.push_attribute(key, value);
        }
        self.record.status = self.special.status(opened, builder);
        let peer = [
            ("peer.service", self.remote.service),
            ("network.peer.address", self.remote.address),
        ];
        for (key, value) in peer.into_iter().filter(|(_, value)| *value != Str::EMPTY) {
            let key = builder.intern(key);
            builder.push_attribute(key, Scalar::Str(value));
        }
        if let Some(port) = self.remote.port {
            let key = builder.intern("network.peer.port");
            builder.push_attribute(key, Scalar::Int(port));
        }
        self.record.attributes = builder.close_list(opened);
        let events = builder.event_count();
        self.annotations
            .into_iter()
            .for_each(|event| builder.push_event(event));
        self.record.events = builder.events_since(events);
        self.record.status_message = self.special.message;
        self.record.scope = builder.scope(self.special.scope());
        self.record.rarities = builder.rarities(Rarities {
            trace_state: self.special.trace_state,
            ..Rarities::default()
        });
        let opened = builder.open_list();
        if self.local.service != Str::EMPTY {
            let key = builder.intern("service.name");
            builder.push_attribute(key, Scalar::Str(self.local.service));
        }
        let attributes = builder.close_list(opened);
        self.record.resource = builder.resource(ResourceRecord {
            attributes,
            ..ResourceRecord::default()
        });
        self.record.trace = builder.trace(self.trace_id.unwrap_or_default());
        builder.push_span(self.record);
    }
}

struct EndpointIn<'x> {
    builder: &'x mut Builder,
    endpoint: &'x mut Endpoint,
}

impl<'de> Fields<'de> for EndpointIn<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let value = raw(map)?;
        let text = self.builder.intern(value.text().unwrap_or_default());
        match key {
            "serviceName" => self.endpoint.service = text,
            "ipv4" | "ipv6" => self.endpoint.address = text,
            "port" => self.endpoint.port = value.signed(),
            _ => {}
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct ZipkinTags<'x> {
    builder: &'x mut Builder,
    special: &'x mut Special,
    tags: &'x mut Vec<(Str, Scalar)>,
}

impl<'de> Fields<'de> for ZipkinTags<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let value = raw(map)?;
        let Some(text) = value.text() else {
            let message = format!("the tag `{key}` is not text");
            self.builder.problem(ProblemKind::LostValue, message);
            return Ok(());
        };
        let value = Scalar::Str(self.builder.intern(text));
        if !self.special.take(key, value, self.builder) {
            let key = self.builder.intern(key);
            self.tags.push((key, value));
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct Annotations<'x> {
    builder: &'x mut Builder,
    annotations: &'x mut Vec<EventRecord>,
}

impl<'de> Items<'de> for Annotations<'_> {
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut annotation = Annotation {
            builder: self.builder,
            event: EventRecord::default(),
        };
        let more = seq.next_element_seed(Object(&mut annotation))?.is_some();
        let event = annotation.event;
        if more {
            self.annotations.push(event);
        }
        Ok(more)
    }

    fn misfit(&mut self, _: &'static str) {}
}

struct Annotation<'x> {
    builder: &'x mut Builder,
    event: EventRecord,
}

impl<'de> Fields<'de> for Annotation<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let value = raw(map)?;
        match key {
            "timestamp" => {
                self.event.time = value.unsigned().unwrap_or(0).saturating_mul(NANOS);
            }
            "value" => {
                // The Collector writes `name|{attributes}|dropped count`.
                let text = value.text().unwrap_or_default();
                let name = text.split_once("|{").map_or(text, |(name, _)| name);
                self.event.name = self.builder.intern(name);
            }
            _ => {}
        }
        Ok(())
    }

    fn misfit(&mut self, _: &'static str) {}
}
