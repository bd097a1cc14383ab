//! The outcome of a variant, and whether it was expected.

use std::fmt;

use serde::{Deserialize, Serialize};
use trace_parity::{Rule, Severity, Verdict};

/// The outcome of a trace with a variant's versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// One trace, in which each client call has its server span, without findings of warning or worse.
    #[default]
    Whole,
    /// Whole, but a setting that should change the names of calls or attributes changes none.
    NotHonoured,
    /// One trace with client and server spans, but with findings.
    Differs,
    /// The client's spans are there, but the server's are missing or in other traces.
    ServerHalfLost,
    /// Some or all of the client's calls aren't in the trace.
    ClientHalfLost,
    /// The versions exist but don't fit together, or the program doesn't compile with them.
    DoesNotBuild,
    /// There is no trace to judge: the program or its preparation failed in another way.
    CouldNotRun,
}

/// The reason why a variant couldn't be built or run, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    NoSuchVersion,
    RegistryUnreachable,
    TimedOut,
    DiskFull,
    RuntimeMissing,
    /// A version other than the requested one was installed.
    OtherVersion,
    /// The program ended with an error.
    ProgramFailed,
    BuildFailed,
}

/// The outcome that `matrix.toml` expects of a variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub outcome: Outcome,
    /// The rules of the expected findings, for `differs`.
    pub rules: Vec<String>,
    /// The reason why it isn't whole.
    pub reason: Option<String>,
    /// The row of `advice.toml` or `conflicts.toml` that the reason comes from.
    pub advice: Option<String>,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Whole,
        Self::NotHonoured,
        Self::Differs,
        Self::ServerHalfLost,
        Self::ClientHalfLost,
        Self::DoesNotBuild,
        Self::CouldNotRun,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::NotHonoured => "not honoured",
            Self::Differs => "differs",
            Self::ServerHalfLost => "server half lost",
            Self::ClientHalfLost => "client half lost",
            Self::DoesNotBuild => "does not build",
            Self::CouldNotRun => "could not run",
        }
    }

    /// For files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::NotHonoured => "not-honoured",
            Self::Differs => "differs",
            Self::ServerHalfLost => "server-half-lost",
            Self::ClientHalfLost => "client-half-lost",
            Self::DoesNotBuild => "does-not-build",
            Self::CouldNotRun => "could-not-run",
        }
    }

    /// Whether each client call has its server span in one trace.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::NotHonoured)
    }

    /// Whether spans are lost without an error.
    pub fn is_silent_loss(self) -> bool {
        matches!(self, Self::ServerHalfLost | Self::ClientHalfLost)
    }

    /// A higher number is worse.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::NotHonoured | Self::Differs => 1,
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
    /// Whether the result has the expected outcome and rules.
    pub fn is_met(&self, outcome: Outcome, rules: &[String]) -> bool {
        let same_rules = outcome != Outcome::Differs || self.rules == rules;
        self.outcome == outcome && same_rules
    }

    /// The same before the map is drawn, which alone tells whether a setting is honoured.
    pub(crate) fn may_be_met(&self, outcome: Outcome, rules: &[String]) -> bool {
        let undecided = self.outcome == Outcome::NotHonoured && outcome == Outcome::Whole;
        undecided || self.is_met(outcome, rules)
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
        } else if any(&[
            Rule::ClientUnseen,
            Rule::NoSpans,
            Rule::NoRoot,
            Rule::UntracedCalls,
        ]) {
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
