//! Converts OTLP JSON to protobuf: a deserializer that uses the tables and writes immediately.

use super::MAX_DEPTH;
use crate::schema::{Field, Kind, Label, Message};
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use protobuf_wire::{
    put_bytes_field, put_fixed32_field, put_fixed64_field, put_nested_field, put_varint_field,
    zigzag,
};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use std::fmt;

/// Appends a JSON request to `out` as protobuf.
pub(super) fn request(
    table: &'static Message,
    json: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(MessageVisitor {
        table,
        out,
        depth: 1,
    })?;
    deserializer.end()
}

struct MessageVisitor<'o> {
    table: &'static Message,
    out: &'o mut Vec<u8>,
    depth: usize,
}

impl<'de> Visitor<'de> for MessageVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object (`{}`)", self.table.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth > MAX_DEPTH {
            return Err(A::Error::custom(format_args!(
                "`{}` nested deeper than {MAX_DEPTH}",
                self.table.name
            )));
        }
        let mut seen = 0_u32;
        let mut chosen: Option<&Field> = None;
        while let Some(known) = map.next_key_seed(NameSeed(self.table))? {
            let Some(field) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen & 1 << field.number != 0 {
                return Err(A::Error::custom(format_args!(
                    "`{}` twice in one object",
                    field.name()
                )));
            }
            seen |= 1 << field.number;
            let seed = FieldSeed {
                field,
                out: self.out,
                depth: self.depth,
                is_element: false,
            };
            let is_set = map.next_value_seed(seed)?;
            if is_set
                && field.label == Label::Oneof
                && let Some(other) = chosen.replace(field)
            {
                let both = format_args!(
                    "both `{}` and `{}` in one object",
                    other.name(),
                    field.name()
                );
                return Err(A::Error::custom(both));
            }
        }
        Ok(())
    }
}

/// Looks a name up in a message's table.
struct NameSeed(&'static Message);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.field_named(name))
    }
}

/// Writes a field or one of its elements, and returns whether it was present. `null` isn't.
struct FieldSeed<'o> {
    field: &'static Field,
    out: &'o mut Vec<u8>,
    depth: usize,
    is_element: bool,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.single() {
            None => "an array",
            Some(Kind::Bool) => "true or false",
            Some(Kind::Int32 | Kind::Sint32) => "a 32-bit integer",
            Some(Kind::Uint32 | Kind::Fixed32) => "an unsigned 32-bit integer",
            Some(Kind::Int64 | Kind::Sfixed64) => "a 64-bit integer",
            Some(Kind::Uint64 | Kind::Fixed64) => "an unsigned 64-bit integer",
            Some(Kind::Double) => "a number",
            Some(Kind::String) => "a string",
            Some(Kind::Bytes) => "a string in base64",
            Some(Kind::Id(16)) => "32 hexadecimal digits",
            Some(Kind::Id(_)) => "16 hexadecimal digits",
            Some(Kind::Enum(_)) => "an enum's number",
            Some(Kind::Message(_)) => "an object",
        };
        write!(f, "{shape} (`{}`)", self.field.name())
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.is_element {
            Err(E::invalid_type(Unexpected::Unit, &self))
        } else {
            Ok(false)
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        let Some(Kind::Bool) = self.single() else {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        };
        put_varint_field(self.out, self.field.number, value.into());
        Ok(true)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.number(
            Some(Number::Integer(value.into())),
            Unexpected::Unsigned(value),
        )
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.number(
            Some(Number::Integer(value.into())),
            Unexpected::Signed(value),
        )
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.number(Some(Number::Double(value)), Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        let unexpected = Unexpected::Str(text);
        match self.single() {
            Some(Kind::String) => self.bytes(Some(text.as_bytes()), unexpected),
            Some(Kind::Id(length)) => self.bytes(unhex(text, length), unexpected),
            Some(Kind::Bytes) => self.bytes(unbase64(text), unexpected),
            Some(Kind::Enum(names)) => match names.iter().find(|(name, _)| *name == text) {
                Some(&(_, value)) => self.number(Some(Number::Integer(value.into())), unexpected),
                None => self.number(Number::parse(text), unexpected),
            },
            _ => self.number(Number::parse(text), unexpected),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        if self.single().is_some() {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let Self {
            field, out, depth, ..
        } = self;
        while seq
            .next_element_seed(FieldSeed {
                field,
                out,
                depth: depth + 1,
                is_element: true,
            })?
            .is_some()
        {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        let Some(Kind::Message(table)) = self.single() else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let depth = self.depth + 1;
        put_nested_field(self.out, self.field.number, |out| {
            MessageVisitor { table, out, depth }.visit_map(map)
        })?;
        Ok(true)
    }
}

impl FieldSeed<'_> {
    /// Converts a single value; an error if an array is expected.
    fn single(&self) -> Option<Kind> {
        (self.field.label != Label::Repeated || self.is_element).then_some(self.field.kind)
    }

    fn bytes<E: Error>(
        self,
        bytes: Option<impl AsRef<[u8]>>,
        unexpected: Unexpected<'_>,
    ) -> Result<bool, E> {
        let Some(bytes) = bytes else {
            return Err(E::invalid_value(unexpected, &self));
        };
        put_bytes_field(self.out, self.field.number, bytes.as_ref());
        Ok(true)
    }

    fn number<E: Error>(
        self,
        number: Option<Number>,
        unexpected: Unexpected<'_>,
    ) -> Result<bool, E> {
        let Some(kind) = self
            .single()
            .filter(|kind| kind.is_number() && !matches!(kind, Kind::Bool))
        else {
            return Err(E::invalid_type(unexpected, &self));
        };
        match number.and_then(|number| put_number(self.out, self.field.number, kind, number)) {
            Some(()) => Ok(true),
            None => Err(E::invalid_value(unexpected, &self)),
        }
    }
}

/// Writes a number, if it fits the kind.
fn put_number(out: &mut Vec<u8>, field: u32, kind: Kind, number: Number) -> Option<()> {
    match kind {
        Kind::Double => put_fixed64_field(out, field, number.double().to_bits()),
        Kind::Int32 | Kind::Enum(_) => {
            put_varint_field(out, field, i64::from(number.integer::<i32>()?) as u64);
        }
        Kind::Sint32 => put_varint_field(out, field, zigzag(number.integer()?)),
        Kind::Uint32 => put_varint_field(out, field, number.integer::<u32>()?.into()),
        Kind::Fixed32 => put_fixed32_field(out, field, number.integer()?),
        Kind::Int64 => put_varint_field(out, field, number.integer::<i64>()? as u64),
        Kind::Uint64 => put_varint_field(out, field, number.integer()?),
        Kind::Fixed64 => put_fixed64_field(out, field, number.integer()?),
        Kind::Sfixed64 => put_fixed64_field(out, field, number.integer::<i64>()? as u64),
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Id(_) | Kind::Message(_) => return None,
    }
    Some(())
}

#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Double(f64),
}

impl Number {
    /// Reads a JSON number, or one of the three names for values that JSON can't write.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::Double(f64::NAN)),
            "Infinity" => return Some(Self::Double(f64::INFINITY)),
            "-Infinity" => return Some(Self::Double(f64::NEG_INFINITY)),
            _ => {}
        }
        if !text
            .strip_prefix('-')
            .unwrap_or(text)
            .starts_with(|c: char| c.is_ascii_digit())
        {
            return None;
        }
        let integer = text.parse().map(Self::Integer);
        integer
            .or_else(|_| text.parse().map(Self::Double))
            .ok()
            .filter(|number| number.double().is_finite())
    }

    fn double(self) -> f64 {
        match self {
            Self::Integer(n) => n as f64,
            Self::Double(n) => n,
        }
    }

    fn integer<T: TryFrom<i128>>(self) -> Option<T> {
        match self {
            Self::Integer(n) => n.try_into().ok(),
            // A value out of range for an `i128` is out of range for every `T`, and the cast
            // saturates.
            Self::Double(n) => (n.fract() == 0.0).then_some(n as i128)?.try_into().ok(),
        }
    }
}

/// The request with U+FFFD for each half of a surrogate pair; `None` if there is none.
pub(super) fn mended(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended = json.to_vec();
    let (mut at, mut is_mended) = (0, false);
    while let Some(escape) = json[at..].iter().position(|&byte| byte == b'\\') {
        at += escape;
        let (high, low) = (code_unit(json, at), code_unit(json, at + 6));
        at += match (high, low) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                mended[at + 2..at + 6].copy_from_slice(b"fffd");
                is_mended = true;
                6
            }
            // An escaped backslash doesn't escape the next character.
            _ => 2,
        };
        at = at.min(json.len());
    }
    is_mended.then_some(mended)
}

/// The UTF-16 code unit of the `\uXXXX` that begins here, if any.
fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// An id of this length, or an empty one.
fn unhex(text: &str, length: usize) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != length && !pairs.is_empty() {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let standard = text.replace('-', "+").replace('_', "/");
    LENIENT.decode(standard).ok()
}
