//! Do the spans say how the calls ended?

use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::semconv::GrpcStatus;
use crate::traces::Status;
use crate::view::View;
use crate::view::calls::Call;

use super::absence::absence;
use super::words::{duration, reason};

pub(crate) fn status_differs(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let judged = view.calls.iter().filter(|call| call.judged);
    for call in judged.filter(|call| absence(view, call).is_none()) {
        let Some(difference) = difference(view, call) else {
            continue;
        };
        drafts.push(
            Draft::new(Rule::StatusDiffers, difference.message)
                .severity(difference.severity)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method)
                .case(difference.case)
                .tell("status", difference.status)
                .tell(
                    "span_status",
                    view.traces.record(call.span).status.to_string(),
                ),
        );
    }
}

struct Difference {
    severity: Severity,
    message: String,
    case: &'static str,
    status: &'static str,
}

/// Statuses that a client's own library ends a call with, whatever the server does: gRPC allows the server's to be another.
const CLIENTS_OWN: [GrpcStatus; 3] = [
    GrpcStatus::DEADLINE_EXCEEDED,
    GrpcStatus::CANCELLED,
    GrpcStatus::RESOURCE_EXHAUSTED,
];

fn difference(view: &View<'_>, call: &Call<'_>) -> Option<Difference> {
    // Of a program that follows no contract nobody knows which calls are to fail.
    let step = call
        .step
        .map(|step| &view.contract.steps[usize::from(step)]);
    let declared = view
        .scenario
        .then(|| step.map_or(Status::Ok, |step| step.status));
    let tried_again =
        step.is_some_and(|step| step.retries || step.hedging) && view.is_answered_in_its_step(call);
    let (client, server) = (
        ended(view, call.span),
        call.server().map(|server| ended(view, server)),
    );
    let status = view.reader.grpc_status(call.span);
    let says = || {
        status
            .filter(|&status| status != GrpcStatus::OK)
            .map_or("ERROR", GrpcStatus::name)
    };
    let error = |message: String, case: &'static str| {
        Some(Difference {
            severity: Severity::Error,
            message,
            case,
            status: says(),
        })
    };
    if let Ended::Both { span, code } = client {
        return error(
            format!(
                "the call `{}` contradicts itself: its span's status is {span} and its gRPC status is {code}",
                call.method
            ),
            "contradicts",
        );
    }
    if let Some(server) =
        server.filter(|server| !client.refused() && client.failed() != server.failed_in_grpc())
    {
        let (ours, theirs) = if client.failed() {
            (says(), "OK")
        } else {
            ("OK", server.says())
        };
        let mut message = format!(
            "the call `{}` ended {ours} for the client and {theirs} for the server{}",
            call.method,
            why(view, call)
        );
        let is_legal =
            client.failed() && status.is_some_and(|status| CLIENTS_OWN.contains(&status));
        if is_legal {
            let as_declared = declared != Some(Status::Ok) || tried_again;
            return Some(Difference {
                severity: if as_declared {
                    Severity::Info
                } else {
                    Severity::Error
                },
                message,
                case: "legal",
                status: says(),
            });
        }
        if client.failed()
            && let Some(again) = sent_again(view, call)
        {
            message.push_str(&format!(
                "; {} later the client called it again, so the server did the work twice",
                duration(
                    view.traces
                        .record(again)
                        .start
                        .saturating_sub(view.traces.record(call.span).end)
                )
            ));
            return error(message, "twice");
        }
        return error(message, "differs");
    }
    if client.failed() && declared == Some(Status::Ok) {
        return Some(Difference {
            severity: if tried_again {
                Severity::Info
            } else {
                Severity::Error
            },
            message: format!(
                "the call `{}` ended with {}{}",
                call.method,
                says(),
                why(view, call)
            ),
            case: "fails",
            status: says(),
        });
    }
    if !client.failed() && declared == Some(Status::Error) {
        return error(
            format!(
                "the call `{}` ended well; the contract says that it fails",
                call.method
            ),
            "ends-well",
        );
    }
    None
}

/// The next call of the same method, where the server did that one's work too.
fn sent_again(view: &View<'_>, call: &Call<'_>) -> Option<u32> {
    let end = view.traces.record(call.span).end;
    let calls = view.calls_of(&view.examples[call.example as usize]);
    let behind = calls.partition_point(|other| view.traces.record(other.span).start < end);
    let mut later = calls[behind..].iter().filter(|other| other.judged);
    let next = later.find(|other| other.method == call.method)?;
    next.server().map(|_| next.span)
}

fn why(view: &View<'_>, call: &Call<'_>) -> String {
    reason(view.traces.span(call.span).status_message())
}

/// How a span says that its call ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Well,
    Badly(Option<&'static str>),
    /// gRPC brought an answer, and the answer is an error code: Milvus refuses in this way. The other side's gRPC status says nothing of it.
    Refused,
    /// Its status and its gRPC code say different things.
    Both {
        span: Status,
        code: &'static str,
    },
}

impl Ended {
    fn failed(self) -> bool {
        !matches!(self, Ended::Well)
    }

    fn refused(self) -> bool {
        matches!(self, Ended::Refused)
    }

    fn says(self) -> &'static str {
        match self {
            Ended::Badly(Some(code)) | Ended::Both { code, .. } => code,
            Ended::Well => "OK",
            Ended::Badly(None) | Ended::Refused => "ERROR",
        }
    }

    fn failed_in_grpc(self) -> bool {
        self.failed() && !self.refused()
    }
}

fn ended(view: &View<'_>, span: u32) -> Ended {
    let record = view.traces.record(span);
    let code = view.reader.grpc_status(span).map(GrpcStatus::name);
    let failed = record.status == Status::Error;
    match code {
        Some("OK") if failed => Ended::Refused,
        Some("OK") => Ended::Well,
        Some(code) if record.status == Status::Ok => Ended::Both {
            span: record.status,
            code,
        },
        Some(code) if !failed && is_client(view, span) => Ended::Both {
            span: record.status,
            code,
        },
        Some(code) => Ended::Badly(Some(code)),
        None if failed => Ended::Badly(None),
        None => Ended::Well,
    }
}

/// A client's span is an error with every code but OK; a server's only with those that are the server's fault.
fn is_client(view: &View<'_>, span: u32) -> bool {
    view.call_of.contains_key(&span)
}

pub(crate) fn unmarked_error(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let Some(root) = example.root else { continue };
        let marked = view
            .calls_of(example)
            .iter()
            .any(|call| ended(view, call.span).failed());
        let span = view.traces.span(root);
        if span.status() != Status::Error || marked {
            continue;
        }
        let text = span.status_message();
        let why = if text.is_empty() {
            String::new()
        } else {
            format!(": {text}")
        };
        drafts.push(
            Draft::new(
                Rule::UnmarkedError,
                format!(
                    "the root span `{}` is ERROR{why}; no RPC span is",
                    span.name()
                ),
            )
            .example(index)
            .span(root)
            .case(if span.events().any(|event| event.name == "exception") {
                "event"
            } else {
                "no-event"
            }),
        );
    }
}
