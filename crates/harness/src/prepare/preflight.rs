//! The requirements of a run. One message names all that are missing.

use std::path::Path;
use std::process::{Command, Output};

use supervise::{Failure, Result, ask, disk};

use crate::prepare::example::{Example, Need};

/// The disk space for the downloads and builds of a first run, in bytes.
const DISK: u64 = 4 << 30;
/// Room for one run once everything is prepared, in bytes.
const DISK_WARM: u64 = 512 << 20;

/// One thing that keeps a run from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub cure: String,
    /// The example that can be left out instead.
    pub example: Option<String>,
}

/// Looks for everything that the stack and the examples need.
pub async fn check(stack_needs: &[Need], examples: &[Example], state: &Path) -> Result<()> {
    let of_stack = stack_needs.iter().map(|need| (need, None));
    let of_examples = examples.iter().flat_map(|example| {
        example
            .needs
            .iter()
            .map(|need| (need, Some(example.name.as_str())))
    });
    let needs: Vec<_> = of_stack.chain(of_examples).collect();
    let mut missing: Vec<Missing> = look_for(&needs).await.into_iter().flatten().collect();
    missing.extend(room(state));
    if missing.is_empty() {
        return Ok(());
    }
    Err(failure(&missing, examples))
}

/// The reason why this machine can't run an example; `None` if it can.
pub async fn missing_need(example: &Example) -> Option<String> {
    let needs: Vec<_> = example.needs.iter().map(|need| (need, None)).collect();
    let missing = look_for(&needs).await.into_iter().flatten().next();
    missing.map(|missing| missing.what)
}

fn failure(missing: &[Missing], examples: &[Example]) -> Failure {
    let lines = missing.iter().flat_map(|one| {
        let whom = one.example.as_deref().unwrap_or("the stack");
        [
            format!("{whom}: {}", one.what),
            format!("    get it: {}", one.cure),
        ]
    });
    let failure = Failure::new(match missing.len() {
        1 => "something that this run needs is missing".to_owned(),
        several => format!("{several} things that this run needs are missing"),
    })
    .detail(lines);
    let runnable: Vec<_> = examples
        .iter()
        .filter(|example| {
            missing
                .iter()
                .all(|one| one.example.as_ref() != Some(&example.name))
        })
        .map(|example| format!("--example {}", example.name))
        .collect();
    if missing.iter().any(|one| one.example.is_none()) || runnable.is_empty() {
        return failure.hint("install what is listed, then run the same command again");
    }
    failure.hint(format!(
        "run without it: cargo xtask run-all {}",
        runnable.join(" ")
    ))
}

/// Asks all tools at once, because some take half a second to print their version. The answers are in the order of `needs`:
/// a tool, and the example that needs it.
pub async fn look_for(needs: &[(&Need, Option<&str>)]) -> Vec<Option<Missing>> {
    let question = |(need, _): &(&Need, _)| {
        let mut command = Command::new(&need.command);
        command.args(&need.version_args);
        command
    };
    let answers = ask::ask_all(needs.iter().map(question).collect()).await;
    let answered = needs.iter().zip(answers);
    answered
        .map(|((need, example), answer)| what_is_missing(need, *example, answer))
        .collect()
}

fn what_is_missing(
    need: &Need,
    example: Option<&str>,
    answer: std::io::Result<Output>,
) -> Option<Missing> {
    let missing = |what: String| {
        Some(Missing {
            what,
            cure: need.get.clone(),
            example: example.map(str::to_owned),
        })
    };
    let output = match answer {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return missing(format!("`{}` is not on PATH", need.command));
        }
        Err(error) => return missing(format!("`{}` can't be run: {error}", need.command)),
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    if !output.status.success() {
        let line = printed.lines().next().unwrap_or_default();
        return missing(format!(
            "`{} {}` failed: {line}",
            need.command,
            need.version_args.join(" ")
        ));
    }
    let wanted = need.version.as_ref()?;
    match versions::first_in(&printed) {
        Some(version) if wanted.contains(&version) => None,
        Some(version) => missing(format!(
            "`{}` is {version}; {wanted} is required",
            need.command
        )),
        None => missing(format!("`{}` doesn't print its version", need.command)),
    }
}

pub fn room(state: &Path) -> Option<Missing> {
    let free = disk::free(state)?;
    let needed = if state.join("milvus").exists() {
        DISK_WARM
    } else {
        DISK
    };
    (free < needed).then(|| Missing {
        what: format!(
            "{} MB free at `{}`, and {} MB are needed",
            free >> 20,
            state.display(),
            needed >> 20
        ),
        cure: "free some space".to_owned(),
        example: None,
    })
}
