//! What has to hold for a failure, and the differences that are known.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use supervise::{Failure, Result};
use wildmatch::WildMatch;

use super::facts::{Attempt, CallSpan, Round};

const KNOWN: &str = include_str!("known.toml");

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The fault was played.
    Played,
    /// The span of a call that failed is ERROR.
    Marked,
    /// The span of a call that failed has the wire's status.
    StatusAgrees,
    /// Each attempt has a span.
    AttemptsTold,
    /// A program whose step failed says so: exit code, root span, trace id.
    ProgramTells,
    /// Nothing is done twice.
    DoneOnce,
}

impl Expectation {
    pub const ALL: [Self; 6] = [
        Self::Played,
        Self::Marked,
        Self::StatusAgrees,
        Self::AttemptsTold,
        Self::ProgramTells,
        Self::DoneOnce,
    ];

    /// What it asks for, as a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::Played => "the program makes the call that the fault is played on",
            Self::Marked => "the span of a call that failed has the status ERROR",
            Self::StatusAgrees => {
                "the span of a call that failed has the code that the wire had, or that gRPC defines for what happened there"
            }
            Self::AttemptsTold => "each attempt on the wire has a span",
            Self::ProgramTells => {
                "a program whose last attempt failed exits with a code other than 0, and any program that does has an ERROR root and prints its trace id"
            }
            Self::DoneOnce => "the server inserts once",
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Played => "played",
            Self::Marked => "marked",
            Self::StatusAgrees => "status-agrees",
            Self::AttemptsTold => "attempts-told",
            Self::ProgramTells => "program-tells",
            Self::DoneOnce => "done-once",
        })
    }
}

/// An expectation that isn't met, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Breach {
    pub expectation: Expectation,
    pub message: String,
    /// Why it is known.
    pub reason: Option<String>,
}

/// A known difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// The fault's name; `*` stands for any text.
    pub fault: String,
    pub example: String,
    pub expectation: Expectation,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectationFile {
    #[serde(default)]
    known: Vec<Known>,
}

impl Known {
    pub(super) fn all() -> Result<Vec<Self>> {
        let file: std::result::Result<ExpectationFile, _> = toml::from_str(KNOWN);
        let file = file.map_err(|error| {
            Failure::new(format!("failures/known.toml: {error}")).hint("mend the file")
        })?;
        Ok(file.known)
    }

    pub(super) fn is_of(&self, fault: &str, example: &str) -> bool {
        self.example == example && WildMatch::new(&self.fault).matches(fault)
    }
}

/// The breaches of all rounds of a cell, each once.
pub(super) fn breaches(
    fault: &str,
    example: &str,
    rounds: &[Round],
    known: &[Known],
) -> Vec<Breach> {
    let found: BTreeSet<Breach> = rounds.iter().flat_map(breaches_of).collect();
    let reason = |breach: &Breach| {
        let mut known = known.iter().filter(|known| known.is_of(fault, example));
        let known = known.find(|known| known.expectation == breach.expectation);
        known.map(|known| known.reason.clone())
    };
    let with_reason = |breach: Breach| Breach {
        reason: reason(&breach),
        ..breach
    };
    found.into_iter().map(with_reason).collect()
}

fn breaches_of(round: &Round) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |expectation, message: String| {
        breaches.push(Breach {
            expectation,
            message,
            reason: None,
        });
    };
    if !round.is_played {
        breach(Expectation::Played, "the fault was never played".to_owned());
    }
    for (index, span) in round.spans.iter().enumerate() {
        let own = round.attempts.iter().filter(|one| one.span == Some(index));
        let own: Vec<&Attempt> = own.collect();
        if own.len() > 1 {
            let endings: Vec<&str> = own.iter().map(|one| one.ending.as_str()).collect();
            let message = format!(
                "one span for {} attempts: {}",
                own.len(),
                endings.join(", ")
            );
            breach(Expectation::AttemptsTold, message);
        }
        let Some(failure) = own.last().and_then(|last| last.failure.as_deref()) else {
            continue;
        };
        if span.status != "ERROR" {
            let message = format!("{failure} on the wire, {} in the span", span.status);
            breach(Expectation::Marked, message);
        }
        if let Some(told) = disagreement(span, failure) {
            let message = format!("{failure} on the wire, {told} in the span");
            breach(Expectation::StatusAgrees, message);
        }
    }
    let untold = round.attempts.iter().filter(|one| one.span.is_none());
    match untold.count() {
        0 => {}
        1 => breach(
            Expectation::AttemptsTold,
            "an attempt without a span".to_owned(),
        ),
        untold => breach(
            Expectation::AttemptsTold,
            format!("{untold} attempts without a span"),
        ),
    }
    let has_failed = round
        .attempts
        .last()
        .is_some_and(|last| last.failure.is_some());
    let says_well = round.exit == "0";
    if has_failed && says_well {
        breach(
            Expectation::ProgramTells,
            "the last attempt failed, and the program exits with 0".to_owned(),
        );
    }
    if !says_well {
        if round.root_is_error != Some(true) {
            breach(
                Expectation::ProgramTells,
                "the program failed, and its root isn't ERROR".to_owned(),
            );
        }
        if !round.prints_trace_id {
            breach(
                Expectation::ProgramTells,
                "the program failed without printing a trace id".to_owned(),
            );
        }
    }
    let inserts = round
        .spans
        .iter()
        .filter(|span| span.name.ends_with("/Insert"));
    let inserts = inserts.flat_map(|span| &span.servers);
    let inserts = inserts.filter(|status| *status != "ERROR").count();
    if inserts > 1 {
        breach(
            Expectation::DoneOnce,
            format!("the server inserted {inserts} times"),
        );
    }
    breaches
}

/// The code of a span, where it isn't the status of that name.
fn disagreement(span: &CallSpan, failure: &str) -> Option<String> {
    if span.codes.is_empty() {
        return Some("no code".to_owned());
    }
    let names = span.codes.values().map(|code| match code.parse() {
        Ok(number) => grpc_witness::Status(number).name(),
        Err(_) => code,
    });
    let others: Vec<&str> = names
        .filter(|name| !name.eq_ignore_ascii_case(failure))
        .collect();
    (!others.is_empty()).then(|| others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(failure: Option<&str>, span: Option<usize>) -> Attempt {
        Attempt {
            method: "Search".to_owned(),
            faulted: failure.is_some(),
            failure: failure.map(str::to_owned),
            ending: failure.unwrap_or("OK").to_owned(),
            has_deadline: false,
            span,
        }
    }

    fn span(status: &str, code: &str) -> CallSpan {
        CallSpan {
            name: "s.S/Search".to_owned(),
            status: status.to_owned(),
            description: String::new(),
            codes: [("rpc.grpc.status_code".to_owned(), code.to_owned())].into(),
            error_type: None,
            has_exception: false,
            servers: Vec::new(),
        }
    }

    #[test]
    fn each_expectation_can_be_breached() {
        let well = Round {
            attempts: vec![attempt(Some("UNAVAILABLE"), Some(0))],
            spans: vec![span("ERROR", "14")],
            root_is_error: Some(true),
            root_has_exception: true,
            prints_trace_id: true,
            exit: "1".to_owned(),
            is_played: true,
        };
        let check = |change: &dyn Fn(&mut Round), expected: &[&str]| {
            let mut round = well.clone();
            change(&mut round);
            let found = breaches("f", "py", &[round.clone(), round], &[]);
            let found: Vec<String> = found
                .iter()
                .map(|one| format!("{}: {}", one.expectation, one.message))
                .collect();
            assert_eq!(found, expected);
        };
        check(&|_| (), &[]);
        check(
            &|round| round.spans[0].status = "UNSET".to_owned(),
            &["marked: UNAVAILABLE on the wire, UNSET in the span"],
        );
        check(
            &|round| round.spans[0] = span("ERROR", "4"),
            &["status-agrees: UNAVAILABLE on the wire, DEADLINE_EXCEEDED in the span"],
        );
        check(
            &|round| round.spans[0].codes.clear(),
            &["status-agrees: UNAVAILABLE on the wire, no code in the span"],
        );
        check(
            &|round| {
                round
                    .attempts
                    .insert(0, attempt(Some("UNAVAILABLE"), Some(0)));
            },
            &["attempts-told: one span for 2 attempts: UNAVAILABLE, UNAVAILABLE"],
        );
        check(
            &|round| round.is_played = false,
            &["played: the fault was never played"],
        );
        check(
            &|round| round.attempts[0].span = None,
            &["attempts-told: an attempt without a span"],
        );
        check(
            &|round| round.exit = "0".to_owned(),
            &["program-tells: the last attempt failed, and the program exits with 0"],
        );
        check(
            &|round| (round.root_is_error, round.prints_trace_id) = (None, false),
            &[
                "program-tells: the program failed without printing a trace id",
                "program-tells: the program failed, and its root isn't ERROR",
            ],
        );
        check(
            &|round| {
                for span in 0..2 {
                    round.spans.push(CallSpan {
                        name: "s.S/Insert".to_owned(),
                        servers: vec!["UNSET".to_owned()],
                        ..round.spans[span].clone()
                    });
                }
            },
            &["done-once: the server inserted 2 times"],
        );
    }

    #[test]
    fn a_known_difference_has_its_reason_and_ours_has_none() {
        let known = Known::all().expect("known.toml");
        for one in &known {
            assert!(!one.reason.is_empty(), "{one:?}");
            assert_ne!(one.example, "rust", "the Rust client is ours: {one:?}");
        }
        let round = Round {
            attempts: vec![attempt(None, None)],
            exit: "0".to_owned(),
            is_played: true,
            ..Round::default()
        };
        let known = [Known {
            fault: "un*".to_owned(),
            example: "py".to_owned(),
            expectation: Expectation::AttemptsTold,
            reason: "because".to_owned(),
        }];
        let check = |fault: &str, example: &str, expected: Option<&str>| {
            let found = breaches(fault, example, std::slice::from_ref(&round), &known);
            assert_eq!(found[0].reason.as_deref(), expected, "{fault} {example}");
        };
        check("unavailable", "py", Some("because"));
        check("unavailable", "go", None);
        check("restart", "py", None);
    }
}
