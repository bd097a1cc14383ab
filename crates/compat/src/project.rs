//! Known problems of the versions in a user's project: from the compatibility map, and a few others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use supervise::{IoContext, Result};

use crate::conflict::Conflict;
use crate::known;
use crate::pins::{self, Pins};

/// Where Gradle keeps its version catalog.
const CATALOG: &str = "gradle/libs.versions.toml";

/// Versions in a project that are known to cause problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Each version's file and problem. Unescaped.
    pub what: String,
    pub cure: String,
}

/// What is known of the versions in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub(crate) pins: Pins,
    pub warnings: Vec<Warning>,
}

/// The files in `folder` that may pin versions, by name.
pub fn lists_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // The catalog is found from the project's folder.
        pins::may_pin(&name) && !CATALOG.ends_with(&*name)
    });
    let mut lists: Vec<PathBuf> = named
        .map(|entry| entry.path())
        .chain([folder.join(CATALOG)])
        .filter(|path| path.is_file())
        .collect();
    lists.sort();
    lists
}

/// The files of the nearest folder that lists dependencies, from `start` upwards, and those of `start` itself.
pub fn lists_around(start: &Path) -> Vec<PathBuf> {
    let is_list = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        pins::is_list(&name.to_string_lossy())
    };
    let mut folders = start.ancestors().map(lists_in);
    let nearest = folders.find(|files| files.iter().any(is_list));
    let files: BTreeSet<PathBuf> = lists_in(start)
        .into_iter()
        .chain(nearest.unwrap_or_default())
        .collect();
    files.into_iter().collect()
}

/// Reads a file that may pin versions.
pub fn read(list: &Path) -> Result<Reading> {
    let text = std::fs::read_to_string(list).at("read", list)?;
    let pins = pins::pins(list, &text)?;
    let of_the_map = known::known_bad_of(list, &pins);
    let of_the_map = of_the_map.iter().map(|bad| Warning {
        what: bad.message(),
        cure: bad.hint(),
    });
    let conflicts = Conflict::all().filter_map(|conflict| {
        let package = conflict.found_in(&pins)?;
        Some(Warning {
            what: format!(
                "{package} in `{}` doesn't go with the versions beside it: {}",
                list.display(),
                conflict.says
            ),
            cure: conflict.cure.clone(),
        })
    });
    let frameworks = known::frameworks(&pins).into_iter().map(|one| Warning {
        what: format!(
            "{} in `{}`: {} in the set-up of its documentation ({}), {}",
            one.package,
            list.display(),
            one.outcome,
            one.program.display(),
            one.why
        ),
        cure: one.cure.unwrap_or_else(|| {
            "docs/compatibility.md has the set-up that sees all calls".to_owned()
        }),
    });
    let warnings = of_the_map.chain(conflicts).chain(frameworks).collect();
    Ok(Reading { pins, warnings })
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
    let told = |list: &PathBuf| match read(list) {
        Ok(reading) => reading
            .warnings
            .into_iter()
            .map(|warning| format!("{}: {}", warning.what, warning.cure))
            .collect(),
        Err(failure) => vec![failure.message],
    };
    lists.iter().flat_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packages that a file is warned of, as messages begin.
    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(file);
        std::fs::write(&list, text).unwrap();
        let reading = read(&list).unwrap();
        let found: Vec<_> = reading
            .warnings
            .iter()
            .map(|warning| warning.what.split(" in `/").next().unwrap())
            .collect();
        assert_eq!(found, expected, "{file}: {text}");
    }

    #[test]
    fn versions_that_nothing_runs_with_are_found() {
        let check = |text: &str, expected: &[&str]| check("requirements.txt", text, expected);
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
        let (langchain, llama) = (
            "`langchain-milvus` 0.4.0",
            "`llama-index-vector-stores-milvus`",
        );
        let both = "langchain-milvus==0.4.0\nllama-index-vector-stores-milvus\n";
        check(both, &[langchain, langchain, llama]);
        check(
            "langchain-milvus==0.4.0\npymilvus==2.6.17\n",
            &[langchain, langchain],
        );
        check(
            "langchain-milvus==0.3.3\nllama-index-vector-stores-milvus\n",
            &["`langchain-milvus` 0.3.3", llama],
        );
    }

    #[test]
    fn frameworks_that_leave_calls_untraced_are_told_with_their_cure() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("requirements.txt");
        let check = |text: &str, expected: Option<&str>| {
            std::fs::write(&list, text).unwrap();
            let warnings = read(&list).unwrap().warnings;
            let cures: Vec<&str> = warnings.iter().map(|one| one.cure.as_str()).collect();
            assert_eq!(
                cures.len(),
                usize::from(expected.is_some()),
                "{text}: {warnings:?}"
            );
            if let Some(part) = expected {
                assert!(cures[0].contains(part), "{text}: {cures:?}");
            }
        };
        check(
            "langchain-milvus==0.4.0\n",
            Some("GrpcAioInstrumentorClient"),
        );
        check(
            "fastapi\npymilvus==3.0.2\n",
            Some("GrpcAioInstrumentorClient"),
        );
        check("fastapi\n", None);
        check("milvus-haystack==0.1.0\n", None);
    }

    #[test]
    fn versions_are_judged_with_their_neighbours() {
        let node = |pins: &[(&str, &str)]| {
            let packages: Vec<String> = pins
                .iter()
                .map(|(name, version)| {
                    format!(r#""node_modules/{name}": {{"version": "{version}"}}"#)
                })
                .collect();
            format!(r#"{{"packages": {{{}}}}}"#, packages.join(", "))
        };
        let (api, instrumentation) = ("@opentelemetry/api", "@opentelemetry/instrumentation-grpc");
        let lock = "package-lock.json";
        // Whole on Node 24 but for the SDK's heartbeat.
        check(
            lock,
            &node(&[
                ("@zilliz/milvus2-sdk-node", "3.0.4"),
                (instrumentation, "0.300.0"),
                (api, "1.10.0"),
            ]),
            &[],
        );
        check(
            lock,
            &node(&[(instrumentation, "0.300.0"), (api, "1.9.1")]),
            &["`@opentelemetry/instrumentation-grpc` 0.300.0"],
        );
        check(
            lock,
            &node(&[(instrumentation, "0.223.0"), (api, "1.10.0")]),
            &["`@opentelemetry/api` 1.10.0"],
        );
        check(lock, &node(&[(api, "1.10.0")]), &[]);
        let otelgrpc =
            "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
        let client = "\tgithub.com/milvus-io/milvus/client/v2 v2.5.6\n";
        let go =
            |version: &str, more: &str| format!("require (\n{more}\t{otelgrpc} v{version}\n)\n");
        let told = format!("`{otelgrpc}` 0.65.0");
        check("go.mod", &go("0.65.0", client), &[&told]);
        check("go.mod", &go("0.60.0", client), &[]);
        // Nothing but the Milvus client keeps it from building.
        check("go.mod", &go("0.65.0", ""), &[]);
    }

    #[test]
    fn the_nearest_lists_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("src/app");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(folder.path().join("go.mod"), "").unwrap();
        std::fs::write(deep.join("main.sh"), "").unwrap();
        assert_eq!(
            lists_around(&deep),
            [folder.path().join("go.mod"), deep.join("main.sh")]
        );
        std::fs::create_dir(deep.join("gradle")).unwrap();
        for file in ["build.gradle", CATALOG, "notes.txt"] {
            std::fs::write(deep.join(file), "").unwrap();
        }
        assert_eq!(
            lists_around(&deep),
            [
                deep.join("build.gradle"),
                deep.join(CATALOG),
                deep.join("main.sh")
            ]
        );
    }
}
