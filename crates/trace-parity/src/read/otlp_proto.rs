//! OTLP protobuf: as the Collector's file exporter writes it, each message behind its length in four bytes (and compressed by itself where it
//! is told to), or one message alone.

use protobuf_wire::{Entry, Reader, Value as Field};

use super::builder::{Builder, DEEPEST};
use super::compressed::{self, Allowance};
use super::document;
use super::problem::ProblemKind;
use crate::intern::Str;
use crate::traces::{
    EventRecord, Kind, LinkRecord, Rarities, ResourceRecord, Scalar, ScopeRecord, SpanRecord,
    Status,
};

/// Whether the input begins with the length of a message that fits into it, and another one or the end behind it.
pub(crate) fn is_framed(bytes: &[u8]) -> bool {
    let Some((first, rest)) = frame(bytes) else {
        return false;
    };
    !first.is_empty() && (rest.is_empty() || frame(rest).is_some() || rest.len() < 4)
}

fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Reads every framed message; each may be compressed, and may be JSON.
pub(crate) fn framed(mut bytes: &[u8], allowance: &mut Allowance, builder: &mut Builder) {
    while !bytes.is_empty() {
        builder.count_record();
        let Some((message, rest)) = frame(bytes) else {
            builder.problem(
                ProblemKind::LostRecord,
                "the last message breaks off".to_owned(),
            );
            return;
        };
        let (message, problem) = compressed::open(message, allowance);
        if message.first() == Some(&b'{') {
            document::read(&message, builder);
        } else {
            self::message(&message, builder);
        }
        if let Some(problem) = problem {
            builder.problem(ProblemKind::LostRecord, problem);
        }
        bytes = rest;
    }
}

/// Reads one export request.
pub(crate) fn message(bytes: &[u8], builder: &mut Builder) {
    if request(bytes, builder).is_none() {
        builder.forget_open();
        builder.problem(
            ProblemKind::LostRecord,
            "the record is not OTLP protobuf, or breaks off".to_owned(),
        );
    }
}

/// Hands each field to `take`; `None` where the bytes are no message or `take` can't use one.
fn each<'b>(bytes: &'b [u8], mut take: impl FnMut(u32, Field<'b>) -> Option<()>) -> Option<()> {
    let mut fields = Reader::new(bytes);
    while let Some(Entry { number, value, .. }) = fields.entry().ok()? {
        take(number, value)?;
    }
    Some(())
}

fn text(field: Field<'_>, builder: &mut Builder) -> Option<Str> {
    let text = super::bytes::text(field.bytes()?);
    Some(builder.intern(&text))
}

/// The low bits alone, as protobuf's parsers do with a `uint32`.
fn count(field: Field<'_>) -> Option<u32> {
    field.varint().map(|count| count as u32)
}

fn request(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    each(bytes, |number, field| match number {
        1 => resource_spans(field.bytes()?, builder),
        _ => unknown(builder, "the request", number),
    })
}

fn unknown(builder: &mut Builder, owner: &str, number: u32) -> Option<()> {
    builder.problem(
        ProblemKind::UnknownField,
        format!("unknown field {number} in {owner}"),
    );
    Some(())
}

fn resource_spans(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    let first = builder.span_count();
    let mut resource = ResourceRecord::default();
    let mut known = false;
    let read = each(bytes, |number, field| {
        match number {
            1 => {
                let opened = builder.open_list();
                each(field.bytes()?, |number, field| match number {
                    1 => pair(field.bytes()?, builder, DEEPEST),
                    2 => {
                        resource.dropped_attributes = count(field)?;
                        Some(())
                    }
                    3 => Some(()),
                    _ => unknown(builder, "`resource`", number),
                })?;
                resource.attributes = builder.close_list(opened);
                known = true;
            }
            // 1000 is what OTLP before 0.15 had: the same fields under other names.
            2 | 1000 => scope_spans(field.bytes()?, builder)?,
            3 => resource.schema_url = text(field, builder)?,
            _ => unknown(builder, "`resource_spans`", number)?,
        }
        Some(())
    });
    if read.is_none() && !known {
        builder.cut_spans(first);
    }
    let resource = builder.resource(resource);
    builder.set_resource(first, resource);
    read
}

fn scope_spans(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    let first = builder.span_count();
    let mut scope = ScopeRecord::default();
    let read = each(bytes, |number, field| {
        match number {
            1 => {
                let opened = builder.open_list();
                each(field.bytes()?, |number, field| {
                    match number {
                        1 => scope.name = text(field, builder)?,
                        2 => scope.version = text(field, builder)?,
                        3 => pair(field.bytes()?, builder, DEEPEST)?,
                        4 => scope.dropped_attributes = count(field)?,
                        _ => unknown(builder, "`scope`", number)?,
                    }
                    Some(())
                })?;
                scope.attributes = builder.close_list(opened);
            }
            2 => span(field.bytes()?, builder)?,
            3 => scope.schema_url = text(field, builder)?,
            _ => unknown(builder, "`scope_spans`", number)?,
        }
        Some(())
    });
    let scope = builder.scope(scope);
    builder.set_scope(first, scope);
    read
}

const NO_ID: &str = "a span's `trace_id` or `span_id` isn't one";

fn span(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    let mut record = SpanRecord::default();
    let mut rarities = Rarities::default();
    let mut trace_id: Option<[u8; 16]> = None;
    let (events, links) = (builder.event_count(), builder.link_count());
    let opened = builder.open_list();
    let mut bad = None;
    each(bytes, |number, field| {
        match number {
            1 => {
                trace_id = <[u8; 16]>::try_from(field.bytes()?)
                    .ok()
                    .filter(|id| *id != [0; 16]);
            }
            2 => record.id = <[u8; 8]>::try_from(field.bytes()?).unwrap_or_default(),
            3 => rarities.trace_state = text(field, builder)?,
            4 => match field.bytes()? {
                [] => {}
                id => match <[u8; 8]>::try_from(id) {
                    Ok(id) => record.parent_id = id,
                    Err(_) => bad = Some("a span's `parent_span_id` isn't one"),
                },
            },
            5 => record.name = text(field, builder)?,
            6 => match usize::try_from(field.varint()?)
                .ok()
                .and_then(|kind| Kind::ALL.get(kind))
            {
                Some(kind) => record.kind = *kind,
                None => bad = Some("a span's `kind` is none that OTLP has"),
            },
            7 => record.start = field.fixed64()?,
            8 => record.end = field.fixed64()?,
            9 => pair(field.bytes()?, builder, DEEPEST)?,
            10 => rarities.dropped_attributes = count(field)?,
            11 => event(field.bytes()?, builder)?,
            12 => rarities.dropped_events = count(field)?,
            13 => link(field.bytes()?, builder)?,
            14 => rarities.dropped_links = count(field)?,
            15 => each(field.bytes()?, |number, field| {
                match number {
                    2 => record.status_message = text(field, builder)?,
                    3 => match field.varint()? {
                        0 => record.status = Status::Unset,
                        1 => record.status = Status::Ok,
                        2 => record.status = Status::Error,
                        _ => bad = Some("a span's status is none that OTLP has"),
                    },
                    1 => {}
                    _ => unknown(builder, "`status`", number)?,
                }
                Some(())
            })?,
            16 => rarities.flags = field.fixed32()?,
            _ => unknown(builder, "a span", number)?,
        }
        Some(())
    })?;
    record.attributes = builder.close_list(opened);
    record.events = builder.events_since(events);
    rarities.links = builder.links_since(links);
    record.rarities = builder.rarities(rarities);
    match (trace_id.filter(|_| record.id != [0; 8]), bad) {
        (Some(trace_id), None) => {
            record.trace = builder.trace(trace_id);
            builder.push_span(record);
        }
        (_, bad) => builder.problem(ProblemKind::LostSpan, bad.unwrap_or(NO_ID).to_owned()),
    }
    Some(())
}

fn event(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    let opened = builder.open_list();
    let mut record = EventRecord::default();
    each(bytes, |number, field| {
        match number {
            1 => record.time = field.fixed64()?,
            2 => record.name = text(field, builder)?,
            3 => pair(field.bytes()?, builder, DEEPEST)?,
            4 => record.dropped_attributes = count(field)?,
            _ => unknown(builder, "an event", number)?,
        }
        Some(())
    })?;
    record.attributes = builder.close_list(opened);
    builder.push_event(record);
    Some(())
}

fn link(bytes: &[u8], builder: &mut Builder) -> Option<()> {
    let opened = builder.open_list();
    let mut record = LinkRecord::default();
    each(bytes, |number, field| {
        match number {
            1 => record.trace_id = field.bytes()?.try_into().unwrap_or_default(),
            2 => record.span_id = field.bytes()?.try_into().unwrap_or_default(),
            3 => record.trace_state = text(field, builder)?,
            4 => pair(field.bytes()?, builder, DEEPEST)?,
            5 => record.dropped_attributes = count(field)?,
            6 => record.flags = field.fixed32()?,
            _ => unknown(builder, "a link", number)?,
        }
        Some(())
    })?;
    record.attributes = builder.close_list(opened);
    builder.push_link(record);
    Some(())
}

fn pair(bytes: &[u8], builder: &mut Builder, depth: usize) -> Option<()> {
    let (mut key, mut held) = (Str::EMPTY, Scalar::Empty);
    each(bytes, |number, field| {
        match number {
            1 => key = text(field, builder)?,
            2 => held = value(field.bytes()?, builder, depth)?,
            3 => {}
            _ => unknown(builder, "an attribute", number)?,
        }
        Some(())
    })?;
    builder.push_attribute(key, held);
    Some(())
}

fn value(bytes: &[u8], builder: &mut Builder, depth: usize) -> Option<Scalar> {
    let mut held = Scalar::Empty;
    each(bytes, |number, field| {
        held = match number {
            1 => Scalar::Str(text(field, builder)?),
            2 => Scalar::Bool(field.varint()? != 0),
            3 => Scalar::Int(field.varint()?.cast_signed()),
            4 => Scalar::Double(f64::from_bits(field.fixed64()?)),
            5 | 6 if depth == 0 => {
                builder.too_deep();
                held
            }
            5 | 6 => {
                let opened = builder.open_list();
                each(field.bytes()?, |inner, field| match (inner, number) {
                    (1, 5) => {
                        let item = value(field.bytes()?, builder, depth - 1)?;
                        builder.push_attribute(Str::EMPTY, item);
                        Some(())
                    }
                    (1, _) => pair(field.bytes()?, builder, depth - 1),
                    _ => unknown(builder, "a list of values", inner),
                })?;
                let slice = builder.close_list(opened);
                if number == 5 {
                    Scalar::Array(slice)
                } else {
                    Scalar::Map(slice)
                }
            }
            7 => {
                let text = super::bytes::encode(field.bytes()?);
                Scalar::Bytes(builder.intern(&text))
            }
            8 => held,
            _ => {
                unknown(builder, "a value", number)?;
                held
            }
        };
        Some(())
    })?;
    Some(held)
}
