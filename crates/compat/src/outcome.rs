//! What becomes of a variant, and whether that was expected.

use std::fmt;

use serde::{Deserialize, Serialize};
use trace_parity::{Rule, Severity, Verdict};

/// What becomes of a trace with a variant's versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// One trace, each client call with its server span, nothing at warning or worse.
    #[default]
    Whole,
    /// It is one trace with both halves, and something in it isn't as the contract says.
    Differs,
    /// The client's spans are there, and the server's are in traces of their own, or nowhere.
    ServerHalfLost,
    /// The client's calls are not in the trace.
    ClientHalfLost,
    /// The versions were to be had and don't go together, or the program doesn't compile with them.
    DoesNotBuild,
    /// Nothing can be said of the trace: the program or its preparation failed in another way.
    CouldNotRun,
}

/// Why something could not run or be built, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    NoSuchVersion,
    RegistryUnreachable,
    TimedOut,
    DiskFull,
    RuntimeMissing,
    /// A version other than the one that was asked for was installed.
    OtherVersion,
    /// The program ended with an error.
    ProgramFailed,
    BuildFailed,
}

/// What `matrix.toml` says will become of a variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub outcome: Outcome,
    /// The rules that find something, where it differs.
    pub rules: Vec<String>,
    /// Why it isn't whole.
    pub reason: Option<String>,
}

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::Whole,
        Self::Differs,
        Self::ServerHalfLost,
        Self::ClientHalfLost,
        Self::DoesNotBuild,
        Self::CouldNotRun,
    ];

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Differs => "differs",
            Self::ServerHalfLost => "server half lost",
            Self::ClientHalfLost => "client half lost",
            Self::DoesNotBuild => "does not build",
            Self::CouldNotRun => "could not run",
        }
    }

    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Differs => "differs",
            Self::ServerHalfLost => "server-half-lost",
            Self::ClientHalfLost => "client-half-lost",
            Self::DoesNotBuild => "does-not-build",
            Self::CouldNotRun => "could-not-run",
        }
    }

    /// Spans are missing without anybody being told.
    pub fn is_silent_loss(self) -> bool {
        matches!(self, Self::ServerHalfLost | Self::ClientHalfLost)
    }

    /// Higher is worse.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Differs => 1,
            Self::ServerHalfLost | Self::ClientHalfLost => 2,
            Self::DoesNotBuild => 3,
            Self::CouldNotRun => 4,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

impl Cause {
    pub fn words(self) -> &'static str {
        match self {
            Self::NoSuchVersion => "there is no such version",
            Self::RegistryUnreachable => "the registry can't be reached",
            Self::TimedOut => "it took too long",
            Self::DiskFull => "the disk is full",
            Self::RuntimeMissing => "the runtime isn't installed",
            Self::OtherVersion => "another version was resolved",
            Self::ProgramFailed => "the program failed",
            Self::BuildFailed => "it doesn't build",
        }
    }
}

impl Expected {
    /// Whether what was found is neither better nor worse nor otherwise wrong.
    pub fn is_met(&self, outcome: Outcome, rules: &[String]) -> bool {
        let same_rules = outcome != Outcome::Differs || self.rules == rules;
        self.outcome == outcome && same_rules
    }
}

/// The outcome of one example's verdict, and the rules behind it, sorted.
pub(crate) fn of_verdict(verdict: &Verdict) -> (Outcome, Vec<String>) {
    let mut rules: Vec<Rule> = verdict
        .findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .map(|finding| finding.rule)
        .collect();
    rules.sort_by_key(|rule| rule.name());
    rules.dedup();
    let any = |wanted: &[Rule]| wanted.iter().any(|rule| rules.contains(rule));
    let outcome =
        if verdict.outcome == trace_parity::Outcome::CouldNotRun || any(&[Rule::ExampleFailed]) {
            Outcome::CouldNotRun
        } else if any(&[Rule::ClientUnseen, Rule::NoSpans, Rule::NoRoot]) {
            Outcome::ClientHalfLost
        } else if any(&[Rule::ContextLost, Rule::NoServerSpan]) {
            Outcome::ServerHalfLost
        } else if rules.is_empty() {
            Outcome::Whole
        } else {
            Outcome::Differs
        };
    (
        outcome,
        rules.iter().map(|rule| rule.name().to_owned()).collect(),
    )
}
