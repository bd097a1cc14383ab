//! Runs a program of the user's and judges its spans.

use std::cell::Cell;
use std::fs::File;
use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use supervise::{Failure, Interrupt, IoContext, Output, Program, Result, Supervisor};
use tokio::sync::Notify;
use trace_parity::{Contract, ExampleTrace, Kind, Settlement, Span, Traces};
use trace_report::{Note, NoteKind, Subject};

use crate::event::{Event, Events, Phase};
use crate::manifest::Manifest;
use crate::prepare::preflight;
use crate::prepare::task::Versions;
use crate::run::environment;
use crate::run::judge::{self, Judged};
use crate::run::life::{Clock, Ending, check_faults, to_the_end};
use crate::run::program::{Limit, Start, run_programs};
use crate::run::scrape::{Moment, scrape};
use crate::run::settings::Surroundings;
use crate::spans::live::{Fresh, Live, live};
use crate::spans::source::Spans;
use crate::stack::authorization;
use crate::stack::bring_up::{Place, RunningStack, StackChoice};
use crate::stack::jaeger::Backend;
use crate::stack::session::{Session, WireOptions, Witnessing};
use crate::stack::state::{self, Kept};
use crate::workspace::Workspace;

/// The options of the command.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// The program and its arguments; no shell sees them.
    pub command: Vec<String>,
    /// Without one, the rules that need none apply.
    pub contract: Option<PathBuf>,
    /// The one that is up goes before an embedded one.
    pub stack: StackChoice,
    /// The stack asks its clients who they are.
    pub auth: bool,
    pub wire: WireOptions,
    /// Texts that are kept out of all that is written.
    pub redact: Vec<String>,
    /// The origins whose web pages may send spans.
    pub allowed_origins: Vec<String>,
    /// The program's name: an attribute's value, and a file's name.
    pub name: String,
    /// How long the program may run before it is ended and judged.
    pub limit: Option<Duration>,
    /// Facts about the program, such as of its versions.
    pub notes: Vec<Note>,
    /// Standard output belongs to the report: the program's own goes to standard error.
    pub stdout_is_data: bool,
}

/// Runs a program against the stack that is up, or one brought up for it on the tutorial's ports, and judges its spans.
///
/// It runs in the current folder, with no input, and its output goes to the terminal. `report` is called with the filled
/// run as soon as there is a verdict. Ctrl-C while the program runs ends it, and its spans are judged.
pub async fn exec(
    workspace: &Workspace,
    options: &Exec,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
    report: impl FnOnce(&Judged),
) -> Result<Judged> {
    let stop = Stop::default();
    let interrupt = async {
        match interrupt.await {
            Interrupt::CtrlC if stop.is_running.get() => {
                stop.asked.notify_one();
                std::future::pending().await
            }
            by => by,
        }
    };
    to_the_end(interrupt, async |supervisor, session| {
        let judged = judge_program(workspace, options, events, supervisor, session, &stop).await?;
        report(&judged);
        check_faults(session.as_ref())?;
        Ok(judged)
    })
    .await
}

/// The user's wish that the program ends and is judged.
#[derive(Debug, Default)]
struct Stop {
    is_running: Cell<bool>,
    asked: Arc<Notify>,
}

async fn judge_program(
    workspace: &Workspace,
    options: &Exec,
    events: &Events,
    supervisor: &Supervisor,
    slot: &mut Option<Session>,
    stop: &Stop,
) -> Result<Judged> {
    let mut clock = Clock::start(events);
    let contract = match &options.contract {
        Some(path) => Some(judge::contract(Some(path))?),
        None => None,
    };
    check_is_there(&options.command)?;
    let name = options.name.clone();
    let words = contract.clone().unwrap_or_else(Contract::builtin);
    let witnessing = options.wire.witnessing(&words)?;
    let kept = kept_stack(workspace, options, events, supervisor, slot, &witnessing).await?;
    let (stack, mut spans, live) = match kept {
        Some((stack, spans, session)) => (stack, spans, live_join(&words, session, &name).0),
        None => {
            let judged_by = (&words, witnessing);
            own_stack(
                workspace, options, events, supervisor, slot, &mut clock, judged_by,
            )
            .await?
        }
    };
    let session = slot
        .as_mut()
        .ok_or_else(|| Failure::new("the run has no folder"))?;
    spans.keep_out(&session.manifest.secrets);
    if let Spans::Followed(_) = spans {
        session.follow_capture(&stack.otlp_http).await;
    }

    clock.enter(Phase::Examples);
    let own = |variable: &str| std::env::var(variable).ok();
    let surroundings = environment::surroundings(&own, &stack, &options.command);
    let start = start(options, session, &name, &surroundings, &stack, stop)?;
    let given = |variable: &str| {
        let added = start.program.env.get(variable).cloned();
        added.or_else(|| own(variable))
    };
    let surroundings = environment::surroundings(&given, &stack, &options.command);
    let environment = environment::notes(&surroundings).into_iter();
    let unread = scrape(stack.server_metrics.as_ref(), session, Moment::Before).await?;
    let notes: Vec<Note> = environment
        .map(|text| Note::new(NoteKind::Environment, text))
        .chain(unread.map(|text| Note::new(NoteKind::General, text)))
        .chain(options.notes.iter().cloned())
        .collect();
    // The report has them too, but may come late.
    for note in &notes {
        events.emit(Event::Note(note.text.clone()));
    }
    first_time_note(workspace)
        .into_iter()
        .for_each(|note| events.emit(Event::Note(note)));
    let folder = session.folder.path.clone();
    let file = session.folder.manifest();
    let told = (&mut session.manifest, file.as_path());
    stop.is_running.set(true);
    let finished = tokio::select! {
        failure = spans.lost(&folder, &live) => return Err(failure),
        finished = run_programs(vec![start], 1, &stack, supervisor, told, events) => finished?,
    };
    stop.is_running.set(false);

    let ending = Ending {
        program: workspace.program(),
        session,
        stack: &stack,
        spans: &mut spans,
        live: &live,
        contract: contract.as_ref(),
        subject: Subject::Programs,
        notes,
        events,
    };
    let look = |traces: &Traces, manifest: &mut Manifest| {
        manifest.unclaimed = of_the_program(traces, manifest).is_empty();
        let own = of_the_program(traces, manifest);
        let no_root = no_root_note(&own).map(|text| Note::new(NoteKind::General, text));
        let notes: Vec<Note> = no_root.into_iter().collect();
        if options.stdout_is_data {
            for note in &notes {
                events.emit(Event::Note(note.text.clone()));
            }
        }
        notes
    };
    ending.settle_and_judge(clock, finished, look).await
}

const KEPT_REDACTS_APART: &str = "`--redact` keeps a text out of this run's folder; the capture of the stack that is up has its own: `{program} up --redact TEXT`";

/// Joins what the program of this run sends, under whatever instance id or, if it ignores the environment, none at all.
fn live_join(words: &Contract, session: &Session, name: &str) -> (Live, Fresh) {
    let (words, run, name) = (words.clone(), session.folder.id.clone(), name.to_owned());
    let fresh: Fresh =
        Box::new(move || Settlement::new(words.clone(), Some(&run), &[&name]).with_unclaimed());
    (live(&fresh), fresh)
}

/// The stack that is up, unless another is asked for.
async fn kept_stack<'a>(
    workspace: &Workspace,
    options: &Exec,
    events: &Events,
    supervisor: &Supervisor,
    slot: &'a mut Option<Session>,
    witnessing: &Option<Witnessing>,
) -> Result<Option<(RunningStack, Spans, &'a Session)>> {
    if !matches!(options.stack, StackChoice::Embedded(Backend::Capture)) {
        return Ok(None);
    }
    let Some(state) = state::status(workspace)? else {
        return Ok(None);
    };
    state.check_is(&Kept {
        auth: options.auth,
        allowed_origins: options.allowed_origins.clone(),
        ..Kept::default()
    })?;
    if !options.redact.is_empty() {
        events.emit(Event::Note(KEPT_REDACTS_APART.to_owned()));
    }
    let session = slot.insert(Session::open(workspace, supervisor.clone(), "kept")?);
    session.authorize(state::token(&state)?, &options.redact)?;
    session.witnessing.clone_from(witnessing);
    let (mut stack, spans) = RunningStack::kept(&state, session)?;
    stack.lead_through_witness(session, 0).await?;
    Ok(Some((stack, spans, session)))
}

/// One for this program alone, where the tutorial has it, or somebody else's.
async fn own_stack(
    workspace: &Workspace,
    options: &Exec,
    events: &Events,
    supervisor: &Supervisor,
    slot: &mut Option<Session>,
    clock: &mut Clock,
    (words, witnessing): (&Contract, Option<Witnessing>),
) -> Result<(RunningStack, Spans, Live)> {
    let choice = &options.stack;
    clock.enter(Phase::Preflight);
    let (_, needs) = choice.tasks(workspace)?;
    preflight::check(&needs, &[], &workspace.state()).await?;
    let docker = choice.docker(workspace).await?;
    choice.check_free(Place::Tutorial)?;

    clock.enter(Phase::Prepare);
    let (prepared, _) = choice
        .prepare(docker, Vec::new(), workspace, supervisor, events)
        .await?;

    clock.enter(Phase::Stack);
    let session = slot.insert(Session::open(workspace, supervisor.clone(), choice.kind())?);
    session.authorize(authorization::token(options.auth)?, &options.redact)?;
    session.witnessing = witnessing;
    session.allowed_origins.clone_from(&options.allowed_origins);
    let (live, fresh) = live_join(words, session, &options.name);
    let (stack, spans) = prepared
        .start(Place::Tutorial, workspace, session, (&live, fresh), events)
        .await?;
    Ok((stack, spans, live))
}

fn start(
    options: &Exec,
    session: &Session,
    name: &str,
    surroundings: &Surroundings<'_>,
    stack: &RunningStack,
    stop: &Stop,
) -> Result<Start> {
    let here = Path::new(".");
    // The user's own settings win.
    let token = session.token.as_ref();
    let token = token.filter(|_| std::env::var_os(authorization::VARIABLE).is_none());
    Ok(Start {
        name: name.to_owned(),
        versions: Versions::new(),
        program: Program {
            command: options.command.clone(),
            folder: here.canonicalize().at("find", here)?,
            env: environment::for_program(
                surroundings,
                &[
                    ("service.instance.id", name),
                    ("milvus_otel.run", &session.folder.id),
                ],
                stack,
            ),
            without_env: &[],
            output: output(
                options.stdout_is_data,
                session.folder.logs().join(format!("{name}.log")),
            ),
        },
        secrets: authorization::added(stack.connection.clone(), token),
        limit: Limit::Stopped {
            after: options.limit,
            asked: stop.asked.clone(),
        },
    })
}

/// A terminal is the program's own; anything else gets a copy of what the run's folder keeps.
fn output(stdout_is_data: bool, file: PathBuf) -> Output {
    let is_terminal = match stdout_is_data {
        true => std::io::stderr().is_terminal(),
        false => std::io::stdout().is_terminal(),
    };
    match (is_terminal, stdout_is_data) {
        (true, true) => Output::StandardError,
        (true, false) => Output::Inherited,
        (false, to_standard_error) => Output::Copied {
            file,
            to_standard_error,
        },
    }
}

/// Told once in a checkout: what of a program that is nobody's of ours is kept.
fn first_time_note(workspace: &Workspace) -> Option<String> {
    let told = workspace.state().join("told-what-exec-keeps");
    File::create_new(&told).ok()?;
    Some(
        "a run's folder keeps the program's command line and all spans, metrics and logs that it exports, readable by you alone; \
         `--redact TEXT` keeps a text out of them (told once)"
            .to_owned(),
    )
}

/// Fails where the system would find nothing to start.
fn check_is_there(command: &[String]) -> Result<()> {
    let Some(program) = command.first() else {
        return Err(
            Failure::new("no program is named").hint("{program} exec -- python3 my_program.py")
        );
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    if found {
        return Ok(());
    }
    Err(Failure::new(match program.contains('/') {
        true => format!("there is no program `{program}`"),
        false => format!("`{program}` is not on PATH"),
    })
    .hint("commands aren't run by a shell: name the program itself, or run `sh -c …`"))
}

fn of_the_program<'t>(traces: &'t Traces, manifest: &Manifest) -> Vec<ExampleTrace<'t>> {
    trace_parity::example_traces(traces, None, Some(&manifest.facts()))
}

/// Said of a program that makes no span of its own around its calls. Where one is around them in time and isn't their parent, a finding says
/// more.
fn no_root_note(traces: &[ExampleTrace<'_>]) -> Option<String> {
    let calls = traces
        .iter()
        .filter(|trace| {
            trace
                .trace
                .roots()
                .iter()
                .all(|root| root.kind() == Kind::Client)
        })
        .count();
    let roots: Vec<Span<'_>> = traces
        .iter()
        .flat_map(|trace| trace.trace.roots())
        .collect();
    let (alone, others): (Vec<_>, Vec<_>) = roots
        .into_iter()
        .partition(|root| root.kind() == Kind::Client);
    let is_around_some = others.iter().any(|other| {
        let time = other.start_ns()..=other.end_ns();
        alone.iter().any(|call| time.contains(&call.start_ns()))
    });
    (calls > 1 && !is_around_some).then(|| {
        format!(
            "{calls} of the program's {} traces are one RPC each: no span of its own is around them. \
             Start a span around what belongs together, and it becomes one trace",
            traces.len()
        )
    })
}
