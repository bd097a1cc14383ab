//! One cause that shows at many places: one finding that lists them.

use std::collections::{BTreeMap, HashSet};

use crate::draft::Draft;
use crate::rule::{Rule, Severity};
use crate::view::View;

/// Up to this many places are told one by one.
const APART: usize = 3;
/// Names that a message lists.
const LISTED: usize = 4;

/// Rules whose findings say what a place where spans were lost leaves out.
const LEFT_OUT: [Rule; 4] = [
    Rule::NoServerSpan,
    Rule::MissingStep,
    Rule::ServerWorkDiffers,
    Rule::UnmarkedError,
];

/// Puts one draft in the place of many that see the same thing of one example.
pub(crate) fn fold(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some(example) = draft.example.filter(|_| draft.severity > Severity::Info) else {
            continue;
        };
        let key = (example, draft.rule, draft.severity, draft.case);
        groups.entry(key).or_default().push(index);
    }
    let mut folded: HashSet<usize> = HashSet::new();
    let patchy = patchy(drafts);
    for mut group in groups.into_values() {
        group.sort_by_key(|&index| {
            let span = drafts[index].span;
            span.map(|span| (view.traces.record(span).start, span))
        });
        let places: HashSet<_> = group
            .iter()
            .map(|&index| (drafts[index].step, &drafts[index].subject))
            .collect();
        let many =
            places.len() > APART || drafts[group[0]].subject.is_none() && group.len() > APART;
        if !many {
            continue;
        }
        let likewise = likewise(view, drafts, &group);
        let count = group.iter().map(|&index| drafts[index].count).sum();
        let first = &mut drafts[group[0]];
        first.message.push_str(&likewise);
        first.count = count;
        first.step = None;
        folded.extend(&group[1..]);
    }
    let mut index = 0;
    drafts.retain(|draft| {
        index += 1;
        let left_out = draft.severity == Severity::Error
            && LEFT_OUT.contains(&draft.rule)
            && draft
                .example
                .is_some_and(|example| patchy.contains(&example));
        !left_out && !folded.contains(&(index - 1))
    });
}

/// Examples whose spans were lost at many places.
fn patchy(drafts: &[Draft]) -> HashSet<u32> {
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let lost = drafts
        .iter()
        .filter(|draft| draft.rule == Rule::OrphanSpan && draft.severity == Severity::Error);
    for example in lost.filter_map(|draft| draft.example) {
        *places.entry(example).or_default() += 1;
    }
    places.retain(|_, places| *places > APART);
    places.into_keys().collect()
}

/// `; likewise` and what the other drafts are about, else where they are.
fn likewise(view: &View<'_>, drafts: &[Draft], group: &[usize]) -> String {
    let own = &drafts[group[0]].subject;
    let others = || group[1..].iter().map(|&index| &drafts[index]);
    let mut names: Vec<&str> = others()
        .filter_map(|draft| draft.subject.as_deref())
        .filter(|subject| Some(*subject) != own.as_deref())
        .collect();
    if names.is_empty() {
        names = others()
            .filter_map(|draft| view.step_name(draft.step))
            .collect();
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(*name));
    let more = names.len().saturating_sub(LISTED);
    let mut listed: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    match listed.pop() {
        None => format!("; likewise at {} more places", group.len() - 1),
        Some(only) if listed.is_empty() => {
            format!("; likewise {} times at {only}", group.len() - 1)
        }
        Some(last) => format!("; likewise {} and {last}", listed.join(", ")),
    }
}
