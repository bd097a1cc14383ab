//! The rules: one name, family and severity each, and the functions that check them.

mod bookkeeping;
mod delivery;
mod identity;
mod join;
mod outcome;
mod scenario;
mod server;
mod structure;
mod vocabulary;

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::judge::Draft;
use crate::verdict::Severity;
use crate::view::View;

/// A function that looks for what one rule, or several that see the same thing, is about.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) check: fn(&View<'_>, &mut Vec<Draft>),
    /// Without a contract it has nothing to say.
    pub(crate) needs_contract: bool,
}

const fn always(check: fn(&View<'_>, &mut Vec<Draft>)) -> Check {
    Check {
        check,
        needs_contract: false,
    }
}

const fn by_contract(check: fn(&View<'_>, &mut Vec<Draft>)) -> Check {
    Check {
        check,
        needs_contract: true,
    }
}

/// All checks; their order means nothing.
pub(crate) const CHECKS: &[Check] = &[
    always(delivery::example_failed),
    always(delivery::no_spans),
    by_contract(delivery::no_root),
    always(delivery::dropped_spans),
    by_contract(identity::resource_mismatch),
    always(identity::sdk_unknown),
    by_contract(structure::several_roots),
    by_contract(structure::several_traces),
    always(structure::orphan_span),
    always(structure::wrong_parent),
    always(structure::duplicate_span_id),
    always(structure::parent_cycle),
    always(structure::bad_time),
    always(structure::wrong_kind),
    by_contract(structure::wrong_root_kind),
    always(join::client_unseen),
    always(join::no_server_span),
    always(join::context_lost),
    always(join::wrong_server),
    by_contract(scenario::missing_step),
    by_contract(scenario::step_order),
    by_contract(scenario::repeated_step),
    by_contract(scenario::undeclared_rpc),
    always(vocabulary::span_name),
    by_contract(vocabulary::root_name),
    always(vocabulary::attributes),
    always(vocabulary::contradiction),
    by_contract(server::core),
    by_contract(server::differences),
    always(outcome::status_differs),
    always(outcome::unmarked_error),
    always(bookkeeping::malformed_input),
];

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
    Bookkeeping,
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
    DroppedSpans "dropped-spans" Delivery Error;
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
    ContextLost "context-lost" Join Error;
    WrongServer "wrong-server" Join Error;
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
