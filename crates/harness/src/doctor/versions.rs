//! Versions in a project's own files that are known not to work together.

use std::collections::BTreeMap;
use std::path::Path;

use semver::{Version, VersionReq};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    pair: Vec<Pair>,
}

/// Versions of one package that don't work, perhaps only with or without another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    file: String,
    package: String,
    versions: VersionReq,
    with: Option<String>,
    without: Option<String>,
    pub what: String,
    pub cure: String,
}

/// A package that a project's file names.
pub(super) struct Found {
    /// Such as `pom.xml`.
    pub file: String,
    /// With its version.
    pub package: String,
    pub pair: Pair,
}

/// Package names and their versions; `None` where the file doesn't pin one.
type Packages = BTreeMap<String, Option<Version>>;

type Reader = fn(&str) -> Packages;

/// How each file is read.
const READERS: [(&str, Reader); 4] = [
    ("requirements.txt", requirements),
    ("go.mod", go_mod),
    ("package-lock.json", package_lock),
    ("pom.xml", pom),
];

/// The files of `folder` that are read, and what in them is known not to work.
pub(super) fn look_into(folder: &Path) -> (Vec<&'static str>, Vec<Found>) {
    let mut read = Vec::new();
    let mut found = Vec::new();
    for (file, reader) in READERS {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            continue;
        };
        read.push(file);
        let packages = reader(&text);
        found.extend(bad(file, &packages));
    }
    (read, found)
}

fn bad(file: &str, packages: &Packages) -> Vec<Found> {
    let table: Table =
        toml::from_str(include_str!("versions.toml")).unwrap_or(Table { pair: Vec::new() });
    let holds = |pair: &Pair| {
        let version = packages.get(&pair.package)?.as_ref()?;
        let company = pair
            .with
            .as_ref()
            .is_none_or(|name| packages.contains_key(name));
        let lonely = pair
            .without
            .as_ref()
            .is_none_or(|name| !packages.contains_key(name));
        (pair.versions.matches(version) && company && lonely).then(|| version.to_string())
    };
    table
        .pair
        .into_iter()
        .filter(|pair| pair.file == file)
        .filter_map(|pair| {
            let version = holds(&pair)?;
            Some(Found {
                file: file.to_owned(),
                package: format!("{} {version}", pair.package),
                pair,
            })
        })
        .collect()
}

/// `name==1.2.3`, `name<80` and so on; only `==` says a version.
fn requirements(text: &str) -> Packages {
    let named = |line: &str| {
        let line = line.split('#').next()?.split(';').next()?.trim();
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('-') {
            return None;
        }
        let version = rest
            .split("==")
            .nth(1)
            .and_then(|rest| version(rest.trim()));
        Some((name.to_ascii_lowercase().replace('_', "-"), version))
    };
    text.lines().filter_map(named).collect()
}

fn go_mod(text: &str) -> Packages {
    let named = |line: &str| {
        let line = line.split("//").next()?.trim();
        let line = line.strip_prefix("require").unwrap_or(line);
        let (name, rest) = line.trim().split_once(char::is_whitespace)?;
        Some((
            name.to_owned(),
            Some(version(rest.trim().strip_prefix('v')?)?),
        ))
    };
    text.lines().filter_map(named).collect()
}

fn package_lock(text: &str) -> Packages {
    let lock: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .filter_map(|(path, package)| {
            let name = path.strip_prefix("node_modules/")?;
            Some((name.to_owned(), version(package["version"].as_str()?)))
        })
        .collect()
}

/// By artifact; a version may be a property of the same file.
fn pom(text: &str) -> Packages {
    let mut packages = Packages::new();
    for rest in text.split("<artifactId>").skip(1) {
        let Some((name, rest)) = rest.split_once("</artifactId>") else {
            continue;
        };
        let written = element(rest, "version");
        let property = written.and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
        let resolved = match property {
            Some(property) => element(text, property),
            None => written,
        };
        // A plugin may name an artifact again, without its version.
        let known = packages.entry(name.trim().to_owned()).or_default();
        *known = known.take().or(resolved.and_then(version));
    }
    packages
}

fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// The first three numbers; a pre-release says nothing that a known pair asks about.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some(Version::new(major, minor, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let table: Table = toml::from_str(include_str!("versions.toml")).unwrap();
        for pair in &table.pair {
            assert!(
                READERS.iter().any(|(file, _)| *file == pair.file),
                "{}",
                pair.file
            );
        }
        assert_eq!(table.pair.len(), 7);
    }

    #[test]
    fn bad_pairs_are_found_in_each_kind_of_file() {
        let check = |file: &str, text: &str, expected: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            let found: Vec<_> = look_into(folder.path())
                .1
                .into_iter()
                .map(|found| found.package)
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("requirements.txt", "pymilvus==2.5.9\n", &["pymilvus 2.5.9"]);
        check("requirements.txt", "pymilvus==2.5.9\nsetuptools<80\n", &[]);
        check(
            "requirements.txt",
            "pymilvus==2.5.9 \\\n    --hash=sha256:00\nsetuptools==80.1.0\n",
            &["setuptools 80.1.0"],
        );
        check(
            "requirements.txt",
            "PyMilvus == 2.5.9 ; python_version > '3'",
            &["pymilvus 2.5.9"],
        );
        let otelgrpc =
            "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
        let client = "github.com/milvus-io/milvus/client/v2 v2.5.6";
        check(
            "go.mod",
            &format!("require (\n\t{client}\n\t{otelgrpc} v0.61.0 // indirect\n)\n"),
            &[&format!("{otelgrpc} 0.61.0")],
        );
        check("go.mod", &format!("require {otelgrpc} v0.61.0\n"), &[]);
        check(
            "go.mod",
            &format!("require (\n\t{client}\n\t{otelgrpc} v0.60.0\n)\n"),
            &[],
        );
        let lock = |api: &str| {
            format!(
                r#"{{"packages": {{"": {{}}, "node_modules/@opentelemetry/api": {{"version": "{api}"}},
                "node_modules/@opentelemetry/sdk-trace-node": {{"version": "2.12.0"}}}}}}"#
            )
        };
        check(
            "package-lock.json",
            &lock("1.10.0"),
            &["@opentelemetry/api 1.10.0"],
        );
        check("package-lock.json", &lock("1.9.1"), &[]);
        check("package-lock.json", "not JSON", &[]);
        let artifact = |name: &str, version: &str| {
            format!(
                "<dependency><groupId>g</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
            )
        };
        check(
            "pom.xml",
            &artifact("opentelemetry-javaagent", "2.33.1"),
            &["opentelemetry-javaagent 2.33.1"],
        );
        check(
            "pom.xml",
            &artifact("opentelemetry-javaagent", "2.25.0"),
            &[],
        );
        check(
            "pom.xml",
            &format!(
                "<properties><agent.version>2.26.1</agent.version></properties>{}",
                artifact("opentelemetry-javaagent", "${agent.version}")
            ),
            &["opentelemetry-javaagent 2.26.1"],
        );
        check(
            "pom.xml",
            &format!(
                "{}{}",
                artifact("milvus-sdk-java", "2.6.22"),
                artifact("opentelemetry-javaagent", "2.25.0")
            ),
            &["milvus-sdk-java 2.6.22"],
        );
        check("pom.xml", &artifact("milvus-sdk-java", "2.6.22"), &[]);
    }
}
