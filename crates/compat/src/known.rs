//! Looks up a project's lock files in the map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;
use supervise::Result;
use trace_parity::Advice;

use crate::map::SCHEMA;
use crate::outcome::Outcome;
use crate::pins::{self, Pins};

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
    /// Something one can do, where the map's reason has a cure.
    pub cure: Option<String>,
    /// The nearest version that keeps a trace whole, with those of the packages that go in lockstep.
    pub good: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    schema: String,
    examples: Vec<LanguagePart>,
}

#[derive(Deserialize)]
struct LanguagePart {
    name: String,
    #[serde(default)]
    folder: Option<PathBuf>,
    #[serde(default)]
    is_program: bool,
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
    #[serde(default)]
    advice: Option<String>,
    found: Option<FoundPart>,
}

#[derive(Deserialize)]
struct FoundPart {
    outcome: Outcome,
    message: String,
}

/// One version of one axis, with the example's own versions on the other axes.
struct Tried<'a> {
    version: &'a str,
    outcome: Outcome,
    why: &'a str,
    cure: Option<String>,
    /// The versions of all axes.
    versions: &'a BTreeMap<String, String>,
    /// The axes that were set.
    set: &'a [String],
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
        let nearest = match &self.good {
            Some(good) => format!("the nearest version that keeps a trace whole is {good}"),
            None => "no version that was tried keeps a trace whole".to_owned(),
        };
        let cure = self.cure.iter().map(|cure| format!("; or {cure}"));
        let map = "; docs/compatibility.md has all that was tried".to_owned();
        std::iter::once(nearest).chain(cure).chain([map]).collect()
    }
}

/// Looks up the packages of a lock file in the published map.
///
/// A file that can't be parsed is an error.
pub fn known_bad(file: &Path, text: &str) -> Result<Vec<KnownBad>> {
    Ok(known_bad_of(file, &pins::pins(file, text)?))
}

pub(crate) fn known_bad_of(file: &Path, pins: &Pins) -> Vec<KnownBad> {
    // Where nothing is whole, nobody can say which of the packages is at fault.
    let has_whole = |language: &&LanguagePart| {
        let mut found = language
            .variants
            .iter()
            .filter_map(|one| one.found.as_ref());
        found.any(|found| found.outcome == Outcome::Whole)
    };
    let examples = PUBLISHED.examples.iter().filter(|one| !one.is_program);
    let languages = examples.filter(has_whole);
    languages
        .flat_map(|language| judged(language, file, pins))
        .collect()
}

/// A framework in a lock file that leaves calls untraced in the set-up that its documentation has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framework {
    /// With its version, where one is pinned.
    pub package: String,
    pub outcome: Outcome,
    pub why: String,
    /// The program that was measured.
    pub program: PathBuf,
    pub cure: Option<String>,
}

/// The frameworks among the packages, by the published map.
pub(crate) fn frameworks(pins: &Pins) -> Vec<Framework> {
    let programs = PUBLISHED.examples.iter().filter(|one| one.is_program);
    programs
        .filter_map(|program| framework(program, pins))
        .collect()
}

fn framework(program: &LanguagePart, pins: &Pins) -> Option<Framework> {
    let mut packages = program.axes.iter().map(|axis| axis.packages.first());
    let package = packages.next()??;
    let mut all = [package].into_iter().chain(packages.flatten());
    let with_milvus = all.any(|one| one.contains("milvus") && pins.names(one));
    if !pins.names(package) || !with_milvus {
        return None;
    }
    let as_documented = program.variants.iter().find(|one| one.is_plain())?;
    let found = as_documented.found.as_ref()?;
    let advice = as_documented.advice.as_deref().and_then(Advice::by_id);
    let version = pins.version(package).map(|version| format!(" {version}"));
    found.outcome.is_silent_loss().then(|| Framework {
        package: format!("`{package}`{}", version.unwrap_or_default()),
        outcome: found.outcome,
        why: as_documented
            .reason
            .clone()
            .unwrap_or_else(|| found.message.clone()),
        program: program.folder.clone().unwrap_or_default(),
        cure: advice.map(|advice| advice.cure.clone()),
    })
}

/// The versions of an example's packages in its newest variant that keeps the trace whole, by the version of `package`.
pub(crate) fn newest_whole(example: &str, package: &str) -> BTreeMap<String, String> {
    let language = PUBLISHED.examples.iter().find(|one| one.name == example);
    let variants = language.into_iter().flat_map(|language| {
        let whole = language.variants.iter().filter(|variant| {
            let outcome = variant.found.as_ref().map(|found| found.outcome);
            variant.is_plain() && outcome == Some(Outcome::Whole)
        });
        whole.map(|variant| variant.packages(&language.axes))
    });
    let version = |versions: &BTreeMap<String, String>| versions.get(package).cloned();
    variants
        .max_by(|one, other| match (version(one), version(other)) {
            (Some(one), Some(other)) => versions::compare(&one, &other),
            (one, other) => one.cmp(&other),
        })
        .unwrap_or_default()
}

/// Embedded in the executable, so that it is available for every project.
static PUBLISHED: LazyLock<Document> = LazyLock::new(|| {
    let text = include_str!("../../../docs/compatibility.json");
    let map: Document = serde_json::from_str(text).expect("a test reads it");
    assert_eq!(map.schema, SCHEMA, "a test reads it");
    map
});

/// One result per cause: of packages that change in lockstep, only the first is named.
fn judged(language: &LanguagePart, file: &Path, pins: &Pins) -> Vec<KnownBad> {
    let mut found: Vec<KnownBad> = Vec::new();
    for axis in &language.axes {
        let tried = tried(language, &axis.name);
        for package in &axis.packages {
            let Some(version) = pins.version(package) else {
                continue;
            };
            let Some(bad) = bad(&tried, version) else {
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
                cure: bad.cure.clone(),
                good: nearest_good(&tried, version).map(|good| with_lockstep(language, axis, good)),
            });
        }
    }
    found
}

/// Such as `1.41.1, with opentelemetry-instrumentation-grpc 0.62b1`: neither installs without the other.
fn with_lockstep(language: &LanguagePart, axis: &AxisPart, good: &Tried<'_>) -> String {
    let others = language
        .axes
        .iter()
        .filter(|other| other.name != axis.name && good.set.contains(&other.name));
    let named: Vec<String> = others
        .filter_map(|other| {
            let version = good.versions.get(&other.name)?;
            Some(format!("`{}` {version}", other.packages.first()?))
        })
        .collect();
    if named.is_empty() {
        return good.version.to_owned();
    }
    format!("{}, with {}", good.version, named.join(" and "))
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
            let advice = variant.advice.as_deref().and_then(Advice::by_id);
            // The company that a version doesn't build or run in is a matter of `conflicts.toml`.
            let is_of_company =
                matches!(found.outcome, Outcome::DoesNotBuild | Outcome::CouldNotRun);
            (!is_of_company).then_some(Tried {
                version: variant.versions.get(axis)?,
                outcome: found.outcome,
                why: variant.reason.as_deref().unwrap_or(&found.message),
                cure: advice.map(|advice| advice.cure.clone()),
                versions: &variant.versions,
                set: &variant.set,
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
    fn packages(&self, axes: &[AxisPart]) -> BTreeMap<String, String> {
        let of_axis = |axis: &AxisPart| {
            let version = self.versions.get(&axis.name).cloned();
            let packages = axis.packages.clone();
            version.map(|version| {
                packages
                    .into_iter()
                    .map(move |name| (name, version.clone()))
            })
        };
        axes.iter().filter_map(of_axis).flatten().collect()
    }

    /// Whether the variant differs from the example only in versions.
    fn is_plain(&self) -> bool {
        self.env.is_empty() && self.runtime.is_none()
    }
}

/// Whether the version was measured to be bad, or is between two bad ones, or later than the newest if that is bad.
fn bad<'t, 'a>(tried: &'t [Tried<'a>], version: &str) -> Option<&'t Tried<'a>> {
    let is_bad = |one: &&Tried<'_>| one.outcome == Outcome::Differs || one.outcome.is_silent_loss();
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

fn nearest_good<'t, 'a>(tried: &'t [Tried<'a>], version: &str) -> Option<&'t Tried<'a>> {
    let good = || tried.iter().filter(|one| one.outcome == Outcome::Whole);
    let before = good()
        .rev()
        .find(|one| versions::compare(one.version, version).is_lt());
    before.or_else(|| good().find(|one| versions::compare(one.version, version).is_gt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `file: package version`, measured version, nearest good one of all that is found.
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
            Some((
                "opentelemetry-api 1.43.0",
                "1.42.0",
                "1.41.1, with `opentelemetry-instrumentation-grpc` 0.62b1",
            )),
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
        let versions = BTreeMap::new();
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
            cure: None,
            versions: &versions,
            set: &[],
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
        let good = nearest_good(&tried, "2.30.0").map(|one| one.version);
        assert_eq!(good, Some("2.25.0"));
    }
}
