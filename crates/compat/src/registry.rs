//! Versions in registries, requested through the registries' own clients.

use std::future::Future;
use std::path::PathBuf;

use harness::event::Events;
use harness::prepare::example::{Example, Prepare};
use harness::prepare::task::{self, Task, Versions};
use harness::workspace::Workspace;
use supervise::{Failure, Interrupt, IoContext, Result, Supervisor};

use crate::measure::{MatrixOptions, examples, read_plan};
use crate::pins::resolved;
use crate::plan::Axis;

/// A version newer than the one pinned by a `newest` variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub example: String,
    pub variant: String,
    pub axis: String,
    pub pinned: String,
    pub newest: String,
}

/// Searches for versions newer than those pinned by `newest` variants.
pub async fn proposals(
    workspace: &Workspace,
    options: &MatrixOptions,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<Vec<Proposal>> {
    let plan = read_plan(workspace, options)?.select(&options.only, options.variant.as_deref())?;
    let examples = examples(workspace, options, &plan)?;
    let supervisor = Supervisor::default();
    let looked = async {
        let mut proposals = Vec::new();
        for (plan, example) in plan.examples.iter().zip(&examples) {
            for variant in plan.variants.iter().filter(|variant| variant.newest) {
                for (name, pinned) in &variant.set {
                    let axis = plan.axis(name)?;
                    let versions = versions(workspace, example, axis, &supervisor, events).await?;
                    let newest = versions.last().cloned();
                    let newer = |version: &String| versions::compare(version, pinned).is_gt();
                    if let Some(newest) = newest.filter(newer) {
                        proposals.push(Proposal {
                            example: plan.example.clone(),
                            variant: variant.name.clone(),
                            axis: name.clone(),
                            pinned: pinned.clone(),
                            newest,
                        });
                    }
                }
            }
        }
        Ok(proposals)
    };
    let outcome = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)),
        outcome = looked => outcome,
    };
    supervisor.shut_down().await;
    outcome
}

/// The versions of an axis's first package, oldest first. Pre-releases are included only if the axis has `previews`.
pub(super) async fn versions(
    workspace: &Workspace,
    example: &Example,
    axis: &Axis,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<Vec<String>> {
    // A plan with an axis without packages is rejected when it is read.
    let package = axis.packages[0].as_str();
    if example.matrix.list.is_empty() {
        return Err(Failure::new(format!(
            "`{}` can't list versions: its example.toml has no `list` in `[matrix]`",
            example.name
        )));
    }
    own_versions(workspace, example, supervisor, events).await?;
    let (group, artifact) = package.rsplit_once(':').unwrap_or(("", package));
    let fill = |text: &String| {
        text.replace("{package}", package)
            .replace("{group}", group)
            .replace("{artifact}", artifact)
    };
    let command: Vec<String> = example.matrix.list.iter().map(fill).collect();
    let printed = list_file(workspace, example)?;
    let task = Task {
        prepare: Prepare::default(),
        ..Task::from(example)
    };
    task::run(&task, &command, &printed, supervisor)
        .await
        .map_err(|failure| Failure {
            message: format!(
                "the versions of `{package}` can't be listed: {}",
                failure.message
            ),
            ..failure
        })?;
    let text = std::fs::read_to_string(&printed).at("read", &printed)?;
    let mut versions = versions::all_in(&text);
    versions.retain(|version| axis.previews || !versions::is_preview(version));
    if versions.is_empty() {
        return Err(Failure::new(format!(
            "the registry's client lists no version of `{package}`"
        ))
        .hint(format!("what it printed is in `{}`", printed.display())));
    }
    Ok(versions)
}

/// Prepares an unchanged example, because its package manager may be part of the preparation.
pub(super) async fn own_versions(
    workspace: &Workspace,
    example: &Example,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<Versions> {
    let logs = workspace.preparation_logs();
    std::fs::create_dir_all(&logs).at("make", &logs)?;
    let log = logs.join(format!("{}.log", example.name));
    task::prepare_one(&Task::from(example), &log, supervisor, events).await
}

/// The example's own version of an axis.
pub(super) fn own_version(versions: &Versions, axis: &Axis) -> Option<String> {
    resolved(versions, axis.packages.first()?).map(str::to_owned)
}

fn list_file(workspace: &Workspace, example: &Example) -> Result<PathBuf> {
    let folder = workspace.state().join("matrix");
    std::fs::create_dir_all(&folder).at("make", &folder)?;
    let path = folder.join(format!("versions-{}.txt", example.name));
    std::fs::write(&path, "").at("write", &path)?;
    Ok(path)
}
