//! Where things are: the checkout, and what the runner keeps under `target/milvus-otel`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use supervise::{Failure, IoContext, Result};

/// A checkout of the project.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
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
    pub fn find(start: &Path) -> Result<Self> {
        start
            .ancestors()
            .find(|folder| settings(folder).is_ok())
            .map(|root| Self {
                root: root.to_owned(),
            })
            .ok_or_else(|| {
                Failure::new(format!(
                    "`{}` is in no checkout of milvus-otel",
                    start.display()
                ))
                .hint("run `cargo xtask` inside the repository")
            })
    }

    /// One at `root`, whatever is there.
    #[cfg(test)]
    pub fn fixture(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders of the built-in examples, in the order of the report's columns.
    pub fn examples(&self) -> Result<Vec<PathBuf>> {
        let folders = settings(&self.root)?.examples;
        Ok(folders
            .into_iter()
            .map(|folder| self.root.join(folder))
            .collect())
    }

    /// Everything that the runner writes.
    pub fn state(&self) -> PathBuf {
        self.root.join("target").join("milvus-otel")
    }

    pub fn runs(&self) -> PathBuf {
        self.state().join("runs")
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
        assert!(Workspace::find(&folder.path().join("xtask")).is_err());

        let own = Workspace::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(own.examples().unwrap().len(), 5);
    }
}
