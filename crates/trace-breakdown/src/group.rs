//! Calls that are told together, and two inputs side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::breakdown::Breakdown;
use crate::call::CallTime;
use crate::model::StageId;
use crate::spread::{Difference, Spread, median};

/// What calls of one operation are told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Nothing: all calls of a step's operation are one group.
    #[default]
    Step,
    Language,
    Call,
    Collection,
}

/// Calls of one operation in one step.
#[derive(Debug)]
pub struct Group<'b, 't> {
    pub step: Option<&'t str>,
    pub method: &'t str,
    /// The language, collection or span that its calls have in common; empty with [`By::Step`].
    pub key: String,
    /// In order of start.
    pub calls: Vec<&'b CallTime<'t>>,
    pub total: Spread,
    /// Those in which some call spent time, in the model's order.
    pub stages: Vec<GroupStage>,
    pub unexplained: GroupUnexplained,
}

/// A group's time in one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStage {
    pub stage: StageId,
    /// Nanoseconds of all calls together. These and those of `unexplained` add up to the sum of the calls' durations.
    pub sum_ns: u64,
    pub all_ns: u64,
    pub spread: Spread,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUnexplained {
    pub sum_ns: u64,
    pub spread: Spread,
}

/// How one operation changed from one input to another.
#[derive(Debug)]
pub struct Change<'t> {
    pub step: Option<&'t str>,
    pub method: &'t str,
    pub calls: [usize; 2],
    pub total: [Spread; 2],
    pub by: Difference,
    /// Stages, and `None` for what is unexplained; the one that became slowest first.
    pub stages: Vec<StageChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageChange {
    pub stage: Option<StageId>,
    pub median: [u64; 2],
    pub by: Difference,
}

impl<'b, 't> Group<'b, 't> {
    /// Nanoseconds of all calls together.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.calls.iter().map(|time| time.total_ns).sum()
    }

    /// The median over the calls of a time in nanoseconds.
    #[must_use]
    pub fn median(&self, ns: impl Fn(&CallTime<'t>) -> u64) -> u64 {
        median(&mut self.calls.iter().map(|time| ns(time)).collect::<Vec<_>>())
    }

    /// The call that took longest.
    #[must_use]
    pub fn worst(&self) -> &'b CallTime<'t> {
        let longest = self.calls.iter().rev().max_by_key(|time| time.total_ns);
        longest.expect("a group has calls")
    }
}

/// The calls of a breakdown in groups, in order of their first calls; of one step or operation, where `only` names it.
#[must_use]
pub fn groups<'b, 't>(
    breakdown: &'b Breakdown<'t>,
    by: By,
    only: Option<&str>,
) -> Vec<Group<'b, 't>> {
    let mut calls: Vec<&CallTime<'t>> = breakdown
        .calls()
        .iter()
        .filter(|time| is_wanted(time, only))
        .collect();
    calls.sort_by_key(|time| time.call.span.start_ns());
    let mut found: Vec<(Key<'t>, Vec<&'b CallTime<'t>>)> = Vec::new();
    let mut places = HashMap::new();
    for time in calls {
        let own = match by {
            By::Step => String::new(),
            By::Language => breakdown.language(time).to_owned(),
            By::Call => time.call.span.id().to_string(),
            By::Collection => breakdown.collection(time).unwrap_or("unknown").to_owned(),
        };
        let key = (time.call.step, time.call.method, own);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            found.push((key, Vec::new()));
            found.len() - 1
        });
        found[place].1.push(time);
    }
    found
        .into_iter()
        .map(|(key, calls)| group(key, calls))
        .collect()
}

type Key<'t> = (Option<&'t str>, &'t str, String);

/// By the name of the step or of the operation, in either case of letters.
fn is_wanted(time: &CallTime<'_>, only: Option<&str>) -> bool {
    only.is_none_or(|name| {
        let names = time.call.step.into_iter().chain([time.call.method]);
        names
            .into_iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

fn group<'b, 't>((step, method, key): Key<'t>, calls: Vec<&'b CallTime<'t>>) -> Group<'b, 't> {
    let mut stages: BTreeMap<StageId, (Vec<u64>, u64)> = BTreeMap::new();
    for time in calls.iter().flat_map(|time| &time.stages) {
        let (times, all_ns) = stages.entry(time.stage).or_default();
        times.push(time.ns);
        *all_ns += time.all_ns;
    }
    let stages = stages.into_iter().map(|(stage, (mut times, all_ns))| {
        times.resize(calls.len(), 0);
        GroupStage {
            stage,
            sum_ns: times.iter().sum(),
            all_ns,
            spread: Spread::of(times),
        }
    });
    let unexplained: Vec<u64> = calls.iter().map(|time| time.unexplained_ns).collect();
    Group {
        total: Spread::of(calls.iter().map(|time| time.total_ns).collect()),
        stages: stages.filter(|stage| stage.sum_ns > 0).collect(),
        unexplained: GroupUnexplained {
            sum_ns: unexplained.iter().sum(),
            spread: Spread::of(unexplained),
        },
        step,
        method,
        key,
        calls,
    }
}

fn stages_of(calls: &[&CallTime<'_>]) -> BTreeSet<StageId> {
    let all = calls.iter().flat_map(|time| &time.stages);
    all.filter(|time| time.ns > 0)
        .map(|time| time.stage)
        .collect()
}

/// How the operations that both inputs have changed; the one that became slowest first.
#[must_use]
pub fn changes<'t>(
    before: &Breakdown<'t>,
    after: &Breakdown<'t>,
    only: Option<&str>,
) -> Vec<Change<'t>> {
    let [old, new] = [before, after].map(|side| groups(side, By::Step, only));
    let mut changes: Vec<Change<'t>> = old
        .iter()
        .filter_map(|old| {
            let same = |new: &&Group<'_, 't>| (new.step, new.method) == (old.step, old.method);
            change(old, new.iter().find(same)?)
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.by.by));
    changes
}

fn change<'t>(old: &Group<'_, 't>, new: &Group<'_, 't>) -> Option<Change<'t>> {
    let compared = |stage: Option<StageId>| {
        let mut times = [old, new].map(|group| {
            let ns =
                |time: &&CallTime<'t>| stage.map_or(time.unexplained_ns, |stage| time.ns(stage));
            group.calls.iter().map(ns).collect::<Vec<u64>>()
        });
        let by = Difference::of(&times[0], &times[1])?;
        Some(StageChange {
            stage,
            median: times.each_mut().map(|times| median(times)),
            by,
        })
    };
    let either = stages_of(&old.calls)
        .union(&stages_of(&new.calls))
        .copied()
        .collect::<Vec<_>>();
    let stages = either.into_iter().map(Some).chain([None]);
    let mut stages: Vec<StageChange> = stages.filter_map(compared).collect();
    stages.sort_by_key(|change| std::cmp::Reverse(change.by.by));
    let totals = [old, new]
        .map(|group| -> Vec<u64> { group.calls.iter().map(|time| time.total_ns).collect() });
    Some(Change {
        step: old.step,
        method: old.method,
        calls: [old.calls.len(), new.calls.len()],
        total: [old.total, new.total],
        by: Difference::of(&totals[0], &totals[1])?,
        stages,
    })
}
