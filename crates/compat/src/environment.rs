//! The copy of an example with a variant's versions.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::event::Events;
use harness::prepare::example::{Example, Prepare};
use harness::prepare::fingerprint::{fingerprint, part};
use harness::prepare::task::{self, Task, Versions};
use harness::workspace::Workspace;
use supervise::{Failure, IoContext, Result, Supervisor};

use crate::diagnosis::{Unready, diagnosed};
use crate::outcome::{Cause, Outcome};
use crate::pins::resolved;
use crate::plan::{ExamplePlan, ProgramPlan, Variant};

/// The time limit for the preparation of one variant.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Requests any version that fits the others.
const ANY: &str = "*";
/// The version of a package that is a local file.
const LOCAL_VERSION: &str = "0-local";

/// A variant's inputs.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub example: Arc<Example>,
    pub variant: Variant,
    pub program: Option<ProgramPlan>,
    /// The version or path of each package that differs from the example.
    pub packages: BTreeMap<String, String>,
    /// Candidates for the folder to put before `PATH`: the first that exists is used. A relative one is in the variant's copy.
    runtime: Option<Vec<PathBuf>>,
}

/// An example with a variant's versions, installed and built.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub example: Arc<Example>,
    pub versions: Versions,
}

impl Recipe {
    pub(crate) fn new(
        example: Arc<Example>,
        plan: &ExamplePlan,
        variant: &Variant,
    ) -> Result<Self> {
        let packages = plan.packages(&variant.set)?;
        if !packages.is_empty() && example.matrix.set.is_empty() {
            return Err(Failure::new(format!(
                "`{}` can't get other versions: its example.toml has no `[matrix]` with a `set`",
                example.name
            ))
            .hint("CONTRIBUTING.md has the format; a variant without `set` may still have `env`"));
        }
        let runtime = variant.runtime.as_ref().map(|name| {
            let folders = plan.runtimes.get(name);
            folders.cloned().unwrap_or_default()
        });
        Ok(Self {
            example,
            variant: variant.clone(),
            program: plan.program.clone(),
            packages,
            runtime,
        })
    }

    /// A fingerprint of everything that the outcome depends on.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let mut parts: Vec<Vec<u8>> = vec![
            part(&self.packages),
            part(&self.variant.env),
            part(&self.runtime),
            part(&self.runtime_in(&self.example.folder).ok()),
            part(&self.example.prepare),
            part(&self.example.run),
            part(&self.example.matrix),
            harness::stack::embedded::stack_name().into_bytes(),
        ];
        for file in tracked_files(&self.example.folder)? {
            let path = self.example.folder.join(&file);
            parts.push(file.as_os_str().as_encoded_bytes().to_vec());
            parts.push(std::fs::read(&path).at("read", &path)?);
        }
        parts.push(self.local_content()?.into_bytes());
        if self.has_local_folder() {
            parts.push(harness::time::now_in_millis().into_bytes());
        }
        if self.packages.is_empty() {
            // An example that isn't copied may be prepared from files elsewhere.
            parts.push(task::fingerprint_of(&Task::from(&*self.example))?.into_bytes());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(fingerprint(&parts))
    }

    /// The local files and folders that it is made from.
    fn local(&self) -> impl Iterator<Item = PathBuf> {
        self.packages
            .values()
            .filter_map(|version| local_path(version))
    }

    /// Whether it is made from a local folder, whose changes can't be detected.
    fn has_local_folder(&self) -> bool {
        self.local().any(|path| path.is_dir())
    }

    /// A fingerprint of the contents of the local files that it is made from.
    fn local_content(&self) -> Result<String> {
        let mut parts = Vec::new();
        for file in self.local().filter(|path| path.is_file()) {
            parts.push(std::fs::read(&file).at("read", &file)?);
        }
        Ok(fingerprint(
            &parts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        ))
    }

    /// Installs and builds the variant, unless that is done. A failure is an outcome.
    pub(crate) async fn prepare(
        &self,
        workspace: &Workspace,
        supervisor: &Supervisor,
        events: &Events,
    ) -> std::result::Result<Ready, Unready> {
        let folder = self.folder(workspace).map_err(|failure| Unready {
            outcome: Outcome::CouldNotRun,
            cause: Cause::BuildFailed,
            message: failure.message,
            log: None,
        })?;
        let log = folder.join("prepare.log");
        let prepared = self.prepare_alone(workspace, &folder, &log, supervisor, events);
        match tokio::time::timeout(LIMIT, prepared).await {
            Ok(prepared) => prepared
                .and_then(|ready| self.checked(ready))
                .and_then(|ready| self.with_settings(ready)),
            Err(_) => Err(Unready {
                outcome: Outcome::CouldNotRun,
                cause: Cause::TimedOut,
                message: format!(
                    "preparing it took longer than {} minutes",
                    LIMIT.as_secs() / 60
                ),
                log: Some(log),
            }),
        }
    }

    /// Runs with the environment's lock held, which the cleanup needs too.
    async fn prepare_alone(
        &self,
        workspace: &Workspace,
        folder: &Path,
        log: &Path,
        supervisor: &Supervisor,
        events: &Events,
    ) -> std::result::Result<Ready, Unready> {
        let signs = &self.example.matrix.signs;
        let unready = |failure: Failure| diagnosed(&failure, log, signs);
        std::fs::create_dir_all(folder)
            .at("make", folder)
            .map_err(unready)?;
        let what = format!("prepare `{}`", self.example.name);
        let lock = task::lock(&folder.join("lock"), &what, events).await;
        let _lock = lock.map_err(unready)?;
        let prepared = self.prepare_within(workspace, folder, log, supervisor, events);
        let prepared = prepared.await.map_err(unready);
        if prepared
            .as_ref()
            .is_err_and(|why| why.cause == Cause::DiskFull)
        {
            // An incomplete environment is useless, and the others need the space.
            for part in ["source", "state"] {
                let _ = std::fs::remove_dir_all(folder.join(part));
            }
        }
        prepared
    }

    async fn prepare_within(
        &self,
        workspace: &Workspace,
        folder: &Path,
        log: &Path,
        supervisor: &Supervisor,
        events: &Events,
    ) -> Result<Ready> {
        let example = if self.packages.is_empty() {
            self.example.clone()
        } else {
            Arc::new(self.copy(workspace, folder, log, supervisor).await?)
        };
        let mut task = Task::from(&*example);
        task.name = format!("{} {}", example.name, self.variant.name);
        let versions = task::prepare_one(&task, log, supervisor, events).await?;
        Ok(Ready { example, versions })
    }

    /// One folder per set of versions. Variants that differ only in settings share it.
    fn folder(&self, workspace: &Workspace) -> Result<PathBuf> {
        let name = if self.packages.is_empty() {
            "own".to_owned()
        } else {
            let label: Vec<String> = self
                .variant
                .set
                .iter()
                .map(|(axis, version)| format!("{axis}-{}", plain(version)))
                .collect();
            let content = self.local_content()?;
            let unique = fingerprint(&[&part(&self.packages), content.as_bytes()]);
            format!("{}-{}", label.join("-"), &unique[..8])
        };
        let folder = &self.example.folder;
        let example = if folder.starts_with(workspace.root()) {
            self.example.name.clone()
        } else {
            let whose = fingerprint(&[folder.as_os_str().as_encoded_bytes()]);
            format!("{}-{}", self.example.name, &whose[..8])
        };
        let environments = workspace.state().join("matrix").join("environments");
        Ok(environments.join(example).join(name))
    }

    async fn copy(
        &self,
        workspace: &Workspace,
        folder: &Path,
        log: &Path,
        supervisor: &Supervisor,
    ) -> Result<Example> {
        let source = folder.join("source");
        copy_tracked(&self.example.folder, &source)?;
        File::create(log).at("write", log)?;
        let mut example = Example::load_with(workspace, &source, Some(folder.join("state")))?;
        if self.has_local_folder() {
            let _ = std::fs::remove_file(example.state.join("prepared.json"));
        }
        let edits = Task {
            prepare: Prepare::default(),
            ..Task::from(&example)
        };
        for (package, version) in &self.packages {
            for command in edit(&example, package, version)? {
                task::run(&edits, &command, log, supervisor).await?;
            }
        }
        let changes = example.matrix.prepare.clone();
        let own = &mut example.prepare;
        own.inputs = changes.inputs.unwrap_or_else(|| own.inputs.clone());
        own.outputs = changes.outputs.unwrap_or_else(|| own.outputs.clone());
        own.commands = changes.commands.unwrap_or_else(|| own.commands.clone());
        own.versions = changes.versions.unwrap_or_else(|| own.versions.clone());
        Ok(example)
    }

    /// Fails if a package manager chose a version other than the requested one.
    fn checked(&self, ready: Ready) -> std::result::Result<Ready, Unready> {
        let asked = self
            .packages
            .iter()
            .filter(|(_, version)| local_path(version).is_none());
        for (package, version) in asked {
            let resolved = resolved(&ready.versions, package);
            if !resolved.is_some_and(|resolved| fits(resolved, version)) {
                return Err(Unready {
                    outcome: Outcome::DoesNotBuild,
                    cause: Cause::OtherVersion,
                    message: format!(
                        "{package} {version} was asked for, and {} was resolved",
                        resolved.unwrap_or("nothing")
                    ),
                    log: None,
                });
            }
        }
        Ok(ready)
    }

    fn with_settings(&self, ready: Ready) -> std::result::Result<Ready, Unready> {
        let mut example = (*ready.example).clone();
        example.run.env.extend(self.variant.env.clone());
        let runtime = self
            .runtime_in(&example.folder)
            .map_err(|missing| Unready {
                outcome: Outcome::CouldNotRun,
                cause: Cause::RuntimeMissing,
                message: missing,
                log: None,
            })?;
        if let Some(runtime) = runtime {
            let inherited = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(runtime).chain(std::env::split_paths(&inherited));
            if let Ok(path) = std::env::join_paths(folders) {
                let path = path.to_string_lossy().into_owned();
                example.run.env.insert("PATH".to_owned(), path);
            }
        }
        Ok(Ready {
            example: Arc::new(example),
            versions: ready.versions,
        })
    }

    /// The runtime's folder for a copy of the example in `folder`.
    fn runtime_in(&self, folder: &Path) -> std::result::Result<Option<PathBuf>, String> {
        let Some(candidates) = &self.runtime else {
            return Ok(None);
        };
        let mut folders = candidates.iter().map(|candidate| folder.join(candidate));
        match folders.find(|folder| folder.is_dir()) {
            Some(found) => Ok(Some(found)),
            None => {
                let name = self.variant.runtime.as_deref().unwrap_or_default();
                Err(format!("`{name}` is not installed"))
            }
        }
    }
}

/// Whether a resolved version is the requested one.
fn fits(resolved: &str, asked: &str) -> bool {
    asked == ANY || versions::compare(resolved, asked).is_eq()
}

/// A version with a slash is a local file or folder.
pub(crate) fn local_path(version: &str) -> Option<PathBuf> {
    version.contains('/').then(|| PathBuf::from(version))
}

fn edit(example: &Example, package: &str, version: &str) -> Result<Vec<Vec<String>>> {
    let path = local_path(version);
    let missing = |key: &str| {
        Failure::new(format!(
            "`{}` can't set `{package}` to `{version}`: its example.toml has no `{key}` in `[matrix]`",
            example.name
        ))
    };
    let commands = match &path {
        Some(path) if !path.exists() => {
            return Err(Failure::new(format!("there is no `{}`", path.display())));
        }
        Some(_) if example.matrix.set_path.is_empty() => return Err(missing("set_path")),
        Some(_) => &example.matrix.set_path,
        None if version == ANY && example.matrix.set_any.is_empty() => {
            return Err(missing("set_any"));
        }
        None if version == ANY => &example.matrix.set_any,
        None => &example.matrix.set,
    };
    let path = path
        .map(|path| path.canonicalize().at("read", &path))
        .transpose()?
        .unwrap_or_default();
    let version = if path.as_os_str().is_empty() {
        version
    } else {
        LOCAL_VERSION
    };
    let (group, artifact) = package.rsplit_once(':').unwrap_or(("", package));
    let filled = |text: &String| {
        text.replace("{package}", package)
            .replace("{group}", group)
            .replace("{artifact}", artifact)
            .replace("{version}", version)
            .replace("{path}", &path.to_string_lossy())
    };
    let fill = |command: &Vec<String>| command.iter().map(filled).collect();
    Ok(commands.iter().map(fill).collect())
}

/// The files that git would commit, without build results and installed packages.
fn tracked_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(folder)
        .output()
        .at("start `git` in", folder)?;
    if !listed.status.success() {
        return Err(Failure::new(format!(
            "git doesn't know the files of `{}`: {}",
            folder.display(),
            String::from_utf8_lossy(&listed.stderr).trim()
        ))
        .hint("variants are made from what git has of an example; put it under version control"));
    }
    let mut files: Vec<PathBuf> = String::from_utf8_lossy(&listed.stdout)
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|name| folder.join(name).is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn copy_tracked(from: &Path, to: &Path) -> Result<()> {
    for file in tracked_files(from)? {
        let target = to.join(&file);
        let parent = target.parent().unwrap_or(to);
        std::fs::create_dir_all(parent).at("make", parent)?;
        std::fs::copy(from.join(&file), &target).at("write", &target)?;
    }
    Ok(())
}

fn plain(version: &str) -> String {
    let name = version.rsplit('/').next().unwrap_or(version);
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
