//! What the reporters print, whole, for each kind of run.

mod build;
mod json;
mod terminal;
