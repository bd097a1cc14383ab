//! Where things are: a checkout of this project, or any folder that a program is run in.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use supervise::{Failure, IoContext, Result};

/// The variable that names the folder of all that outlives a run, outside of a checkout.
pub const CACHE_VARIABLE: &str = "MILVUS_OTEL_CACHE";

/// The folder beside a user's program that holds its runs.
const OWN_FOLDER: &str = ".milvus-otel";

/// The folders that the runner reads and writes.
#[derive(Clone, Debug)]
pub struct Workspace {
    program: &'static str,
    root: PathBuf,
    state: PathBuf,
    runs: PathBuf,
    is_checkout: bool,
}

#[derive(Deserialize)]
struct CargoManifest {
    workspace: CargoWorkspace,
}

#[derive(Deserialize)]
struct CargoWorkspace {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    milvus_otel: CheckoutSettings,
}

#[derive(Deserialize)]
struct CheckoutSettings {
    examples: Vec<PathBuf>,
}

impl Workspace {
    /// The checkout that holds `start`, found by the settings in its `Cargo.toml`: other projects have an `xtask` as well.
    pub fn find(start: &Path, program: &'static str) -> Result<Self> {
        start
            .ancestors()
            .find(|folder| settings(folder).is_ok())
            .map(|root| Self::checkout(root, program))
            .ok_or_else(|| {
                Failure::new(format!(
                    "`{}` isn't in a checkout of milvus-otel",
                    start.display()
                ))
                .hint(format!("run `{program}` inside the repository"))
            })
    }

    /// A folder of the user's: its runs lie in it, all else in the user's cache.
    pub fn of_folder(folder: &Path, program: &'static str) -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let usual = match cfg!(target_os = "macos") {
            true => "Library/Caches",
            false => ".cache",
        };
        let state = variable(CACHE_VARIABLE)
            .map(|path| folder.join(path))
            .or_else(|| {
                let caches =
                    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(usual)));
                Some(caches?.join("milvus-otel"))
            })
            .ok_or_else(|| {
                Failure::new("no folder for Milvus: HOME isn't set")
                    .hint(format!("set {CACHE_VARIABLE} to a folder"))
            })?;
        Ok(Self {
            program,
            root: folder.to_owned(),
            runs: folder.join(OWN_FOLDER).join("runs"),
            state,
            is_checkout: false,
        })
    }

    fn checkout(root: &Path, program: &'static str) -> Self {
        let state = root.join("target").join("milvus-otel");
        Self {
            program,
            root: root.to_owned(),
            runs: state.join("runs"),
            state,
            is_checkout: true,
        }
    }

    /// One at `root`, whatever is there.
    #[cfg(test)]
    pub fn fixture(root: &Path) -> Self {
        Self::checkout(root, "cargo xtask")
    }

    /// The command that the user types, such as `cargo xtask`.
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// The checkout, or the user's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn is_checkout(&self) -> bool {
        self.is_checkout
    }

    /// The folders of the built-in examples, in the order of the report's columns; none outside of a checkout.
    pub fn examples(&self) -> Result<Vec<PathBuf>> {
        if !self.is_checkout {
            return Ok(Vec::new());
        }
        let folders = settings(&self.root)?.examples;
        Ok(folders
            .into_iter()
            .map(|folder| self.root.join(folder))
            .collect())
    }

    /// Everything that outlives a run.
    pub fn state(&self) -> PathBuf {
        self.state.clone()
    }

    pub fn runs(&self) -> PathBuf {
        self.runs.clone()
    }

    /// Makes the folder of all runs; in a user's folder, one that Git ignores.
    pub fn make_runs(&self) -> Result<()> {
        std::fs::create_dir_all(&self.runs).at("make", &self.runs)?;
        if self.is_checkout {
            return Ok(());
        }
        let ignore = self.root.join(OWN_FOLDER).join(".gitignore");
        match ignore.exists() {
            true => Ok(()),
            false => std::fs::write(&ignore, "*\n").at("write", &ignore),
        }
    }

    pub fn latest_run(&self) -> PathBuf {
        self.runs().join("latest")
    }

    /// Logs of preparation, one file each.
    pub fn preparation_logs(&self) -> PathBuf {
        self.state().join("prepare")
    }
}

fn settings(root: &Path) -> Result<CheckoutSettings> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).at("read", &path)?;
    let manifest: CargoManifest = toml::from_str(&text)
        .map_err(|error| Failure::new(format!("can't read `{}`: {error}", path.display())))?;
    Ok(manifest.workspace.metadata.milvus_otel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_with_an_xtask_of_its_own_is_no_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\n");
        write("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n");
        let find = |start: &Path| Workspace::find(start, "cargo xtask");
        assert!(find(&folder.path().join("xtask")).is_err());

        let own = find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(own.examples().unwrap().len(), 5);
    }

    #[test]
    fn runs_of_a_users_folder_are_ignored_by_git() {
        let folder = tempfile::tempdir().unwrap();
        let own = Workspace::of_folder(folder.path(), "milvus-otel").unwrap();
        assert_eq!(own.examples().unwrap(), Vec::<PathBuf>::new());
        own.make_runs().unwrap();
        own.make_runs().unwrap();
        assert!(own.runs().starts_with(folder.path()) && own.runs().is_dir());
        assert!(!own.state().starts_with(folder.path()));
        let ignored = std::fs::read_to_string(folder.path().join(".milvus-otel/.gitignore"));
        assert_eq!(ignored.unwrap(), "*\n");
    }
}
