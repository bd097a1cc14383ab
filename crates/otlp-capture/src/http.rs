//! OTLP/HTTP: a path for each signal, protobuf and JSON, and the statuses that have a meaning in
//! OTLP.

use crate::grpc::{self, Code, RETRY_AFTER_SECONDS};
use crate::inflate::{self, Compression};
use crate::intake::{Encoding, Intake, linger};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::schema::Signal;
use crate::visit::Visit;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

/// The path that returns [`Stats`](crate::Stats) as JSON.
pub(crate) const STATS: &str = "/stats";

/// Whether this is a request for the stats, which isn't counted.
pub(crate) fn asks_for_stats<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.uri().path() == STATS
}

/// The stats so far.
pub(crate) async fn stats(intake: &Intake) -> Response<Reply> {
    intake.flush().await;
    let stats = serde_json::to_vec(&intake.ledger.snapshot()).expect("written to memory");
    let mut response = Response::new(Reply::new(stats));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, name_of(Encoding::Json));
    response
}

/// Handles one HTTP request.
pub(crate) async fn answer(
    intake: &Intake,
    visit: &mut Visit<'_>,
    request: Request<Incoming>,
) -> Response<Reply> {
    let (head, mut body) = request.into_parts();
    match export(intake, visit, &head, &mut body).await {
        Ok(encoding) => success(encoding),
        Err(refusal) => refuse_rest(visit, &refusal, &head, &mut body).await,
    }
}

/// Refuses an HTTP request.
pub(crate) async fn refuse(
    visit: &mut Visit<'_>,
    refusal: &Refusal,
    request: Request<Incoming>,
) -> Response<Reply> {
    let (head, mut body) = request.into_parts();
    refuse_rest(visit, refusal, &head, &mut body).await
}

async fn refuse_rest(
    visit: &mut Visit<'_>,
    refusal: &Refusal,
    head: &Parts,
    body: &mut Incoming,
) -> Response<Reply> {
    let message = visit.refuse(refusal);
    linger(body).await;
    let encoding = content_type(&head.headers).unwrap_or(Encoding::Json);
    refused(refusal, &message, encoding)
}

async fn export(
    intake: &Intake,
    visit: &mut Visit<'_>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Encoding, Refusal> {
    let path = head.uri.path();
    let signal = Signal::ALL
        .into_iter()
        .find(|signal| signal.http_path() == path)
        .ok_or_else(|| Refusal::Path(path.to_owned()))?;
    if head.method != Method::POST {
        return Err(Refusal::Method(head.method.to_string()));
    }
    let encoding =
        content_type(&head.headers).ok_or_else(|| Refusal::ContentType(quoted(&head.headers)))?;
    let compression =
        Compression::named(head.headers.get(CONTENT_ENCODING)).map_err(Refusal::Encoding)?;
    let mut request = intake.receive(visit, body, 0).await?;
    if let Some(compression) = compression {
        request = intake.inflate(request, compression)?;
    }
    intake.accept(visit, signal, encoding, request).await?;
    Ok(encoding)
}

/// The content type for messages.
fn quoted(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).map_or_else(
        || "not given".to_owned(),
        |value| format!("`{}`", String::from_utf8_lossy(value.as_bytes())),
    )
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

fn refused(refusal: &Refusal, message: &str, encoding: Encoding) -> Response<Reply> {
    let code = refusal.code();
    let body = match encoding {
        Encoding::Protobuf => grpc::status(code, message),
        Encoding::Json => json!({ "code": code as u32, "message": message })
            .to_string()
            .into_bytes(),
    };
    let mut response = Response::new(Reply::new(body));
    *response.status_mut() = status(refusal, code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, name_of(encoding));
    match refusal {
        Refusal::Encoding(_) => drop(headers.insert(ACCEPT_ENCODING, inflate::ACCEPTED)),
        Refusal::Method(_) => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        _ if code == Code::Unavailable => {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        _ => {}
    }
    response
}

fn status(refusal: &Refusal, code: Code) -> StatusCode {
    match (refusal, code) {
        (Refusal::Path(_), _) => StatusCode::NOT_FOUND,
        (Refusal::Method(_), _) => StatusCode::METHOD_NOT_ALLOWED,
        (Refusal::CrossOrigin(_), _) => StatusCode::FORBIDDEN,
        (_, Code::ResourceExhausted) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Code::DeadlineExceeded) => StatusCode::REQUEST_TIMEOUT,
        (_, Code::Unimplemented) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (_, Code::InvalidArgument | Code::Cancelled) => StatusCode::BAD_REQUEST,
    }
}

fn name_of(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    })
}
