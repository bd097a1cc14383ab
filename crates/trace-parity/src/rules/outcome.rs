//! Do the spans say how the calls ended?

use crate::draft::Draft;
use crate::rule::Rule;
use crate::semconv::{self, GRPC_STATUS, RPC};
use crate::traces::{Status, Value};
use crate::view::View;
use crate::view::calls::Call;

pub(crate) fn status_differs(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for call in view.calls.iter().filter(|call| call.judged) {
        // Of a program that follows no contract nobody knows which calls are to fail.
        let declared = view.scenario.then(|| {
            call.step.map_or(Status::Ok, |step| {
                view.contract.steps[usize::from(step)].status
            })
        });
        let client = ended(view, call.span);
        let server = call.server.map(|server| ended(view, server));
        let message = match (client, server) {
            (Ended::Both { span, code }, _) => format!(
                "the call `{}` contradicts itself: its span's status is {span} and its gRPC status is {code}",
                call.method
            ),
            (client, Some(server))
                if !client.refused() && client.failed() != server.failed_in_grpc() =>
            {
                let says = |failed: bool| if failed { "ERROR" } else { "OK" };
                format!(
                    "the call `{}` ended {} for the client and {} for the server",
                    call.method,
                    says(client.failed()),
                    says(server.failed_in_grpc())
                )
            }
            (client, _) if client.failed() && declared == Some(Status::Ok) => {
                format!(
                    "the call `{}` ended with ERROR{}",
                    call.method,
                    why(view, call)
                )
            }
            (client, _) if !client.failed() && declared == Some(Status::Error) => {
                format!(
                    "the call `{}` ended well; the contract says that it fails",
                    call.method
                )
            }
            _ => continue,
        };
        drafts.push(
            Draft::new(Rule::StatusDiffers, message)
                .example(call.example)
                .step(call.step)
                .span(call.span)
                .subject(call.method)
                .hint("see the call's own message and the server's log at that time; a deadline or a cancelled call fails for the client alone"),
        );
    }
}

fn why(view: &View<'_>, call: &Call<'_>) -> String {
    let text = view.traces.span(call.span).status_message();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// How a span says that its call ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Well,
    Badly,
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

    fn failed_in_grpc(self) -> bool {
        self.failed() && !self.refused()
    }
}

fn ended(view: &View<'_>, span: u32) -> Ended {
    let record = view.traces.record(span);
    let names = RPC[semconv::STATUS].names.iter();
    let code = names
        .filter_map(|(_, name)| view.traces.attribute_named(record.attributes, name))
        .find_map(grpc_status);
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
        Some(_) => Ended::Badly,
        None if failed => Ended::Badly,
        None => Ended::Well,
    }
}

/// A client's span is an error with every code but OK; a server's only with those that are the server's fault.
fn is_client(view: &View<'_>, span: u32) -> bool {
    view.call_of.contains_key(&span)
}

fn grpc_status(value: Value<'_>) -> Option<&'static str> {
    let known = match value {
        Value::Int(code) => usize::try_from(code)
            .ok()
            .and_then(|code| GRPC_STATUS.get(code)),
        Value::Str(name) => match name.parse::<usize>() {
            Ok(code) => GRPC_STATUS.get(code),
            Err(_) => GRPC_STATUS.iter().find(|known| **known == name),
        },
        _ => None,
    };
    known.copied()
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
                format!("the root span `{}` is ERROR{why}; no RPC span is", span.name()),
            )
            .example(index)
            .span(root)
            .hint(
                "Milvus answers most failures with gRPC status OK and an error code in the body, which no stock instrumentation sees: \
                 record the failure on the call's own span, or read the root's exception event",
            ),
        );
    }
}
