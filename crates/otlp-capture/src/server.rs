//! The two ports: connections accepted, limited in number, served, and closed in order.

use crate::intake::Intake;
use crate::reply::Reply;
use crate::stats::add;
use crate::{grpc, http};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What a port takes, and where the other protocol goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    Grpc { http: SocketAddr },
    Http { grpc: SocketAddr },
}

/// The open ports. Dropping it ends every connection.
#[derive(Debug)]
pub(crate) struct Doors {
    intake: Arc<Intake>,
    is_closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// How long requests that are under way may take when the ports are closed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a request's head may take, and how long a peer may leave a ping unanswered.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing is accepted after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

impl Doors {
    pub(crate) fn new(intake: Arc<Intake>) -> Self {
        Self {
            intake,
            is_closing: watch::Sender::new(false),
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn open(&mut self, listener: TcpListener, door: Door) {
        let attending = attend(
            listener,
            door,
            Arc::clone(&self.intake),
            self.is_closing.subscribe(),
        );
        self.tasks.spawn(attending);
    }

    pub(crate) async fn close(mut self) {
        self.is_closing.send_replace(true);
        // After the grace, what is left is broken off.
        let _ = timeout(GRACE, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        self.tasks.shutdown().await;
    }
}

async fn attend(
    listener: TcpListener,
    door: Door,
    intake: Arc<Intake>,
    mut is_closing: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let closing_too = is_closing.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing(&mut is_closing) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(_) if connections.len() >= intake.limits.connections => {
                add(&intake.counters.refused_connections, 1);
            }
            Ok((stream, _)) => {
                connections.spawn(serve(
                    stream,
                    door,
                    Arc::clone(&intake),
                    closing_too.clone(),
                ));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    door: Door,
    intake: Arc<Intake>,
    mut is_closing: watch::Receiver<bool>,
) {
    // It only delays small answers where it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let intake = Arc::clone(&intake);
        async move { Ok::<_, Infallible>(door.answer(&intake, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection that breaks has told its request so; there is nobody else to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = closing(&mut is_closing) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Returns when the ports are being closed, in order or because the capture was dropped.
async fn closing(is_closing: &mut watch::Receiver<bool>) {
    let _ = is_closing.wait_for(|is_closing| *is_closing).await;
}

impl Door {
    async fn answer(self, intake: &Intake, request: Request<Incoming>) -> Response<Reply> {
        match self {
            Door::Grpc { http } => grpc::answer(intake, request, http).await,
            Door::Http { grpc } => http::answer(intake, request, grpc).await,
        }
    }
}
