//! The checks. Each is a function from the subject to its results.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{NaiveDateTime, Utc};
use harness::folder::RunFolder;
use harness::prepare::example::{Example, Need};
use harness::prepare::preflight::{self, Missing};
use harness::run::settings::{self, Surroundings};
use harness::spans::follow::{Follow, Signal};
use harness::spans::http::{self, Url};
use harness::stack::embedded;
use harness::stack::ports::{TUTORIAL, TUTORIAL_OTLP};
use harness::stack::set_up;
use harness::stack::state::StackState;
use serde_json::json;
use supervise::{ask, log, ports};

use crate::doctor::examination::{Check, Patient, Status};
use crate::doctor::milvus_config;
use crate::project;

/// The checks that ask neither a tool nor a server, in the order of their output.
pub(super) const LOOKS: [fn(&Patient) -> Vec<Check>; 6] =
    [room, prepared, environment, versions, configurations, clock];

/// The time limit between sending a span and finding it on disk.
const SPAN_LIMIT: Duration = Duration::from_secs(5);
const SPAN_POLL: Duration = Duration::from_millis(20);
/// A smaller difference is a clock that was corrected.
const SKEW: i64 = 60;

/// Each toolchain once, with the examples that need it.
pub(super) async fn tools(patient: &Patient) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(failure) = embedded::check_platform() {
        checks.push(Check {
            status: Status::Fault,
            found: failure.message,
            cure: failure.hint,
        });
    }
    let examples = match Example::select(&patient.workspace, &[], &[]) {
        Ok(examples) => examples,
        Err(failure) => {
            let cure = failure
                .hint
                .unwrap_or_else(|| "git status shows what was changed".to_owned());
            return vec![Check::with_cure(Status::Fault, failure.message, cure)];
        }
    };
    let stack = embedded::needs();
    let of_stack = stack.iter().map(|need| ("the stack", need));
    let of_examples = examples.iter().flat_map(|example| {
        example
            .needs
            .iter()
            .map(|need| (example.name.as_str(), need))
    });
    let mut by_need: BTreeMap<String, (&Need, Vec<&str>)> = BTreeMap::new();
    for (whom, need) in of_stack.chain(of_examples) {
        let key = format!(
            "{} {:?} {:?}",
            need.command, need.version, need.version_args
        );
        by_need
            .entry(key)
            .or_insert((need, Vec::new()))
            .1
            .push(whom);
    }
    let needs: Vec<_> = by_need.values().map(|(need, _)| (*need, None)).collect();
    let answers = preflight::look_for(&needs).await;
    let answered = by_need.values().zip(answers);
    checks.extend(answered.map(|((need, whom), missing)| tool(need, &whom.join(", "), missing)));
    checks
}

fn tool(need: &Need, whom: &str, missing: Option<Missing>) -> Check {
    match missing {
        None => Check::ok(format!("`{}` is there, for {whom}", need.command)),
        Some(missing) => Check::with_cure(
            Status::Fault,
            format!("{}, for {whom}", missing.what),
            format!("get it: {}", missing.cure),
        ),
    }
}

fn room(patient: &Patient) -> Vec<Check> {
    let state = patient.workspace.state();
    vec![match preflight::room(&state) {
        None => Check::ok("there is room on the disk"),
        Some(missing) => Check::with_cure(Status::Fault, missing.what, missing.cure),
    }]
}

/// Checks that the folder for builds can be written, and that existing builds are complete.
fn prepared(patient: &Patient) -> Vec<Check> {
    let state = patient.workspace.state();
    let probe = state.join(format!("doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(&state).and_then(|()| std::fs::write(&probe, b""));
    if let Err(error) = written {
        return vec![Check::with_cure(
            Status::Fault,
            format!("`{}` can't be written: {error}", state.display()),
            "make it writable, or remove it: it is made again",
        )];
    }
    let _ = std::fs::remove_file(probe);
    // Problems of an example are reported by the check of toolchains.
    let Ok(missing) = set_up::unprepared(&patient.workspace) else {
        return Vec::new();
    };
    vec![if missing.is_empty() {
        Check::ok("the stack and all examples are prepared")
    } else {
        Check::with_cure(
            Status::Note,
            format!("not prepared yet, or changed since: {}", missing.join(", ")),
            "the next run does it",
        )
    }]
}

/// `run-all` sets its own variables. A program that is started by hand or by `exec` has the user's.
fn environment(patient: &Patient) -> Vec<Check> {
    let get = |name: &str| std::env::var(name).ok();
    let status = if patient.up.is_some() {
        Status::Fault
    } else {
        Status::Note
    };
    let [grpc, http] =
        [TUTORIAL_OTLP.0, TUTORIAL_OTLP.1].map(|port| format!("http://localhost:{port}"));
    let surroundings = Surroundings {
        get: &get,
        otlp_grpc: &grpc,
        otlp_http: &http,
        command: &[],
    };
    let complaints = settings::complaints(&surroundings).into_iter();
    let mut checks: Vec<Check> = complaints
        .map(|found| {
            let told = format!("`{}={}` {}", found.variable, found.value, found.effect);
            Check::with_cure(status, told, found.cure)
        })
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok("no variable keeps spans away"));
    }
    checks
}

/// Known problems of the versions in the project's dependency lists.
fn versions(patient: &Patient) -> Vec<Check> {
    let lists = patient
        .folders
        .iter()
        .flat_map(|folder| project::lists_in(folder));
    let mut checks = Vec::new();
    let mut read = 0;
    for list in lists {
        let list = list.strip_prefix(".").unwrap_or(&list);
        match project::read(list) {
            Ok(reading) => {
                read += usize::from(!reading.pins.is_empty());
                let told =
                    |one: project::Warning| Check::with_cure(Status::Note, one.what, one.cure);
                checks.extend(reading.warnings.into_iter().map(told));
            }
            Err(failure) => checks.push(Check::with_cure(
                Status::Note,
                failure.message,
                "fix or remove the file; its versions were not checked",
            )),
        }
    }
    if checks.is_empty() && read > 0 {
        let files = match read {
            1 => "1 file with dependencies pins".to_owned(),
            _ => format!("{read} files with dependencies pin"),
        };
        checks.push(Check::ok(format!(
            "{files} no version that is known not to work"
        )));
    }
    checks
}

/// Configuration files of Milvus and Compose in the project.
fn configurations(patient: &Patient) -> Vec<Check> {
    let mut checks = Vec::new();
    for folder in &patient.folders {
        for file in ["milvus.yaml", "user.yaml"] {
            let path = folder.join(file);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let found = milvus_config::complaints(&text);
            if found.is_empty() {
                checks.push(Check::ok(format!(
                    "`{}` lets the server trace",
                    shown(&path)
                )));
            }
            checks.extend(found.into_iter().map(|(what, cure)| {
                Check::with_cure(Status::Note, format!("`{}`: {what}", shown(&path)), cure)
            }));
        }
        for file in [
            "docker-compose.yaml",
            "docker-compose.yml",
            "compose.yaml",
            "compose.yml",
        ] {
            let path = folder.join(file);
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            if text.lines().any(|line| line.starts_with("Services:")) {
                checks.push(Check::with_cure(
                    Status::Note,
                    format!(
                        "`{}` has `Services:`, which Compose doesn't know",
                        shown(&path)
                    ),
                    "write `services:`",
                ));
            }
        }
    }
    checks
}

/// Runs are named by their start time. A run in the future shows that the clock went back.
fn clock(patient: &Patient) -> Vec<Check> {
    let newest = RunFolder::all(&patient.workspace).pop();
    let began = newest.as_ref().and_then(|run| {
        let (time, _) = run.id.split_once('-')?;
        let began = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok()?;
        Some(began.and_utc().timestamp())
    });
    let ahead = began.map_or(0, |began| began - Utc::now().timestamp());
    vec![if ahead > SKEW {
        Check::with_cure(
            Status::Note,
            format!(
                "the clock is {ahead} s behind the newest run, `{}`",
                newest.map(|run| run.id).unwrap_or_default()
            ),
            "set the clock: spans are joined by ids, but told apart by time where a context was lost",
        )
    } else {
        Check::ok("the clock has not gone back since the newest run")
    }]
}

/// A stack that isn't running isn't a fault.
pub(super) async fn docker_and_ports(patient: &Patient) -> Vec<Check> {
    let mut checks = vec![docker().await];
    if patient.up.is_none() {
        let taken: Vec<_> = TUTORIAL
            .named()
            .into_iter()
            .chain([
                ("OTLP over gRPC", TUTORIAL_OTLP.0),
                ("OTLP over HTTP", TUTORIAL_OTLP.1),
            ])
            .filter(|(_, port)| !ports::is_free(*port))
            .map(|(name, port)| {
                Check::with_cure(
                    Status::Note,
                    format!("port {port} ({name}) is taken{}", ports::held_by(port)),
                    "end its holder before `up` or `exec`; `run-all` takes ports of its own",
                )
            })
            .collect();
        if taken.is_empty() {
            checks.push(Check::ok("the tutorial's ports are free"));
        }
        checks.extend(taken);
        checks.push(Check::with_cure(
            Status::Note,
            "no stack is up",
            "`{program} up` starts one",
        ));
    }
    checks
}

async fn docker() -> Check {
    let mut question = Command::new("docker");
    question.args(["version", "--format", "{{.Server.Version}}"]);
    match ask::ask(question).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Check::with_cure(
            Status::Note,
            "Docker is not on PATH",
            "only `--stack compose` needs it: https://docs.docker.com/engine/install/",
        ),
        Ok(answer) if answer.status.success() => {
            let version = String::from_utf8_lossy(&answer.stdout);
            Check::ok(format!("Docker {} is running", version.trim()))
        }
        _ => Check::with_cure(
            Status::Note,
            "Docker is installed, and its engine doesn't answer",
            "only `--stack compose` needs it: start it, or join the group `docker`",
        ),
    }
}

/// Checks the health of Milvus, its configuration and log, and whether a span that is sent arrives.
pub(super) async fn stack_that_is_up(patient: &Patient) -> Vec<Check> {
    let Some(state) = &patient.up else {
        return Vec::new();
    };
    let mut checks = vec![milvus_health().await];
    checks.extend(tracing_is_on(patient, state));
    checks.push(span_arrives(state).await);
    checks
}

async fn milvus_health() -> Check {
    let url = format!("http://127.0.0.1:{}/healthz", TUTORIAL.metrics());
    let asked = match Url::parse(&url) {
        Ok(parsed) => http::get(&parsed).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(answer) if answer.status == 200 => Check::ok("Milvus says that it is healthy"),
        Ok(answer) => Check::with_cure(
            Status::Fault,
            format!("Milvus answers {url} with status {}", answer.status),
            "its log says why; `{program} down && {program} up` starts it afresh",
        ),
        Err(error) => Check::with_cure(
            Status::Fault,
            format!("Milvus doesn't answer {url}: {error}"),
            "`{program} down && {program} up` starts it afresh",
        ),
    }
}

fn tracing_is_on(patient: &Patient, state: &StackState) -> Vec<Check> {
    let run = match state.run() {
        Ok(run) => run,
        Err(failure) => {
            return vec![Check::with_cure(
                Status::Fault,
                failure.message,
                "{program} down",
            )];
        }
    };
    let configuration = embedded::configuration(&patient.workspace, run);
    let mut checks = Vec::new();
    match std::fs::read_to_string(&configuration) {
        Ok(text) => {
            let found = milvus_config::complaints(&text);
            if found.is_empty() {
                checks.push(Check::ok(
                    "Milvus's configuration has tracing on, of every request",
                ));
            }
            checks.extend(found.into_iter().map(|(what, cure)| {
                Check::with_cure(
                    Status::Fault,
                    format!("`{}`: {what}", configuration.display()),
                    cure,
                )
            }));
        }
        Err(error) => checks.push(Check::with_cure(
            Status::Fault,
            format!("Milvus's configuration can't be read: {error}"),
            "`{program} down && {program} up` writes it again",
        )),
    }
    let milvus_log = state.folder.join("logs").join("milvus.log");
    checks.push(match log::line_with(&milvus_log, "Init tracer finished") {
        Some(line) if line.contains("[Exporter=otlp]") => {
            Check::ok("Milvus's log says that its tracer exports OTLP")
        }
        Some(line) => Check::with_cure(
            Status::Fault,
            format!("Milvus's log says of its tracer: {}", line.trim()),
            "set `trace.exporter: otlp` and start it again",
        ),
        None => Check::with_cure(
            Status::Note,
            "Milvus's log says nothing of its tracer",
            format!("its log is in `{}`", milvus_log.display()),
        ),
    });
    checks
}

/// Sends one span over OTLP and searches for it in the capture.
async fn span_arrives(state: &StackState) -> Check {
    let cure = "`{program} down && {program} up` starts the capture afresh";
    match send_and_find(state).await {
        Ok(took) => Check::ok(format!(
            "a span that was sent to {} was captured after {} ms",
            state.otlp_http,
            took.as_millis()
        )),
        Err(what) => Check::with_cure(Status::Fault, what, cure),
    }
}

async fn send_and_find(state: &StackState) -> Result<Duration, String> {
    let mut follow =
        Follow::from_end(&state.folder, Signal::Traces).map_err(|failure| failure.message)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let trace_id = format!("{now:032x}");
    let span = json!({
        "traceId": trace_id,
        "spanId": &trace_id[16..],
        "name": "doctor",
        "kind": 1,
        "startTimeUnixNano": now.to_string(),
        "endTimeUnixNano": now.to_string(),
    });
    let service = json!({"key": "service.name", "value": {"stringValue": "milvus-otel-doctor"}});
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [service]},
        "scopeSpans": [{"spans": [span]}],
    }]});
    let url = Url::parse(&state.otlp_http)?.at("/v1/traces");
    let began = Instant::now();
    let answer = http::post_json(&url, request.to_string().into_bytes())
        .await
        .map_err(|error| format!("{} takes no OTLP: {error}", state.otlp_http))?;
    if answer.status != 200 {
        let said = String::from_utf8_lossy(&answer.body);
        return Err(format!(
            "{} answers OTLP with status {}: {said}",
            state.otlp_http, answer.status
        ));
    }
    while began.elapsed() < SPAN_LIMIT {
        let lines = follow.lines().map_err(|failure| failure.message)?;
        if String::from_utf8_lossy(&lines).contains(&trace_id) {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(SPAN_POLL).await;
    }
    Err(format!(
        "a span that {} took was not captured within {} s",
        state.otlp_http,
        SPAN_LIMIT.as_secs()
    ))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
