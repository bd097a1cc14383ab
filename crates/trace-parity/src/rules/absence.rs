//! Calls without a server span: whether the call itself says why.

use crate::semconv::GrpcStatus;
use crate::view::View;
use crate::view::calls::{Answer, Call};
use crate::view::links::Side;

/// Why a call can have no server span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// gRPC itself may end a call with this status before the server's code sees it.
    Status(GrpcStatus),
    /// The call's span is an error and gives no gRPC status.
    Error,
    /// The server has no such method, and refuses it before a span is made.
    Lacking,
}

/// The explanation that a call without a server span brings itself.
pub(super) fn absence(view: &View<'_>, call: &Call<'_>) -> Option<Absence> {
    if !is_open(call) || !swallowed(view, call).is_empty() {
        return None;
    }
    match view.reader.explains_absence(call.span) {
        Some(Some(status)) => Some(Absence::Status(status)),
        Some(None) => Some(Absence::Error),
        None => {
            let version = view.facts.and_then(|facts| facts.server_version.as_deref());
            view.contract
                .server
                .lacks(version, call.method)
                .then_some(Absence::Lacking)
        }
    }
}

pub(super) fn is_open(call: &Call<'_>) -> bool {
    call.judged && call.answer == Answer::None
}

/// The server's spans that name an absent parent within a call's time: the parent can only have been the call's own server span.
pub(super) fn swallowed(view: &View<'_>, call: &Call<'_>) -> Vec<u32> {
    if call.astray().is_some() {
        return Vec::new();
    }
    let own = view.traces.record(call.span);
    let time = own.start..=own.end;
    let within = |&span: &u32| {
        view.links.side(span) == Side::Server && time.contains(&view.traces.record(span).start)
    };
    let groups = view
        .links
        .orphans_within(view.traces, call.example, own.trace, time.clone());
    groups
        .iter()
        .filter(|group| group.elsewhere.is_none())
        .filter(|group| group.spans.iter().all(within))
        .filter(|group| view.server_orphan(group).is_none())
        .flat_map(|group| group.spans.iter().copied())
        .collect()
}
