//! The files that other programs read, carried in the executable and written out where they are needed.

use std::path::{Path, PathBuf};

use supervise::{IoContext, Result};

use crate::workspace::Workspace;

/// A folder of files.
#[derive(Clone, Copy, Debug)]
pub struct Assets {
    folder: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// Milvus's launcher and the package that it launches.
pub const MILVUS: Assets = Assets {
    folder: "milvus",
    files: &[
        ("launch.py", include_str!("../milvus/launch.py")),
        (
            "requirements.txt",
            include_str!("../milvus/requirements.txt"),
        ),
    ],
};

/// The tutorial's stack in Docker.
pub const COMPOSE: Assets = Assets {
    folder: "compose",
    files: &[
        (
            "docker-compose.yaml",
            include_str!("../../../compose/docker-compose.yaml"),
        ),
        ("milvus.yaml", include_str!("../../../compose/milvus.yaml")),
        (
            "embedEtcd.yaml",
            include_str!("../../../compose/embedEtcd.yaml"),
        ),
        (
            "collector.yaml",
            include_str!("../../../compose/collector.yaml"),
        ),
        (
            "collector.env",
            include_str!("../../../compose/collector.env"),
        ),
    ],
};

/// The Go module that Jaeger is built from.
pub const JAEGER: Assets = Assets {
    folder: "jaeger",
    files: &[
        ("go.mod", include_str!("../../../tools/jaeger/go.mod")),
        ("go.sum", include_str!("../../../tools/jaeger/go.sum")),
    ],
};

impl Assets {
    /// Where they are, or will be once they are written.
    pub fn folder(&self, workspace: &Workspace) -> PathBuf {
        workspace.state().join("files").join(self.folder)
    }

    /// Writes those that aren't there as they are in the executable; returns their folder.
    pub fn write(&self, workspace: &Workspace) -> Result<PathBuf> {
        let folder = self.folder(workspace);
        std::fs::create_dir_all(&folder).at("make", &folder)?;
        for (name, content) in self.files {
            let path = folder.join(name);
            if !is_so(&path, content) {
                // Whole from the first moment: another run may be about to read it.
                let new = folder.join(format!("{name}.{}", std::process::id()));
                std::fs::write(&new, content).at("write", &new)?;
                std::fs::rename(&new, &path).at("write", &path)?;
            }
        }
        Ok(folder)
    }
}

fn is_so(path: &Path, content: &str) -> bool {
    std::fs::read(path).is_ok_and(|there| there == content.as_bytes())
}
