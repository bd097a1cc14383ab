//! A short name for a long content: the same parts give the same name, on every machine and with every build.

use hmac_sha256::Hash;
use serde::Serialize;

/// The first 16 hexadecimal digits of the parts' SHA-256, each with its length before it.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Hash::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A value as a part of a fingerprint.
pub fn part(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value of strings and numbers is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_and_tells_parts_apart() {
        assert_eq!(fingerprint(&[b"a", b"bc"]), "3fafa1cf2f19a7c1");
        assert_ne!(fingerprint(&[b"a", b"bc"]), fingerprint(&[b"ab", b"c"]));
        assert_ne!(fingerprint(&[]), fingerprint(&[b""]));
    }
}
