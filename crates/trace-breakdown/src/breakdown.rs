//! All calls of an input, taken apart.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use trace_parity::{Contract, RunFacts, Signals, TraceId, Traces, base_of, joined_calls};

use crate::activity::Activity;
use crate::call::{CallTime, Clock, Frame, Segments, Stretch};
use crate::elsewhere;
use crate::logged::{LoggedLine, Logs};
use crate::model::{Model, StageId};
use crate::reason::{Question, Reason, Usual};
use crate::spread::lower_quartile;

/// The calls of an input, with what is usual for each operation.
pub struct Breakdown<'t> {
    /// Knows the rows of each span's name once it has taken the calls apart.
    clock: RefCell<Clock<'t>>,
    activity: Activity<'t>,
    calls: Vec<CallTime<'t>>,
    usual: HashMap<&'t str, Usual>,
    logs: Logs<'t>,
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
            logs: Logs::default(),
            clock: RefCell::new(clock),
            activity,
            calls,
        }
    }

    /// With what was logged in the traces of the calls.
    #[must_use]
    pub fn with_logs(mut self, signals: &'t Signals) -> Self {
        self.logs = Logs::of(signals, &self.activity.joined.calls);
        self
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
        let mut clock = self.clock.borrow_mut();
        clock.collection(&self.activity.joined, &time.call)
    }

    /// What each call waited for, in order of time.
    #[must_use]
    pub fn path(&self, time: &CallTime<'t>) -> Vec<Stretch<'t>> {
        let mut clock = self.clock.borrow_mut();
        clock.path(&self.activity.joined, &time.call)
    }

    /// The spans of a call as a flame graph shows them: parents before children.
    #[must_use]
    pub fn frames(&self, time: &CallTime<'t>) -> Vec<Frame<'t>> {
        let mut clock = self.clock.borrow_mut();
        clock.frames(&self.activity.joined, &time.call)
    }

    /// What was logged in the time of a call, in order of time.
    #[must_use]
    pub fn logged(&self, time: &CallTime<'t>) -> Vec<LoggedLine<'t>> {
        let lines = self.logs.of_trace(&time.call);
        if lines.is_empty() {
            return Vec::new();
        }
        let mut clock = self.clock.borrow_mut();
        let mut logged = clock.logged(&self.activity.joined, &time.call, lines);
        for line in &mut logged {
            line.may_be_of_another = self.logs.is_shared(&time.call, &line.line);
        }
        logged
    }

    /// Why a call took so long; the reason that explains most of its time first.
    #[must_use]
    pub fn reasons(&self, time: &CallTime<'t>) -> Vec<Reason> {
        self.question(time).reasons()
    }

    /// The name of each reason that comes first for some of the calls, with how many; the most frequent first. `None` where no reason is
    /// known.
    #[must_use]
    pub fn first_reasons(&self, of: &[&CallTime<'t>]) -> Vec<(Option<&'static str>, usize)> {
        let mut counts: Vec<(Option<&'static str>, usize)> = Vec::new();
        for time in of {
            let name = self.question(time).first();
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        counts.sort_by_key(|(_, count)| Reverse(*count));
        counts
    }

    fn question<'q>(&'q self, time: &'q CallTime<'t>) -> Question<'q, 't> {
        Question::new(time, &self.usual[time.call.method], &self.activity)
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
