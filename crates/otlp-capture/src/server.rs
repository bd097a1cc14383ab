//! The two ports: accepts a limited number of connections, serves them, and closes them in order.

use crate::cors::{Origins, permit};
use crate::intake::Intake;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::visit::{Connection, Visit};
use crate::{grpc, http};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
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

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Grpc,
    Http,
}

/// Shared by the handlers of all requests.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) intake: Intake,
    pub(crate) origins: Origins,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// The open ports. Dropping it ends every connection.
#[derive(Debug)]
pub(crate) struct Doors {
    desk: Arc<Desk>,
    is_closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The time for requests in progress when the ports are closed.
const GRACE: Duration = Duration::from_secs(2);
/// The time in which an idle peer answers the ping of an orderly close. gRPC for C++ answers only during its calls.
const FAREWELL: Duration = Duration::from_millis(100);
/// The time limit for a request's head, and for the response to a ping.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first bytes of a TLS connection.
const TLS_HANDSHAKE: [u8; 1] = [0x16];
/// The pause after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

impl Doors {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            is_closing: watch::Sender::new(false),
            tasks: JoinSet::new(),
        }
    }

    pub(crate) fn open(&mut self, listener: TcpListener, door: Door) {
        let attending = attend(
            listener,
            door,
            Arc::clone(&self.desk),
            self.is_closing.subscribe(),
        );
        self.tasks.spawn(attending);
    }

    pub(crate) async fn close(mut self) {
        self.is_closing.send_replace(true);
        // After the grace period, the remaining connections are closed.
        let _ = timeout(GRACE, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        self.desk.intake.ledger.close();
        self.tasks.shutdown().await;
    }
}

async fn attend(
    listener: TcpListener,
    door: Door,
    desk: Arc<Desk>,
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
            Ok(_) if connections.len() >= desk.intake.limits.connections => {
                desk.intake.ledger.refused_connection();
            }
            Ok((stream, peer)) => {
                connections.spawn(serve(
                    stream,
                    Arc::new(Connection::of(peer.ip())),
                    door,
                    Arc::clone(&desk),
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
    connection: Arc<Connection>,
    door: Door,
    desk: Arc<Desk>,
    mut is_closing: watch::Receiver<bool>,
) {
    // A failure only delays small responses.
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let is_tls = tokio::select! {
        peeked = stream.peek(&mut first) => peeked.is_ok() && first == TLS_HANDSHAKE,
        () = closing(&mut is_closing) => return,
    };
    let (at_desk, of_connection) = (Arc::clone(&desk), Arc::clone(&connection));
    let service = service_fn(move |request| {
        let (desk, connection) = (Arc::clone(&at_desk), Arc::clone(&of_connection));
        async move { Ok::<_, Infallible>(desk.answer(door, &connection, request).await) }
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
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = closing(&mut is_closing) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving.as_mut() => served,
                () = connection.idle_for(FAREWELL) => return,
            }
        }
    };
    // A connection that fails later has reported that to its request.
    let failed = served
        .err()
        .and_then(|error| error.downcast::<hyper::Error>().ok());
    if failed.is_some_and(|error| error.is_parse()) {
        let spoken = if is_tls { "TLS" } else { "another protocol" };
        let mut visit = Visit::begin(&desk.intake.ledger, &connection, &HeaderMap::new());
        visit.refuse(&Refusal::NotHttp(spoken));
    }
}

/// Returns when the ports are closed, in order or because the capture was dropped.
async fn closing(is_closing: &mut watch::Receiver<bool>) {
    let _ = is_closing.wait_for(|is_closing| *is_closing).await;
}

impl Desk {
    async fn answer(
        &self,
        door: Door,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<Reply> {
        if door == Door::Http && http::asks_for_stats(&request) {
            return http::stats(&self.intake).await;
        }
        let preflight = self.origins.preflight(&request);
        if let Some(Ok(response)) = preflight {
            return response;
        }
        let origin = self.origins.allowed(request.headers());
        let mut visit = Visit::begin(&self.intake.ledger, connection, request.headers());
        let (grpc, http) = (self.grpc, self.http);
        let mut response = match (door, grpc::is_grpc(request.headers())) {
            (Door::Grpc, true) => grpc::answer(&self.intake, &mut visit, request).await,
            (Door::Http, true) => {
                let refusal = Refusal::GrpcOnHttpPort { grpc, http };
                grpc::refused(&refusal, &visit.refuse(&refusal))
            }
            (Door::Grpc, false) => {
                let refusal = Refusal::HttpOnGrpcPort { grpc, http };
                http::refuse(&mut visit, &refusal, request).await
            }
            (Door::Http, false) => match preflight {
                Some(Err(refusal)) => http::refuse(&mut visit, &refusal, request).await,
                _ => http::answer(&self.intake, &mut visit, request).await,
            },
        };
        if let Some(origin) = origin {
            permit(response.headers_mut(), origin);
        }
        response
    }
}
