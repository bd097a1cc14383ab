//! Each distinct string once, in one buffer.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A string of an [`Interner`]; equal strings of one interner have equal handles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Str(u32);

impl Str {
    /// The empty string, in every interner.
    pub(crate) const EMPTY: Str = Str(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_raw(raw: u32) -> Self {
        Str(raw)
    }

    pub(crate) fn raw(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct Interner {
    text: String,
    /// Where each string ends in `text`; it begins where the one before it ends.
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Default for Interner {
    fn default() -> Self {
        let mut interner = Interner {
            text: String::new(),
            ends: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        };
        interner.intern("");
        interner
    }
}

impl Interner {
    pub(crate) fn intern(&mut self, string: &str) -> Str {
        let hash = self.hasher.hash_one(string);
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        let found = self.table.entry(
            hash,
            |&index| slice(text, ends, index as usize) == string,
            |&index| hasher.hash_one(slice(text, ends, index as usize)),
        );
        match found {
            hashbrown::hash_table::Entry::Occupied(entry) => Str(*entry.get()),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                let index = u32::try_from(self.ends.len()).expect("fewer than 2^32 strings");
                entry.insert(index);
                self.text.push_str(string);
                self.ends.push(self.text.len());
                Str(index)
            }
        }
    }

    /// The handle of a string that has been interned.
    pub(crate) fn find(&self, string: &str) -> Option<Str> {
        let hash = self.hasher.hash_one(string);
        self.table
            .find(hash, |&index| {
                slice(&self.text, &self.ends, index as usize) == string
            })
            .map(|&index| Str(index))
    }

    /// Every string, by handle.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|index| slice(&self.text, &self.ends, index))
    }

    pub(crate) fn get(&self, string: Str) -> &str {
        slice(&self.text, &self.ends, string.index())
    }
}

fn slice<'t>(text: &'t str, ends: &[usize], index: usize) -> &'t str {
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start..ends[index]]
}
