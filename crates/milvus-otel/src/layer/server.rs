//! The server of a call.

use std::sync::Arc;

/// A server's address and port.
pub(crate) type Server = (Arc<str>, u16);

/// The server that a URI names; an IPv6 address has brackets in a URI alone.
pub(crate) fn server_of(uri: &http::Uri) -> Option<Server> {
    let default = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let address = uri.host()?.trim_matches(['[', ']']);
    Some((address.into(), uri.port_u16().unwrap_or(default)))
}
