//! A gRPC server that behaves as badly as its caller asks it to.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

/// An empty message, as gRPC frames it.
const EMPTY: Bytes = Bytes::from_static(&[0; 5]);

/// A message that the tests' clients can't decode: [`UNDECODABLE`] alone.
const GARBLED: Bytes = Bytes::from_static(&[0, 0, 0, 0, 1, UNDECODABLE]);

/// A message that says it is compressed, though no one agreed on how.
const MISFRAMED: Bytes = Bytes::from_static(&[1, 0, 0, 0, 0]);

/// The first byte of what is no message.
pub const UNDECODABLE: u8 = 0xff;

/// A server on loopback, which ends with the runtime.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Server {
    /// Starts a server. The method that is called says how it behaves; see `behave`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let server = Self {
            address,
            requests: Arc::default(),
        };
        let requests = Arc::clone(&server.requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&requests)));
            }
        });
        server
    }

    /// The headers of the requests since this was last called.
    pub fn take_requests(&self) -> Vec<HeaderMap> {
        std::mem::take(&mut self.requests.lock().expect("no test panicked here"))
    }
}

async fn serve(stream: TcpStream, requests: Arc<Mutex<Vec<HeaderMap>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests
            .lock()
            .expect("no test panicked here")
            .push(request.headers().clone());
        match request.uri().path() {
            path if path.ends_with("/Close") => return,
            path if path.ends_with("/GoAway") => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            path if path.ends_with("/GoAwayGently") => connection.graceful_shutdown(),
            _ => {}
        }
        tokio::spawn(async move {
            // A client that is gone is what some tests are about.
            let _ = behave(request, respond).await;
        });
    }
}

/// Answers as the method's name says.
async fn behave(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let method = request
        .uri()
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let headers = Response::builder().header("content-type", "application/grpc");
    let started = |respond: &mut SendResponse<Bytes>| respond.send_response(ok(), false);
    match method.as_str() {
        "Good" | "GoAwayGently" => answer(started(&mut respond)?, EMPTY),
        "Garbled" => answer(started(&mut respond)?, GARBLED),
        "Misframed" => answer(started(&mut respond)?, MISFRAMED),
        "Echo" => echo(request.into_body(), started(&mut respond)?).await,
        "Trailers" => started(&mut respond)?.send_trailers(status("13", "no%20way%21")),
        "AfterMessage" => {
            let mut body = started(&mut respond)?;
            body.send_data(EMPTY, false)?;
            body.send_trailers(status("8", "enough"))
        }
        "TrailersOnly" => {
            let response = headers
                .header("grpc-status", "5")
                .header("grpc-message", "nowhere")
                .body(());
            respond
                .send_response(response.expect("it is a response"), true)
                .map(drop)
        }
        "Proxy" => respond
            .send_response(
                headers.status(503).body(()).expect("it is a response"),
                true,
            )
            .map(drop),
        "NoStatus" => started(&mut respond)?.send_data(EMPTY, true),
        "Refuse" => reset(respond, Reason::REFUSED_STREAM),
        "Cancel" => reset(respond, Reason::CANCEL),
        "Calm" => reset(respond, Reason::ENHANCE_YOUR_CALM),
        "Insecure" => reset(respond, Reason::INADEQUATE_SECURITY),
        "Break" => reset(respond, Reason::PROTOCOL_ERROR),
        "ResetInBody" => {
            let mut body = started(&mut respond)?;
            body.send_data(EMPTY, false)?;
            body.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        "Hang" => std::future::pending().await,
        "HangInBody" => {
            let mut body = started(&mut respond)?;
            body.send_data(EMPTY, false)?;
            std::future::pending().await
        }
        other => panic!("no behaviour is called `{other}`"),
    }
}

/// Sends a message, and that all is well.
fn answer(mut body: SendStream<Bytes>, message: Bytes) -> Result<(), h2::Error> {
    body.send_data(message, false)?;
    body.send_trailers(status("0", ""))
}

fn reset(mut respond: SendResponse<Bytes>, reason: Reason) -> Result<(), h2::Error> {
    respond.send_reset(reason);
    Ok(())
}

/// Sends back every message, and then that all is well.
async fn echo(mut requests: RecvStream, mut responses: SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(data) = requests.data().await {
        let data = data?;
        requests.flow_control().release_capacity(data.len())?;
        responses.send_data(data, false)?;
    }
    responses.send_trailers(status("0", ""))
}

fn ok() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .expect("it is a response")
}

fn status(code: &'static str, message: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().expect("it is a header"));
    trailers.insert("grpc-message", message.parse().expect("it is a header"));
    trailers
}
