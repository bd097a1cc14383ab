//! A Milvus that answers as a test says.

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a call of a method is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A message.
    Message(Vec<u8>),
    /// No message, and this gRPC status.
    Status(u16),
    /// No message, and this gRPC status and message.
    Failed(u16, &'static str),
    /// Nothing, ever.
    Silence,
    /// The beginning of an answer, and nothing after it.
    Unfinished,
    /// A page of a proxy's, with this HTTP status, content type and body.
    Page(u16, &'static str, &'static str),
    /// Headers alone, which say that all is well.
    TrailersOnly,
    /// Headers and trailers that say that all is well, and no message between them.
    NoMessage,
    /// A message, and no status after it.
    NoStatus,
    /// HTTP/2's word for a stream that isn't processed.
    Refused,
}

impl<M: prost::Message> From<M> for Reply {
    fn from(message: M) -> Self {
        Self::Message(message.encode_to_vec())
    }
}

type Respond = dyn Fn(&str, Bytes) -> Reply + Send + Sync;

/// A server on loopback, which ends with the runtime.
#[derive(Clone, Debug)]
pub struct FakeMilvus {
    address: SocketAddr,
    calls: Calls,
}

/// The methods that were called, and the headers that came with it.
type Calls = Arc<Mutex<Vec<(String, HeaderMap)>>>;

impl FakeMilvus {
    /// Starts a server that answers a call of a method with what `answer` says for its name and its message.
    pub async fn start(answer: impl Fn(&str, Bytes) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(answer, |connection, stream| {
            tokio::spawn(connection.serve(stream));
        })
        .await
    }

    /// Starts a server that speaks TLS.
    pub async fn start_tls(
        config: Arc<ServerConfig>,
        answer: impl Fn(&str, Bytes) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(config);
        Self::listen(answer, move |connection, stream| {
            let accept = acceptor.accept(stream);
            tokio::spawn(async move {
                // A client that this server is not to trust goes no further.
                if let Ok(stream) = accept.await {
                    connection.serve(stream).await;
                }
            });
        })
        .await
    }

    async fn listen(
        answer: impl Fn(&str, Bytes) -> Reply + Send + Sync + 'static,
        accept: impl Fn(Connection, TcpStream) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let fake = Self {
            address,
            calls: Arc::default(),
        };
        let connection = Connection {
            calls: Arc::clone(&fake.calls),
            answer: Arc::new(answer),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accept(connection.clone(), stream);
            }
        });
        fake
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where a client connects.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The methods called since this was last asked, with their headers.
    pub fn take_calls(&self) -> Vec<(String, HeaderMap)> {
        std::mem::take(&mut self.calls.lock().expect("no test panicked here"))
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Connection {
    calls: Calls,
    answer: Arc<Respond>,
}

impl Connection {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(mut connection) = h2::server::handshake(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            let method = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            self.calls
                .lock()
                .expect("no test panicked here")
                .push((method.clone(), request.headers().clone()));
            let answer = Arc::clone(&self.answer);
            tokio::spawn(async move {
                // A client that has gone away needs no answer.
                let _ = reply(&method, request, respond, &*answer).await;
            });
        }
    }
}

async fn reply(
    method: &str,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    answer: &Respond,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    // A message has a flag and its length before it.
    let headers = |response: http::response::Builder| response.body(()).expect("it is a response");
    let grpc = || Response::builder().header("content-type", "application/grpc");
    let mut start = || respond.send_response(headers(grpc()), false);
    let mut trailers = HeaderMap::new();
    let (message, code) = match answer(method, message.split_off(message.len().min(5)).freeze()) {
        Reply::Message(message) => (Some(message), 0),
        Reply::Status(code) => (None, code),
        Reply::Failed(code, message) => {
            trailers.insert("grpc-message", HeaderValue::from_static(message));
            (None, code)
        }
        Reply::Silence => return std::future::pending().await,
        Reply::Unfinished => {
            let _open = start()?;
            return std::future::pending().await;
        }
        Reply::Page(status, content_type, body) => {
            let page = Response::builder().status(status);
            let page = headers(page.header("content-type", content_type));
            let mut stream = respond.send_response(page, body.is_empty())?;
            return match body {
                "" => Ok(()),
                body => stream.send_data(Bytes::from_static(body.as_bytes()), true),
            };
        }
        Reply::TrailersOnly => {
            let response = headers(grpc().header("grpc-status", "0"));
            return respond.send_response(response, true).map(drop);
        }
        Reply::NoMessage => (None, 0),
        Reply::NoStatus => return start()?.send_data(Bytes::from_static(&[0; 5]), true),
        Reply::Refused => {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            return Ok(());
        }
    };
    let mut stream = start()?;
    if let Some(message) = message {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(&message);
        stream.send_data(framed.freeze(), false)?;
    }
    trailers.insert("grpc-status", code.into());
    stream.send_trailers(trailers)
}
