//! A request that the server gets before the call that it is made of, on a connection of its own.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use http::{Request, Response};
use tokio::net::TcpStream;

/// The server's time for it.
const LIMIT: Duration = Duration::from_secs(10);

/// A context that isn't sampled, so that the server traces nothing of it.
const UNTRACED: &[u8] = b"00-00000000000000000000000000000001-0000000000000001-00";

/// A request with another method.
#[derive(Debug)]
pub(crate) struct Before {
    /// That of the call that waits for it.
    pub(crate) stream: u32,
    pub(crate) method: String,
    /// The call's headers.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The call's messages.
    pub(crate) body: Vec<u8>,
}

impl Before {
    /// Returns once the server has answered with status OK, and otherwise why it hasn't.
    pub(crate) async fn send(self, upstream: &str) -> Result<(), String> {
        let method = self.method.clone();
        let told = |reason: String| format!("calling {method} before: {reason}");
        match tokio::time::timeout(LIMIT, self.exchange(upstream)).await {
            Ok(exchanged) => exchanged.map_err(told),
            Err(_) => Err(told(format!("no answer within {} s", LIMIT.as_secs()))),
        }
    }

    async fn exchange(self, upstream: &str) -> Result<(), String> {
        let stream = TcpStream::connect(upstream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let (client, connection) = handshake(stream).await.map_err(|error| error.to_string())?;
        let request = self.request()?;
        tokio::select! {
            exchanged = exchanged(client, request, self.body.into()) => exchanged,
            ended = connection => Err(ended.err().map_or_else(
                || "the connection was closed".to_owned(),
                |error| error.to_string(),
            )),
        }
    }

    fn request(&self) -> Result<Request<()>, String> {
        let pseudo = |name: &[u8]| {
            let mut fields = self.fields.iter();
            let value = fields.find(|(known, _)| known == name);
            value.map_or_else(Default::default, |(_, value)| {
                String::from_utf8_lossy(value)
            })
        };
        let path = pseudo(b":path");
        let service = path.rsplit_once('/').map_or("", |(service, _)| service);
        let uri = format!("http://{}{service}/{}", pseudo(b":authority"), self.method);
        let others = self.fields.iter().filter(|(name, _)| {
            !name.starts_with(b":") && name != b"traceparent" && name != b"tracestate"
        });
        let mut request = Request::post(uri).header("traceparent", UNTRACED);
        for (name, value) in others {
            request = request.header(name.as_slice(), value.as_slice());
        }
        request.body(()).map_err(|error| error.to_string())
    }
}

async fn exchanged(
    client: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
) -> Result<(), String> {
    let exchange = async {
        let (answer, mut sent) = client.ready().await?.send_request(request, false)?;
        sent.send_data(body, true)?;
        let mut answer = answer.await?;
        while let Some(data) = answer.body_mut().data().await {
            let length = data?.len();
            answer.body_mut().flow_control().release_capacity(length)?;
        }
        let trailers = poll_fn(|context| answer.body_mut().poll_trailers(context)).await?;
        Ok::<_, h2::Error>(status(&answer, trailers.as_ref()))
    };
    match exchange
        .await
        .map_err(|error| error.to_string())?
        .as_deref()
    {
        Some("0") => Ok(()),
        status => Err(format!("status {}", status.unwrap_or("unknown"))),
    }
}

fn status<B>(answer: &Response<B>, trailers: Option<&http::HeaderMap>) -> Option<String> {
    let in_trailers = trailers.and_then(|trailers| trailers.get("grpc-status"));
    let status = in_trailers.or_else(|| answer.headers().get("grpc-status"))?;
    status.to_str().ok().map(str::to_owned)
}
