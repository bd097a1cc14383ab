//! Finds the smallest change that makes a variant whole.

use std::cmp::Reverse;

use crate::map::Entry;
use crate::outcome::Outcome;

/// Fills in, for each variant that isn't whole, the whole variant that the fewest and smallest changes lead to.
pub(super) fn add_mends(variants: &mut [Entry]) {
    let outcome = |entry: &Entry| entry.found.as_ref().map(|found| found.outcome);
    let whole: Vec<Entry> = variants
        .iter()
        .filter(|entry| outcome(entry) == Some(Outcome::Whole))
        .cloned()
        .collect();
    for entry in variants {
        let mend = whole
            .iter()
            .map(|good| (changes(entry, good), good))
            .min_by_key(|(changes, good)| {
                let steps = (changes.len(), distance(entry, good));
                (steps, Reverse(good.set.len()))
            })
            .map(|(changes, _)| changes.join(", "));
        if let Some(found) = &mut entry.found
            && !found.outcome.is_whole()
        {
            found.mend = mend;
        }
    }
}

fn changes(from: &Entry, to: &Entry) -> Vec<String> {
    let versions = to.versions.iter().filter_map(|(axis, version)| {
        let now = from.versions.get(axis);
        (now != Some(version))
            .then(|| format!("{axis} {} -> {version}", now.map_or("?", String::as_str)))
    });
    let unset = from.env.keys().filter(|name| !to.env.contains_key(*name));
    let set = to
        .env
        .iter()
        .filter(|(name, value)| from.env.get(*name) != Some(value));
    let runtime = (from.runtime != to.runtime).then(|| match &to.runtime {
        Some(runtime) => format!("run with {runtime}"),
        None => "run with the runtime on PATH".to_owned(),
    });
    versions
        .chain(unset.map(|name| format!("unset {name}")))
        .chain(set.map(|(name, value)| format!("{name}={value}")))
        .chain(runtime)
        .collect()
}

/// The distance between versions. A major version weighs more than all minor ones.
fn distance(from: &Entry, to: &Entry) -> u64 {
    to.versions
        .iter()
        .filter_map(|(axis, version)| {
            Some(versions::weight(version).abs_diff(versions::weight(from.versions.get(axis)?)))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use crate::map::tests::sample;

    #[test]
    fn what_mends_a_variant_is_the_nearest_whole_one() {
        let map = sample();
        let mend = |name: &str| {
            let (_, entry) = map.entries().find(|(_, entry)| entry.name == name).unwrap();
            entry.found.as_ref().unwrap().mend.clone()
        };
        assert_eq!(mend("own"), None);
        assert_eq!(mend("lost").as_deref(), Some("agent 2.26.1 -> 2.25.0"));
        assert_eq!(
            mend("newest").as_deref(),
            Some("agent 2.33.1 -> 2.25.0, sdk 2.6.22 -> 2.5.10")
        );
    }
}
