//! Markers for the output of a query or a search.

/// All rows in one answer; for a search, a list of hits for each vector.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct All;

/// The hits of the one vector of a search.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct One;

/// [`Pages`](super::Pages) of rows or hits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Paged;
