//! One example before and after a change: what was added, what is gone, what has another name, what takes longer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::contract::Contract;
use crate::semconv::names_of;
use crate::summary::{CallSummary, Summary, summaries};
use crate::traces::Traces;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// The example by its name after the change.
    pub example: String,
    /// Where: a step and method such as `insert/Insert`, or a part of the example such as `resource`.
    pub place: String,
    /// As it was; empty for what was added.
    pub before: String,
    /// As it is; empty for what is gone.
    pub after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    Added,
    Removed,
    /// The same thing under another name, version, type or value.
    Renamed,
    /// The median call takes half as long again, and a millisecond more.
    Slower,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Renamed => "renamed",
            ChangeKind::Slower => "slower",
        })
    }
}

const SLOWER_BY_NS: u64 = 1_000_000;

/// Compares the examples of two inputs, by name; where each holds one, those two, whatever their names.
#[must_use]
pub fn diff(before: &Traces, after: &Traces, contract: &Contract) -> Vec<Change> {
    let (before, after) = (
        summaries(before, contract, None),
        summaries(after, contract, None),
    );
    if let ([before], [after]) = (before.as_slice(), after.as_slice()) {
        return Differ::new(after).summary(before, after);
    }
    let mut changes = Vec::new();
    for now in &after {
        let mut differ = Differ::new(now);
        match before.iter().find(|before| before.name == now.name) {
            Some(before) => changes.extend(differ.summary(before, now)),
            None => {
                differ.say(ChangeKind::Added, "example", "", &now.name);
                changes.append(&mut differ.changes);
            }
        }
    }
    for gone in before
        .iter()
        .filter(|before| after.iter().all(|after| after.name != before.name))
    {
        let mut differ = Differ::new(gone);
        differ.say(ChangeKind::Removed, "example", &gone.name, "");
        changes.append(&mut differ.changes);
    }
    changes
}

struct Differ {
    example: String,
    changes: Vec<Change>,
}

impl Differ {
    fn new(summary: &Summary) -> Self {
        Differ {
            example: summary.name.clone(),
            changes: Vec::new(),
        }
    }

    fn say(&mut self, kind: ChangeKind, place: &str, before: &str, after: &str) {
        self.changes.push(Change {
            kind,
            example: self.example.clone(),
            place: place.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        });
    }

    fn summary(mut self, before: &Summary, after: &Summary) -> Vec<Change> {
        let root = |summary: &Summary| {
            summary
                .root
                .iter()
                .map(|(name, kind)| (name.clone(), kind.clone()))
                .collect()
        };
        let (was, is): (BTreeMap<_, _>, BTreeMap<_, _>) = (root(before), root(after));
        self.sets(
            "root",
            &was.into_keys().collect(),
            &is.into_keys().collect(),
        );
        self.maps("resource", &before.resource, &after.resource);
        self.maps("scope", &before.scopes, &after.scopes);
        let empty = BTreeMap::new();
        let steps: BTreeSet<_> = before.calls.keys().chain(after.calls.keys()).collect();
        for step in steps {
            let (was, is) = (
                before.calls.get(step).unwrap_or(&empty),
                after.calls.get(step).unwrap_or(&empty),
            );
            let names = |calls: &BTreeMap<String, CallSummary>| {
                calls.keys().cloned().collect::<BTreeSet<String>>()
            };
            self.sets(&step.1, &names(was), &names(is));
            for (method, was) in was {
                if let Some(is) = is.get(method) {
                    self.call(&format!("{}/{method}", step.1), was, is);
                }
            }
        }
        self.folded()
    }

    fn maps(
        &mut self,
        place: &str,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        for (key, was) in before {
            match after.get(key) {
                Some(is) if is == was => {}
                Some(is) => self.say(
                    ChangeKind::Renamed,
                    place,
                    &format!("{key} {was}"),
                    &format!("{key} {is}"),
                ),
                None => self.say(ChangeKind::Removed, place, &format!("{key} {was}"), ""),
            }
        }
        for (key, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.say(ChangeKind::Added, place, "", &format!("{key} {is}"));
        }
    }

    /// One gone and one new is the same thing under another name.
    fn sets(&mut self, place: &str, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let gone: Vec<&String> = before.difference(after).collect();
        let new: Vec<&String> = after.difference(before).collect();
        if let ([was], [is]) = (gone.as_slice(), new.as_slice()) {
            self.say(ChangeKind::Renamed, place, was, is);
            return;
        }
        for was in gone {
            self.say(ChangeKind::Removed, place, was, "");
        }
        for is in new {
            self.say(ChangeKind::Added, place, "", is);
        }
    }

    fn call(&mut self, place: &str, before: &CallSummary, after: &CallSummary) {
        self.sets(&format!("{place} name"), &before.names, &after.names);
        self.sets(&format!("{place} kind"), &before.kinds, &after.kinds);
        self.attributes(place, before, after);
        let server = |call: &CallSummary| call.server.clone();
        self.sets(&format!("{place} server"), &server(before), &server(after));
        let answered = |joined: bool| if joined { "answered" } else { "not answered" };
        if before.joined != after.joined {
            self.say(
                ChangeKind::Renamed,
                place,
                answered(before.joined),
                answered(after.joined),
            );
        }
        let (was, is) = (before.median(), after.median());
        if is > was.saturating_add(was / 2) && is - was > SLOWER_BY_NS {
            let shown = |ns: u64| format!("{:.1} ms", ns as f64 / 1e6);
            self.say(ChangeKind::Slower, place, &shown(was), &shown(is));
        }
    }

    /// An attribute whose convention has another name for it was renamed, whatever else is gone or new.
    fn attributes(&mut self, place: &str, before: &CallSummary, after: &CallSummary) {
        let shown = |(key, type_name): &(String, &str)| format!("{key} ({type_name})");
        let mut new: BTreeSet<_> = after.attributes.difference(&before.attributes).collect();
        for was in before.attributes.difference(&after.attributes) {
            let same = |is: &&&(String, &'static str)| {
                is.0 == was.0 || names_of(&was.0).any(|name| name == is.0)
            };
            let is = new.iter().find(same).copied();
            match is {
                Some(is) => {
                    new.remove(is);
                    self.say(
                        ChangeKind::Renamed,
                        &format!("{place} attribute"),
                        &shown(was),
                        &shown(is),
                    );
                }
                None => self.say(
                    ChangeKind::Removed,
                    &format!("{place} attribute"),
                    &shown(was),
                    "",
                ),
            }
        }
        for is in new {
            self.say(
                ChangeKind::Added,
                &format!("{place} attribute"),
                "",
                &shown(is),
            );
        }
    }

    /// The same change at every call is said once.
    fn folded(self) -> Vec<Change> {
        let mut folded: Vec<Change> = Vec::new();
        let suffix = |place: &str| place.split_once(' ').map(|(_, what)| what.to_owned());
        for change in self.changes {
            let what = suffix(&change.place);
            let same = |known: &&mut Change| {
                what.as_deref() == Some("attribute")
                    && suffix(&known.place) == what
                    && (known.kind, &known.before, &known.after)
                        == (change.kind, &change.before, &change.after)
            };
            match folded.iter_mut().find(same) {
                Some(known) => known.place = "calls attribute".to_owned(),
                None => folded.push(change),
            }
        }
        folded
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: ", self.kind, self.example, self.place)?;
        match (self.before.as_str(), self.after.as_str()) {
            ("", after) => f.write_str(after),
            (before, "") => f.write_str(before),
            (before, after) => write!(f, "{before} -> {after}"),
        }
    }
}
