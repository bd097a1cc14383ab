//! What the map knows of a project's lock files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::environment::resolved;
use super::map::SCHEMA;
use super::outcome::Outcome;
use super::version;
use crate::failure::{Failure, IoContext, Result};
use crate::prepare::{Versions, parse_version};
use crate::workspace::Workspace;

/// A package in a lock file whose version was measured to break traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBad {
    pub file: PathBuf,
    pub package: String,
    /// As the file has it.
    pub version: String,
    /// The version that was measured: this one, or the nearest before it where the next after it is no better.
    pub measured: String,
    pub outcome: Outcome,
    pub why: String,
    /// The nearest version that keeps a trace whole.
    pub good: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    schema: String,
    examples: Vec<LanguagePart>,
}

#[derive(Deserialize)]
struct LanguagePart {
    axes: Vec<AxisPart>,
    variants: Vec<VariantPart>,
}

#[derive(Deserialize)]
struct AxisPart {
    name: String,
    packages: Vec<String>,
}

#[derive(Deserialize)]
struct VariantPart {
    versions: BTreeMap<String, String>,
    set: Vec<String>,
    env: BTreeMap<String, String>,
    runtime: Option<String>,
    reason: Option<String>,
    found: Option<FoundPart>,
}

#[derive(Deserialize)]
struct FoundPart {
    outcome: Outcome,
    message: String,
}

/// One version of one axis, everything else being the example's own.
struct Tried<'a> {
    version: &'a str,
    outcome: Outcome,
    why: &'a str,
}

impl KnownBad {
    /// Such as "`x` 2.26.1 in `pom.xml`: server half lost, because …".
    pub fn message(&self) -> String {
        let measured = match self.measured == self.version {
            true => String::new(),
            false => format!(" (measured with {})", self.measured),
        };
        format!(
            "`{}` {} in `{}`: {}{measured}, {}",
            self.package,
            self.version,
            self.file.display(),
            self.outcome,
            self.why
        )
    }

    pub fn hint(&self) -> String {
        match &self.good {
            Some(good) => format!(
                "the nearest version that keeps a trace whole is {good}; docs/compatibility.md has all that was tried"
            ),
            None => "no version that was tried keeps a trace whole; docs/compatibility.md has them"
                .to_owned(),
        }
    }
}

/// Looks each lock file's packages up in the checkout's `docs/compatibility.json`.
///
/// Reads `package-lock.json`, `pom.xml`, `go.mod`, requirements files and what has `[[package]]` tables, such as
/// `uv.lock`. A file that isn't there is skipped; one that can't be understood is an error.
pub fn known_bad(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<KnownBad>> {
    let map = workspace.root().join("docs").join("compatibility.json");
    if !map.is_file() {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(&map).at("read", &map)?;
    let document: Document = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("`{}` is no map: {error}", map.display())))?;
    if document.schema != SCHEMA {
        return Err(Failure::new(format!(
            "`{}` has the schema `{}`, and this version reads `{SCHEMA}`",
            map.display(),
            document.schema
        )));
    }
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = std::fs::read_to_string(file).at("read", file)?;
        found.extend(judged(&document, file, &locked(file, &text)?));
    }
    Ok(found)
}

fn judged(document: &Document, file: &Path, locked: &Versions) -> Vec<KnownBad> {
    let mut found = Vec::new();
    for language in &document.examples {
        for axis in &language.axes {
            let tried = tried(language, &axis.name);
            for package in &axis.packages {
                let Some(version) = resolved(locked, package) else {
                    continue;
                };
                if let Some(bad) = bad(&tried, version) {
                    found.push(KnownBad {
                        file: file.to_owned(),
                        package: package.clone(),
                        version: version.to_owned(),
                        measured: bad.version.to_owned(),
                        outcome: bad.outcome,
                        why: bad.why.to_owned(),
                        good: nearest_good(&tried, version),
                    });
                }
            }
        }
    }
    found
}

/// Ordered by version.
fn tried<'a>(language: &'a LanguagePart, axis: &str) -> Vec<Tried<'a>> {
    let alone = |variant: &&VariantPart| {
        let same = variant.set.iter().all(|set| set == axis);
        same && variant.env.is_empty() && variant.runtime.is_none()
    };
    let mut tried: Vec<Tried<'_>> = language
        .variants
        .iter()
        .filter(alone)
        .filter_map(|variant| {
            let found = variant.found.as_ref()?;
            Some(Tried {
                version: variant.versions.get(axis)?,
                outcome: found.outcome,
                why: variant.reason.as_deref().unwrap_or(&found.message),
            })
        })
        .collect();
    tried.sort_by(|a, b| version::compare(a.version, b.version));
    tried
}

/// Measured to be bad, or between two that were, or after the newest that was.
fn bad<'t, 'a>(tried: &'t [Tried<'a>], version: &str) -> Option<&'t Tried<'a>> {
    let is_bad = |one: &&Tried<'_>| one.outcome == Outcome::Differs || one.outcome.is_silent_loss();
    let at = tried
        .iter()
        .rev()
        .find(|one| version::compare(one.version, version).is_le())?;
    let after = tried
        .iter()
        .find(|one| version::compare(one.version, version).is_ge());
    let next_is_no_better = after.is_none_or(|after| is_bad(&after));
    Some(at).filter(is_bad).filter(|_| next_is_no_better)
}

fn nearest_good(tried: &[Tried<'_>], version: &str) -> Option<String> {
    let good = || tried.iter().filter(|one| one.outcome == Outcome::Whole);
    let before = good()
        .rev()
        .find(|one| version::compare(one.version, version).is_lt());
    let after = good().find(|one| version::compare(one.version, version).is_gt());
    before.or(after).map(|one| one.version.to_owned())
}

/// The versions that a lock file pins.
fn locked(file: &Path, text: &str) -> Result<Versions> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |error: String| Failure::new(format!("can't read `{}`: {error}", file.display()));
    if name.ends_with(".json") {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        return Ok(npm(&value));
    }
    if text.contains("[[package]]") {
        let table: toml::Table =
            toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        return Ok(tables(&table));
    }
    if name.ends_with(".xml") {
        return Ok(maven(text));
    }
    Ok(text.lines().filter_map(line).collect())
}

fn npm(lock: &serde_json::Value) -> Versions {
    let packages = lock.get("packages").and_then(serde_json::Value::as_object);
    packages
        .into_iter()
        .flatten()
        .filter_map(|(path, package)| {
            let name = path.strip_prefix("node_modules/")?;
            let version = package.get("version")?.as_str()?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect()
}

fn tables(lock: &toml::Table) -> Versions {
    let packages = lock.get("package").and_then(toml::Value::as_array);
    packages
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let text = |key| package.get(key).and_then(toml::Value::as_str);
            Some((text("name")?.to_owned(), text("version")?.to_owned()))
        })
        .collect()
}

/// Dependencies and the properties that their versions are taken from; enough for one file without parents.
fn maven(pom: &str) -> Versions {
    pom.split("<dependency>")
        .skip(1)
        .filter_map(|rest| {
            let dependency = rest.split("</dependency>").next()?;
            let version = element(dependency, "version")?;
            let version = match version
                .strip_prefix("${")
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(property) => element(pom, property)?,
                None => version,
            };
            let name = format!(
                "{}:{}",
                element(dependency, "groupId")?,
                element(dependency, "artifactId")?
            );
            Some((name, version.to_owned()))
        })
        .collect()
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    Some(after.split_once('<')?.0.trim())
}

/// A line of go.mod, of a requirements file or of a list of installed packages.
fn line(line: &str) -> Option<(String, String)> {
    let line = line.split("//").next().unwrap_or_default();
    let line = line
        .split([';', '\\', '#'])
        .next()
        .unwrap_or_default()
        .trim();
    parse_version(line.strip_prefix("require ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_of_every_kind_are_read() {
        let check = |file: &str, text: &str, package: &str, version: &str| {
            let locked = locked(Path::new(file), text).unwrap();
            assert_eq!(
                resolved(&locked, package),
                Some(version),
                "{file}: {locked:?}"
            );
        };
        check(
            "requirements.txt",
            "grpcio==1.67.1 \\\n    --hash=sha256:00\nPyMilvus==2.5.9 ; python_version > \"3\"\n",
            "pymilvus",
            "2.5.9",
        );
        check(
            "go.mod",
            "module x\n\nrequire (\n\tgoogle.golang.org/grpc v1.80.0 // indirect\n)\n",
            "google.golang.org/grpc",
            "1.80.0",
        );
        check(
            "package-lock.json",
            r#"{"packages": {"": {"version": "1.0.0"}, "node_modules/@grpc/grpc-js": {"version": "1.12.0"}}}"#,
            "@grpc/grpc-js",
            "1.12.0",
        );
        check(
            "uv.lock",
            "version = 1\n\n[[package]]\nname = \"pymilvus\"\nversion = \"2.5.9\"\n",
            "pymilvus",
            "2.5.9",
        );
        check(
            "pom.xml",
            "<project><properties><agent>2.26.1</agent></properties><dependencies><dependency>\n<groupId>g</groupId> <artifactId>a</artifactId><version>${agent}</version></dependency></dependencies></project>",
            "g:a",
            "2.26.1",
        );
    }

    #[test]
    fn a_project_is_told_what_the_map_knows() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = Workspace::find(&root).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pom = folder.path().join("pom.xml");
        let dependency = |version: &str| {
            format!(
                "<project><dependency><groupId>io.opentelemetry.javaagent</groupId>\
                 <artifactId>opentelemetry-javaagent</artifactId><version>{version}</version></dependency></project>"
            )
        };
        let check = |version: &str, bad: Option<(&str, &str)>| {
            std::fs::write(&pom, dependency(version)).unwrap();
            let absent = folder.path().join("go.mod");
            let found = known_bad(&workspace, &[absent, pom.clone()]).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|one| {
                    (
                        one.measured.as_str(),
                        one.good.as_deref().unwrap_or_default(),
                    )
                })
                .collect();
            assert_eq!(found, bad.into_iter().collect::<Vec<_>>(), "{version}");
        };
        check("2.25.0", None);
        check("2.26.1", Some(("2.26.1", "2.25.0")));
        check("2.30.0", Some(("2.26.1", "2.25.0")));
    }

    #[test]
    fn a_version_is_judged_by_its_neighbours() {
        let tried = [
            ("2.20.1", Outcome::Whole),
            ("2.25.0", Outcome::Whole),
            ("2.26.0", Outcome::ServerHalfLost),
            ("2.33.1", Outcome::ServerHalfLost),
        ]
        .map(|(version, outcome)| Tried {
            version,
            outcome,
            why: "",
        });
        let check = |version: &str, measured: Option<&str>| {
            assert_eq!(
                bad(&tried, version).map(|bad| bad.version),
                measured,
                "{version}"
            );
        };
        check("2.19.0", None);
        check("2.25.0", None);
        check("2.25.1", None);
        check("2.26.0", Some("2.26.0"));
        check("2.30.0", Some("2.26.0"));
        check("2.34.0", Some("2.33.1"));
        assert_eq!(nearest_good(&tried, "2.30.0").as_deref(), Some("2.25.0"));
    }
}
