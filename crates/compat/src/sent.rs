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

/// Tells the metrics that have another name than `usual` from the others, whatever was told of them before.
pub(crate) fn mark_renamed<'s>(all: impl Iterator<Item = &'s mut Sent>, usual: &str) {
    for sent in all {
        let is_other = sent.metric.as_ref().is_some_and(|name| name != usual);
        sent.rpc_duration = match sent.rpc_duration {
            SentState::Ok | SentState::Renamed if is_other => SentState::Renamed,
            SentState::Ok | SentState::Renamed => SentState::Ok,
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Sent, SentState, mark_renamed};

    #[test]
    fn a_metric_is_renamed_by_the_name_that_is_usual_now() {
        let sent = |rpc_duration, metric: Option<&str>| Sent {
            rpc_duration,
            metric: metric.map(str::to_owned),
            exemplars: SentState::Ok,
            logs: SentState::Ok,
            log_ids: SentState::Ok,
        };
        let check = |before, metric, usual: &str, after| {
            let mut one = sent(before, metric);
            mark_renamed([&mut one].into_iter(), usual);
            assert_eq!(one.rpc_duration, after, "{before:?} {metric:?} {usual}");
        };
        check(SentState::Ok, Some("new"), "old", SentState::Renamed);
        check(SentState::Renamed, Some("new"), "new", SentState::Ok);
        check(SentState::Differs, Some("new"), "old", SentState::Differs);
        check(SentState::Missing, None, "old", SentState::Missing);
    }
}
