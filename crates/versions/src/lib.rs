//! Versions, whatever registry or tool they come from: their order, ranges of them, and where they stand in a text.

mod order;
mod range;
mod text;

pub use order::{compare, is_preview, weight};
pub use range::Range;
pub use text::{all_in, first_in, pinned};
