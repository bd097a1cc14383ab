//! The rules by name: family, severity and page of each.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How much a finding matters; ordered from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Delivery,
    Identity,
    Structure,
    Join,
    Scenario,
    Vocabulary,
    Server,
    Outcome,
    Signals,
    Bookkeeping,
}

impl Family {
    /// In the order in which they are judged.
    pub const ALL: [Family; 10] = [
        Family::Delivery,
        Family::Identity,
        Family::Structure,
        Family::Join,
        Family::Scenario,
        Family::Vocabulary,
        Family::Server,
        Family::Outcome,
        Family::Signals,
        Family::Bookkeeping,
    ];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Delivery => "delivery",
            Family::Identity => "identity",
            Family::Structure => "structure",
            Family::Join => "join",
            Family::Scenario => "scenario",
            Family::Vocabulary => "vocabulary",
            Family::Server => "server",
            Family::Outcome => "outcome",
            Family::Signals => "signals",
            Family::Bookkeeping => "bookkeeping",
        })
    }
}

/// Declares every rule once.
macro_rules! rules {
    ($($variant:ident $name:literal $family:ident $severity:ident;)*) => {
        /// A rule, by the name that issues and users call it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($variant,)*
        }

        impl Rule {
            /// Every rule, by family.
            pub const ALL: &[Rule] = &[$(Rule::$variant,)*];

            /// In kebab case: `context-lost`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Rule::$variant => $name,)*
                }
            }

            #[must_use]
            pub fn family(self) -> Family {
                match self {
                    $(Rule::$variant => Family::$family,)*
                }
            }

            /// How much a finding of it matters, unless the finding has a reason to matter less or more.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Rule::$variant => Severity::$severity,)*
                }
            }

            /// What it means, the usual causes and the cure, in Markdown.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Rule::$variant => include_str!(concat!("../../../docs/rules/", $name, ".md")),)*
                }
            }
        }
    };
}

rules! {
    ExampleFailed "example-failed" Delivery Error;
    NoSpans "no-spans" Delivery Error;
    NoRoot "no-root" Delivery Error;
    ExportRefused "export-refused" Delivery Error;
    DroppedSpans "dropped-spans" Delivery Error;
    ExportRetried "export-retried" Delivery Info;
    DeliveryUnknown "delivery-unknown" Delivery Info;
    ReadBackDiffers "read-back-differs" Delivery Error;
    ResourceMismatch "resource-mismatch" Identity Error;
    SdkUnknown "sdk-unknown" Identity Warning;
    SeveralRoots "several-roots" Structure Error;
    SeveralTraces "several-traces" Structure Error;
    OrphanSpan "orphan-span" Structure Error;
    WrongParent "wrong-parent" Structure Error;
    DuplicateSpanId "duplicate-span-id" Structure Error;
    ParentCycle "parent-cycle" Structure Error;
    BadTime "bad-time" Structure Error;
    WrongKind "wrong-kind" Structure Error;
    ClientUnseen "client-unseen" Join Error;
    NoServerSpan "no-server-span" Join Error;
    CallFailed "call-failed" Join Error;
    ContextLost "context-lost" Join Error;
    ContextReplaced "context-replaced" Join Error;
    UntracedCalls "untraced-calls" Join Error;
    WrongServer "wrong-server" Join Error;
    ContextNotSent "context-not-sent" Join Error;
    ContextChanged "context-changed" Join Error;
    ContextIgnored "context-ignored" Join Error;
    UnseenCall "unseen-call" Join Error;
    HiddenRetry "hidden-retry" Join Error;
    MissingStep "missing-step" Scenario Error;
    StepOrder "step-order" Scenario Error;
    RepeatedStep "repeated-step" Scenario Warning;
    UndeclaredRpc "undeclared-rpc" Scenario Warning;
    SpanName "span-name" Vocabulary Error;
    AttributeMissing "attribute-missing" Vocabulary Error;
    AttributeRenamed "attribute-renamed" Vocabulary Warning;
    AttributeType "attribute-type" Vocabulary Warning;
    AttributeValue "attribute-value" Vocabulary Error;
    ServerWorkDiffers "server-work-differs" Server Error;
    StatusDiffers "status-differs" Outcome Error;
    UnmarkedError "unmarked-error" Outcome Error;
    MetricMissing "metric-missing" Signals Error;
    MetricRenamed "metric-renamed" Signals Warning;
    MetricUnit "metric-unit" Signals Error;
    MetricAttribute "metric-attribute" Signals Warning;
    MetricDisagrees "metric-disagrees" Signals Error;
    MetricCardinality "metric-cardinality" Signals Warning;
    LogUncorrelated "log-uncorrelated" Signals Warning;
    LogErrorUnseen "log-error-unseen" Signals Warning;
    SecretRecorded "secret-recorded" Signals Warning;
    StaleDivergence "stale-divergence" Bookkeeping Error;
    MalformedInput "malformed-input" Bookkeeping Warning;
}

/// No rule has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRule(pub String);

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no rule is called `{}`", self.0)
    }
}

impl std::error::Error for UnknownRule {}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Rule::ALL.iter().find(|rule| rule.name() == name);
        found.copied().ok_or_else(|| UnknownRule(name.to_owned()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::Rule;

    #[test]
    fn every_rule_is_found_by_its_name_and_has_its_own_page() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_str(rule.name()).as_ref(), Ok(rule));
            let heading = format!("# {rule}\n\n*{} · ", rule.family());
            assert!(rule.page().starts_with(&heading), "{rule}");
        }
        assert!(Rule::from_str("Context-Lost").is_err());
    }
}
