//! The stages from traces to a verdict: view, rules, divergence, precedence, fold, hints, verdict.

use crate::contract::Contract;
use crate::divergence;
use crate::facts::RunFacts;
use crate::fold;
use crate::hints;
use crate::precedence;
use crate::read::Problem;
use crate::rules;
use crate::traces::Traces;
use crate::verdict::{self, Verdict};
use crate::view::View;

/// Judges what was read.
///
/// Without a contract, the rules that need a scenario stay silent and the built-in names and divergences apply. `facts` are what a run
/// knows besides its spans; with them, traces of other programs are ignored.
#[must_use]
pub fn judge(
    traces: &Traces,
    problems: &[Problem],
    contract: Option<&Contract>,
    facts: Option<&RunFacts>,
) -> Verdict {
    let words = match contract {
        Some(contract) => contract,
        None => Contract::shared_builtin(),
    };
    let view = View::new(traces, problems, words, contract.is_some(), facts);
    let mut drafts = Vec::new();
    for check in rules::CHECKS {
        if contract.is_some() || !check.needs_contract {
            (check.check)(&view, &mut drafts);
        }
    }
    let expected = divergence::set_aside(&view, &mut drafts, contract.is_some());
    rules::origin::through_zipkin(&view, &mut drafts);
    precedence::apply(&view, &mut drafts);
    fold::fold(&view, &mut drafts);
    hints::give(&view, &mut drafts);
    rules::quote_unsettled(&view, &mut drafts);
    verdict::assemble(&view, &drafts, &expected)
}
