//! The metrics and logs that an example sends with some versions.

use serde::{Deserialize, Serialize};
use trace_parity::{SignalCell, SignalState, Verdict};

/// What an example sent beside its spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The duration metric of RPCs.
    pub rpc_duration: SentState,
    /// The name of that metric.
    pub metric: Option<String>,
    /// Exemplars that lead to the trace.
    pub exemplars: SentState,
    pub logs: SentState,
    /// The ids on log records.
    pub log_ids: SentState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentState {
    Ok,
    /// A metric that most examples call otherwise.
    Renamed,
    /// A finding is about it.
    Differs,
    Missing,
}

impl Sent {
    /// What the only example of a verdict sent.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        let cell = |name: &str| -> Option<&SignalCell> {
            let row = verdict.signals.iter().find(|row| row.name == name);
            row.and_then(|row| row.cells.first())
        };
        let state = |name| match cell(name).map(|cell| cell.state) {
            None | Some(SignalState::Missing) => SentState::Missing,
            Some(SignalState::There) => SentState::Ok,
            Some(SignalState::Renamed) => SentState::Renamed,
            Some(SignalState::Differs) => SentState::Differs,
        };
        Self {
            rpc_duration: state("rpc duration"),
            metric: cell("rpc duration").and_then(|cell| cell.name.clone()),
            exemplars: state("exemplars"),
            logs: state("logs"),
            log_ids: state("log ids"),
        }
    }
}

/// Marks the metrics that have another name than `usual`.
pub(crate) fn mark_renamed<'s>(all: impl Iterator<Item = &'s mut Sent>, usual: &str) {
    for sent in all {
        let is_other = sent.metric.as_ref().is_some_and(|name| name != usual);
        if is_other && sent.rpc_duration == SentState::Ok {
            sent.rpc_duration = SentState::Renamed;
        }
    }
}
