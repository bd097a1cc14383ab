//! `example.toml`: the requirements, the preparation and the command of an example.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use supervise::{Failure, IoContext, Result};
use versions::Range;

use crate::prepare::fingerprint::fingerprint;
use crate::workspace::Workspace;

/// A program that runs the scenario, as its folder declares it.
#[derive(Clone, Debug)]
pub struct Example {
    pub name: String,
    /// The folder that holds `example.toml`; commands run in it.
    pub folder: PathBuf,
    /// The folder for build results.
    pub state: PathBuf,
    pub needs: Vec<Need>,
    pub prepare: Prepare,
    pub run: Run,
    pub check: Check,
    pub matrix: Matrix,
}

/// A required command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub command: String,
    /// Compared with the first `x.y[.z]` that the command prints.
    pub version: Option<Range>,
    #[serde(default = "version_flag")]
    pub version_args: Vec<String>,
    /// How to get it.
    pub get: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prepare {
    /// Files and folders that the result depends on, relative to the example's folder.
    pub inputs: Vec<String>,
    /// Files that must exist afterwards.
    pub outputs: Vec<String>,
    pub commands: Vec<Vec<String>>,
    /// Prints the resolved versions, a line each: `name version`, `name==version` or `name@version`.
    pub versions: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub command: Vec<String>,
    #[serde(default = "two_minutes")]
    pub timeout_seconds: u64,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// How its language's own tools judge the folder's format and style.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    pub commands: Vec<Vec<String>>,
}

/// How a copy of the folder gets other versions, for the compatibility map.
///
/// Beside the placeholders of all commands there are `{package}`, its parts before and after the last `:`, `{group}`
/// and `{artifact}`, and `{version}` or `{path}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matrix {
    /// Prints the versions of a package that its registry has, in any form and order.
    pub list: Vec<String>,
    /// Edits the copy so that a package has another version.
    pub set: Vec<Vec<String>>,
    /// Edits the copy so that a package has whatever version goes with the others.
    pub set_any: Vec<Vec<String>>,
    /// Edits the copy so that a package is a file or folder of this machine.
    pub set_path: Vec<Vec<String>>,
    /// Replaces parts of `[prepare]`, because no lock file fits.
    pub prepare: PrepareChanges,
    pub signs: Signs,
}

/// The parts of a `[prepare]` that are replaced.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareChanges {
    pub inputs: Option<Vec<String>>,
    pub outputs: Option<Vec<String>>,
    pub commands: Option<Vec<Vec<String>>>,
    pub versions: Option<Vec<String>>,
}

/// Texts that a package manager prints on errors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Signs {
    pub no_such_version: Vec<String>,
    pub registry_unreachable: Vec<String>,
    /// Texts in the line that describes the error.
    pub error: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleFile {
    name: String,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    prepare: Prepare,
    run: Run,
    #[serde(default)]
    check: Check,
    #[serde(default)]
    matrix: Matrix,
}

impl Run {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl Example {
    /// Reads `folder/example.toml`.
    pub fn load(workspace: &Workspace, folder: &Path) -> Result<Self> {
        Self::load_with(workspace, folder, None)
    }

    /// As [`load`](Self::load), with what is built going to `state` instead of the example's own folder.
    pub fn load_with(workspace: &Workspace, folder: &Path, state: Option<PathBuf>) -> Result<Self> {
        let path = folder.join("example.toml");
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        let manifest: ExampleFile = toml::from_str(&text).map_err(|error| {
            Failure::new(format!(
                "`{}` is not an example: {}",
                path.display(),
                error.message()
            ))
            .detail(error.to_string().lines().map(str::to_owned))
            .hint("CONTRIBUTING.md has the format of `example.toml`")
        })?;
        check_name(&manifest.name, &path)?;
        let folder = folder.canonicalize().at("read", folder)?;
        let state = state.unwrap_or_else(|| state_folder(workspace, &manifest.name, &folder));
        let expand = Placeholders {
            folder: &folder,
            state: &state,
            workspace: workspace.root(),
        };
        Ok(Self {
            name: manifest.name,
            needs: manifest.needs,
            prepare: Prepare {
                inputs: expand.all(manifest.prepare.inputs),
                outputs: expand.all(manifest.prepare.outputs),
                commands: expand.commands(manifest.prepare.commands),
                versions: expand.all(manifest.prepare.versions),
            },
            run: Run {
                command: expand.all(manifest.run.command),
                env: manifest
                    .run
                    .env
                    .into_iter()
                    .map(|(k, v)| (k, expand.one(&v)))
                    .collect(),
                ..manifest.run
            },
            check: Check {
                commands: expand.commands(manifest.check.commands),
            },
            matrix: expand.matrix(manifest.matrix),
            folder,
            state,
        })
    }

    /// The built-in examples, then those of `folders`, cut down to `only` where it names any.
    ///
    /// A folder either is an example or holds folders that are.
    pub fn select(
        workspace: &Workspace,
        folders: &[PathBuf],
        only: &[String],
    ) -> Result<Vec<Self>> {
        let mut paths = workspace.examples()?;
        for folder in folders {
            paths.extend(examples_in(folder)?);
        }
        let mut examples: Vec<Self> = Vec::new();
        for path in paths {
            let example = Self::load(workspace, &path)?;
            if let Some(other) = examples.iter().find(|other| other.name == example.name) {
                return Err(Failure::new(format!(
                    "two examples are named `{}`: `{}` and `{}`",
                    example.name,
                    other.folder.display(),
                    example.folder.display()
                ))
                .hint("give one of them another `name` in its example.toml"));
            }
            examples.push(example);
        }
        keep(examples, only)
    }
}

fn keep(examples: Vec<Example>, only: &[String]) -> Result<Vec<Example>> {
    for name in only {
        if !examples.iter().any(|example| &example.name == name) {
            let known: Vec<_> = examples
                .iter()
                .map(|example| example.name.as_str())
                .collect();
            return Err(Failure::new(format!("no example is called `{name}`"))
                .hint(format!("there are: {}", known.join(", "))));
        }
    }
    Ok(examples
        .into_iter()
        .filter(|example| only.is_empty() || only.contains(&example.name))
        .collect())
}

fn examples_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join("example.toml").is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .at("read", folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("example.toml").is_file())
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(
            Failure::new(format!("`{}` contains no example", folder.display())).hint(
                "an example is a folder with an `example.toml`; CONTRIBUTING.md has its format",
            ),
        );
    }
    Ok(found)
}

/// The name becomes an attribute's value, a file's name and part of a collection's name.
fn check_name(name: &str, path: &Path) -> Result<()> {
    let fits = !name.is_empty()
        && name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        return Ok(());
    }
    Err(
        Failure::new(format!("`{}` names its example {name:?}", path.display()))
            .hint("a name is a letter, then up to 39 letters, digits, `-` or `_`"),
    )
}

/// Two folders of the same name, in two places, don't share what they build.
fn state_folder(workspace: &Workspace, name: &str, folder: &Path) -> PathBuf {
    let examples = workspace.state().join("examples");
    if folder.starts_with(workspace.root()) {
        return examples.join(name);
    }
    let unique = fingerprint(&[folder.as_os_str().as_encoded_bytes()]);
    examples.join(format!("{name}-{}", &unique[..8]))
}

struct Placeholders<'a> {
    folder: &'a Path,
    state: &'a Path,
    workspace: &'a Path,
}

impl Placeholders<'_> {
    fn one(&self, text: &str) -> String {
        text.replace("{dir}", &self.folder.to_string_lossy())
            .replace("{state}", &self.state.to_string_lossy())
            .replace("{workspace}", &self.workspace.to_string_lossy())
    }

    fn matrix(&self, matrix: Matrix) -> Matrix {
        Matrix {
            list: self.all(matrix.list),
            set: self.commands(matrix.set),
            set_any: self.commands(matrix.set_any),
            set_path: self.commands(matrix.set_path),
            prepare: PrepareChanges {
                inputs: matrix.prepare.inputs.map(|texts| self.all(texts)),
                outputs: matrix.prepare.outputs.map(|texts| self.all(texts)),
                commands: matrix.prepare.commands.map(|all| self.commands(all)),
                versions: matrix.prepare.versions.map(|texts| self.all(texts)),
            },
            signs: matrix.signs,
        }
    }

    fn all(&self, texts: Vec<String>) -> Vec<String> {
        texts.iter().map(|text| self.one(text)).collect()
    }

    fn commands(&self, commands: Vec<Vec<String>>) -> Vec<Vec<String>> {
        commands
            .into_iter()
            .map(|command| self.all(command))
            .collect()
    }
}

fn version_flag() -> Vec<String> {
    vec!["--version".to_owned()]
}

fn two_minutes() -> u64 {
    120
}
