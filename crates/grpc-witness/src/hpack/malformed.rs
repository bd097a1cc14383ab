//! The error of header compression.

/// A header block can't be decoded. No later block of the same direction can be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;
