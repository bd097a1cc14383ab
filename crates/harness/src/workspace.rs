//! Where things are: the checkout, and what the runner keeps under `target/milvus-otel`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, IoContext, Result};

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
    milvus_otel: Settings,
}

#[derive(Deserialize)]
struct Settings {
    examples: Vec<PathBuf>,
}

impl Workspace {
    /// The checkout that holds `start`, found by its `Cargo.toml` with a `[workspace]`.
    pub fn find(start: &Path) -> Result<Self> {
        start
            .ancestors()
            .find(|folder| folder.join("xtask").join("Cargo.toml").is_file())
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

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders of the built-in examples, in the order of the report's columns.
    pub fn examples(&self) -> Result<Vec<PathBuf>> {
        let path = self.root.join("Cargo.toml");
        let text = std::fs::read_to_string(&path).at("read", &path)?;
        let manifest: CargoManifest = toml::from_str(&text)
            .map_err(|error| Failure::new(format!("can't read `{}`: {error}", path.display())))?;
        let folders = manifest.workspace.metadata.milvus_otel.examples;
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
