//! A short number for a long content: the same parts give the same number.

use std::hash::{DefaultHasher, Hasher};

pub fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}
