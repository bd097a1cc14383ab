//! What is known of metrics: names, units and attributes by generation of the conventions, as rows of `signals.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use versions::Range;

/// A metric of the semantic conventions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownMetric {
    pub(crate) name: String,
    /// The thing that is measured, whatever a generation calls it.
    pub(crate) signal: String,
    /// The versions of the conventions that have it.
    pub(crate) conventions: String,
    pub(crate) unit: String,
    /// As in OTLP: `histogram`.
    pub(crate) kind: String,
    /// The advised bounds; empty where the SDK's default holds.
    #[serde(default)]
    pub(crate) bounds: Vec<f64>,
    pub(crate) attributes: Vec<String>,
    pub(crate) counts: Option<Counted>,
    /// The attribute that tells the counted spans apart.
    #[serde(default)]
    pub(crate) by: String,
}

/// The spans that a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Counted {
    /// Client RPC spans.
    Calls,
    /// Spans of the client that have the attribute.
    Operations,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sender {
    scope: String,
    signal: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lacking {
    signal: String,
    language: String,
    takes: String,
}

/// The server's counter of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSignals {
    /// The versions that were measured.
    pub(crate) versions: Range,
    pub(crate) counter: String,
    /// The label that has the method.
    pub(crate) method: String,
    /// The labels of the sample that counts every request.
    pub(crate) total: BTreeMap<String, String>,
    /// Methods that the server also calls itself, and counts.
    pub(crate) inner: Vec<String>,
    /// The beginnings of lines at the level of an error that tell of an attempt which is made again.
    pub(crate) attempts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalTable {
    metric: Vec<KnownMetric>,
    sender: Vec<Sender>,
    lacking: Vec<Lacking>,
    server: ServerSignals,
}

static FILE: LazyLock<SignalTable> = LazyLock::new(|| {
    toml::from_str(include_str!("signals.toml"))
        .unwrap_or_else(|error| panic!("signals.toml: {error}"))
});

/// The row of a metric's name.
pub(crate) fn known_metric(name: &str) -> Option<&'static KnownMetric> {
    FILE.metric.iter().find(|known| known.name == name)
}

/// The rows of one signal, oldest generation first.
pub(crate) fn metrics_of(signal: &str) -> impl Iterator<Item = &'static KnownMetric> {
    FILE.metric
        .iter()
        .filter(move |known| known.signal == signal)
}

/// The signal that a scope sends with its client RPC spans.
pub(crate) fn sent_by(scope: &str) -> Option<&'static str> {
    let found = FILE.sender.iter().find(|sender| sender.scope == scope);
    found.map(|sender| sender.signal.as_str())
}

/// What it takes to get a signal in a language.
pub(crate) fn takes(signal: &str, language: &str) -> Option<&'static str> {
    let mut rows = FILE.lacking.iter();
    let found =
        rows.find(|row| row.signal == signal && (row.language == "*" || row.language == language));
    found.map(|row| row.takes.as_str())
}

pub(crate) fn server_signals() -> &'static ServerSignals {
    &FILE.server
}

#[cfg(test)]
mod tests {
    use super::{FILE, known_metric};

    #[test]
    fn rows_of_other_tables_name_signals_that_a_metric_has() {
        const OTHERS: [&str; 3] = ["exemplars", "logs", "log ids"];
        let senders = FILE.sender.iter().map(|sender| &sender.signal);
        for signal in senders.chain(FILE.lacking.iter().map(|row| &row.signal)) {
            let is_metric = FILE.metric.iter().any(|known| known.signal == *signal);
            assert!(is_metric || OTHERS.contains(&signal.as_str()), "{signal}");
        }
        assert_eq!(known_metric("rpc.client.duration").unwrap().unit, "ms");
    }
}
