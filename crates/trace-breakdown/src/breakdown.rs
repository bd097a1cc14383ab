//! All calls of an input, taken apart.

use std::collections::{BTreeMap, HashMap};

use trace_parity::{Contract, RunFacts, TraceId, Traces, base_of, joined_calls};

use crate::activity::Activity;
use crate::call::{self, CallTime, Clock, Segments, Stretch};
use crate::elsewhere;
use crate::model::{Model, StageId};
use crate::reason::{self, Reason, Usual};
use crate::spread::lower_quartile;
use crate::tree::CallTree;

/// The calls of an input, with what is usual for each operation.
pub struct Breakdown<'t> {
    activity: Activity<'t>,
    calls: Vec<CallTime<'t>>,
    usual: HashMap<&'t str, Usual>,
}

impl<'t> Breakdown<'t> {
    /// Joins the calls as a verdict does, and takes each apart.
    #[must_use]
    pub fn of(
        traces: &'t Traces,
        contract: Option<&'t Contract>,
        facts: Option<&'t RunFacts>,
    ) -> Self {
        let joined = joined_calls(traces, contract, facts);
        let mut clock = Clock::new(Model::builtin());
        let mut calls: Vec<CallTime<'t>> = joined
            .calls
            .iter()
            .map(|call| clock.time(&joined, call))
            .collect();
        for (place, elsewhere) in elsewhere::find(traces, &joined) {
            calls[place].elsewhere = Some(elsewhere);
        }
        let activity = Activity::of(traces, joined);
        mark_merged(&activity, &mut calls);
        Self {
            usual: usual(&calls),
            activity,
            calls,
        }
    }

    /// Names examples as a verdict does, by their traces.
    #[must_use]
    pub fn named(mut self, name: impl Fn(TraceId) -> Option<String>) -> Self {
        let joined = &mut self.activity.joined;
        for call in &joined.calls {
            if let Some(name) = name(call.span.trace_id()) {
                joined.examples[call.example] = name;
            }
        }
        self
    }

    /// By example, and in an example by start.
    #[must_use]
    pub fn calls(&self) -> &[CallTime<'t>] {
        &self.calls
    }

    /// The name of the example that a call is of.
    #[must_use]
    pub fn example(&self, time: &CallTime<'_>) -> &str {
        &self.activity.joined.examples[time.call.example]
    }

    /// The example's name without the number of a repeat: `py` of `py-2`.
    #[must_use]
    pub fn language(&self, time: &CallTime<'_>) -> &str {
        let names = &self.activity.joined.examples;
        base_of(self.example(time), |base| {
            names.iter().any(|name| name == base)
        })
    }

    /// The call's collection: its name where the client says it, else its id where an event has it.
    #[must_use]
    pub fn collection(&self, time: &CallTime<'t>) -> Option<&'t str> {
        let tree = CallTree::of(&self.activity.joined, &time.call, Model::builtin());
        call::collection(&tree)
    }

    /// What each call waited for, in order of time.
    #[must_use]
    pub fn path(&self, time: &CallTime<'t>) -> Vec<Stretch<'t>> {
        Clock::new(Model::builtin()).path(&self.activity.joined, &time.call)
    }

    /// Why calls took so long, per call of `of`; the reason that explains most of a call's time first.
    #[must_use]
    pub fn reasons(&self, of: &[&CallTime<'t>]) -> Vec<Vec<Reason>> {
        let told = of.iter().map(|time| {
            let usual = &self.usual[time.call.method];
            reason::reasons(time, usual, &self.activity)
        });
        told.collect()
    }
}

impl std::fmt::Debug for Breakdown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Breakdown({} calls)", self.calls.len())
    }
}

/// A call without spans of segments was merged where segments were searched in its time for another trace.
fn mark_merged(activity: &Activity<'_>, calls: &mut [CallTime<'_>]) {
    for time in calls {
        if time.segments == Segments::Absent
            && let Some(server) = time.call.server
            && activity.searched_within(server.start_ns(), server.end_ns())
        {
            time.segments = Segments::Merged;
        }
    }
}

fn usual<'t>(calls: &[CallTime<'t>]) -> HashMap<&'t str, Usual> {
    let mut by_method: HashMap<&'t str, Vec<&CallTime<'t>>> = HashMap::new();
    for time in calls {
        by_method.entry(time.call.method).or_default().push(time);
    }
    let of = |times: Vec<&CallTime<'t>>| {
        let count = times.len();
        let mut stages: BTreeMap<StageId, Vec<u64>> = BTreeMap::new();
        for stage in times.iter().flat_map(|time| &time.stages) {
            stages.entry(stage.stage).or_default().push(stage.ns);
        }
        let programs = times
            .iter()
            .filter_map(|time| Some(time.program?.after_ns))
            .collect();
        Usual {
            calls: count,
            total_ns: lower_quartile(times.iter().map(|time| time.total_ns).collect(), count),
            stages: stages
                .into_iter()
                .map(|(id, times)| (id, lower_quartile(times, count)))
                .filter(|(_, ns)| *ns > 0)
                .collect(),
            program_ns: lower_quartile(programs, count),
        }
    };
    let all = by_method.into_iter();
    all.map(|(method, times)| (method, of(times))).collect()
}
