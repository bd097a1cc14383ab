//! Attributes as they are handed out.

use std::fmt;

use super::attribute::{Attribute, Scalar, Slice};
use super::store::Traces;

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
    traces: &'t Traces,
    items: &'t [Attribute],
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
    traces: &'t Traces,
    items: std::slice::Iter<'t, Attribute>,
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

impl Traces {
    pub(crate) fn attribute_named(&self, slice: Slice, key: &str) -> Option<Value<'_>> {
        let key = self.strings.find(key)?;
        self.attribute(slice, key).map(|found| self.value(found))
    }

    pub(crate) fn value(&self, attribute: Attribute) -> Value<'_> {
        match attribute.scalar() {
            Scalar::Empty => Value::Empty,
            Scalar::Str(string) => Value::Str(self.str(string)),
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            Scalar::Double(value) => Value::Double(value),
            Scalar::Bytes(string) => Value::Bytes(self.str(string)),
            Scalar::Array(slice) => Value::Array(self.nested(slice)),
            Scalar::Map(slice) => Value::Map(self.nested(slice)),
        }
    }

    fn nested(&self, slice: Slice) -> Nested<'_> {
        Nested {
            traces: self,
            items: &self.attributes[slice.range()],
        }
    }

    pub(super) fn attributes_of(&self, slice: Slice) -> Attributes<'_> {
        Attributes {
            traces: self,
            items: self.attributes[slice.range()].iter(),
        }
    }
}
