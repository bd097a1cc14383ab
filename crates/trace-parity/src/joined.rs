//! The calls of examples with the server spans that answer them, for those who measure.

use crate::contract::Contract;
use crate::facts::RunFacts;
use crate::traces::{Span, Traces};
use crate::view::View;
use crate::view::examples::server_resources;

/// The calls of the contract's service, by example and in an example by start.
#[derive(Debug)]
pub struct JoinedCalls<'t> {
    /// The names of examples, as a verdict has them.
    pub examples: Vec<String>,
    pub calls: Vec<JoinedCall<'t>>,
    view: View<'t>,
    /// By resource, whether it is one of the server's.
    servers: Vec<bool>,
}

/// One client call.
#[derive(Clone, Copy, Debug)]
pub struct JoinedCall<'t> {
    /// An index of [`JoinedCalls::examples`].
    pub example: usize,
    /// The step of the contract's scenario, where it has one.
    pub step: Option<&'t str>,
    /// Without its service: `Search`.
    pub method: &'t str,
    pub span: Span<'t>,
    /// The server span that answers it, wherever that is.
    pub server: Option<Span<'t>>,
}

impl Contract {
    /// Whether the input holds a run of the contract's scenario: a span without a parent has the name of its root.
    #[must_use]
    pub fn is_run_in(&self, traces: &Traces) -> bool {
        let root = self.root.as_ref();
        root.is_some_and(|root| {
            let mut spans = traces.iter().flat_map(|trace| trace.spans());
            spans.any(|span| span.parent_id().is_none() && span.name() == root.name)
        })
    }
}

/// Joins calls and server spans as [`crate::judge`] does. Without a contract, calls have no steps.
#[must_use]
pub fn joined_calls<'t>(
    traces: &'t Traces,
    contract: Option<&'t Contract>,
    facts: Option<&'t RunFacts>,
) -> JoinedCalls<'t> {
    let words = contract.unwrap_or(Contract::shared_builtin());
    let view = View::new(traces, &[], words, contract.is_some(), facts);
    let judged = view.calls.iter().filter(|call| call.judged);
    let calls = judged.map(|call| JoinedCall {
        example: call.example as usize,
        step: view.step_name(call.step),
        method: call.method,
        span: traces.span(call.span),
        server: call.answered_by().map(|server| traces.span(server)),
    });
    JoinedCalls {
        calls: calls.collect(),
        examples: view
            .examples
            .iter()
            .map(|example| example.name.clone())
            .collect(),
        servers: server_resources(traces, words),
        view,
    }
}

impl JoinedCalls<'_> {
    /// Whether the span is a client's call, of whatever service.
    #[must_use]
    pub fn is_call(&self, span: Span<'_>) -> bool {
        !self.is_server(span) && self.view.call_of.contains_key(&span.index())
    }

    /// Whether the span is one of the server's, by the contract's names of services.
    #[must_use]
    pub fn is_server(&self, span: Span<'_>) -> bool {
        let resource = self.view.traces.record(span.index()).resource;
        self.servers[resource as usize]
    }
}
