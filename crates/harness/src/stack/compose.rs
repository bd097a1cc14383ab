//! The tutorial's stack in Docker: `compose/docker-compose.yaml`, by whichever Compose answers.
//!
//! `up` runs in front, under guard, and `down` is what the guard runs afterwards: so containers, networks and volumes go
//! whatever ends the run, SIGKILL included. What even that could not remove is found by its labels the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use supervise::{Exit, Failure, IoContext, Output, Program, Result, Supervisor, ask, locks, log};
use versions::Range;

use crate::assets;
use crate::event::{Event, Events};
use crate::prepare::task::Versions;
use crate::spans::fetch::Fetch;
use crate::spans::http::{Client, Url};
use crate::spans::live::Fresh;
use crate::stack::embedded;
use crate::stack::ports::{self, TUTORIAL, TUTORIAL_OTLP};
use crate::stack::server::{Probe, Server};
use crate::workspace::Workspace;

/// Profiles came with it.
const OLDEST_COMPOSE: &str = "1.28";
/// The commands that may be Compose, the newer first.
const COMMANDS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];

/// On every container, network and volume: the run's id, and the checkout's path.
const RUN_LABEL: &str = "milvus-otel.run";
const CHECKOUT_LABEL: &str = "milvus-otel.checkout";

/// The profile, and the service, that puts the OpenTelemetry Collector between.
const COLLECTOR: &str = "collector";
const PROFILES: &str = "COMPOSE_PROFILES";
/// The services of every run.
const NEEDED: [&str; 2] = ["milvus", "jaeger"];

/// How long Docker has to fetch an image, and to bring everything up.
const PULL_LIMIT: Duration = Duration::from_secs(20 * 60);
const BOOT_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);
/// How long leftovers may take to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(30);

/// Docker and Compose, as they answer on this machine.
#[derive(Clone, Debug)]
pub struct Docker {
    /// Compose's command, and the arguments that select our file.
    compose: Vec<String>,
    /// Of the engine and of Compose.
    versions: Versions,
    with_collector: bool,
}

/// The images of the services, each with its id.
pub type Images = Vec<(String, String)>;

/// Where the stack is published, on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    milvus: u16,
    health: u16,
    etcd: u16,
    /// OTLP over gRPC and HTTP, of Jaeger or of the Collector before it.
    otlp: (u16, u16),
    /// Jaeger's own, where the Collector has the ones before.
    aside: (u16, u16),
    query: u16,
}

/// Holds the lock that marks a run's containers as in use.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Published {
    pub const TUTORIAL: Self = Self {
        milvus: TUTORIAL.proxy(),
        health: TUTORIAL.metrics(),
        etcd: TUTORIAL.etcd(),
        otlp: TUTORIAL_OTLP,
        aside: (14317, 14318),
        query: 16686,
    };

    /// Ports that nobody listens on now.
    pub fn free() -> Result<Self> {
        let free = ports::free(8)?;
        Ok(Self {
            milvus: free[0],
            health: free[1],
            etcd: free[2],
            otlp: (free[3], free[4]),
            aside: (free[5], free[6]),
            query: free[7],
        })
    }

    /// Fails, naming them, where some are taken.
    pub fn check_free(&self) -> Result<()> {
        let own = [
            ("Milvus", self.milvus),
            ("Milvus's health", self.health),
            ("etcd", self.etcd),
            ("OTLP over gRPC", self.otlp.0),
            ("OTLP over HTTP", self.otlp.1),
            ("Jaeger's pages", self.query),
        ];
        let aside = [
            ("OTLP over gRPC, beside the Collector", self.aside.0),
            ("OTLP over HTTP, beside the Collector", self.aside.1),
        ];
        let aside = aside.into_iter().filter(|_| asks_for_collector());
        ports::check_free(&own.into_iter().chain(aside).collect::<Vec<_>>())
    }

    /// Milvus's port for health and metrics.
    pub fn health(&self) -> u16 {
        self.health
    }

    pub fn milvus_uri(&self) -> String {
        at(self.milvus)
    }

    pub fn otlp_grpc(&self) -> String {
        at(self.otlp.0)
    }

    pub fn otlp_http(&self) -> String {
        at(self.otlp.1)
    }

    pub fn traces(&self) -> String {
        at(self.query)
    }

    /// Jaeger before Milvus: a span that is sent while nobody listens is lost.
    fn probes(&self) -> [Probe; 3] {
        [
            Probe::get("Jaeger's query API", self.query, "/api/services"),
            Probe {
                body: Some(r#"{"resourceSpans":[]}"#),
                ..Probe::get("the OTLP receiver", self.otlp.1, "/v1/traces")
            },
            Probe::get("Milvus", self.health, "/healthz"),
        ]
    }

    /// Its Jaeger. It is this run's alone: everything in it is.
    pub fn fetch(&self, fresh: Fresh) -> Fetch {
        let api = Url::local(self.query, "/");
        Fetch::since(SystemTime::UNIX_EPOCH, api, Client::default(), fresh)
    }

    /// As the variables that `docker-compose.yaml` reads.
    fn variables(&self, with_collector: bool) -> Vec<(&'static str, String)> {
        let (jaeger, collector) = if with_collector {
            (self.aside, self.otlp)
        } else {
            (self.otlp, self.aside)
        };
        let mut variables: Vec<_> = [
            ("MILVUS_PORT", self.milvus),
            ("MILVUS_HEALTH_PORT", self.health),
            ("ETCD_PORT", self.etcd),
            ("OTLP_GRPC_PORT", jaeger.0),
            ("OTLP_HTTP_PORT", jaeger.1),
            ("COLLECTOR_GRPC_PORT", collector.0),
            ("COLLECTOR_HTTP_PORT", collector.1),
            ("JAEGER_UI_PORT", self.query),
        ]
        .map(|(name, port)| (name, port.to_string()))
        .into();
        if with_collector {
            variables.push(("MILVUS_OTLP_ENDPOINT", format!("{COLLECTOR}:4317")));
        }
        variables
    }
}

impl Docker {
    /// Finds a Docker engine and a Compose that respond. The error names what is missing and a way to continue.
    pub async fn find(workspace: &Workspace) -> Result<Self> {
        let engine = ["docker", "version", "--format", "{{.Server.Version}}"];
        let engine = ask(&words(&engine)).await.map_err(|unanswered| {
            Failure::new(match &unanswered {
                Unanswered::NoProgram => "`docker` is not on PATH".to_owned(),
                Unanswered::Said(said) => format!("no Docker engine answers: {said}"),
            })
            .hint(match unanswered {
                Unanswered::NoProgram => "install Docker and Compose (Debian: `apt-get install docker.io docker-compose`), or go on without: the embedded stack, the default, needs neither",
                Unanswered::Said(_) => "start it (`sudo systemctl start docker`, or Docker Desktop), and make sure that you may use it; the embedded stack, the default, needs no Docker",
            })
        })?;
        let wanted = Range::at_least(OLDEST_COMPOSE);
        let mut compose = None;
        for command in COMMANDS {
            let version = ask(&words(&[command, &["version", "--short"]].concat())).await;
            if let Some(version) = version.ok().filter(|version| {
                versions::first_in(version).is_some_and(|version| wanted.contains(&version))
            }) {
                compose = Some((command, version));
                break;
            }
        }
        let (command, version) = compose.ok_or_else(|| {
            Failure::new(format!(
                "neither `docker compose` nor `docker-compose` has a version {wanted}"
            ))
            .hint("install Compose (Debian: `apt-get install docker-compose`)")
        })?;
        let file = assets::COMPOSE
            .write(workspace)?
            .join("docker-compose.yaml");
        let file = file.to_string_lossy();
        Ok(Self {
            compose: words(&[command, &["--file", file.as_ref()]].concat()),
            versions: Versions::from([
                ("docker".to_owned(), engine),
                ("compose".to_owned(), version),
            ]),
            with_collector: asks_for_collector(),
        })
    }

    /// Removes the containers that earlier runs of this checkout left behind.
    pub async fn remove_leftovers(&self, workspace: &Workspace) -> Result<Vec<String>> {
        let label = format!("{CHECKOUT_LABEL}={}", workspace.root().display());
        let abandoned: Vec<String> = labelled_runs(&label)
            .await?
            .into_iter()
            .filter(|run| !is_claimed(workspace, run))
            .collect();
        for run in &abandoned {
            remove(run).await?;
        }
        Ok(abandoned)
    }

    /// Sees to it that every image is there; returns their names, and how each is known by its content.
    pub async fn images(
        &self,
        workspace: &Workspace,
        supervisor: &Supervisor,
        events: &Events,
    ) -> Result<Images> {
        let mut found = Vec::new();
        for image in self.image_names().await? {
            let inspect = ["docker", "image", "inspect", "--format", "{{.Id}}", &image];
            let id = match ask(&words(&inspect)).await {
                Ok(id) => id,
                Err(_) => {
                    pull(&image, workspace, supervisor, events).await?;
                    ask(&words(&inspect)).await.map_err(unanswered)?
                }
            };
            found.push((image, id));
        }
        Ok(found)
    }

    /// Those of the services that will run, Milvus's first. Old Compose prints the others as well.
    async fn image_names(&self) -> Result<Vec<String>> {
        let config = [self.compose.clone(), words(&["config"])].concat();
        let config = ask(&config).await.map_err(unanswered)?;
        let mut images = images_in(&config);
        images.sort_by(|one, other| other.cmp(one));
        Ok(images
            .into_iter()
            .filter(|(service, _)| match service.as_str() {
                COLLECTOR => self.with_collector,
                service => NEEDED.contains(&service),
            })
            .map(|(_, image)| image)
            .collect())
    }

    /// The stack's name as people read it.
    pub fn stack_name(images: &Images) -> String {
        let images: Vec<&str> = images.iter().map(|(image, _)| image.as_str()).collect();
        format!("{} in Docker", images.join(" + "))
    }

    pub fn versions(&self, images: &Images) -> Versions {
        let own = self.versions.clone().into_iter();
        own.chain(images.iter().cloned()).collect()
    }

    /// Starts the containers, and returns once Milvus is healthy and spans can be sent and read.
    pub async fn start(
        &self,
        workspace: &Workspace,
        supervisor: &Supervisor,
        run: &str,
        published: Published,
        log: &Path,
    ) -> Result<Server> {
        let compose = |arguments: &[&str]| {
            let project = format!("milvus-otel-{}", run.to_lowercase());
            let selected = [self.compose.clone(), words(&["--project-name", &project])].concat();
            [selected, words(arguments)].concat()
        };
        let mut env: BTreeMap<String, String> = published
            .variables(self.with_collector)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let delay = embedded::SCHEDULE_DELAY.as_millis().to_string();
        env.insert("OTEL_BSP_SCHEDULE_DELAY".to_owned(), delay);
        env.insert("MILVUS_OTEL_RUN".to_owned(), run.to_owned());
        let checkout = workspace.root().to_string_lossy().into_owned();
        env.insert("MILVUS_OTEL_CHECKOUT".to_owned(), checkout);
        let program = Program {
            command: compose(&["up", "--abort-on-container-exit", "--no-color"]),
            folder: assets::COMPOSE.folder(workspace),
            env,
            without_env: &["COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "OTEL_"],
            output: Output::File(log.to_owned()),
        };
        let down = compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]);
        let server = Server {
            name: "Compose",
            process: supervisor.start_then(&program, &down)?,
            log: log.to_owned(),
            // Compose writes of taking everything down after what the containers wrote.
            telling: " | ",
            remedy: None,
        };
        server.ready(&published.probes(), BOOT_LIMIT).await?;
        Ok(server)
    }
}

impl Claim {
    pub fn make(workspace: &Workspace, run: &str) -> Result<Self> {
        let path = claim_file(workspace, run);
        let folder = path.parent().unwrap_or(&path);
        std::fs::create_dir_all(folder).at("make", folder)?;
        let lock = locks::hold(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Fails where the guard could not remove everything of the run.
    pub async fn check_nothing_left(&self) -> Result<()> {
        let run = self
            .path
            .file_name()
            .expect("it is named as the run")
            .to_string_lossy();
        if labelled_runs(&format!("{RUN_LABEL}={run}"))
            .await?
            .is_empty()
        {
            return Ok(());
        }
        Err(
            Failure::new("containers, networks or volumes of this run are still there")
                .hint("the next `run-all --stack compose`, or `{program} down`, removes them"),
        )
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the containers of runs that have ended, for `down`. Does nothing if Docker doesn't respond.
pub async fn remove_leftovers(workspace: &Workspace) -> Result<Vec<String>> {
    let claims = workspace.state().join("compose");
    if !claims.is_dir() {
        return Ok(Vec::new());
    }
    match Docker::find(workspace).await {
        Ok(docker) => docker.remove_leftovers(workspace).await,
        Err(_) => Ok(Vec::new()),
    }
}

/// Kinds of things that Compose makes, the ones that hold others first: how they are listed, and how removed.
const KINDS: [(&[&str], &[&str]); 3] = [
    (
        &["container", "ls", "--all"],
        &["container", "rm", "--force", "--volumes"],
    ),
    (&["network", "ls"], &["network", "rm"]),
    (&["volume", "ls"], &["volume", "rm", "--force"]),
];

/// The runs that have something with this label.
async fn labelled_runs(label: &str) -> Result<BTreeSet<String>> {
    let mut runs = BTreeSet::new();
    let format = format!("{{{{.Label {RUN_LABEL:?}}}}}");
    for (list, _) in KINDS {
        runs.extend(listed(list, label, &format).await?);
    }
    Ok(runs)
}

async fn listed(list: &[&str], label: &str, format: &str) -> Result<Vec<String>> {
    let filter = format!("label={label}");
    let question = [
        &["docker"],
        list,
        &["--filter", &filter, "--format", format],
    ];
    let answer = ask(&words(&question.concat())).await.map_err(unanswered)?;
    Ok(answer.lines().map(str::to_owned).collect())
}

/// Until nothing of a run is left: its own guard may be at it still.
async fn remove(run: &str) -> Result<()> {
    let label = format!("{RUN_LABEL}={run}");
    let began = Instant::now();
    loop {
        let mut said = None;
        for (list, remove) in KINDS {
            for name in listed(list, &label, name_of(list)).await? {
                let removal = [&["docker"], remove, &[name.as_str()]].concat();
                said = ask(&words(&removal)).await.err().or(said);
            }
        }
        if labelled_runs(&label).await?.is_empty() {
            return Ok(());
        }
        if began.elapsed() > REMOVAL_LIMIT {
            let why = said.map_or_else(String::new, |said| format!(": {said}"));
            return Err(Failure::new(format!(
                "what run {run} left in Docker can't be removed{why}"
            ))
            .hint(format!("`docker ps --all --filter label={label}` shows it")));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Networks and volumes are named, containers have an id that is shorter to say.
fn name_of(list: &[&str]) -> &'static str {
    match list.first() {
        Some(&"container") => "{{.ID}}",
        _ => "{{.Name}}",
    }
}

async fn pull(
    image: &str,
    workspace: &Workspace,
    supervisor: &Supervisor,
    events: &Events,
) -> Result<()> {
    let logs = workspace.preparation_logs();
    std::fs::create_dir_all(&logs).at("make", &logs)?;
    let log = logs.join("images.log");
    File::create(&log).at("write", &log)?;
    let name = format!("image {image}");
    let began = Instant::now();
    events.emit(Event::Preparing {
        name: name.clone(),
        log: log.clone(),
        last: None,
    });
    let program = Program {
        command: words(&["docker", "pull", image]),
        folder: workspace.root().to_owned(),
        env: BTreeMap::new(),
        without_env: &[],
        output: Output::File(log.clone()),
    };
    let exit = supervisor.start(&program)?.wait_within(PULL_LIMIT).await;
    if exit != Exit::Code(0) {
        return Err(
            Failure::new(format!("the image `{image}` can't be pulled: docker {exit}"))
                .detail(log::tail(&log, 6))
                .hint("MILVUS_IMAGE, JAEGER_IMAGE and COLLECTOR_IMAGE name others, such as a mirror's; the embedded stack, the default, needs no image"),
        );
    }
    events.emit(Event::Prepared {
        name,
        took: began.elapsed(),
    });
    Ok(())
}

/// The image of each service in the output of `config`.
///
/// Read by hand, because Compose 1, which Debian has, doesn't know `config --format json`.
fn images_in(config: &str) -> Vec<(String, String)> {
    let mut service = "";
    let mut images = Vec::new();
    for line in config.lines() {
        let depth = line.len() - line.trim_start().len();
        match line.trim().split_once(':') {
            Some((name, "")) if depth == 2 => service = name,
            Some(("image", image)) if depth == 4 => {
                let image = image.trim().trim_matches(['"', '\'']);
                images.push((service.to_owned(), image.to_owned()));
            }
            _ => {}
        }
    }
    images
}

/// Why a question to Docker has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unanswered {
    NoProgram,
    /// The last thing it said.
    Said(String),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoProgram => f.write_str("there is no such program"),
            Self::Said(said) => f.write_str(said),
        }
    }
}

fn unanswered(why: Unanswered) -> Failure {
    Failure::new(format!("Docker doesn't answer: {why}"))
        .hint("`docker info` shows its state; the embedded stack, the default, needs no Docker")
}

/// The output of a command that succeeds.
async fn ask(command: &[String]) -> Result<String, Unanswered> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Unanswered::NoProgram);
    };
    let mut question = Command::new(program);
    question.args(arguments);
    let output = ask::ask(question)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Unanswered::NoProgram,
            _ => Unanswered::Said(error.to_string()),
        })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = text(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(Unanswered::Said(
        last.unwrap_or("nothing").trim().to_owned(),
    ))
}

fn asks_for_collector() -> bool {
    let profiles = std::env::var(PROFILES).unwrap_or_default();
    profiles
        .split(',')
        .any(|profile| profile.trim() == COLLECTOR)
}

fn is_claimed(workspace: &Workspace, run: &str) -> bool {
    locks::is_held(&claim_file(workspace, run))
}

fn claim_file(workspace: &Workspace, run: &str) -> PathBuf {
    workspace.state().join("compose").join(run)
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_of_services_are_read_from_either_compose() {
        let check = |config: &str, expected: &[(&str, &str)]| {
            let found = images_in(config);
            let found: Vec<_> = found
                .iter()
                .map(|(service, image)| (service.as_str(), image.as_str()))
                .collect();
            assert_eq!(found, expected);
        };
        check(
            "networks:\n  default:\n    labels:\n      a: b\nservices:\n  jaeger:\n    image: j:1\n  milvus:\n    environment:\n      image: no\n    image: \"m/m:v2\"\n",
            &[("jaeger", "j:1"), ("milvus", "m/m:v2")],
        );
        check(
            "name: p\nservices:\n  a:\n    image: localhost:5000/x\n",
            &[("a", "localhost:5000/x")],
        );
        check("", &[]);
    }

    #[test]
    fn the_collector_takes_the_ports_of_otlp_where_it_is_between() {
        let check =
            |with_collector: bool, jaeger: &str, collector: &str, endpoint: Option<&str>| {
                let variables = Published::TUTORIAL.variables(with_collector);
                let get = |name: &str| {
                    let found = variables.iter().find(|(variable, _)| *variable == name);
                    found.map(|(_, value)| value.as_str())
                };
                assert_eq!(get("OTLP_GRPC_PORT"), Some(jaeger));
                assert_eq!(get("COLLECTOR_GRPC_PORT"), Some(collector));
                assert_eq!(get("MILVUS_OTLP_ENDPOINT"), endpoint);
            };
        check(false, "4317", "14317", None);
        check(true, "14317", "4317", Some("collector:4317"));
    }
}
