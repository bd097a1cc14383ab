//! Checks the requirements of the stack and the examples, then prepares both.

use std::future::Future;
use std::path::PathBuf;

use supervise::{Failure, Interrupt, Result, Supervisor};

use crate::event::Events;
use crate::prepare::example::Example;
use crate::prepare::preflight;
use crate::prepare::task::{self, Task, prepare_all};
use crate::stack::bring_up::StackChoice;
use crate::stack::embedded;
use crate::workspace::Workspace;

/// Prepares the stack and examples, and runs nothing.
pub async fn prepare(
    workspace: &Workspace,
    folders: &[PathBuf],
    only: &[String],
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<()> {
    let examples = Example::select(workspace, folders, only)?;
    let choice = StackChoice::default();
    prepare_for(workspace, &choice, &examples, events, interrupt).await
}

/// Prepares the stack alone.
pub async fn prepare_stack(
    workspace: &Workspace,
    choice: &StackChoice,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<()> {
    prepare_for(workspace, choice, &[], events, interrupt).await
}

async fn prepare_for(
    workspace: &Workspace,
    choice: &StackChoice,
    examples: &[Example],
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<()> {
    let (mut tasks, needs) = choice.tasks(workspace)?;
    tasks.extend(examples.iter().map(Task::from));
    let supervisor = Supervisor::default();
    let prepared = tokio::select! {
        by = interrupt => Err(Failure::interrupted(by)),
        prepared = async {
            preflight::check(&needs, examples, &workspace.state()).await?;
            prepare_all(tasks, workspace, &supervisor, events).await
        } => prepared,
    };
    supervisor.shut_down().await;
    prepared.map(|_| ())
}

/// The stack's task, then one for each example.
pub fn tasks(workspace: &Workspace, examples: &[Example]) -> Result<Vec<Task>> {
    let stack = embedded::preparation(workspace)?;
    Ok(std::iter::once(stack)
        .chain(examples.iter().map(Task::from))
        .collect())
}

/// The names of the tasks that a run would prepare first.
pub fn unprepared(workspace: &Workspace) -> Result<Vec<String>> {
    let examples = Example::select(workspace, &[], &[])?;
    Ok(tasks(workspace, &examples)?
        .into_iter()
        .filter(|task| !task::is_prepared(task))
        .map(|task| task.name)
        .collect())
}
