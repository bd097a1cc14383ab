//! What the reporters print, whole, for each kind of run.

mod build;
mod github;
mod json;
mod junit;
mod markdown;
mod spans;
mod terminal;
mod tree;
