//! Words that several rules share.

use crate::view::View;
use crate::view::links::Side;

/// `1 span`, `3 spans`.
pub(crate) fn spans(count: usize) -> String {
    if count == 1 {
        "1 span".to_owned()
    } else {
        format!("{count} spans")
    }
}

/// The author of a span, as a message names it.
pub(crate) fn who(view: &View<'_>, span: u32) -> String {
    match view.links.side(span) {
        Side::Client => "the client's".to_owned(),
        Side::Server | Side::Undeclared => format!("`{}`'s", view.service(span)),
    }
}
