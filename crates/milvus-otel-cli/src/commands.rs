//! One function per command: arguments in, exit code or failure out.

use std::process::ExitCode;

use harness::{Down, Kept, KeptRun, PROGRAM, RunFolder, Showing, StackState};
use supervise::{Failure, Result};
use trace_parity::{Aspect, Change, Rule};
use trace_report::escape;

use crate::cli::{Accept, Compare, Diff, Explain, Report, Trace, Up};
use crate::interrupt::block_on;
use crate::place::{named, program, relative, workspace};
use crate::report::{exit_code, rendered};
use crate::{browser, progress, terminal};

pub(crate) fn compare(arguments: &Compare) -> Result<ExitCode> {
    let rules = harness::Rules::named(arguments.judging.contract.as_deref())?;
    let selection = harness::Selection {
        trace: arguments.trace.clone(),
        service: arguments.service.clone(),
        since: arguments.since,
    };
    let judged = harness::compare(program(), &arguments.captures, &rules, &selection)?;
    let text = rendered(&judged, &arguments.judging);
    match &arguments.output {
        None => terminal::print(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::new(format!("can't write `{}`: {error}", path.display())))?,
    }
    Ok(exit_code(&judged.run, arguments.judging.fail_on))
}

pub(crate) fn diff(arguments: &Diff) -> Result<ExitCode> {
    let contract = harness::contract(arguments.contract.as_deref())?;
    let found = harness::changes(
        &workspace()?,
        &arguments.before,
        &arguments.after,
        &contract,
    )?;
    let charset = terminal::charset();
    for unread in &found.unread {
        let line = escape::visible(unread, charset);
        terminal::print_text(&format!("not read: {line}\n"));
    }
    let is_ignored = |change: &Change| {
        let names = |what: &String| {
            change.aspect.name() == what || change.to_string().contains(what.as_str())
        };
        arguments.ignore.iter().any(names)
    };
    let (ignored, changes): (Vec<_>, Vec<_>) = found.changes.into_iter().partition(is_ignored);
    for change in &changes {
        let line = escape::visible(&change.to_string(), charset);
        terminal::print_text(&format!("{line}\n"));
    }
    terminal::print_text(&summary(&changes, ignored.len()));
    Ok(ExitCode::from(u8::from(!changes.is_empty())))
}

/// `3 changes: 1 status, 2 attribute · 1 ignored`
fn summary(changes: &[Change], ignored: usize) -> String {
    let of = |aspect: &Aspect| {
        changes
            .iter()
            .filter(|change| change.aspect == *aspect)
            .count()
    };
    let counts: Vec<String> = Aspect::ALL
        .iter()
        .filter(|aspect| of(aspect) > 0)
        .map(|aspect| format!("{} {}", of(aspect), aspect.name()))
        .collect();
    let ignored = match ignored {
        0 => String::new(),
        count => format!(" \u{b7} {count} ignored"),
    };
    match changes.len() {
        0 => format!("nothing changed{ignored}\n"),
        1 => format!("1 change: {}{ignored}\n", counts.join(", ")),
        count => format!("{count} changes: {}{ignored}\n", counts.join(", ")),
    }
}

pub(crate) fn accept(arguments: &Accept) -> Result<ExitCode> {
    let workspace = workspace()?;
    let file = arguments
        .output
        .clone()
        .unwrap_or(harness::baseline_file(&workspace));
    let run = RunFolder::open(&workspace, arguments.run.as_deref().unwrap_or("latest"))?;
    let kept = KeptRun::of(run);
    if kept.errors > 0 && !arguments.with_errors {
        let message = format!("run {} has {} errors", kept.id, kept.errors);
        let hint = "`{program} report` shows them; `--with-errors` accepts it as it is";
        return Err(Failure::new(message).hint(hint));
    }
    let run = harness::accept(&workspace, Some(&kept.id), &file)?;
    let program = workspace.program();
    terminal::print_text(&format!(
        "run {} is the baseline: {}\n`{program} {} --baseline` fails on a difference from it\n",
        run.id,
        relative(&file).display(),
        kept.command.split(' ').next().unwrap_or("exec"),
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn trace(arguments: &Trace) -> Result<ExitCode> {
    let showing = Showing {
        logs: arguments.logs,
        call: arguments.call.clone(),
    };
    let what = arguments.what.as_deref();
    let text = harness::trace(&workspace()?, what, &showing, &terminal::style())?;
    terminal::print_text(&text);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(arguments: &Explain) -> Result<ExitCode> {
    match &arguments.rule {
        Some(name) => {
            let rule: Rule = name.parse().map_err(|_| {
                Failure::new(format!("there is no rule `{name}`")).hint(match similar(name) {
                    Some(rule) => format!("did you mean `{rule}`? `{PROGRAM} explain` lists them"),
                    None => format!("`{PROGRAM} explain` lists them"),
                })
            })?;
            terminal::print_text(rule.page());
        }
        None => {
            for rule in Rule::ALL {
                let head = format!("{} ({})\n", rule.name(), rule.family());
                terminal::print_text(&(head + &indented(meaning(rule.page()))));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The sentence in lines that the terminal has room for.
fn indented(sentence: &str) -> String {
    const MARGIN: &str = "    ";
    // One column stays free at the end of a line.
    let room = terminal::style().width.saturating_sub(MARGIN.len() + 1);
    let lines = trace_report::wrap(sentence, [room; 2]).into_iter();
    lines.map(|line| format!("{MARGIN}{line}\n")).collect()
}

/// The first sentence of a rule's page.
fn meaning(page: &str) -> &str {
    let is_text = |line: &&str| !line.is_empty() && !line.starts_with(['#', '*']);
    let line = page.lines().find(is_text).unwrap_or_default();
    let end = [". ", ": "].iter().filter_map(|end| line.find(end)).min();
    end.map_or(line, |end| &line[..end]).trim_end_matches('.')
}

/// The rule whose name is nearest to what was typed.
fn similar(typed: &str) -> Option<&'static str> {
    let likeness = |name: &str| strsim::jaro_winkler(typed, name);
    let names = Rule::ALL.iter().map(|rule| rule.name());
    let nearest = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) > 0.8).then_some(nearest)
}

pub(crate) fn report(arguments: &Report) -> Result<ExitCode> {
    let workspace = workspace()?;
    let run = RunFolder::open(&workspace, arguments.run.as_deref().unwrap_or("latest"))?;
    let page = run.report_html();
    if !page.is_file() {
        return Err(Failure::new(format!("run {} has no report", run.id))
            .hint("it came to no verdict; `{program} list` says why"));
    }
    if arguments.open {
        browser::open(&page)?;
    }
    terminal::print_text(&format!("{}\n", relative(&page).display()));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn list() -> Result<ExitCode> {
    let workspace = workspace()?;
    let mut runs = harness::list(&workspace);
    runs.reverse();
    if runs.is_empty() {
        terminal::print_text(&named("no run is kept; `{program} exec` makes one\n"));
    }
    let visible = |text: &str| escape::visible(text, terminal::charset());
    for run in runs {
        let verdict = match run.errors {
            0 => run.verdict,
            1 => format!("{}, 1 error", run.verdict),
            errors => format!("{}, {errors} errors", run.verdict),
        };
        let line = format!(
            "{}  {verdict:<24}  {:<8}  {}",
            run.id, run.stack, run.command
        );
        terminal::print_text(&format!("{}\n", visible(line.trim_end())));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn up(arguments: &Up) -> Result<ExitCode> {
    let workspace = workspace()?;
    harness::prune(&workspace);
    let events = progress::events(&workspace, "up");
    let (state, started) = block_on(async |interrupt| {
        harness::up(&workspace, &kept(arguments), &events, interrupt).await
    })?;
    let first = if started {
        "up"
    } else {
        "already up, untouched"
    };
    let program = workspace.program();
    let access = match &state.token {
        None => "Milvus listens on every interface, without a password; the rest is on loopback.",
        Some(_) => {
            "Milvus listens on every interface, and asks for the token; the rest is on loopback."
        }
    };
    terminal::print_text(&format!(
        "{first}: {}\n{}\n{access}\n\
         `{program} trace` shows what was captured, `{program} down` stops it.\n",
        state.stack,
        addresses(&state)
    ));
    Ok(ExitCode::SUCCESS)
}

fn kept(arguments: &Up) -> Kept {
    Kept {
        backend: arguments.backend.into(),
        auth: arguments.auth.auth,
        allowed_origins: arguments.origins.allow_origin.clone(),
        redact: arguments.redaction.redact.clone(),
    }
}

/// Where a stack is, a line each.
fn addresses(state: &StackState) -> String {
    let mut lines = format!(
        "  Milvus     {}\n  OTLP       {} (gRPC)  {} (HTTP)\n  captured   {}\n",
        state.milvus_uri,
        state.otlp_grpc,
        state.otlp_http,
        relative(&state.folder).display()
    );
    if let Some(api) = &state.traces_from {
        lines += &format!(
            "  Jaeger     {api} (its query API; this build has no web page, but `report`, `trace` and the compose stack show traces)\n"
        );
    }
    if let Some(token) = &state.token {
        let token = relative(token);
        lines += &format!(
            "  token      export MILVUS_TOKEN=$(cat {})\n",
            token.display()
        );
    }
    lines
}

pub(crate) fn down() -> Result<ExitCode> {
    let workspace = workspace()?;
    let down = async || {
        for run in harness::clear_docker(&workspace).await? {
            terminal::print_text(&format!("removed what run {run} left in Docker\n"));
        }
        harness::down(&workspace).await
    };
    let down = block_on(async |interrupt| {
        tokio::select! {
            by = interrupt => Err(Failure::interrupted(by)),
            down = down() => down,
        }
    })?;
    match down {
        Down::Stopped(state) => terminal::print_text(&format!(
            "stopped: {} (captured: {})\n",
            state.stack,
            relative(&state.folder).display()
        )),
        Down::Cleared(state) => terminal::print_text(&format!(
            "cleared what was left: {}, up since {}, had ended by itself (captured: {})\n",
            state.stack,
            state.since,
            relative(&state.folder).display()
        )),
        Down::Nothing => terminal::print_text("nothing is up\n"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn status() -> Result<ExitCode> {
    let workspace = workspace()?;
    let text = match harness::status(&workspace)? {
        Some(state) => {
            let memory = state.memory().map_or_else(String::new, |bytes| {
                format!("  memory     {} MB\n", bytes >> 20)
            });
            format!(
                "up since {}: {} (process {})\n{}{memory}",
                state.since,
                state.stack,
                state.pid,
                addresses(&state)
            )
        }
        None if harness::has_left_something(&workspace) => {
            "nothing is up; the last stack ended by itself, and `{program} down` clears what it left\n"
                .to_owned()
        }
        None => "nothing is up; `{program} up` starts a stack\n".to_owned(),
    };
    terminal::print_text(&named(&text));
    Ok(ExitCode::SUCCESS)
}

/// The process that `up` leaves behind.
pub(crate) fn keep_stack() -> Result<ExitCode> {
    let workspace = workspace()?;
    block_on(async |interrupt| harness::keep(&workspace, interrupt).await)?;
    Ok(ExitCode::SUCCESS)
}
