//! What collections are made of.

use crate::proto::common;
pub(super) use crate::proto::schema::CollectionSchema;
use std::fmt;

/// How near two vectors are to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricType {
    /// The angle between them; from -1 to 1, the greater the nearer.
    #[default]
    Cosine,
    /// Their squared Euclidean distance; the smaller the nearer.
    L2,
    /// Their inner product; the greater the nearer.
    Ip,
    /// Of binary vectors: in how many bits they differ.
    Hamming,
    /// Of binary vectors: the share of set bits that they don't have in common.
    Jaccard,
}

impl MetricType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cosine => "COSINE",
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Hamming => "HAMMING",
            Self::Jaccard => "JACCARD",
        }
    }
}

/// How fresh the data must be that a search or a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsistencyLevel {
    /// All that was written before, by anyone. It waits for it.
    Strong,
    /// All that this client has written.
    Session,
    /// All but what was written in the last few seconds.
    Bounded,
    /// Whatever is there.
    Eventually,
}

impl ConsistencyLevel {
    pub(super) fn wire(self) -> common::ConsistencyLevel {
        match self {
            Self::Strong => common::ConsistencyLevel::Strong,
            Self::Session => common::ConsistencyLevel::Session,
            Self::Bounded => common::ConsistencyLevel::Bounded,
            Self::Eventually => common::ConsistencyLevel::Eventually,
        }
    }
}

/// Whether a collection can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoadState {
    /// There is no such collection.
    NotExist,
    /// It must be loaded first.
    NotLoad,
    /// It is being loaded.
    Loading,
    /// It can be searched.
    Loaded,
}

/// The value of a primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A key that is a number.
    Int(i64),
    /// A key that is a string.
    Str(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => id.fmt(f),
            Self::Str(id) => id.fmt(f),
        }
    }
}

impl From<i64> for Id {
    fn from(id: i64) -> Self {
        Self::Int(id)
    }
}

impl From<&str> for Id {
    fn from(id: &str) -> Self {
        Self::Str(id.to_owned())
    }
}

impl From<String> for Id {
    fn from(id: String) -> Self {
        Self::Str(id)
    }
}

/// A vector to search for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Vector {
    /// One number per dimension.
    Float(Vec<f32>),
    /// One bit per dimension, eight to the byte.
    Binary(Vec<u8>),
}

impl From<Vec<f32>> for Vector {
    fn from(numbers: Vec<f32>) -> Self {
        Self::Float(numbers)
    }
}

impl From<&[f32]> for Vector {
    fn from(numbers: &[f32]) -> Self {
        Self::Float(numbers.to_vec())
    }
}

impl<const N: usize> From<[f32; N]> for Vector {
    fn from(numbers: [f32; N]) -> Self {
        Self::Float(numbers.to_vec())
    }
}
