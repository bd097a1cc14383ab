//! Versions that don't go together, as rows of `conflicts.toml`.

use std::sync::LazyLock;

use serde::Deserialize;
use versions::Range;

use crate::pins::Pins;

/// Packages that keep each other from being installed, built or run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conflict {
    /// Names the row in other files; unique.
    pub id: String,
    /// A message names the first.
    packages: Vec<(String, Range)>,
    /// Packages that would mend it.
    #[serde(default)]
    without: Vec<String>,
    /// The reason, as a clause.
    pub says: String,
    /// Something one can do, as a clause.
    pub cure: String,
    #[expect(
        dead_code,
        reason = "it tells a reader of the file where the row is known from"
    )]
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    conflict: Vec<Conflict>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("conflicts.toml"))
        .unwrap_or_else(|error| panic!("conflicts.toml: {error}"))
});

impl Conflict {
    pub(crate) fn all() -> impl Iterator<Item = &'static Conflict> {
        TABLE.conflict.iter()
    }

    pub(crate) fn by_id(id: &str) -> Option<&'static Conflict> {
        Conflict::all().find(|conflict| conflict.id == id)
    }

    /// The first of its packages, with the version where one is pinned, if all that it needs is in a project.
    pub(crate) fn found_in(&self, pins: &Pins) -> Option<String> {
        let holds = |(package, range): &(String, Range)| match pins.version(package) {
            Some(version) => range.contains(version),
            None => range.is_any() && pins.names(package),
        };
        let mended = self.without.iter().any(|package| pins.names(package));
        if mended || !self.packages.iter().all(holds) {
            return None;
        }
        let (package, _) = self.packages.first()?;
        Some(match pins.version(package) {
            Some(version) => format!("`{package}` {version}"),
            None => format!("`{package}`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<&str> = Conflict::all().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), Conflict::all().count());
        assert!(!ids.is_empty());
    }
}
