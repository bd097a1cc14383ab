//! CORS: accepts requests of web pages only from allowed origins.

use crate::refusal::Refusal;
use crate::reply::Reply;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

/// The allowed origins; `*` allows any.
#[derive(Debug)]
pub(crate) struct Origins(pub(crate) Vec<String>);

impl Origins {
    /// The request's origin, if it is allowed.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let is_allowed =
            |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.0.iter().any(is_allowed).then(|| origin.clone())
    }

    /// The response to a preflight request; `None` if the request isn't one.
    pub(crate) fn preflight<B>(
        &self,
        request: &Request<B>,
    ) -> Option<Result<Response<Reply>, Refusal>> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let origin = headers.get(ORIGIN).filter(|_| asks)?;
        let Some(allowed) = self.allowed(headers) else {
            let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
            return Some(Err(Refusal::CrossOrigin(origin)));
        };
        let mut response = Response::new(Reply::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        permit(response.headers_mut(), allowed);
        let answers = response.headers_mut();
        answers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        answers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        Some(Ok(response))
    }
}

/// Lets the page read the response.
pub(crate) fn permit(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("origin"));
}
