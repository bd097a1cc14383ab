//! A stack that programs can be pointed at, whoever started it, and the way to its spans.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use otlp_capture::Signal;
use supervise::{Failure, Result, Supervisor};

use crate::event::{Event, Events};
use crate::prepare::example::Need;
use crate::prepare::task::{self, Task, Versions};
use crate::spans::fetch::{CLOCK_MARGIN, Fetch};
use crate::spans::follow::{Follow, KEPT_ROTATION};
use crate::spans::http::Url;
use crate::spans::live::Fresh;
use crate::spans::live::Live;
use crate::spans::source::Spans;
use crate::stack::compose::{Docker, Images, Published};
use crate::stack::embedded;
use crate::stack::external::External;
use crate::stack::jaeger::{self, Backend, Jaeger};
use crate::stack::ports::{Ports, TUTORIAL, TUTORIAL_OTLP, free};
use crate::stack::server::{Server, any_failed};
use crate::stack::session::Session;
use crate::stack::state::StackState;
use crate::workspace::Workspace;

/// Which stack programs run against.
#[derive(Clone, Debug)]
pub enum StackChoice {
    /// The real Milvus from its package.
    Embedded(Backend),
    /// The tutorial's, in Docker.
    Compose,
    /// An external stack.
    External(External),
}

impl Default for StackChoice {
    fn default() -> Self {
        Self::Embedded(Backend::default())
    }
}

/// Which ports a stack of ours takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Free,
    /// Where programs look that have the tutorial's ports written in.
    Tutorial,
}

/// A stack that has all it needs and isn't up yet.
#[derive(Debug)]
pub struct PreparedStack {
    choice: StackChoice,
    /// With its images.
    docker: Option<(Docker, Images)>,
    /// Of the embedded server.
    versions: Versions,
}

impl StackChoice {
    /// As the manifest has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Compose => "compose",
            Self::External(_) => "external",
        }
    }

    /// The tasks and requirements of the stack.
    pub fn tasks(&self, workspace: &Workspace) -> Result<(Vec<Task>, Vec<Need>)> {
        let Self::Embedded(backend) = self else {
            return Ok((Vec::new(), Vec::new()));
        };
        embedded::check_platform()?;
        let mut tasks = vec![embedded::preparation(workspace)?];
        let mut needs = embedded::needs();
        if *backend == Backend::Jaeger {
            tasks.push(jaeger::preparation(workspace)?);
            needs.extend(jaeger::needs());
        }
        Ok((tasks, needs))
    }

    /// Fails where it would find its ports taken.
    pub fn check_free(&self, place: Place) -> Result<()> {
        match (self, place) {
            (Self::Embedded(_), Place::Tutorial) => TUTORIAL.check_free(),
            (Self::Compose, Place::Tutorial) => Published::TUTORIAL.check_free(),
            (Self::External(_), _) | (_, Place::Free) => Ok(()),
        }
    }

    /// Docker, where the stack is in it.
    pub async fn docker(&self, workspace: &Workspace) -> Result<Option<Docker>> {
        match self {
            Self::Compose => Docker::find(workspace).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Prepares the stack and the other `tasks`, and returns the versions of the latter.
    pub async fn prepare(
        &self,
        docker: Option<Docker>,
        others: Vec<Task>,
        workspace: &Workspace,
        supervisor: &Supervisor,
        events: &Events,
    ) -> Result<(PreparedStack, Vec<Versions>)> {
        if let Self::External(external) = self {
            external
                .note()
                .into_iter()
                .for_each(|note| events.emit(Event::Note(note)));
        }
        let (mut tasks, _) = self.tasks(workspace)?;
        let own = tasks.len();
        tasks.extend(others);
        let mut versions = task::prepare_all(tasks, workspace, supervisor, events).await?;
        let of_others = versions.split_off(own);
        let docker = match docker {
            None => None,
            Some(docker) => {
                let images = docker.images(workspace, supervisor, events).await?;
                Some((docker, images))
            }
        };
        let prepared = PreparedStack {
            choice: self.clone(),
            docker,
            versions: versions.into_iter().next().unwrap_or_default(),
        };
        Ok((prepared, of_others))
    }
}

/// Where programs connect and export to.
#[derive(Debug)]
pub struct RunningStack {
    /// As people read it, such as `Milvus 2.3.5 embedded`.
    pub name: String,
    pub milvus_uri: String,
    /// The addresses of programs that have their own, by name.
    pub own_uris: BTreeMap<String, String>,
    /// OTLP over gRPC.
    pub otlp_grpc: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
    /// A query API that has the spans as well.
    pub traces_from: Option<String>,
    /// How soon its servers send their spans.
    pub schedule_delay: Duration,
    /// The longest that a span is waited for after the last program has ended.
    pub settle_limit: Duration,
    /// The interval between reads of new spans.
    pub poll: Duration,
    /// Variables that programs need to connect, and that no manifest contains.
    pub connection: BTreeMap<String, String>,
    /// Milvus's own metrics, in Prometheus's text format.
    pub server_metrics: Option<Url>,
    /// Whether its receiver takes metrics and logs beside spans, as Jaeger doesn't.
    pub takes_all_signals: bool,
    /// Empty for an external stack.
    servers: Vec<Server>,
    /// The query API of the Jaeger that the capture sends on to.
    pub jaeger: Option<Url>,
}

/// The time that spans may take to reach our capture, and an external store.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
const EXTERNAL_SETTLE_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const EXTERNAL_POLL: Duration = Duration::from_millis(500);
/// Of a server that nobody told otherwise, as the specification has it.
const DEFAULT_SCHEDULE_DELAY: Duration = Duration::from_secs(5);

fn metrics_page(port: u16) -> Url {
    Url::local(port, "/metrics")
}

impl RunningStack {
    /// One whose spans come to a capture of ours.
    fn captured(name: String, [milvus_uri, otlp_grpc, otlp_http]: [String; 3]) -> Self {
        Self {
            name,
            milvus_uri,
            otlp_grpc,
            otlp_http,
            own_uris: BTreeMap::new(),
            traces_from: None,
            schedule_delay: embedded::SCHEDULE_DELAY,
            settle_limit: SETTLE_LIMIT,
            poll: POLL,
            connection: BTreeMap::new(),
            server_metrics: None,
            takes_all_signals: true,
            servers: Vec::new(),
            jaeger: None,
        }
    }

    /// Starts the capture, which sends on to `backend`, and Milvus.
    ///
    /// Without a live join it is a stack that stays, whose capture is rotated.
    pub async fn embedded(
        backend: Backend,
        place: Place,
        workspace: &Workspace,
        session: &mut Session,
        live: Option<&Live>,
        versions: Versions,
    ) -> Result<Self> {
        let jaeger = Jaeger::start_for(backend, workspace, session).await?;
        // Only now: Jaeger has taken its own.
        let (ports, otlp) = match place {
            Place::Free => (Ports::free()?, (0, 0)),
            Place::Tutorial if session.witnessing.is_some() => {
                (TUTORIAL.with_proxy(free(1)?[0]), TUTORIAL_OTLP)
            }
            Place::Tutorial => (TUTORIAL, TUTORIAL_OTLP),
        };
        let rotation = live.is_none().then_some(KEPT_ROTATION);
        let forward = jaeger.as_ref().map(|jaeger| jaeger.otlp.clone());
        let endpoints = session
            .capture(otlp, rotation, live.cloned(), forward)
            .await?;
        let milvus = session
            .milvus(workspace, ports, endpoints.grpc, versions)
            .await?;
        let addresses = [
            format!("http://127.0.0.1:{}", ports.proxy()),
            format!("http://{}", endpoints.grpc),
            format!("http://{}", endpoints.http),
        ];
        let query = jaeger.as_ref().map(|jaeger| jaeger.query.clone());
        Ok(Self {
            traces_from: query
                .as_ref()
                .map(|api| format!("http://{}", api.authority)),
            servers: std::iter::once(milvus)
                .chain(jaeger.map(|jaeger| jaeger.server))
                .collect(),
            server_metrics: Some(metrics_page(ports.metrics())),
            jaeger: query,
            ..Self::captured(jaeger::stack_name(backend), addresses)
        })
    }

    /// The stack that `up` started. Spans that it captured before now don't belong to this run.
    pub fn kept(state: &StackState, session: &mut Session) -> Result<(Self, Spans)> {
        let [traces, metrics, logs] =
            Signal::ALL.map(|signal| Follow::from_end(&state.folder, signal));
        let addresses = [&state.milvus_uri, &state.otlp_grpc, &state.otlp_http].map(Clone::clone);
        let stack = Self {
            server_metrics: Some(metrics_page(TUTORIAL.metrics())),
            ..Self::captured(state.stack.clone(), addresses)
        };
        stack.tell(session);
        Ok((stack, Spans::Followed([traces?, metrics?, logs?])))
    }

    /// An external stack. Its spans are fetched until the traces are complete.
    async fn external(external: &External, fresh: Fresh) -> Result<(Self, Spans)> {
        let began = SystemTime::now() - CLOCK_MARGIN;
        let fetch = Fetch::since(began, external.api()?, external.client()?, fresh);
        fetch.check().await?;
        let addresses = [
            &external.milvus_uri,
            &external.otlp_endpoint,
            &external.otlp_endpoint,
        ];
        let name = format!("Milvus at {}", external.milvus_uri);
        let stack = Self {
            traces_from: Some(external.traces_from.clone()),
            schedule_delay: DEFAULT_SCHEDULE_DELAY,
            settle_limit: EXTERNAL_SETTLE_LIMIT,
            poll: EXTERNAL_POLL,
            connection: External::connection(),
            takes_all_signals: false,
            ..Self::captured(name, addresses.map(Clone::clone))
        };
        Ok((stack, Spans::Fetched(fetch)))
    }

    /// Starts the containers for this run alone; its spans are fetched from their Jaeger.
    async fn compose(
        docker: &Docker,
        images: &Images,
        workspace: &Workspace,
        session: &mut Session,
        published: Published,
        fresh: Fresh,
    ) -> Result<(Self, Spans)> {
        docker.remove_leftovers(workspace).await?;
        let log = session.folder.logs().join("compose.log");
        let run = session.claim_containers(workspace)?;
        let containers = docker
            .start(workspace, session.supervisor(), &run, published, &log)
            .await?;
        session.manifest.stack.versions = docker.versions(images);
        let addresses = [
            published.milvus_uri(),
            published.otlp_grpc(),
            published.otlp_http(),
        ];
        let stack = Self {
            traces_from: Some(published.traces()),
            poll: EXTERNAL_POLL,
            server_metrics: Some(metrics_page(published.health())),
            takes_all_signals: false,
            servers: vec![containers],
            ..Self::captured(Docker::stack_name(images), addresses)
        };
        Ok((stack, Spans::Fetched(published.fetch(fresh))))
    }

    /// Puts a witness before Milvus, where one is wanted.
    pub async fn lead_through_witness(&mut self, session: &mut Session, port: u16) -> Result<()> {
        if let Some(witnessing) = session.witnessing.clone() {
            (self.milvus_uri, self.own_uris) =
                session.witness(&witnessing, &self.milvus_uri, port).await?;
        }
        Ok(())
    }

    /// Where the program of this name connects.
    pub fn milvus_uri_of(&self, name: &str) -> &str {
        self.own_uris.get(name).unwrap_or(&self.milvus_uri)
    }

    /// Writes its addresses into the run's manifest.
    pub fn tell(&self, session: &mut Session) {
        let known = &mut session.manifest.stack;
        known.milvus_uri = Some(self.milvus_uri.clone());
        known.otlp_grpc = Some(self.otlp_grpc.clone());
        known.otlp_http = Some(self.otlp_http.clone());
        known.traces_from.clone_from(&self.traces_from);
    }

    /// Returns when one of our servers ends unexpectedly.
    pub async fn failed(&self) -> Failure {
        any_failed(&self.servers).await
    }
}

impl PreparedStack {
    /// Starts the stack; checks that an external one responds.
    pub async fn start(
        self,
        place: Place,
        workspace: &Workspace,
        session: &mut Session,
        (live, fresh): (&Live, Fresh),
        events: &Events,
    ) -> Result<(RunningStack, Spans)> {
        let choice = self.choice.clone();
        let (mut stack, spans) = match (&self.choice, &self.docker) {
            (StackChoice::External(external), _) => RunningStack::external(external, fresh).await?,
            (StackChoice::Compose, Some((docker, images))) => {
                let published = match place {
                    Place::Free => Published::free()?,
                    Place::Tutorial => Published::TUTORIAL,
                };
                RunningStack::compose(docker, images, workspace, session, published, fresh).await?
            }
            (StackChoice::Compose, None) => {
                return Err(Failure::new("Docker was not looked for"));
            }
            (StackChoice::Embedded(backend), _) => {
                let live = Some(live);
                let stack = RunningStack::embedded(
                    *backend,
                    place,
                    workspace,
                    session,
                    live,
                    self.versions,
                );
                (stack.await?, Spans::Captured)
            }
        };
        let is_embedded = matches!(choice, StackChoice::Embedded(_));
        let port = match place {
            // Where programs look that have the tutorial's port written in: Milvus has left it to the witness.
            Place::Tutorial if is_embedded => TUTORIAL.proxy(),
            Place::Tutorial | Place::Free => 0,
        };
        stack.lead_through_witness(session, port).await?;
        stack.tell(session);
        events.emit(Event::StackReady {
            milvus: stack.milvus_uri.clone(),
            otlp: stack.otlp_grpc.clone(),
        });
        Ok((stack, spans))
    }
}
