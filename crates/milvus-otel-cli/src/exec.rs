//! `exec`: a program of the user's own.

use std::process::ExitCode;

use harness::Judged;
use supervise::Result;
use trace_report::{Note, NoteKind};

use crate::cli::{Exec, Format};
use crate::interrupt::block_on;
use crate::name::name_of;
use crate::place::workspace;
use crate::report::{after_baseline, exit_code, rendered};
use crate::{progress, stacks, terminal};

pub(crate) fn exec(arguments: Exec) -> Result<ExitCode> {
    let workspace = workspace()?;
    harness::prune(&workspace);
    let events = progress::events(&workspace, "exec");
    let judging = &arguments.judging;
    let options = harness::Exec {
        command: arguments.command.clone(),
        contract: judging.contract.clone(),
        stack: stacks::choice(&arguments.stack, arguments.auth, &arguments.origins)?,
        auth: arguments.auth.auth,
        wire: arguments.wire.clone().options(),
        redact: arguments.redaction.redact.clone(),
        allowed_origins: arguments.origins.allow_origin.clone(),
        name: arguments
            .name
            .clone()
            .unwrap_or_else(|| name_of(&arguments.command)),
        limit: arguments.limit,
        notes: compat::project::notes(&arguments.command)
            .into_iter()
            .map(|text| Note::new(NoteKind::Versions, text))
            .collect(),
        stdout_is_data: judging.format != Format::Text,
    };
    let report = |judged: &Judged| terminal::print(&rendered(judged, judging));
    let judged = block_on(async |interrupt| {
        harness::exec(&workspace, &options, &events, interrupt, report).await
    })?;
    let code = exit_code(&judged.run, judging.fail_on);
    after_baseline(&judged, code, arguments.baseline)
}
