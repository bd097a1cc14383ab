//! Attributes as they are kept, in sixteen bytes each.

use std::ops::Range;

use crate::intern::Str;

/// A range of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slice {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Slice {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

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
