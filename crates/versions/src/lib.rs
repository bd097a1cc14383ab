//! Versions of any registry or tool: their order, version ranges, and versions in a tool's output.

mod order;
mod range;
mod text;

pub use order::{compare, is_preview, weight};
pub use range::Range;
pub use text::{all_in, first_in, pinned};
