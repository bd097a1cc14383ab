//! The spans that a program's instrumentation puts around its calls, and what of the program's data stands in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trace_parity::{Span, Traces, joined_calls};

/// More names than these say nothing more.
const NAMES: usize = 6;

/// What the instrumentation of a program writes beside its gRPC calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Its spans that are no calls, by instrumentation scope.
    pub scopes: Vec<ScopeSpans>,
    /// Its data in attributes and events.
    pub leaks: Vec<Leak>,
}

/// The spans of one instrumentation scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeSpans {
    pub scope: String,
    /// Some of their names, sorted.
    pub names: Vec<String>,
    /// The first parts of the names of their attributes, such as `db` and `gen_ai`.
    pub attributes: BTreeSet<String>,
    pub spans: u64,
    /// The calls of Milvus below them.
    pub calls_below: u64,
}

/// A text of the program that stands in its spans.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leak {
    /// What the text is, such as `rows`.
    pub text: String,
    pub scope: String,
    /// The attribute that holds it; an event's stand after the event's name.
    pub attribute: String,
}

impl Around {
    pub(crate) fn of(traces: &Traces, texts: &BTreeMap<String, String>) -> Self {
        let joined = joined_calls(traces, None, None);
        let spans = || traces.iter().flat_map(|trace| trace.spans());
        let own = |span: &Span<'_>| !joined.is_server(*span);
        let mut scopes: BTreeMap<String, ScopeSpans> = BTreeMap::new();
        for span in spans().filter(own).filter(|span| !joined.is_call(*span)) {
            let scope = span.scope_name().to_owned();
            let found = scopes.entry(scope.clone()).or_insert(ScopeSpans {
                scope,
                names: Vec::new(),
                attributes: BTreeSet::new(),
                spans: 0,
                calls_below: 0,
            });
            found.spans += 1;
            found.names.push(span.name().to_owned());
            let first_part = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
            found
                .attributes
                .extend(span.attributes().map(|(name, _)| first_part(name)));
        }
        for call in &joined.calls {
            for scope in above(call.span) {
                if let Some(found) = scopes.get_mut(scope) {
                    found.calls_below += 1;
                }
            }
        }
        for found in scopes.values_mut() {
            found.names.sort();
            found.names.dedup();
            found.names.truncate(NAMES);
        }
        let leaks: BTreeSet<Leak> = spans()
            .filter(own)
            .flat_map(|span| leaks(span, texts))
            .collect();
        Self {
            scopes: scopes.into_values().collect(),
            leaks: leaks.into_iter().collect(),
        }
    }
}

/// The scopes of the spans above a call.
fn above(call: Span<'_>) -> BTreeSet<&str> {
    let parents = std::iter::successors(call.parent(), Span::parent);
    // Parents may go in a circle.
    parents.take(100).map(|span| span.scope_name()).collect()
}

fn leaks(span: Span<'_>, texts: &BTreeMap<String, String>) -> Vec<Leak> {
    let own = span
        .attributes()
        .map(|(name, value)| (name.to_owned(), value.to_string()));
    let in_events = span.events().flat_map(|event| {
        let name = move |attribute: &str| format!("{} {attribute}", event.name);
        event
            .attributes
            .map(move |(attribute, value)| (name(attribute), value.to_string()))
    });
    own.chain(in_events)
        .flat_map(|(attribute, value)| {
            let held = texts.iter().filter(move |(_, text)| value.contains(*text));
            held.map(move |(what, _)| Leak {
                text: what.clone(),
                scope: span.scope_name().to_owned(),
                attribute: attribute.clone(),
            })
        })
        .collect()
}
