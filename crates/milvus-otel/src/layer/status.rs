//! The outcome of a call as a gRPC status, from headers, trailers, HTTP statuses or transport errors.

use http::{HeaderMap, HeaderName, StatusCode};
use std::error::Error;
use std::io;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

macro_rules! codes {
    ($($variant:ident = $number:literal $name:literal,)+) => {
        /// A gRPC status code.
        ///
        /// ```
        /// use milvus_otel::layer::Code;
        ///
        /// assert_eq!(Code::from_number(14).name(), "UNAVAILABLE");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`")] $variant = $number,)+
        }

        impl Code {
            /// The code of that number; one that gRPC doesn't know is [`Unknown`](Self::Unknown).
            pub fn from_number(number: i64) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }

            /// The name that gRPC gives it, such as `DEADLINE_EXCEEDED`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

codes! {
    Ok = 0 "OK",
    Cancelled = 1 "CANCELLED",
    Unknown = 2 "UNKNOWN",
    InvalidArgument = 3 "INVALID_ARGUMENT",
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    NotFound = 5 "NOT_FOUND",
    AlreadyExists = 6 "ALREADY_EXISTS",
    PermissionDenied = 7 "PERMISSION_DENIED",
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    Aborted = 10 "ABORTED",
    OutOfRange = 11 "OUT_OF_RANGE",
    Unimplemented = 12 "UNIMPLEMENTED",
    Internal = 13 "INTERNAL",
    Unavailable = 14 "UNAVAILABLE",
    DataLoss = 15 "DATA_LOSS",
    Unauthenticated = 16 "UNAUTHENTICATED",
}

/// A code and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Outcome {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The call was given up before its end.
    pub(super) fn dropped() -> Self {
        Self::new(Code::Cancelled, "the call was dropped before its end")
    }

    /// The status in trailers, or in the headers of a response without a body.
    pub(super) fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let number = headers
            .get(&GRPC_STATUS)?
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let code = number.map_or(Code::Unknown, Code::from_number);
        let message = headers
            .get(&GRPC_MESSAGE)
            .map(|value| percent_decode(value.as_bytes()));
        Some(Self::new(code, message.unwrap_or_default()))
    }

    /// The gRPC status of an HTTP status other than 200, as a proxy sends it.
    pub(crate) fn of_http_status(status: StatusCode) -> Option<Self> {
        let code = match status.as_u16() {
            200 => return None,
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Some(Self::new(
            code,
            format!("the server answered with HTTP status {}", status.as_u16()),
        ))
    }

    /// The response ended, and nothing in it was a status.
    pub(crate) fn without_status() -> Self {
        Self::new(Code::Unknown, "the response ended without a `grpc-status`")
    }

    /// A unary call was answered OK without a message.
    #[cfg(feature = "client")]
    pub(crate) fn without_message() -> Self {
        Self::new(Code::Internal, "the server answered OK without a message")
    }

    /// The response isn't one of gRPC.
    #[cfg(feature = "client")]
    pub(crate) fn of_content_type(content_type: &http::HeaderValue) -> Self {
        let name = String::from_utf8_lossy(content_type.as_bytes());
        Self::new(
            Code::Unknown,
            format!("the server answered with content type `{name}`"),
        )
    }

    /// Writes it as gRPC's status headers.
    #[cfg(feature = "client")]
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(&GRPC_STATUS, (self.code as u16).into());
        match http::HeaderValue::from_str(&self.message) {
            Ok(message) => headers.insert(&GRPC_MESSAGE, message),
            Err(_) => headers.remove(&GRPC_MESSAGE),
        };
    }

    /// The status of a transport's error.
    pub(super) fn of_error(error: &(dyn Error + 'static), classify: Option<Classify>) -> Self {
        let code = classify
            .and_then(|classify| classify(error))
            .unwrap_or_else(|| code_of(error));
        Self::new(code, causes(error))
    }
}

pub(super) type Classify = fn(&(dyn Error + 'static)) -> Option<Code>;

/// What gRPC takes a stream's reset for, by the words of the crate `h2`, in which hyper and tonic pass it on; a reset
/// for any other reason is INTERNAL.
const RESETS: [(&str, Code); 4] = [
    (
        "refused stream before processing any application logic",
        Code::Unavailable,
    ),
    ("stream no longer needed", Code::Cancelled),
    (
        "detected excessive load generating behavior",
        Code::ResourceExhausted,
    ),
    (
        "security properties do not meet minimum requirements",
        Code::PermissionDenied,
    ),
];

/// The code of a transport's error, by its message: the layer depends on no transport.
pub(crate) fn code_of(error: &(dyn Error + 'static)) -> Code {
    chain(error)
        .find_map(known_code)
        .unwrap_or(Code::Unavailable)
}

fn known_code(cause: &(dyn Error + 'static)) -> Option<Code> {
    if cause
        .downcast_ref::<io::Error>()
        .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
    {
        return Some(Code::DeadlineExceeded);
    }
    let words = cause.to_string();
    // Tonic's message for a deadline that has passed, in every version that this layer wraps.
    if words == "Timeout expired" {
        return Some(Code::DeadlineExceeded);
    }
    let reason = words.strip_prefix("stream error received: ")?;
    let known = RESETS.iter().find(|(words, _)| reason.starts_with(words));
    Some(known.map_or(Code::Internal, |(_, code)| *code))
}

/// An error and its causes.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes in one line, without repetitions.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .map(ToString::to_string)
        .fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            "transport error" => cause,
            _ if text.contains(&cause) => text,
            _ => format!("{text}: {cause}"),
        })
}

/// Decodes `grpc-message`, which is percent-encoded UTF-8. Anything else is kept unchanged.
fn percent_decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_headers() {
        let cases = [
            (&[("grpc-status", "0")][..], Some((Code::Ok, ""))),
            (
                &[("grpc-status", "13"), ("grpc-message", "no%20way%21")],
                Some((Code::Internal, "no way!")),
            ),
            (
                &[("grpc-status", "5"), ("grpc-message", "100% %zz %")],
                Some((Code::NotFound, "100% %zz %")),
            ),
            (
                &[("grpc-status", "5"), ("grpc-message", "%C3%A4")],
                Some((Code::NotFound, "ä")),
            ),
            (&[("grpc-status", "99")], Some((Code::Unknown, ""))),
            (&[("grpc-status", "many")], Some((Code::Unknown, ""))),
            (&[("grpc-message", "alone")], None),
        ];
        for (pairs, expected) in cases {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let expected = expected.map(|(code, message)| Outcome::new(code, message));
            assert_eq!(Outcome::of_headers(&headers), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_transport_error_is_unavailable_unless_it_speaks_of_time() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        assert_eq!(
            Outcome::of_error(&refused, None),
            Outcome::new(Code::Unavailable, "refused")
        );
        assert_eq!(
            Outcome::of_error(&timed_out, None).code,
            Code::DeadlineExceeded
        );
        let classify: Classify = |_| Some(Code::Aborted);
        assert_eq!(
            Outcome::of_error(&refused, Some(classify)).code,
            Code::Aborted
        );
    }
}
