//! The runner's own HTTP client, for health pages, query APIs and OTLP.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use supervise::chain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::spans::tls::Tls;

/// The time limit of one request, from connecting to the last byte of the response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The biggest answer that is read.
const ANSWER_LIMIT: usize = 256 << 20;

/// An address, as users write it: `http://host:port/path?query`, or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// It is `https`.
    pub secure: bool,
    /// `host:port`.
    pub authority: String,
    /// From the first `/` on.
    pub path: String,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Url {
    /// Parses an address; without a scheme, `http` is assumed. The error is a lower-case fragment.
    ///
    /// By hand, because `http::Uri` ignores a port that isn't a number, and takes no path without a scheme.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "unsupported scheme `{scheme}`; use `http` or `https`"
                ));
            }
            None => (false, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let authority = match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                authority.to_owned()
            }
            None if !authority.is_empty() => {
                format!("{authority}:{}", if secure { 443 } else { 80 })
            }
            _ => return Err(format!("`{authority}` isn't a valid `host:port`")),
        };
        Ok(Self {
            secure,
            authority,
            path: path.to_owned(),
        })
    }

    /// A page of this machine.
    pub fn local(port: u16, path: &str) -> Self {
        Self {
            secure: false,
            authority: format!("127.0.0.1:{port}"),
            path: path.to_owned(),
        }
    }

    fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':');
        host.map_or(self.authority.as_str(), |(host, _)| host)
    }

    /// The same server's `path`, below this one's.
    pub fn at(&self, path: &str) -> Self {
        Self {
            secure: self.secure,
            authority: self.authority.clone(),
            path: format!("{}{path}", self.path.trim_end_matches('/')),
        }
    }
}

/// Access to an external server: request headers and certificate authorities.
#[derive(Clone, Default)]
pub struct Client {
    /// May hold a secret.
    pub headers: Vec<(String, String)>,
    pub tls: Option<Tls>,
}

impl Client {
    pub async fn get(&self, url: &Url) -> Result<Answer, String> {
        self.ask(Method::GET, url, &[], Vec::new()).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let own = self.headers.iter();
        let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = own.chain(headers.iter().copied()).collect();
        let asked = async {
            let stream = TcpStream::connect(&url.authority)
                .await
                .map_err(|error| chain(&error))?;
            match &self.tls {
                Some(tls) if url.secure => {
                    let stream = tls.connect(url.host(), stream).await?;
                    exchange(stream, method, url, &headers, body).await
                }
                None if url.secure => Err("it speaks `https`".to_owned()),
                _ => exchange(stream, method, url, &headers, body).await,
            }
        };
        let began = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
        let outcome = answer
            .as_ref()
            .map(|answer| (answer.status, answer.body.len()));
        tracing::trace!(?url, ?outcome, took = ?began.elapsed(), "asked over HTTP");
        answer
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Client")
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// Sends a request without headers of its own.
pub async fn get(url: &Url) -> Result<Answer, String> {
    Client::default().get(url).await
}

pub async fn post_json(url: &Url, body: Vec<u8>) -> Result<Answer, String> {
    let json = [("content-type", "application/json")];
    Client::default().ask(Method::POST, url, &json, body).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    method: Method,
    url: &Url,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| chain(&error))?;
    let mut request = Request::builder()
        .method(method)
        .uri(&url.path)
        .header("host", &url.authority)
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| chain(&error))?;
    let answered = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await;
        let body = body.map_err(|error| chain(&*error))?.to_bytes().to_vec();
        Ok(Answer { status, body })
    };
    // The answer is there before the connection's own end.
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(chain(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_users_write_them() {
        let check = |text: &str, expected: Result<(&str, &str), &str>| {
            let url = Url::parse(text);
            let url = url
                .as_ref()
                .map(|url| (url.authority.as_str(), url.path.as_str()));
            assert_eq!(url.map_err(String::as_str), expected, "{text}");
        };
        check("http://localhost:16686", Ok(("localhost:16686", "/")));
        check("localhost:16686/jaeger", Ok(("localhost:16686", "/jaeger")));
        check("http://traces", Ok(("traces:80", "/")));
        check("http://[::1]:1/api?x=1", Ok(("[::1]:1", "/api?x=1")));
        check("http://:1", Err("`:1` isn't a valid `host:port`"));
        check("https://traces", Ok(("traces:443", "/")));
        check(
            "ftp://traces",
            Err("unsupported scheme `ftp`; use `http` or `https`"),
        );
    }

    #[test]
    fn a_path_goes_below_the_base() {
        let check = |base: &str, expected: &str| {
            assert_eq!(Url::parse(base).unwrap().at("/api/services").path, expected);
        };
        check("http://traces", "/api/services");
        check("http://traces/jaeger/", "/jaeger/api/services");
    }
}
