//! A server with one behaviour for each path, a client that tells all it sees, and a witness between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use grpc_witness::{CallRecord, Config, ConnectionRecord, Line, Stats, Witness};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Windows so large that they stop nobody, but for tests of flow control.
const WINDOW: u32 = 16 << 20;

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// How clients reset calls of `/test.S/Hang`.
    pub(crate) resets: mpsc::UnboundedReceiver<Option<Reason>>,
    /// One for each call of `/test.S/Wait` that has come.
    pub(crate) waiting: mpsc::UnboundedReceiver<()>,
    pub(crate) signals: Arc<Signals>,
}

#[derive(Default)]
pub(crate) struct Signals {
    /// Answers the calls of `/test.S/Wait`.
    pub(crate) go_on: Notify,
    /// Sends GOAWAY on all connections, and finishes what is going on.
    pub(crate) go_away: Notify,
    /// Calls that have come.
    pub(crate) calls: AtomicUsize,
    /// Body and context of each call of `/test.S/Noted`.
    pub(crate) noted: Mutex<Vec<(Bytes, String)>>,
    /// Sends GOAWAY with ENHANCE_YOUR_CALM, and closes.
    pub(crate) break_off: Notify,
}

#[derive(Clone)]
struct Handler {
    resets: mpsc::UnboundedSender<Option<Reason>>,
    waiting: mpsc::UnboundedSender<()>,
    signals: Arc<Signals>,
}

pub(crate) async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (resets, told) = mpsc::unbounded_channel();
    let (waiting, waits) = mpsc::unbounded_channel();
    let signals = Arc::new(Signals::default());
    let handler = Handler {
        resets,
        waiting,
        signals: signals.clone(),
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, handler.clone()));
        }
    });
    Server {
        address,
        resets: told,
        waiting: waits,
        signals,
    }
}

async fn serve(socket: TcpStream, handler: Handler) {
    socket.set_nodelay(true).expect("a connection");
    let begun = h2::server::Builder::new()
        .max_concurrent_streams(20_000)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .handshake::<_, Bytes>(socket)
        .await;
    // Some peers don't speak HTTP/2.
    let Ok(mut connection) = begun else { return };
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, handler.clone()));
                }
                Some(Err(_)) | None => return,
            },
            () = handler.signals.go_away.notified() => connection.graceful_shutdown(),
            () = handler.signals.break_off.notified() => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, handler: Handler) {
    handler.signals.calls.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let sent = request.headers().clone();
    let mut body = request.into_body();
    let head = || Response::builder().header("content-type", "application/grpc");
    let begin = |respond: &mut SendResponse<Bytes>| {
        respond.send_response(head().body(()).expect("a head"), false)
    };
    match path.trim_start_matches("/test.S/").split_once('/') {
        // Answered with what came, once all has.
        None if path.ends_with("/Unary") => {
            let (all, _) = whole(&mut body).await.expect("a request");
            let mut stream = begin(&mut respond).expect("a stream");
            stream.send_data(all, false).expect("sent");
            end(&mut stream, 0);
        }
        None if path.ends_with("/Noted") => {
            let (all, _) = whole(&mut body).await.expect("a request");
            let context = sent["traceparent"].to_str().expect("text").to_owned();
            let mut noted = handler.signals.noted.lock().expect("no panic");
            noted.push((all, context));
            drop(noted);
            let mut stream = begin(&mut respond).expect("a stream");
            end(&mut stream, 0);
        }
        // Answered part by part.
        None if path.ends_with("/Echo") => {
            let mut stream = begin(&mut respond).expect("a stream");
            while let Some(Ok(part)) = body.data().await {
                let _ = body.flow_control().release_capacity(part.len());
                stream.send_data(part, false).expect("sent");
            }
            end(&mut stream, 0);
        }
        // The contexts that came.
        None if path.ends_with("/Contexts") => {
            let contexts: Vec<String> = sent
                .get_all("traceparent")
                .iter()
                .map(|value| value.to_str().expect("text").to_owned())
                .collect();
            let mut stream = begin(&mut respond).expect("a stream");
            stream
                .send_data(message(contexts.join(" ").as_bytes()), false)
                .expect("sent");
            end(&mut stream, 0);
        }
        None if path.ends_with("/TrailersOnly") => {
            let only = head()
                .header("grpc-status", "5")
                .header("grpc-message", "no%20such");
            let _ = respond.send_response(only.body(()).expect("a head"), true);
        }
        // No trailers.
        None if path.ends_with("/Bare") => {
            let mut stream = begin(&mut respond).expect("a stream");
            stream.send_data(message(b"bare"), true).expect("sent");
        }
        None if path.ends_with("/Hang") => {
            let mut stream = begin(&mut respond).expect("a stream");
            let reset = std::future::poll_fn(|context| stream.poll_reset(context)).await;
            let _ = handler.resets.send(reset.ok());
        }
        None if path.ends_with("/Wait") => {
            let go_on = handler.signals.go_on.notified();
            let _ = handler.waiting.send(());
            go_on.await;
            let mut stream = begin(&mut respond).expect("a stream");
            end(&mut stream, 0);
        }
        // `Reset/8`, before the answer, and `Broken/8`, in the middle of it.
        Some((what, code)) => {
            let code = Reason::from(code.parse::<u32>().expect("a code"));
            if what == "Reset" {
                return respond.send_reset(code);
            }
            let mut stream = begin(&mut respond).expect("a stream");
            stream.send_data(message(b"half"), false).expect("sent");
            body.data().await;
            stream.send_reset(code);
        }
        None => panic!("no behaviour for `{path}`"),
    }
}

fn end(stream: &mut SendStream<Bytes>, status: u32) {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    // The client may be gone.
    let _ = stream.send_trailers(trailers);
}

/// A message with gRPC's prefix.
pub(crate) fn message(content: &[u8]) -> Bytes {
    let length = u32::try_from(content.len()).expect("short enough");
    [&[0], length.to_be_bytes().as_slice(), content]
        .concat()
        .into()
}

async fn whole(body: &mut RecvStream) -> Result<(Bytes, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        all.extend_from_slice(&part);
        let _ = body.flow_control().release_capacity(part.len());
    }
    Ok((all.into(), body.trailers().await?))
}

/// A witness before `upstream`, and its folder.
pub(crate) struct Between {
    pub(crate) witness: Witness,
    folder: TempDir,
}

/// What a witness left.
pub(crate) struct Seen {
    pub(crate) lines: Vec<Line>,
    pub(crate) stats: Stats,
}

pub(crate) async fn witness(upstream: SocketAddr, set: impl FnOnce(&mut Config)) -> Between {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(upstream.to_string(), folder.path().join("wire.jsonl"));
    set(&mut config);
    Between {
        witness: Witness::start(config).await.expect("started"),
        folder,
    }
}

impl Server {
    /// The number of calls that have come.
    pub(crate) fn calls(&self) -> usize {
        self.signals.calls.load(Ordering::Relaxed)
    }
}

impl Between {
    pub(crate) fn address(&self) -> SocketAddr {
        self.witness.address()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("wire.jsonl")
    }

    pub(crate) async fn stop(self) -> Seen {
        let path = self.file();
        let stats = self.witness.stop().await.expect("stopped");
        let text = std::fs::read_to_string(path).expect("a file");
        let lines = text.lines().map(serde_json::from_str);
        Seen {
            lines: lines.collect::<Result<_, _>>().expect("records"),
            stats,
        }
    }
}

impl Seen {
    /// In the order of their streams.
    pub(crate) fn calls(&self) -> Vec<&CallRecord> {
        let mut calls: Vec<&CallRecord> = self
            .lines
            .iter()
            .filter_map(|line| match line {
                Line::Call(call) => Some(call),
                _ => None,
            })
            .collect();
        calls.sort_by_key(|call| (call.connection, call.stream));
        calls
    }

    pub(crate) fn connections(&self) -> Vec<&ConnectionRecord> {
        self.lines
            .iter()
            .filter_map(|line| match line {
                Line::Connection(connection) => Some(connection),
                _ => None,
            })
            .collect()
    }
}

/// A client's connection; it ends with the client.
pub(crate) async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    client_and_its_end(address).await.0
}

/// A client, and how its connection ends.
pub(crate) async fn client_and_its_end(
    address: SocketAddr,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let socket = TcpStream::connect(address).await.expect("connected");
    socket.set_nodelay(true).expect("a connection");
    let (client, connection) = h2::client::Builder::new()
        .initial_max_send_streams(20_000)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .handshake(socket)
        .await
        .expect("HTTP/2");
    (client, tokio::spawn(connection))
}

pub(crate) fn request(path: &str) -> Request<()> {
    Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

/// All that a client sees of one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// How it failed.
    pub(crate) error: Option<(Option<Reason>, bool, bool)>,
}

/// Makes a call whose body is `parts`, and tells what came of it.
pub(crate) async fn call(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    parts: Vec<Bytes>,
) -> Outcome {
    let seen = async {
        let mut outcome = Outcome {
            headers: None,
            body: Bytes::new(),
            trailers: None,
            error: None,
        };
        if let Err(error) = make(client, request, parts, &mut outcome).await {
            outcome.error = Some((error.reason(), error.is_go_away(), error.is_remote()));
        }
        outcome
    };
    tokio::time::timeout(LIMIT, seen).await.expect("in time")
}

async fn make(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    parts: Vec<Bytes>,
    outcome: &mut Outcome,
) -> Result<(), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, parts.is_empty())?;
    let last = parts.len().saturating_sub(1);
    for (number, part) in parts.into_iter().enumerate() {
        // A stream that is reset tells its error below.
        let _ = stream.send_data(part, number == last);
    }
    let (head, mut body) = response.await?.into_parts();
    outcome.headers = Some(head.headers);
    let (all, trailers) = whole(&mut body).await?;
    outcome.body = all;
    outcome.trailers = trailers;
    Ok(())
}
