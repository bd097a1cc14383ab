//! The rules: the functions that check them.

mod absence;
mod bookkeeping;
mod delivery;
mod exports;
mod identity;
mod join;
pub(crate) mod origin;
mod outcome;
mod scenario;
mod server;
mod signals;
mod structure;
mod vocabulary;
mod wire;
mod words;

pub(crate) use exports::quote_unsettled;

use crate::draft::Draft;
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
    always(exports::refused),
    always(exports::dropped),
    always(exports::retried),
    always(exports::unknown),
    always(exports::read_back),
    by_contract(identity::resource_mismatch),
    always(identity::sdk_unknown),
    by_contract(structure::several_roots),
    by_contract(structure::several_traces),
    always(structure::orphan_span),
    always(structure::wrong_parent),
    always(structure::duplicate_span_id),
    always(structure::parent_cycle),
    always(structure::bad_time),
    always(structure::late_events),
    always(structure::mended_times),
    always(structure::spans_never_current),
    always(structure::wrong_kind),
    by_contract(structure::wrong_root_kind),
    always(join::client_unseen),
    always(join::no_server_span),
    always(join::call_failed),
    always(join::context_lost),
    always(join::context_replaced),
    always(join::untraced_calls),
    always(join::wrong_server),
    always(wire::contexts),
    always(wire::unseen_calls),
    always(wire::hidden_retries),
    by_contract(scenario::missing_step),
    by_contract(scenario::step_order),
    by_contract(scenario::repeated_step),
    by_contract(scenario::undeclared_rpc),
    always(vocabulary::span_name),
    by_contract(vocabulary::root_name),
    always(vocabulary::attributes),
    always(vocabulary::contradiction),
    always(vocabulary::key_twice),
    by_contract(server::core),
    by_contract(server::differences),
    always(server::late_parts),
    always(outcome::status_differs),
    always(outcome::unmarked_error),
    always(signals::missing),
    always(signals::renamed),
    always(signals::units),
    always(signals::attributes),
    always(signals::cardinality),
    always(signals::disagreeing_counts),
    always(signals::disagreeing_points),
    always(signals::server_counts),
    always(signals::uncorrelated),
    always(signals::unseen_errors),
    always(signals::secrets),
    always(bookkeeping::malformed_input),
    always(bookkeeping::malformed_signals),
];
