//! Attributes: how they are kept, in sixteen bytes each, and how they are shown.

use std::fmt;

use super::{Slice, Traces};
use crate::intern::Str;

/// One key and its value, 16 bytes. A list within a value is equal to another if it is the same one: equal lists share a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attribute {
    pub(crate) key: Str,
    tag: Tag,
    low: u32,
    high: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tag {
    Empty,
    Str,
    Bool,
    Int,
    Double,
    Bytes,
    Array,
    Map,
}

/// An attribute's value before it is given its place in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    #[default]
    Empty,
    Str(Str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Base64 text.
    Bytes(Str),
    Array(Slice),
    Map(Slice),
}

impl Attribute {
    pub(crate) fn new(key: Str, value: Scalar) -> Self {
        let (tag, bits) = match value {
            Scalar::Empty => (Tag::Empty, 0),
            Scalar::Str(string) => (Tag::Str, u64::from(string.raw())),
            Scalar::Bool(value) => (Tag::Bool, u64::from(value)),
            Scalar::Int(value) => (Tag::Int, value.cast_unsigned()),
            Scalar::Double(value) => (Tag::Double, value.to_bits()),
            Scalar::Bytes(string) => (Tag::Bytes, u64::from(string.raw())),
            Scalar::Array(slice) => (Tag::Array, pack(slice)),
            Scalar::Map(slice) => (Tag::Map, pack(slice)),
        };
        Attribute {
            key,
            tag,
            low: (bits & u64::from(u32::MAX)) as u32,
            high: (bits >> 32) as u32,
        }
    }

    pub(crate) fn scalar(self) -> Scalar {
        let bits = u64::from(self.high) << 32 | u64::from(self.low);
        match self.tag {
            Tag::Empty => Scalar::Empty,
            Tag::Str => Scalar::Str(Str::from_raw(self.low)),
            Tag::Bool => Scalar::Bool(bits != 0),
            Tag::Int => Scalar::Int(bits.cast_signed()),
            Tag::Double => Scalar::Double(f64::from_bits(bits)),
            Tag::Bytes => Scalar::Bytes(Str::from_raw(self.low)),
            Tag::Array => Scalar::Array(unpack(bits)),
            Tag::Map => Scalar::Map(unpack(bits)),
        }
    }

    /// The same in another store.
    pub(crate) fn moved(self, string: impl Fn(Str) -> Str, list: impl Fn(Slice) -> Slice) -> Self {
        let value = match self.scalar() {
            Scalar::Str(text) => Scalar::Str(string(text)),
            Scalar::Bytes(text) => Scalar::Bytes(string(text)),
            Scalar::Array(items) => Scalar::Array(list(items)),
            Scalar::Map(items) => Scalar::Map(list(items)),
            plain => plain,
        };
        Attribute::new(string(self.key), value)
    }
}

fn pack(slice: Slice) -> u64 {
    u64::from(slice.len) << 32 | u64::from(slice.start)
}

fn unpack(bits: u64) -> Slice {
    Slice {
        start: (bits & u64::from(u32::MAX)) as u32,
        len: (bits >> 32) as u32,
    }
}

/// An attribute's value.
#[derive(Clone, Copy)]
pub enum Value<'t> {
    Empty,
    Str(&'t str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// In base64, as OTLP JSON writes it.
    Bytes(&'t str),
    /// The keys are empty.
    Array(Nested<'t>),
    Map(Nested<'t>),
}

/// Values within a value.
#[derive(Clone, Copy)]
pub struct Nested<'t> {
    pub(super) traces: &'t Traces,
    pub(super) items: &'t [Attribute],
}

impl<'t> Nested<'t> {
    #[must_use]
    pub fn iter(&self) -> Attributes<'t> {
        Attributes {
            traces: self.traces,
            items: self.items.iter(),
        }
    }
}

impl<'t> Value<'t> {
    #[must_use]
    pub fn as_str(self) -> Option<&'t str> {
        match self {
            Value::Str(string) => Some(string),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// As the contract's `type` names it: `string`, `int`, `bool`, `double`, `bytes`, `array`, `map`, `empty`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Empty => "empty",
            Value::Str(_) => "string",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Double(_) => "double",
            Value::Bytes(_) => "bytes",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
        }
    }
}

/// How deep [`Value`]'s text follows values within values.
const SHOWN_DEPTH: usize = 16;

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(*self, SHOWN_DEPTH, f)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(*self, SHOWN_DEPTH, f)
    }
}

fn show(value: Value<'_>, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Empty => Ok(()),
        Value::Str(text) | Value::Bytes(text) => f.write_str(text),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Int(value) => write!(f, "{value}"),
        Value::Double(value) => write!(f, "{value}"),
        Value::Array(_) | Value::Map(_) if depth == 0 => f.write_str("…"),
        Value::Array(items) => {
            f.write_str("[")?;
            for (index, (_, item)) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(item, depth - 1, f)?;
            }
            f.write_str("]")
        }
        Value::Map(items) => {
            f.write_str("{")?;
            for (index, (key, item)) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                write!(f, "{key}: ")?;
                show(item, depth - 1, f)?;
            }
            f.write_str("}")
        }
    }
}

/// Key and value pairs, in the order in which they were written.
#[derive(Clone)]
pub struct Attributes<'t> {
    pub(super) traces: &'t Traces,
    pub(super) items: std::slice::Iter<'t, Attribute>,
}

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t str, Value<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        let traces = self.traces;
        self.items
            .next()
            .map(|item| (traces.str(item.key), traces.value(*item)))
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}
