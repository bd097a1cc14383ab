//! The server of a call.

use std::sync::Arc;

/// A server's address and port.
pub(crate) type Server = (Arc<str>, u16);

/// The server in a URI. The brackets of an IPv6 address belong to the URI, not to the address.
pub(crate) fn server_of(uri: &http::Uri) -> Option<Server> {
    let default = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let address = uri.host()?.trim_matches(['[', ']']);
    Some((address.into(), uri.port_u16().unwrap_or(default)))
}
