//! Versions of Milvus: the server's, and the first one that has an operation or an option.

use super::error::{Error, Result};
use std::fmt;

/// A version of Milvus: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub u32, pub u32, pub u32);

/// The first versions of operations. A server that tells its version, which is 2.2.9 or later, has every operation that isn't
/// listed. Where the first version is uncertain, this is an earlier one, and the server itself refuses.
const FIRST: &[(Version, &[&str])] = &[
    (
        Version(2, 3, 0),
        &[
            "upsert",
            "count",
            "query_iterator",
            "describe_alias",
            "list_aliases",
        ],
    ),
    (Version(2, 3, 1), &["flush_all"]),
    (
        Version(2, 4, 0),
        &["hybrid_search", "search_iterator", "alter_index_properties"],
    ),
    (Version(2, 4, 1), &["alter_database_properties"]),
    (Version(2, 4, 3), &["describe_database"]),
    (
        Version(2, 4, 18),
        &[
            "alter_collection_field",
            "drop_collection_properties",
            "drop_database_properties",
            "drop_index_properties",
            "grant_privilege_v2",
            "revoke_privilege_v2",
            "create_privilege_group",
            "drop_privilege_group",
            "list_privilege_groups",
            "add_privileges_to_group",
            "remove_privileges_from_group",
        ],
    ),
    (Version(2, 5, 0), &["add_collection_field"]),
    (Version(2, 6, 11), &["truncate_collection"]),
];

impl Version {
    /// Reads a version such as `v2.3.5`; `None` if the text is something else, such as the name of a branch.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = text[..end.unwrap_or(text.len())].split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        // A nightly build, such as `2.4-20240601-5c5948cb`, can have everything of that minor version.
        let patch = numbers.next().and_then(|patch| patch.parse().ok());
        Some(Self(major, minor, patch.unwrap_or(u32::MAX)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}")?;
        match patch {
            0 | &u32::MAX => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

/// Fails if the server is known to be older than `operation`.
pub(super) fn check_operation(server: Option<Version>, operation: &str) -> Result<()> {
    let first = FIRST.iter().find(|(_, names)| names.contains(&operation));
    first.map_or(Ok(()), |(first, _)| check(server, *first, "this operation"))
}

/// Fails if the server is known to be older than `first`, the first version that has `what`.
pub(super) fn check(
    server: Option<Version>,
    first: Version,
    what: impl fmt::Display,
) -> Result<()> {
    match server {
        Some(server) if server < first => Err(Error::unsupported(format!(
            "{what} needs Milvus {first} or later, and the server's version is {server}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_servers_text() {
        let newest = u32::MAX;
        let cases = [
            ("v2.3.5", Some(Version(2, 3, 5))),
            ("2.6.11-lite", Some(Version(2, 6, 11))),
            ("v2.5.0-rc.1", Some(Version(2, 5, 0))),
            ("2.4-20240601-5c5948cb", Some(Version(2, 4, newest))),
            ("v3.0", Some(Version(3, 0, newest))),
            ("master-20240601", None),
            ("v2", None),
            ("2.", None),
            ("unknown", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Version::read(text), expected, "{text}");
        }
    }

    /// The documentation of each method gives its first version.
    #[test]
    fn the_table_agrees_with_the_documentation() {
        let sources = [
            include_str!("alias.rs"),
            include_str!("batches.rs"),
            include_str!("collection.rs"),
            include_str!("data.rs"),
            include_str!("database.rs"),
            include_str!("hybrid.rs"),
            include_str!("partition.rs"),
            include_str!("search.rs"),
            include_str!("upkeep.rs"),
            include_str!("user.rs"),
        ];
        let mut documented = Vec::new();
        for source in sources {
            let mut first = None;
            for line in source.lines().map(str::trim) {
                if let Some(text) = line.strip_prefix("/// Milvus ") {
                    first = text
                        .split_whitespace()
                        .next()
                        .and_then(Version::read_documented);
                } else if let Some((_, signature)) = line.split_once("fn ") {
                    let name = signature.split(['(', '<']).next().unwrap_or_default();
                    documented.extend(first.take().map(|first| (first, name)));
                }
            }
        }
        documented.retain(|(first, name)| *first > Version(2, 2, 9) && !OPTIONS.contains(name));
        for (first, name) in &documented {
            let listed = FIRST.iter().find(|(_, names)| names.contains(name));
            let (listed, _) = listed.unwrap_or_else(|| panic!("`{name}` isn't listed"));
            assert!(listed <= first, "`{name}`: {listed}, documented as {first}");
        }
        let listed = FIRST.iter().map(|(_, names)| names.len()).sum::<usize>();
        assert_eq!(documented.len(), listed);
    }

    /// Options of an operation, which checks them.
    const OPTIONS: [&str; 4] = ["group_by", "group_size", "strict_group_size", "bm25"];

    impl Version {
        /// As the documentation writes it: `2.4` is its first release.
        fn read_documented(text: &str) -> Option<Self> {
            let Self(major, minor, patch) = Self::read(text.trim_end_matches([',', ';']))?;
            Some(Self(
                major,
                minor,
                if patch == u32::MAX { 0 } else { patch },
            ))
        }
    }
}
