//! What makes a project's traces whole: the lines for its language, with the versions that the map knows to work.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;
use supervise::{Failure, IoContext, Result};

use crate::{known, project};

/// The advice for one language of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advised {
    pub language: &'static str,
    /// The client in the project, with its version where one is pinned. Unescaped.
    pub client: String,
    /// The file that names it.
    pub file: PathBuf,
    /// A command that installs the packages of the instrumentation.
    pub install: String,
    /// The place for the lines.
    pub location: &'static str,
    pub lines: &'static str,
    pub reasons: &'static [String],
    /// A command that starts such a program.
    pub command: &'static str,
    /// Versions in the project that are known to lose spans.
    pub warnings: Vec<project::Warning>,
    prepare: &'static str,
}

/// A file that `init --write` puts into a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    pub path: PathBuf,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    language: String,
    example: String,
    clients: Vec<String>,
    packages: Vec<String>,
    package: String,
    install: String,
    #[serde(rename = "where")]
    location: String,
    lines: String,
    reasons: Vec<String>,
    command: String,
    prepare: String,
}

#[derive(Deserialize)]
struct SetupTable {
    setup: Vec<Setup>,
}

static TABLE: LazyLock<Vec<Setup>> = LazyLock::new(|| {
    let table: SetupTable = toml::from_str(include_str!("setups.toml"))
        .unwrap_or_else(|error| panic!("setups.toml: {error}"));
    table.setup
});

/// The advice for the project in `folder`, by its lists of dependencies; at least one language.
///
/// # Errors
///
/// If a list can't be read, or none names a client of Milvus.
pub fn advise(folder: &Path) -> Result<Vec<Advised>> {
    let mut advised: Vec<Advised> = Vec::new();
    let lists = project::lists_around(folder);
    for list in &lists {
        let reading = project::read(list)?;
        let new = |setup: &&Setup| advised.iter().all(|one| one.language != setup.language);
        let found = TABLE.iter().filter(new);
        let found: Vec<Advised> = found
            .filter_map(|setup| setup.for_list(list, &reading))
            .collect();
        advised.extend(found);
    }
    if advised.is_empty() {
        return Err(no_client(folder, &lists));
    }
    Ok(advised)
}

fn no_client(folder: &Path, lists: &[PathBuf]) -> Failure {
    let message = match lists.is_empty() {
        true => format!("`{}` has no list of dependencies", folder.display()),
        false => format!(
            "no list of dependencies in `{}` names a client of Milvus",
            folder.display()
        ),
    };
    let known: Vec<&str> = TABLE
        .iter()
        .flat_map(|setup| &setup.clients)
        .map(String::as_str)
        .collect();
    Failure::new(message)
        .detail(lists.iter().map(|list| format!("read: {}", list.display())))
        .hint(format!(
            "`init` reads requirements.txt, pyproject's locks, package-lock.json, go.mod, pom.xml and Gradle's files, and knows {}",
            known.join(", ")
        ))
}

impl Setup {
    fn for_list(&'static self, list: &Path, reading: &project::Reading) -> Option<Advised> {
        let pins = &reading.pins;
        let client = self.clients.iter().find(|client| pins.names(client))?;
        let version = pins.version(client).map(|version| format!(" {version}"));
        let versions = known::newest_whole(&self.example, &self.packages[0]);
        let packages = self.packages.iter().map(|name| {
            let version = versions.get(name).map_or("", String::as_str);
            self.package
                .replace("{name}", name)
                .replace("{version}", version)
        });
        let words: Vec<String> = [self.install.clone()].into_iter().chain(packages).collect();
        Some(Advised {
            language: &self.language,
            client: format!("{client}{}", version.unwrap_or_default()),
            file: list.to_owned(),
            install: words.join(" "),
            location: &self.location,
            lines: self.lines.trim(),
            reasons: &self.reasons,
            command: &self.command,
            warnings: reading.warnings.clone(),
            prepare: &self.prepare,
        })
    }
}

/// A contract and a CI step for a project, by the first language of its advice. `command` starts the program.
pub fn files(folder: &Path, advised: &Advised, command: Option<&str>) -> Vec<NewFile> {
    let name = folder.file_name().map(|name| name.to_string_lossy());
    let name = name.as_deref().unwrap_or("program");
    let command = command.unwrap_or(advised.command);
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let texts = [
        ("name", quoted(name)),
        ("command", quoted(command)),
        ("prepare", quoted(advised.prepare)),
    ];
    let filled = |template: &str| {
        let fill = |text: String, (key, value): &(&str, String)| {
            text.replace(&format!("{{{key}}}"), value)
        };
        texts.iter().fold(template.to_owned(), fill)
    };
    [
        (
            "milvus-otel.contract.toml",
            include_str!("init/contract.toml"),
        ),
        (
            ".github/workflows/traces.yml",
            include_str!("init/workflow.yml"),
        ),
    ]
    .map(|(path, template)| NewFile {
        path: folder.join(path),
        text: filled(template),
    })
    .into()
}

/// Writes the files; none, if one of them exists.
pub fn write(files: &[NewFile]) -> Result<()> {
    if let Some(file) = files.iter().find(|file| file.path.exists()) {
        return Err(Failure::new(format!(
            "`{}` exists, nothing was written",
            file.path.display()
        ))
        .hint("move it away, or copy what you need from what is shown above"));
    }
    for file in files {
        if let Some(folder) = file.path.parent() {
            std::fs::create_dir_all(folder).at("make", folder)?;
        }
        std::fs::write(&file.path, &file.text).at("write", &file.path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_gets_the_lines_of_its_language_and_the_versions_of_the_map() {
        let check = |file: &str, text: &str, expected: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            let advised = advise(folder.path()).unwrap();
            let [one] = advised.as_slice() else {
                panic!("{file}: {advised:?}");
            };
            let all = format!(
                "{} {} {} {}",
                one.language, one.client, one.install, one.lines
            );
            for part in expected {
                assert!(all.contains(part), "{file}: `{part}` isn't in {all}");
            }
        };
        check(
            "requirements.txt",
            "pymilvus==2.6.17\n",
            &[
                "Python pymilvus 2.6.17",
                "opentelemetry-sdk==1.41.1",
                "opentelemetry-instrumentation-grpc==0.62b1",
                "GrpcAioInstrumentorClient",
            ],
        );
        check(
            "requirements.txt",
            "langchain-milvus\n",
            &["Python langchain-milvus pip install"],
        );
        check(
            "package-lock.json",
            r#"{"packages": {"node_modules/@zilliz/milvus2-sdk-node": {"version": "2.6.17"}}}"#,
            &[
                "Node @zilliz/milvus2-sdk-node 2.6.17",
                "@opentelemetry/instrumentation-grpc@0.",
                "hook.mjs",
            ],
        );
        check(
            "go.mod",
            "module x\n\nrequire github.com/milvus-io/milvus/client/v2 v2.6.5\n",
            &[
                "Go github.com/milvus-io/milvus/client/v2 2.6.5",
                "otelgrpc@v0.60.0",
                "SetTextMapPropagator",
            ],
        );
    }

    #[test]
    fn versions_that_lose_spans_are_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("requirements.txt"),
            "pymilvus==2.6.17\nopentelemetry-sdk==1.45.2\n",
        )
        .unwrap();
        let advised = advise(folder.path()).unwrap();
        let [warning] = advised[0].warnings.as_slice() else {
            panic!("{advised:?}");
        };
        assert!(
            warning.what.contains("server half lost"),
            "{}",
            warning.what
        );
    }

    #[test]
    fn a_folder_without_a_client_is_an_error_that_says_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("requirements.txt"), "numpy==2.0\n").unwrap();
        let failure = advise(folder.path()).unwrap_err();
        assert!(
            failure.message.contains("names a client of Milvus"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn every_package_of_every_row_has_a_version() {
        for setup in TABLE.iter() {
            let versions = known::newest_whole(&setup.example, &setup.packages[0]);
            for package in &setup.packages {
                assert!(
                    versions.contains_key(package),
                    "{} {package}",
                    setup.language
                );
            }
        }
    }

    #[test]
    fn what_is_written_is_a_contract_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("requirements.txt"), "pymilvus\n").unwrap();
        let advised = advise(folder.path()).unwrap();
        let files = files(folder.path(), &advised[0], Some("python3 \"my app.py\""));
        trace_parity::Contract::parse(&files[0].text).unwrap();
        assert!(
            files[1].text.contains(r#"run: "python3 \"my app.py\"""#),
            "{}",
            files[1].text
        );
        write(&files).unwrap();
        let failure = write(&files).unwrap_err();
        assert!(
            failure.message.contains("nothing was written"),
            "{}",
            failure.message
        );
    }
}
