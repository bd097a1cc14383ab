//! What a program made of a fault, read from the wire and the spans.

use std::collections::{BTreeMap, HashMap};

use grpc_witness::{CallRecord, Ending, Party};
use serde::{Deserialize, Serialize};
use trace_parity::{Kind, Span, Traces};

/// One program under one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The calls on the wire that are shown, in order.
    pub attempts: Vec<Attempt>,
    /// The program's spans of the same methods, in order.
    pub spans: Vec<CallSpan>,
    /// `None` if there is no root.
    pub root_is_error: Option<bool>,
    pub root_has_exception: bool,
    pub prints_trace_id: bool,
    /// The exit code, or how else it ended.
    pub exit: String,
    /// Whether the fault was played, or a call met the failure.
    pub is_played: bool,
}

/// A call on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub method: String,
    /// Whether the fault was played on it.
    pub faulted: bool,
    /// The name of the status that the client's library has to make of it; `None` if it was well.
    pub failure: Option<String>,
    /// What was on the wire: `UNAVAILABLE`, `reset by the server: CANCEL`, `cut`.
    pub ending: String,
    /// Whether it had a deadline.
    pub has_deadline: bool,
    /// Its span, as an index of the round's spans.
    pub span: Option<usize>,
}

/// A call as the program's span tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSpan {
    pub name: String,
    /// `UNSET`, `OK` or `ERROR`.
    pub status: String,
    /// Addresses and other numbers that differ from run to run are replaced.
    pub description: String,
    /// By the name of the attribute, old or new.
    pub codes: BTreeMap<String, String>,
    pub error_type: Option<String>,
    pub has_exception: bool,
    /// The statuses of the server's spans below it, one for each attempt that arrived.
    pub servers: Vec<String>,
}

/// The attributes that hold a call's status.
const CODES: [&str; 4] = [
    "rpc.grpc.status_code",
    "rpc.response.status_code",
    "rpc.status_code",
    "grpc.status_code",
];

/// The longest description that is kept, in characters.
const DESCRIPTION: usize = 160;

impl Round {
    /// The round of the program `name` in `run`.
    pub(super) fn of(
        traces: &Traces,
        wire: &[CallRecord],
        (run, name): (&str, &str),
        is_shown: impl Fn(&str) -> bool,
    ) -> Self {
        let own = |span: &Span<'_>| {
            let has = |key: &str, value: &str| {
                let mut attributes = span.resource_attributes();
                attributes.any(|(known, is)| known == key && is.as_str() == Some(value))
            };
            has("milvus_otel.run", run) && has("service.instance.id", name)
        };
        let spans: Vec<Span<'_>> = traces.iter().flat_map(|trace| trace.spans()).collect();
        let own: Vec<&Span<'_>> = spans.iter().filter(|span| own(span)).collect();
        let root = own.iter().find(|span| span.parent_id().is_none());
        let mut calls: Vec<&&Span<'_>> = own
            .iter()
            .filter(|span| span.kind() == Kind::Client && is_shown(span.name()))
            .collect();
        calls.sort_by_key(|span| span.start_ns());
        let by_id: HashMap<String, usize> = (0..)
            .zip(&calls)
            .map(|(index, span)| (span.id().to_string(), index))
            .collect();
        let mut sent: Vec<&CallRecord> = wire
            .iter()
            .filter(|call| call.client.as_deref() == Some(name) && is_shown(&call.path))
            .collect();
        sent.sort_by_key(|call| call.headers_unix_nano);
        let span_of = |call: &CallRecord| {
            let values = call.context.get("traceparent")?;
            let ids = values.iter().filter_map(|value| value.split('-').nth(2));
            ids.filter_map(|id| by_id.get(id)).next().copied()
        };
        Self {
            attempts: sent
                .iter()
                .map(|call| Attempt::of(call, span_of(call)))
                .collect(),
            spans: calls.iter().map(|span| CallSpan::of(span)).collect(),
            root_is_error: root.map(|root| root.status() == trace_parity::Status::Error),
            root_has_exception: root.is_some_and(|root| has_exception(root)),
            ..Self::default()
        }
    }
}

impl Attempt {
    fn of(call: &CallRecord, span: Option<usize>) -> Self {
        let status = |code: u32| grpc_witness::Status(code).name().to_owned();
        let own = |name: &str| Some(name.to_owned());
        let (ending, failure) = match (call.ending, call.grpc_status, &call.reset) {
            (Ending::Answered, Some(code), _) => (status(code), (code != 0).then(|| status(code))),
            (Ending::Answered, None, _) => ("no status".to_owned(), own("UNKNOWN")),
            (Ending::Reset, _, Some(reset)) if reset.by == Party::Client => {
                let why = if call.timeout.is_some() {
                    "DEADLINE_EXCEEDED"
                } else {
                    "CANCELLED"
                };
                ("cancelled by the client".to_owned(), own(why))
            }
            (Ending::Reset, _, reset) => {
                let code = reset.as_ref().map_or("", |reset| reset.code.as_str());
                let failure = match code {
                    "REFUSED_STREAM" => "UNAVAILABLE",
                    "CANCEL" => "CANCELLED",
                    "ENHANCE_YOUR_CALM" => "RESOURCE_EXHAUSTED",
                    _ => "INTERNAL",
                };
                (format!("reset by the server: {code}"), own(failure))
            }
            (Ending::Refused, ..) => ("refused by GOAWAY".to_owned(), own("UNAVAILABLE")),
            // A program that ends closes its connections before it has reset its calls.
            (Ending::Cut, ..) if call.is_past_deadline() => {
                ("closed by the client".to_owned(), own("DEADLINE_EXCEEDED"))
            }
            (Ending::Cut, ..) => ("cut".to_owned(), own("UNAVAILABLE")),
            (Ending::OutOfSight, ..) => ("unknown".to_owned(), None),
            (Ending::Open, ..) => ("open at the end".to_owned(), None),
        };
        Self {
            method: method_of(&call.path).to_owned(),
            faulted: call.fault.is_some(),
            failure,
            ending,
            has_deadline: call.timeout.is_some(),
            span,
        }
    }
}

impl CallSpan {
    fn of(span: &Span<'_>) -> Self {
        let text = |key: &str| {
            let mut attributes = span.attributes();
            let found = attributes.find(|(known, _)| *known == key);
            found.map(|(_, value)| value.to_string())
        };
        let codes = CODES
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), text(key)?)));
        Self {
            name: span.name().to_owned(),
            status: span.status().to_string(),
            description: without_numbers(span.status_message()),
            codes: codes.collect(),
            error_type: text("error.type"),
            has_exception: has_exception(span),
            servers: span
                .children()
                .filter(|below| below.kind() == Kind::Server)
                .map(|server| server.status().to_string())
                .collect(),
        }
    }
}

fn has_exception(span: &Span<'_>) -> bool {
    span.events().any(|event| event.name == "exception")
}

fn method_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// A text without addresses, times and other long numbers, and not too long.
fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    let mut number = String::new();
    let flush = |number: &mut String, kept: &mut String| {
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let is_long = digits > 2 || number.contains('.') && digits > 1;
        kept.push_str(if is_long { "…" } else { number });
        number.clear();
    };
    for letter in text
        .chars()
        .map(|letter| if letter == '\n' { ' ' } else { letter })
    {
        let goes_on = letter == '.' || letter == ':';
        if letter.is_ascii_digit() || goes_on && !number.is_empty() {
            number.push(letter);
            continue;
        }
        let end = number.trim_end_matches(['.', ':']).len();
        let rest = number.split_off(end);
        flush(&mut number, &mut kept);
        kept.push_str(&rest);
        kept.push(letter);
    }
    flush(&mut number, &mut kept);
    match kept.char_indices().nth(DESCRIPTION) {
        Some((end, _)) => format!("{}…", &kept[..end]),
        None => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_from_run_to_run_are_replaced() {
        let check = |text: &str, expected: &str| assert_eq!(without_numbers(text), expected);
        check("fault unavailable-once", "fault unavailable-once");
        check("14 UNAVAILABLE: fault x", "14 UNAVAILABLE: fault x");
        check("dial tcp 127.0.0.1:45123: refused", "dial tcp …: refused");
        check("after 15.002s.", "after …s.");
        check("code=65535 [id 450000]", "code=… [id …]");
        check("two\nlines", "two lines");
        assert_eq!(
            without_numbers(&"a".repeat(500)).chars().count(),
            DESCRIPTION + 1
        );
    }

    #[test]
    fn an_attempt_tells_what_was_on_the_wire_and_what_it_means() {
        let check = |call: CallRecord, ending: &str, failure: Option<&str>| {
            let attempt = Attempt::of(&call, None);
            assert_eq!(
                (attempt.ending.as_str(), attempt.failure.as_deref()),
                (ending, failure)
            );
        };
        let call = |ending, grpc_status| CallRecord {
            ending,
            grpc_status,
            path: "/a.B/Search".to_owned(),
            ..CallRecord::default()
        };
        let reset = |by, code: &str| CallRecord {
            reset: Some(grpc_witness::Reset {
                by,
                code: code.to_owned(),
            }),
            ..call(Ending::Reset, None)
        };
        check(call(Ending::Answered, Some(0)), "OK", None);
        check(
            call(Ending::Answered, Some(14)),
            "UNAVAILABLE",
            Some("UNAVAILABLE"),
        );
        check(call(Ending::Cut, None), "cut", Some("UNAVAILABLE"));
        check(
            call(Ending::Refused, None),
            "refused by GOAWAY",
            Some("UNAVAILABLE"),
        );
        check(
            reset(Party::Server, "CANCEL"),
            "reset by the server: CANCEL",
            Some("CANCELLED"),
        );
        check(
            reset(Party::Client, "CANCEL"),
            "cancelled by the client",
            Some("CANCELLED"),
        );
        let timed = CallRecord {
            timeout: Some("10S".to_owned()),
            ..reset(Party::Client, "CANCEL")
        };
        check(timed, "cancelled by the client", Some("DEADLINE_EXCEEDED"));
        let closed = |seconds: u64| CallRecord {
            timeout: Some("10S".to_owned()),
            end_unix_nano: seconds * 1_000_000_000,
            ..call(Ending::Cut, None)
        };
        check(closed(9), "cut", Some("UNAVAILABLE"));
        check(
            closed(10),
            "closed by the client",
            Some("DEADLINE_EXCEEDED"),
        );
    }
}
