//! Looks up a project's lock files in the map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::prepare::task::Versions;
use serde::Deserialize;
use supervise::{Failure, Result};

use crate::environment::resolved;
use crate::map::SCHEMA;
use crate::outcome::Outcome;

/// A package in a lock file with a version that was measured to break traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBad {
    pub file: PathBuf,
    pub package: String,
    /// The version in the file.
    pub version: String,
    /// The measured version: this one, or the nearest earlier one if the next later one is no better.
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

/// The axis of a language's Milvus SDK.
const SDK: &str = "sdk";

/// One version of one axis, with the example's own versions on the other axes.
struct Tried<'a> {
    version: &'a str,
    outcome: Outcome,
    why: &'a str,
}

impl KnownBad {
    /// For example: "`x` 2.26.1 in `pom.xml`: server half lost, because …".
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

/// Looks up the packages of a lock file in the published map.
///
/// Reads `package-lock.json`, `pom.xml`, `go.mod`, requirements files, and files with `[[package]]` tables such as
/// `uv.lock`. A file that can't be parsed is an error.
pub fn known_bad(file: &Path, text: &str) -> Result<Vec<KnownBad>> {
    let locked = locked(file, text)?;
    let map = published();
    Ok(map
        .examples
        .iter()
        .flat_map(|language| judged(language, file, &locked))
        .collect())
}

/// Embedded in the executable, so that it is available for every project.
fn published() -> Document {
    let text = include_str!("../../../docs/compatibility.json");
    let map: Document = serde_json::from_str(text).expect("a test reads it");
    assert_eq!(map.schema, SCHEMA, "a test reads it");
    map
}

/// One result per cause: of packages that change in lockstep, only the first is named.
fn judged(language: &LanguagePart, file: &Path, locked: &Versions) -> Vec<KnownBad> {
    let mut found: Vec<KnownBad> = Vec::new();
    let has_sdk = language
        .axes
        .iter()
        .filter(|axis| axis.name == SDK)
        .flat_map(|axis| &axis.packages)
        .any(|package| resolved(locked, package).is_some());
    for axis in &language.axes {
        let tried = tried(language, &axis.name);
        for package in &axis.packages {
            let Some(version) = resolved(locked, package) else {
                continue;
            };
            let Some(bad) = bad(&tried, version, has_sdk) else {
                continue;
            };
            if found.iter().any(|known| known.why == bad.why) {
                continue;
            }
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
    found
}

/// The results for an axis, ordered by version: measurements of the axis alone, or together with the axes that change
/// in lockstep with it, with the example's own versions on the others.
fn tried<'a>(language: &'a LanguagePart, axis: &str) -> Vec<Tried<'a>> {
    let alone = [axis.to_owned()];
    let set = match goes_alone(language, axis) {
        true => &alone[..],
        false => lockstep(language, axis).unwrap_or(&alone),
    };
    let mut tried: Vec<Tried<'_>> = language
        .variants
        .iter()
        .filter(|variant| variant.is_plain() && (variant.set.is_empty() || variant.set == set))
        .filter_map(|variant| {
            let found = variant.found.as_ref()?;
            Some(Tried {
                version: variant.versions.get(axis)?,
                outcome: found.outcome,
                why: variant.reason.as_deref().unwrap_or(&found.message),
            })
        })
        .collect();
    tried.sort_by(|a, b| versions::compare(a.version, b.version));
    tried
}

/// Whether a trace was whole when only this axis had another version.
fn goes_alone(language: &LanguagePart, axis: &str) -> bool {
    language.variants.iter().any(|variant| {
        let whole = variant
            .found
            .as_ref()
            .is_some_and(|found| found.outcome == Outcome::Whole);
        variant.is_plain() && variant.set == [axis] && whole
    })
}

/// The smallest set of axes that were changed together with this one, none of which works alone.
fn lockstep<'a>(language: &'a LanguagePart, axis: &str) -> Option<&'a [String]> {
    let together = |set: &&[String]| {
        set.len() > 1
            && set.iter().any(|one| one == axis)
            && !set.iter().any(|one| goes_alone(language, one))
    };
    let plain = language
        .variants
        .iter()
        .filter(|variant| variant.is_plain());
    plain
        .map(|variant| variant.set.as_slice())
        .filter(together)
        .min_by_key(|set| set.len())
}

impl VariantPart {
    /// Whether the variant differs from the example only in versions.
    fn is_plain(&self) -> bool {
        self.env.is_empty() && self.runtime.is_none()
    }
}

/// Whether the version was measured to be bad, or is between two bad ones, or later than the newest if that is bad.
///
/// A failed build depends on all packages together, so it says nothing about a project without a Milvus SDK.
fn bad<'t, 'a>(tried: &'t [Tried<'a>], version: &str, has_sdk: bool) -> Option<&'t Tried<'a>> {
    let is_bad = |one: &&Tried<'_>| match one.outcome {
        Outcome::DoesNotBuild => has_sdk,
        Outcome::Differs => true,
        other => other.is_silent_loss(),
    };
    let at = tried
        .iter()
        .rev()
        .find(|one| versions::compare(one.version, version).is_le())?;
    let after = tried
        .iter()
        .find(|one| versions::compare(one.version, version).is_ge());
    let next_is_no_better = after.is_none_or(|after| is_bad(&after));
    Some(at).filter(is_bad).filter(|_| next_is_no_better)
}

fn nearest_good(tried: &[Tried<'_>], version: &str) -> Option<String> {
    let good = || tried.iter().filter(|one| one.outcome == Outcome::Whole);
    let before = good()
        .rev()
        .find(|one| versions::compare(one.version, version).is_lt());
    let after = good().find(|one| versions::compare(one.version, version).is_gt());
    before.or(after).map(|one| one.version.to_owned())
}

/// The versions pinned in a lock file.
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
        return maven(text).map_err(|error| wrong(error.to_string()));
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

/// Elements with a group, an artifact and a version: dependencies, plugins and artifact items. Enough for one file
/// without parents.
fn maven(pom: &str) -> std::result::Result<Versions, roxmltree::Error> {
    let document = roxmltree::Document::parse(pom)?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node
            .children()
            .find(|child| child.tag_name().name() == name)?;
        Some(child.text()?.trim().to_owned())
    };
    let elements = || document.descendants().filter(roxmltree::Node::is_element);
    let property = |name: &str| {
        let mut tables = elements().filter(|node| node.tag_name().name() == "properties");
        tables.find_map(|table| text(table, name))
    };
    let pinned = |node| {
        let version = text(node, "version")?;
        let inside = version
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        let version = match inside {
            Some(name) => property(name)?,
            None => version,
        };
        Some((
            format!("{}:{}", text(node, "groupId")?, text(node, "artifactId")?),
            version,
        ))
    };
    Ok(elements().filter_map(pinned).collect())
}

/// Parses a line of go.mod, of a requirements file or of a list of installed packages.
fn line(line: &str) -> Option<(String, String)> {
    let line = line.split("//").next().unwrap_or_default();
    let line = line
        .split([';', '\\', '#'])
        .next()
        .unwrap_or_default()
        .trim();
    versions::pinned(line.strip_prefix("require ").unwrap_or(line))
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
            "<?xml version=\"1.0\"?><project><properties><agent>2.26.1</agent></properties><dependencies><!-- <dependency> --><dependency>\n<groupId>g</groupId> <artifactId>a</artifactId><version>${agent}</version></dependency></dependencies></project>",
            "g:a",
            "2.26.1",
        );
        check(
            "pom.xml",
            "<project><build><plugin><groupId>p</groupId><artifactItem><groupId>g</groupId><artifactId>agent</artifactId><version> 2.26.1 </version></artifactItem></plugin></build></project>",
            "g:agent",
            "2.26.1",
        );
        assert!(locked(Path::new("pom.xml"), "<project><dependency>").is_err());
    }

    /// Checks `file: package version`, the measured version, and the nearest good version of all results.
    fn told(file: &str, text: &str) -> Vec<(String, String, String)> {
        known_bad(Path::new(file), text)
            .unwrap()
            .into_iter()
            .map(|bad| {
                let found = format!("{} {}", bad.package, bad.version);
                (found, bad.measured, bad.good.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn a_project_is_told_what_the_map_knows() {
        let check = |file: &str, text: &str, bad: Option<(&str, &str, &str)>| {
            let owned = |(found, measured, good): (&str, &str, &str)| {
                (found.to_owned(), measured.to_owned(), good.to_owned())
            };
            let bad: Vec<_> = bad.map(owned).into_iter().collect();
            assert_eq!(told(file, text), bad, "{file}: {text}");
        };
        let dependency = |group: &str, artifact: &str, version: &str| {
            format!(
                "<project><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency></project>"
            )
        };
        let agent = |version| {
            dependency(
                "io.opentelemetry.javaagent",
                "opentelemetry-javaagent",
                version,
            )
        };
        let package = "io.opentelemetry.javaagent:opentelemetry-javaagent";
        check("pom.xml", &agent("2.25.0"), None);
        check(
            "pom.xml",
            &agent("2.26.1"),
            Some((&format!("{package} 2.26.1"), "2.26.1", "2.25.0")),
        );
        check(
            "pom.xml",
            &agent("2.30.0"),
            Some((&format!("{package} 2.30.0"), "2.26.1", "2.25.0")),
        );
        let sdk = |version| dependency("io.milvus", "milvus-sdk-java", version);
        check("pom.xml", &sdk("2.6.17"), None);
        check(
            "pom.xml",
            &sdk("2.6.22"),
            Some(("io.milvus:milvus-sdk-java 2.6.22", "2.6.22", "2.6.17")),
        );

        // API, SDK, exporter and instrumentation change in lockstep: one cause, one result.
        let python = |otel: &str, beta: &str| {
            format!(
                "pymilvus==2.6.0\nopentelemetry-api=={otel}\nopentelemetry-sdk=={otel}\n\
                 opentelemetry-instrumentation-grpc=={beta}\n"
            )
        };
        check("requirements.txt", &python("1.41.1", "0.62b1"), None);
        check(
            "requirements.txt",
            &python("1.43.0", "0.64b0"),
            Some(("opentelemetry-api 1.43.0", "1.42.0", "1.41.1")),
        );

        let otelgrpc =
            "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
        let client = "github.com/milvus-io/milvus/client/v2 v2.5.6";
        let go =
            |requires: &[&str]| format!("module x\n\nrequire (\n\t{}\n)\n", requires.join("\n\t"));
        let new = format!("{otelgrpc} v0.65.0 // indirect");
        check(
            "go.mod",
            &go(&[client, &format!("{otelgrpc} v0.60.0")]),
            None,
        );
        check(
            "go.mod",
            &go(&[client, &new]),
            Some((&format!("{otelgrpc} 0.65.0"), "0.61.0", "0.60.0")),
        );
        // Only the Milvus client keeps it from building.
        check("go.mod", &go(&[&new]), None);

        let node = |package: &str, version: &str| {
            format!(
                r#"{{"packages": {{"": {{}}, "node_modules/@zilliz/milvus2-sdk-node": {{"version": "2.6.17"}},
                "node_modules/{package}": {{"version": "{version}"}}}}}}"#
            )
        };
        check(
            "package-lock.json",
            &node("@opentelemetry/api", "1.9.1"),
            None,
        );
        check(
            "package-lock.json",
            &node("@opentelemetry/api", "1.10.0"),
            Some(("@opentelemetry/api 1.10.0", "1.10.0", "1.9.1")),
        );
        let sdk = |version: &str| {
            format!(
                r#"{{"packages": {{"node_modules/@zilliz/milvus2-sdk-node": {{"version": "{version}"}}}}}}"#
            )
        };
        check("package-lock.json", &sdk("3.0.4"), None);
        check(
            "package-lock.json",
            &sdk("3.0.6"),
            Some(("@zilliz/milvus2-sdk-node 3.0.6", "3.0.6", "3.0.4")),
        );
        assert!(known_bad(Path::new("package-lock.json"), "not JSON").is_err());
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
                bad(&tried, version, true).map(|bad| bad.version),
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
