//! Objects, lists and scalars of JSON, parsed in one pass without building a tree. A value of an unexpected shape is reported to its
//! owner and skipped, so that it costs one record instead of the line.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Something that is written as a JSON object.
pub(crate) trait Fields<'de> {
    /// Takes the value of one field from `map`; [`skip`] where it is not wanted.
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// It isn't an object.
    fn misfit(&mut self, found: &'static str);

    /// It is null, which proto3 JSON allows for every field.
    fn unset(&mut self) {}

    /// It is a string.
    fn text(&mut self, _: &str) {
        self.misfit("a string");
    }

    /// It is an array.
    fn items<A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<(), A::Error> {
        self.misfit("an array");
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Something that is written as a JSON array.
pub(crate) trait Items<'de> {
    /// Takes one element; `false` when there is none left.
    fn item<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;

    /// It isn't an array.
    fn misfit(&mut self, found: &'static str);

    /// It is a string.
    fn text(&mut self, _: &str) {
        self.misfit("a string");
    }
}

pub(crate) struct Object<'x, F>(pub(crate) &'x mut F);

pub(crate) struct List<'x, I>(pub(crate) &'x mut I);

/// A scalar, or a note that the value is an object or an array.
#[derive(Clone, Debug)]
pub(crate) enum Raw<'de> {
    Null,
    /// 64 bits as protobuf.js writes them: `{"low": …, "high": …}`.
    Long(u64),
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Cow<'de, str>),
    Nested,
}

pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

pub(crate) fn raw<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Raw<'de>, A::Error> {
    map.next_value_seed(RawSeed(PhantomData))
}

impl Raw<'_> {
    /// An unsigned number in any of the ways it is written; `None` where it is something else. Null is zero.
    pub(crate) fn unsigned(&self) -> Option<u64> {
        match self {
            Raw::Null => Some(0),
            Raw::Uint(value) | Raw::Long(value) => Some(*value),
            Raw::Int(value) => u64::try_from(*value).ok(),
            Raw::Float(value) => whole(*value).and_then(|value| u64::try_from(value).ok()),
            Raw::Text(text) => text.parse().ok(),
            Raw::Bool(_) | Raw::Nested => None,
        }
    }

    pub(crate) fn signed(&self) -> Option<i64> {
        match self {
            Raw::Null => Some(0),
            Raw::Long(value) => Some(value.cast_signed()),
            Raw::Uint(value) => i64::try_from(*value).ok(),
            Raw::Int(value) => Some(*value),
            Raw::Float(value) => whole(*value).and_then(|value| i64::try_from(value).ok()),
            Raw::Text(text) => text.parse().ok(),
            Raw::Bool(_) | Raw::Nested => None,
        }
    }

    /// Proto3 JSON writes what JSON has no number for as `NaN`, `Infinity` and `-Infinity`.
    pub(crate) fn float(&self) -> Option<f64> {
        match self {
            Raw::Null => Some(0.0),
            Raw::Uint(value) => Some(*value as f64),
            Raw::Int(value) => Some(*value as f64),
            Raw::Float(value) => Some(*value),
            Raw::Text(text) => text.parse().ok(),
            Raw::Bool(_) | Raw::Long(_) | Raw::Nested => None,
        }
    }

    /// The text; null is the empty one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) => Some(text),
            Raw::Null => Some(""),
            _ => None,
        }
    }

    /// One of `names`, which are written with `prefix`, by name or by number.
    pub(crate) fn one_of<T: Copy>(&self, prefix: &str, names: &[(&str, T)]) -> Option<T> {
        if let Some(number) = self.unsigned() {
            let index = usize::try_from(number).ok()?;
            return names.get(index).map(|&(_, value)| value);
        }
        let name = self.text()?;
        let name = name.strip_prefix(prefix).unwrap_or(name);
        names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, value)| value)
    }
}

fn whole(value: f64) -> Option<i128> {
    const EXACT: f64 = 1e19;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i128)
}

#[derive(Default)]
pub(crate) struct RawSeed<'de>(PhantomData<&'de ()>);

/// An object's key; borrowed unless it is written with escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

impl<'de, F: Fields<'de>> DeserializeSeed<'de> for Object<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, I: Items<'de>> DeserializeSeed<'de> for List<'_, I> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for RawSeed<'de> {
    type Value = Raw<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The visits of a value that has the wrong shape.
macro_rules! misfits {
    () => {
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            self.0.misfit("a boolean");
            Ok(())
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            self.0.misfit("a number");
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            self.0.misfit("a number");
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            self.0.misfit("a number");
            Ok(())
        }

        fn visit_str<E>(self, text: &str) -> Result<(), E> {
            self.0.text(text);
            Ok(())
        }
    };
}

impl<'de, F: Fields<'de>> Visitor<'de> for Object<'_, F> {
    type Value = ();

    misfits!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.unset();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            self.0.field(&key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.items(seq)
    }
}

impl<'de, I: Items<'de>> Visitor<'de> for List<'_, I> {
    type Value = ();

    misfits!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.0.item(&mut seq)? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.misfit("an object");
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de> Visitor<'de> for RawSeed<'de> {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Raw::Uint(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Raw::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Raw::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Raw::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Raw::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut low, mut high) = (None, None);
        while let Some(key) = map.next_key_seed(Key)? {
            match key.as_ref() {
                "low" => low = map.next_value_seed(HalfSeed)?,
                "high" => high = map.next_value_seed(HalfSeed)?,
                _ => skip(&mut map)?,
            }
        }
        Ok(match (low, high) {
            (Some(low), Some(high)) => Raw::Long(u64::from(high) << 32 | u64::from(low)),
            _ => Raw::Nested,
        })
    }
}

/// Half of a [`Raw::Long`]: 32 bits, with a sign or without one. A scalar alone, so that nothing nests.
struct HalfSeed;

impl<'de> DeserializeSeed<'de> for HalfSeed {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for HalfSeed {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(i32::try_from(value).ok().map(i32::cast_unsigned))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(u32::try_from(value).ok())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
