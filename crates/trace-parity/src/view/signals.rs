//! Metrics and logs sorted into examples.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use otlp_signals::{LogRecord, Metric, Resource, ServerLine, Signals};

use crate::contract::Contract;
use crate::facts::RunFacts;
use crate::signals::{KnownMetric, known_metric};
use crate::traces::{Traces, Value};

use super::examples::{Example, instance_of};

/// The attributes that tell whose a resource is.
const IDENTITY: [&str; 3] = ["milvus_otel.run", "service.name", "service.instance.id"];

type Identity<'a> = [Option<&'a str>; IDENTITY.len()];

/// What a run has beside its spans. The numbers are those of examples.
#[derive(Debug)]
pub(crate) struct SignalView<'a> {
    pub(crate) all: &'a Signals,
    pub(crate) metrics: Vec<(u32, &'a Metric)>,
    pub(crate) logs: Vec<(u32, &'a LogRecord)>,
    /// The lines of the server's log that name a trace of an example.
    pub(crate) server_lines: Vec<(u32, &'a ServerLine)>,
    /// Traces by id.
    pub(crate) traces: HashMap<[u8; 16], u32>,
}

impl<'a> SignalView<'a> {
    pub(crate) fn new(
        traces: &'a Traces,
        contract: &Contract,
        facts: &'a RunFacts,
        examples: &[Example<'a>],
    ) -> Option<Self> {
        let all: &Signals = facts.signals.as_deref()?;
        let identities = identities(traces, contract, examples);
        let owner = |resource: &'a Resource| {
            let identity = IDENTITY.map(|key| resource.attributes.get(key));
            let [run, service, instance] = identity;
            if service.is_some_and(|name| contract.is_server(name)) {
                return None;
            }
            let told = identities.get(&identity).copied().flatten();
            told.or_else(|| instance_of(facts, run, instance))
        };
        let mut owners: HashMap<*const Resource, Option<u32>> = HashMap::new();
        let mut owned = |resource: &'a std::sync::Arc<Resource>| {
            let key = std::sync::Arc::as_ptr(resource);
            *owners.entry(key).or_insert_with(|| owner(resource))
        };
        let metrics = all.metrics.iter();
        let metrics = metrics.filter_map(|metric| Some((owned(&metric.resource)?, metric)));
        let metrics = metrics.collect();
        let logs = all.logs.iter();
        let logs = logs.filter_map(|record| Some((owned(&record.resource)?, record)));
        let logs = logs.collect();
        let of_example: HashMap<[u8; 16], u32> = (0..)
            .zip(examples)
            .flat_map(|(number, example)| {
                let owned = example.traces.iter();
                owned.map(move |&trace| (traces.traces[trace as usize].id, number))
            })
            .collect();
        let lines = all.server_lines.iter();
        let lines = lines.filter_map(|line| Some((*of_example.get(&line.trace_id)?, line)));
        Some(Self {
            all,
            metrics,
            logs,
            server_lines: lines.collect(),
            traces: (0..)
                .zip(&traces.traces)
                .map(|(index, trace)| (trace.id, index))
                .collect(),
        })
    }

    pub(crate) fn metrics_of(&self, example: u32) -> impl Iterator<Item = &'a Metric> {
        of(&self.metrics, example)
    }

    pub(crate) fn logs_of(&self, example: u32) -> impl Iterator<Item = &'a LogRecord> {
        of(&self.logs, example)
    }

    /// The lines of the server's log, by example.
    pub(crate) fn server_lines_of(&self, example: u32) -> impl Iterator<Item = &'a ServerLine> {
        of(&self.server_lines, example)
    }

    /// The metrics that conventions know, with the numbers of their examples.
    pub(crate) fn known_metrics(
        &self,
    ) -> impl Iterator<Item = (u32, &'static KnownMetric, &'a Metric)> {
        let metrics = self.metrics.iter();
        metrics.filter_map(|&(number, metric)| Some((number, known_metric(&metric.name)?, metric)))
    }

    /// The names that examples give each signal, with the numbers of the examples.
    pub(crate) fn names(&self) -> BTreeMap<&'static str, Names> {
        let mut all: BTreeMap<&str, Names> = BTreeMap::new();
        for (number, known, _) in self.known_metrics() {
            let names = all.entry(&known.signal).or_default();
            names.0.entry(&known.name).or_default().insert(number);
        }
        all
    }
}

/// The names of one signal, and the examples that use each.
#[derive(Debug, Default)]
pub(crate) struct Names(pub(crate) BTreeMap<&'static str, BTreeSet<u32>>);

impl Names {
    /// The name that more examples use than any other, and these examples.
    pub(crate) fn usual(&self) -> Option<(&'static str, &BTreeSet<u32>)> {
        let most = self.0.values().map(BTreeSet::len).max()?;
        let mut usual = self.0.iter().filter(|(_, by)| by.len() == most);
        match (usual.next(), usual.next()) {
            (Some((&name, by)), None) => Some((name, by)),
            _ => None,
        }
    }
}

fn of<'a, T>(all: &[(u32, &'a T)], example: u32) -> impl Iterator<Item = &'a T> {
    let own = all.iter().filter(move |(of, _)| *of == example);
    own.map(|(_, one)| *one)
}

/// The examples by what the resources of their spans say; `None` where two say the same.
fn identities<'a>(
    traces: &'a Traces,
    contract: &Contract,
    examples: &[Example<'_>],
) -> BTreeMap<Identity<'a>, Option<u32>> {
    let mut found: BTreeMap<Identity<'a>, Option<u32>> = BTreeMap::new();
    for (number, example) in (0..).zip(examples) {
        let own = example.traces.iter();
        let spans = own.flat_map(|&trace| traces.traces[trace as usize].spans());
        let mut last = None;
        for span in spans {
            let resource = traces.record(span).resource;
            if last.replace(resource) == Some(resource) {
                continue;
            }
            let span = traces.span(span);
            if contract.is_server_span(&span) {
                continue;
            }
            let attribute = |wanted: &str| {
                let mut attributes = span.resource_attributes();
                let (_, value) = attributes.find(|(key, _)| *key == wanted)?;
                Value::as_str(value)
            };
            let entry = found.entry(IDENTITY.map(attribute)).or_insert(Some(number));
            if *entry != Some(number) {
                *entry = None;
            }
        }
    }
    found
}
