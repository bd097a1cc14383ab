//! Known problems of the versions in a user's project: from the compatibility map, and a few others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use supervise::{IoContext, Result};
use versions::Range;

use crate::known;

/// Names of dependency lists that are read.
const FILES: [&str; 6] = [
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "go.mod",
    "package-lock.json",
    "pom.xml",
];

/// Versions in a project that are known to cause problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Each version's file and problem. Unescaped.
    pub what: String,
    pub cure: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    pair: Vec<Pair>,
}

/// Versions of a Python package that break everything, perhaps only with or without another package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    package: String,
    versions: Range,
    with: Option<String>,
    without: Option<String>,
    what: String,
    cure: String,
}

/// The dependency lists in `folder`.
pub fn lists_in(folder: &Path) -> Vec<PathBuf> {
    let files = FILES.iter().map(|file| folder.join(file));
    files.filter(|file| file.is_file()).collect()
}

/// The dependency lists of the nearest folder that has any, from `start` upwards.
pub fn lists_around(start: &Path) -> Vec<PathBuf> {
    let lists = start.ancestors().map(lists_in);
    lists
        .into_iter()
        .find(|lists| !lists.is_empty())
        .unwrap_or_default()
}

/// Known problems of the versions in one dependency list.
pub fn warnings(list: &Path) -> Result<Vec<Warning>> {
    let text = std::fs::read_to_string(list).at("read", list)?;
    let of_the_map = known::known_bad(list, &text)?;
    let mut warnings: Vec<Warning> = of_the_map
        .iter()
        .map(|bad| Warning {
            what: bad.message(),
            cure: bad.hint(),
        })
        .collect();
    if list.ends_with("requirements.txt") {
        warnings.extend(unfit(list, &requirements(&text)));
    }
    Ok(warnings)
}

/// Known problems of the versions that the current folder's project pins, and of those in the projects of the files
/// that a command names.
pub fn notes(command: &[String]) -> Vec<String> {
    let files = command
        .iter()
        .filter(|word| word.contains('/'))
        .map(Path::new);
    let folders = files.filter(|file| file.is_file()).filter_map(Path::parent);
    let absolute = |folder: &Path| folder.canonicalize().ok();
    let lists: BTreeSet<PathBuf> = std::iter::once(Path::new("."))
        .chain(folders)
        .filter_map(absolute)
        .flat_map(|folder| lists_around(&folder))
        .collect();
    let told = |list: &PathBuf| match warnings(list) {
        Ok(warnings) => warnings
            .into_iter()
            .map(|warning| format!("{}: {}", warning.what, warning.cure))
            .collect(),
        Err(failure) => vec![failure.message],
    };
    lists.iter().flat_map(told).collect()
}

fn unfit(list: &Path, packages: &BTreeMap<String, Option<String>>) -> Vec<Warning> {
    let fits = |pair: &Pair| {
        let version = packages.get(&pair.package)?.as_ref()?;
        let there = |name: &Option<String>| name.as_ref().map(|name| packages.contains_key(name));
        let is_unfit = pair.versions.contains(version)
            && there(&pair.with) != Some(false)
            && there(&pair.without) != Some(true);
        is_unfit.then(|| Warning {
            what: format!(
                "`{}` {version} in `{}` {}",
                pair.package,
                list.display(),
                pair.what
            ),
            cure: pair.cure.clone(),
        })
    };
    table().pair.iter().filter_map(fits).collect()
}

fn table() -> Table {
    toml::from_str(include_str!("project.toml")).expect("a test reads it")
}

/// A requirement such as `name==1.2.3` or `name<80`. Only `==` pins a version.
fn requirements(text: &str) -> BTreeMap<String, Option<String>> {
    let named = |line: &str| {
        let line = line.split('#').next()?.split(';').next()?.trim();
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('-') {
            return None;
        }
        let version = rest.split("==").nth(1).and_then(versions::first_in);
        Some((name.to_ascii_lowercase().replace('_', "-"), version))
    };
    text.lines().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_nothing_runs_with_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("requirements.txt");
        let check = |text: &str, expected: &[&str]| {
            std::fs::write(&list, text).unwrap();
            let warnings = warnings(&list).unwrap();
            let found: Vec<_> = warnings
                .iter()
                .map(|warning| warning.what.split(" in ").next().unwrap())
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("pymilvus==2.5.9\n", &["`pymilvus` 2.5.9"]);
        check("pymilvus==2.6.0\n", &[]);
        check("pymilvus==2.5.9\nsetuptools<80\n", &[]);
        check(
            "pymilvus==2.5.9 \\\n    --hash=sha256:00\nsetuptools==80.1.0\n",
            &["`setuptools` 80.1.0"],
        );
        check(
            "PyMilvus == 2.5.9 ; python_version > '3'",
            &["`pymilvus` 2.5.9"],
        );
    }

    #[test]
    fn the_nearest_lists_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("src/app");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(folder.path().join("go.mod"), "").unwrap();
        assert_eq!(lists_around(&deep), [folder.path().join("go.mod")]);
        std::fs::write(deep.join("pom.xml"), "").unwrap();
        assert_eq!(lists_around(&deep), [deep.join("pom.xml")]);
    }
}
