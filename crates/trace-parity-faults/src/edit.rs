//! A clean capture, an edit of it, and the finding that should come of it.

use trace_parity::{
    Contract, Delivery, ExampleFacts, Exit, Input, Outcome, Rule, RunFacts, Severity, SpanId,
    Verdict, judge, read,
};

use crate::capture::Capture;
use crate::random::Random;

/// One way to break a capture.
#[derive(Clone, Copy)]
pub struct Operator {
    pub name: &'static str,
    /// The rule that should find it.
    pub rule: Rule,
    pub(crate) apply: fn(&mut Edit<'_>) -> Option<Expected>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operator({})", self.name)
    }
}

/// A capture that an operator works on, and where.
pub(crate) struct Edit<'c> {
    pub(crate) capture: Capture,
    pub(crate) clean: &'c Clean,
    pub(crate) example: usize,
    pub(crate) random: Random,
}

/// Where the finding should be; what is left out may be anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// `Some(None)` where no step is right.
    pub(crate) step: Option<Vec<Option<String>>>,
    pub(crate) spans: Option<Vec<SpanId>>,
    /// Less or more than the rule's own severity.
    pub(crate) severity: Option<Severity>,
    /// No example is right.
    pub(crate) nobodys: bool,
    pub(crate) bytes: Option<Vec<u8>>,
}

/// A clean capture and what is known of it.
pub(crate) struct Clean {
    pub(crate) capture: Capture,
    pub(crate) verdict: Verdict,
    pub(crate) facts: RunFacts,
}

/// A capture that faults can't be tried on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotClean(pub String);

impl std::fmt::Display for NotClean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the capture has findings of its own: {}", self.0)
    }
}

impl std::error::Error for NotClean {}

impl Clean {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, NotClean> {
        let (traces, problems) = read(&[Input { label: None, bytes }]);
        let contract = Contract::builtin();
        let alone = judge(&traces, &problems, Some(&contract), None);
        let run = traces
            .iter()
            .flat_map(|trace| trace.spans())
            .find_map(|span| {
                let mut attributes = span.resource_attributes();
                attributes
                    .find(|(key, _)| *key == "milvus_otel.run")
                    .map(|(_, run)| run.to_string())
            });
        let facts = RunFacts {
            run,
            examples: alone
                .examples
                .iter()
                .map(|example| ExampleFacts {
                    name: example.name.clone(),
                    exit: Exit::Code(0),
                    trace_id: example.trace_id,
                })
                .collect(),
            delivery: Some(Delivery::default()),
            ..RunFacts::default()
        };
        let verdict = judge(&traces, &problems, Some(&contract), Some(&facts));
        match verdict
            .findings
            .iter()
            .find(|finding| finding.severity > Severity::Info)
        {
            Some(finding) => Err(NotClean(finding.message.clone())),
            None if verdict.outcome == Outcome::CouldNotRun => {
                Err(NotClean("it holds no example".to_owned()))
            }
            None => Ok(Clean {
                capture: Capture::parse(bytes),
                verdict,
                facts,
            }),
        }
    }
}
