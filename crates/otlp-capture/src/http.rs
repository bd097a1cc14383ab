//! OTLP/HTTP: a path for each signal, protobuf and JSON, and the statuses that OTLP gives a
//! meaning.

use crate::grpc::{self, Code, RETRY_AFTER_SECONDS};
use crate::intake::{Encoding, Intake, Refusal, next_chunk};
use crate::reply::Reply;
use crate::schema::Signal;
use crate::stats::add;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long the rest of a refused request is read, so that its client comes to read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Answers one request to the HTTP port.
pub(crate) async fn answer(
    intake: &Intake,
    request: Request<Incoming>,
    grpc: SocketAddr,
) -> Response<Reply> {
    if grpc::is_grpc(request.headers()) {
        add(&intake.counters.rejected_requests, 1);
        let hint = format!("this port takes OTLP over HTTP; OTLP over gRPC goes to http://{grpc}");
        return grpc::failure(Code::Unimplemented, &hint);
    }
    let (head, mut body) = request.into_parts();
    let encoding = content_type(&head.headers);
    let response = match Plan::of(&head.method, head.uri.path(), &head.headers, encoding) {
        Err(misfit) => {
            add(&intake.counters.rejected_requests, 1);
            misfit.response(encoding.unwrap_or(Encoding::Json))
        }
        Ok(plan) => match plan.export(intake, &mut body).await {
            Ok(()) => return success(plan.encoding),
            Err(refusal) => {
                intake.count(&refusal);
                refused(&refusal, plan.encoding)
            }
        },
    };
    // The client may be gone, or never end: either way it has had its chance.
    let _ = timeout(LINGER, async {
        while let Ok(Some(_)) = next_chunk(&mut body).await {}
    })
    .await;
    response
}

/// What is to be done with a request, from its head.
struct Plan {
    signal: Signal,
    encoding: Encoding,
    is_gzip: bool,
}

/// A head that doesn't fit.
struct Misfit {
    status: StatusCode,
    message: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Plan {
    fn of(
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        encoding: Option<Encoding>,
    ) -> Result<Self, Misfit> {
        let Some(signal) = Signal::ALL
            .into_iter()
            .find(|signal| signal.http_path() == path)
        else {
            let message =
                format!("nothing at `{path}`: OTLP goes to /v1/traces, /v1/metrics and /v1/logs");
            return Err(Misfit {
                status: StatusCode::NOT_FOUND,
                message,
                header: None,
            });
        };
        if method != Method::POST {
            let message = format!("`{method}` where only POST is possible");
            let header = Some((ALLOW, "POST"));
            return Err(Misfit {
                status: StatusCode::METHOD_NOT_ALLOWED,
                message,
                header,
            });
        }
        let Some(encoding) = encoding else {
            let message =
                "the content type has to be application/x-protobuf or application/json".to_owned();
            return Err(Misfit {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                message,
                header: None,
            });
        };
        let is_gzip = match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => false,
            Some(name) if name.eq_ignore_ascii_case(b"gzip") => true,
            Some(other) => {
                let message = format!("no decompressor for `{}`", String::from_utf8_lossy(other));
                let header = Some((ACCEPT_ENCODING, "gzip"));
                return Err(Misfit {
                    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    message,
                    header,
                });
            }
        };
        Ok(Self {
            signal,
            encoding,
            is_gzip,
        })
    }

    async fn export(&self, intake: &Intake, body: &mut Incoming) -> Result<(), Refusal> {
        let received = intake.receive(body, 0).await?;
        let request = if self.is_gzip {
            intake.inflate(received)?
        } else {
            received
        };
        intake.accept(self.signal, self.encoding, request).await
    }
}

impl Misfit {
    fn response(self, encoding: Encoding) -> Response<Reply> {
        let mut response = failure(self.status, Code::Unimplemented, &self.message, encoding);
        if let Some((name, value)) = self.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn content_type(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    match essence {
        _ if is("application/x-protobuf") => Some(Encoding::Protobuf),
        _ if is("application/json") => Some(Encoding::Json),
        _ => None,
    }
}

fn success(encoding: Encoding) -> Response<Reply> {
    // An `Export*ServiceResponse` without a partial success.
    let body: &[u8] = if encoding == Encoding::Json {
        b"{}"
    } else {
        b""
    };
    let mut response = Response::new(Reply::new(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, name_of(encoding));
    response
}

fn refused(refusal: &Refusal, encoding: Encoding) -> Response<Reply> {
    let code = refusal.code();
    let status = match code {
        Code::ResourceExhausted => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::Cancelled | Code::Unimplemented => StatusCode::BAD_REQUEST,
    };
    let mut response = failure(status, code, &refusal.message(), encoding);
    if code == Code::Unavailable {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    response
}

fn failure(status: StatusCode, code: Code, message: &str, encoding: Encoding) -> Response<Reply> {
    let body = match encoding {
        Encoding::Protobuf => grpc::status(code, message),
        Encoding::Json => json!({ "code": code as u32, "message": message })
            .to_string()
            .into_bytes(),
    };
    let mut response = Response::new(Reply::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, name_of(encoding));
    response
}

fn name_of(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    })
}
