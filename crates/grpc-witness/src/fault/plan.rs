//! A plan of faults: one TOML file, read once and checked whole.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::record::CODES;

/// The faults that a witness plays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// On each call, the first one that is due is played.
    pub faults: Vec<Fault>,
    /// What each direction takes longer.
    pub link_delay: Duration,
}

/// One fault: on which calls, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// As records and statistics tell it.
    pub name: String,
    /// A sentence for people.
    pub about: Option<String>,
    /// Methods by their name, or by their path (`/package.Service/Method`); any, if it is empty.
    pub methods: Vec<String>,
    /// The number of the first call of these methods that it is played on, from 1.
    pub nth: u64,
    pub often: Often,
    pub action: Action,
}

/// On how many calls a fault is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    Times(u64),
    /// On all calls for this long, from the first one on.
    For(Duration),
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The witness answers with this status, by trailers alone. The server doesn't see the call.
    Answer(Status),
    /// The answer begins as the server sends it, and ends with this status.
    Trailers(Status),
    /// The witness resets the call. The server doesn't see it.
    Reset(ResetCode),
    Goaway(GoAwayKind),
    /// The connection is cut when the server's answer arrives, in its place.
    Cut,
    /// The answer arrives late.
    Hold(Hold),
    /// The request loses these headers.
    Strip(Vec<String>),
    /// The server first gets the same request as one of this method of the service, on another connection and untraced.
    First(String),
    /// In the request, the first text is replaced by the second, which is as long.
    Replace(Replacement),
    /// All connections are cut, and new ones refused for this long. Without a method, from the witness's start on.
    Refuse(Span),
}

/// A status of gRPC by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Status(pub u32);

/// An error code of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ResetCode(pub u32);

/// Which calls a GOAWAY refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoAwayKind {
    /// None: the calls that are open are answered.
    Graceful,
    /// The one that it is played on, which the server doesn't see.
    Refused,
}

/// Until when an answer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Hold {
    /// This long after the request's headers.
    For(Duration),
    /// Shortly after the call's deadline, at most [`Hold::LONGEST`] after the request's headers.
    PastDeadline,
}

impl Hold {
    /// A call without a deadline, or with a later one, is held this long.
    pub const LONGEST: Duration = Duration::from_secs(75);
}

/// A text and the one that takes its place. They are equally long, because messages hold lengths.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "[String; 2]")]
pub struct Replacement {
    pub from: String,
    pub to: String,
}

/// A time as text: `1500ms`, `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// Why a text is no plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for PlanError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Spanned<FaultTable>>,
    link: Option<Link>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    delay: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTable {
    name: String,
    about: Option<String>,
    method: Option<String>,
    step: Option<String>,
    nth: Option<u64>,
    times: Option<u64>,
    r#for: Option<Span>,
    action: Action,
}

impl Plan {
    /// Reads a plan. `methods_of` gives the methods of a `step`, or says why there are none.
    pub fn parse(
        text: &str,
        methods_of: impl Fn(&str) -> Result<Vec<String>, String>,
    ) -> Result<Self, PlanError> {
        let at = |span: Option<std::ops::Range<usize>>, message: String| PlanError {
            line: 1 + text[..span.map_or(0, |span| span.start.min(text.len()))]
                .matches('\n')
                .count(),
            message,
        };
        let file: File =
            toml::from_str(text).map_err(|error| at(error.span(), error.message().to_owned()))?;
        let mut plan = Self {
            faults: Vec::new(),
            link_delay: file.link.map_or(Duration::ZERO, |link| link.delay.0),
        };
        for entry in file.fault {
            let span = entry.span();
            let fault = fault(entry.into_inner(), &methods_of)
                .and_then(|fault| {
                    let is_new = plan.faults.iter().all(|other| other.name != fault.name);
                    let twice = || format!("the name `{}` is used twice", fault.name);
                    is_new.then_some(()).ok_or_else(twice).map(|()| fault)
                })
                .map_err(|message| at(Some(span), message))?;
            plan.faults.push(fault);
        }
        if plan == Self::default() {
            return Err(at(
                None,
                "it has neither `[[fault]]` nor `[link]`".to_owned(),
            ));
        }
        Ok(plan)
    }
}

fn fault(
    entry: FaultTable,
    methods_of: &impl Fn(&str) -> Result<Vec<String>, String>,
) -> Result<Fault, String> {
    let name = &entry.name;
    let methods = match (entry.method, entry.step) {
        (Some(_), Some(_)) => return Err(format!("`{name}` has both `method` and `step`")),
        (Some(method), None) => vec![method],
        (None, Some(step)) => methods_of(&step)?,
        (None, None) => Vec::new(),
    };
    let often = match (entry.times, entry.r#for) {
        (Some(_), Some(_)) => return Err(format!("`{name}` has both `times` and `for`")),
        (None, Some(span)) => Often::For(span.0),
        (times, None) => Often::Times(times.unwrap_or(1)),
    };
    let nth = entry.nth.unwrap_or(1);
    if nth == 0 || often == Often::Times(0) {
        return Err(format!("`nth` and `times` of `{name}` count from 1"));
    }
    Ok(Fault {
        name: entry.name,
        about: entry.about,
        methods,
        nth,
        often,
        action: entry.action,
    })
}

/// Whether `path`, such as `/package.Service/Method`, is a call of one of the methods, which are paths or their last parts; of any, if
/// there are none.
pub fn is_call_of(methods: &[String], path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_it = |method: &String| method == name || method == path;
    methods.is_empty() || methods.iter().any(is_it)
}

impl Fault {
    /// Whether it is about calls of `path`.
    pub(crate) fn is_of(&self, path: &str) -> bool {
        is_call_of(&self.methods, path)
    }

    /// Whether it is played when the witness starts, and on no call.
    pub(crate) fn is_at_start(&self) -> bool {
        self.methods.is_empty() && matches!(self.action, Action::Refuse(_))
    }
}

/// The statuses of gRPC, from 0.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn code(names: &[&str], kind: &str, name: &str) -> Result<u32, String> {
    let found = names.iter().position(|known| *known == name);
    found.map(|code| code as u32).ok_or_else(|| {
        format!(
            "unknown {kind} `{name}`, expected one of {}",
            names.join(", ")
        )
    })
}

impl Status {
    pub fn name(self) -> &'static str {
        STATUSES.get(self.0 as usize).unwrap_or(&"UNKNOWN")
    }
}

impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        code(&STATUSES, "gRPC status", &name).map(Self)
    }
}

impl TryFrom<String> for ResetCode {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        code(&CODES, "error code of HTTP/2", &name).map(Self)
    }
}

impl TryFrom<String> for Hold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "past-deadline" => Ok(Self::PastDeadline),
            _ => Span::try_from(text).map(|span| Self::For(span.0)),
        }
    }
}

impl TryFrom<[String; 2]> for Replacement {
    type Error = String;

    fn try_from([from, to]: [String; 2]) -> Result<Self, String> {
        match from.len() == to.len() && !from.is_empty() {
            true => Ok(Self { from, to }),
            false => Err("`replace` has two texts of the same length".to_owned()),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
        let millis = text.strip_suffix("ms").and_then(number);
        let seconds = || text.strip_suffix('s').and_then(number);
        millis
            .map(Duration::from_millis)
            .or_else(|| seconds().map(Duration::from_secs))
            .map(Self)
            .ok_or_else(|| format!("`{text}` isn't a time such as `1500ms` or `2s`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods_of(step: &str) -> Result<Vec<String>, String> {
        match step {
            "check" => Ok(vec!["Has".to_owned(), "Describe".to_owned()]),
            _ => Err(format!("there is no step `{step}`")),
        }
    }

    #[test]
    fn each_action_is_read() {
        let check = |action: &str, expected: Action| {
            let text = format!("[[fault]]\nname = \"f\"\naction = {action}\n");
            let plan = Plan::parse(&text, methods_of).expect("a plan");
            assert_eq!(plan.faults[0].action, expected);
        };
        check(r#"{ answer = "UNAVAILABLE" }"#, Action::Answer(Status(14)));
        check(r#"{ trailers = "INTERNAL" }"#, Action::Trailers(Status(13)));
        check(
            r#"{ reset = "REFUSED_STREAM" }"#,
            Action::Reset(ResetCode(7)),
        );
        check(
            r#"{ goaway = "graceful" }"#,
            Action::Goaway(GoAwayKind::Graceful),
        );
        check(
            r#"{ goaway = "refused" }"#,
            Action::Goaway(GoAwayKind::Refused),
        );
        check(r#""cut""#, Action::Cut);
        check(
            r#"{ hold = "past-deadline" }"#,
            Action::Hold(Hold::PastDeadline),
        );
        let two = Duration::from_secs(2);
        check(r#"{ hold = "2s" }"#, Action::Hold(Hold::For(two)));
        check(
            r#"{ strip = ["traceparent"] }"#,
            Action::Strip(vec!["traceparent".to_owned()]),
        );
        check(r#"{ refuse = "2000ms" }"#, Action::Refuse(Span(two)));
        check(r#"{ first = "Drop" }"#, Action::First("Drop".to_owned()));
        check(
            r#"{ replace = ["dim\u00125", "dim\u00126"] }"#,
            Action::Replace(Replacement {
                from: "dim\u{12}5".to_owned(),
                to: "dim\u{12}6".to_owned(),
            }),
        );
    }

    #[test]
    fn a_plan_says_on_which_calls_and_how_often() {
        let text = r#"
            [[fault]]
            name = "third"
            method = "Search"
            nth = 3
            action = "cut"
            [[fault]]
            name = "while"
            step = "check"
            for = "1500ms"
            action = "cut"
            [link]
            delay = "20ms"
        "#;
        let plan = Plan::parse(text, methods_of).expect("a plan");
        assert_eq!(plan.link_delay, Duration::from_millis(20));
        let [third, during] = plan.faults.as_slice() else {
            panic!("{plan:?}");
        };
        assert_eq!((third.nth, third.often), (3, Often::Times(1)));
        assert_eq!(during.often, Often::For(Duration::from_millis(1500)));
        let check = |fault: &Fault, path: &str, expected: bool| {
            assert_eq!(fault.is_of(path), expected, "{path}");
        };
        check(third, "/a.B/Search", true);
        check(third, "/a.B/HybridSearch", false);
        check(during, "/a.B/Describe", true);
        check(during, "/a.B/Search", false);
    }

    #[test]
    fn an_error_says_where_it_is_and_what_may_stand_there() {
        let check = |text: &str, expected: &str| {
            let error = Plan::parse(text, methods_of).expect_err("no plan");
            assert_eq!(error.to_string(), expected);
        };
        let fault = "[[fault]]\nname = \"f\"\n";
        let check_fault = |rest: &str, expected: &str| check(&format!("{fault}{rest}"), expected);
        check("", "line 1: it has neither `[[fault]]` nor `[link]`");
        check_fault(
            "action = \"cut\"\nmethods = []",
            "line 4: unknown field `methods`, expected one of `name`, `about`, `method`, `step`, `nth`, `times`, `for`, `action`",
        );
        check_fault(
            "action = \"explode\"",
            "line 3: unknown variant `explode`, expected one of `answer`, `trailers`, `reset`, `goaway`, `cut`, `hold`, `strip`, `first`, `replace`, `refuse`",
        );
        check_fault(
            "action = { answer = \"UNAVAIL\" }",
            "line 3: unknown gRPC status `UNAVAIL`, expected one of OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED",
        );
        check_fault(
            "action = { hold = \"2 min\" }",
            "line 3: `2 min` isn't a time such as `1500ms` or `2s`",
        );
        check_fault(
            "action = { replace = [\"long\", \"longer\"] }",
            "line 3: `replace` has two texts of the same length",
        );
        check_fault(
            "action = \"cut\"\nstep = \"nap\"",
            "line 1: there is no step `nap`",
        );
        check_fault(
            "action = \"cut\"\nnth = 0",
            "line 1: `nth` and `times` of `f` count from 1",
        );
        check_fault(
            "action = \"cut\"\ntimes = 1\nfor = \"1s\"",
            "line 1: `f` has both `times` and `for`",
        );
        check_fault(
            "action = \"cut\"\n[[fault]]\nname = \"f\"\naction = \"cut\"",
            "line 4: the name `f` is used twice",
        );
    }
}
