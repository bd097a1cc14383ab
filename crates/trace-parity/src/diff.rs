//! One example before and after a change, the most important differences first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::contract::Contract;
use crate::semconv::names_of;
use crate::summary::{CallSummary, SpanSummary, Summary, summaries};
use crate::traces::Traces;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub aspect: Aspect,
    /// The example by its name after the change.
    pub example: String,
    /// Where: a step and method such as `insert/Insert`, or a part of the example such as `resource`.
    pub place: String,
    /// As it was; empty for an addition.
    pub before: String,
    /// As it is; empty for a removal.
    pub after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    Added,
    Removed,
    /// The same thing under another name, version, type or value.
    Renamed,
    /// Another status, count, order or value.
    Changed,
    /// The median call takes half as long again, and a millisecond more.
    Slower,
}

/// What a change is about, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    Example,
    Root,
    Status,
    Server,
    Call,
    Order,
    Count,
    Kind,
    Span,
    Name,
    Attribute,
    Value,
    Event,
    Link,
    Resource,
    Scope,
    Time,
}

impl Aspect {
    pub const ALL: [Aspect; 17] = [
        Aspect::Example,
        Aspect::Root,
        Aspect::Status,
        Aspect::Server,
        Aspect::Call,
        Aspect::Order,
        Aspect::Count,
        Aspect::Kind,
        Aspect::Span,
        Aspect::Name,
        Aspect::Attribute,
        Aspect::Value,
        Aspect::Event,
        Aspect::Link,
        Aspect::Resource,
        Aspect::Scope,
        Aspect::Time,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Aspect::Example => "example",
            Aspect::Root => "root",
            Aspect::Status => "status",
            Aspect::Server => "server",
            Aspect::Call => "call",
            Aspect::Order => "order",
            Aspect::Count => "count",
            Aspect::Kind => "kind",
            Aspect::Span => "span",
            Aspect::Name => "name",
            Aspect::Attribute => "attribute",
            Aspect::Value => "value",
            Aspect::Event => "event",
            Aspect::Link => "link",
            Aspect::Resource => "resource",
            Aspect::Scope => "scope",
            Aspect::Time => "time",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Renamed => "renamed",
            ChangeKind::Changed => "changed",
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
                differ.say(ChangeKind::Added, Aspect::Example, "example", "", &now.name);
                changes.append(&mut differ.changes);
            }
        }
    }
    for gone in before
        .iter()
        .filter(|before| after.iter().all(|after| after.name != before.name))
    {
        let mut differ = Differ::new(gone);
        differ.say(
            ChangeKind::Removed,
            Aspect::Example,
            "example",
            &gone.name,
            "",
        );
        changes.append(&mut differ.changes);
    }
    changes.sort_by_key(|change| change.aspect);
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

    fn say(&mut self, kind: ChangeKind, aspect: Aspect, place: &str, before: &str, after: &str) {
        self.changes.push(Change {
            kind,
            aspect,
            example: self.example.clone(),
            place: place.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        });
    }

    fn summary(mut self, before: &Summary, after: &Summary) -> Vec<Change> {
        let root = |summary: &Summary| summary.root.iter().map(|(name, _)| name.clone()).collect();
        self.sets(Aspect::Root, "root", &root(before), &root(after));
        if before.root.is_some() && after.root.is_some() {
            self.spans("root", &before.root_span, &after.root_span);
        }
        self.maps(
            Aspect::Resource,
            "resource",
            &before.resource,
            &after.resource,
        );
        self.maps(Aspect::Scope, "scope", &before.scopes, &after.scopes);
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
            self.sets(Aspect::Call, &step.1, &names(was), &names(is));
            for (method, was) in was {
                if let Some(is) = is.get(method) {
                    self.call(&format!("{}/{method}", step.1), was, is);
                }
            }
        }
        self.order(&before.order, &after.order);
        let names = |summary: &Summary| summary.others.keys().cloned().collect();
        self.sets(Aspect::Span, "span", &names(before), &names(after));
        for (name, was) in &before.others {
            if let Some(is) = after.others.get(name) {
                let place = format!("span `{name}`");
                self.count(&place, was.count, is.count);
                self.spans(&place, was, is);
            }
        }
        self.folded()
    }

    /// Calls in another order, where the same ones are there.
    fn order(&mut self, before: &[String], after: &[String]) {
        let sorted = |order: &[String]| {
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            sorted
        };
        if before == after || sorted(before) != sorted(after) {
            return;
        }
        let differs = |(was, is): &(&String, &String)| was != is;
        let first = before.iter().zip(after).find(differs);
        if let Some((was, is)) = first {
            self.say(ChangeKind::Changed, Aspect::Order, "order", was, is);
        }
    }

    fn count(&mut self, place: &str, before: usize, after: usize) {
        if before != after {
            let place = format!("{place} count");
            let (was, is) = (before.to_string(), after.to_string());
            self.say(ChangeKind::Changed, Aspect::Count, &place, &was, &is);
        }
    }

    /// What any span has.
    fn spans(&mut self, place: &str, before: &SpanSummary, after: &SpanSummary) {
        let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut changed = |aspect: Aspect, what: &str, was: String, is: String| {
            if was != is {
                let place = format!("{place} {what}");
                self.say(ChangeKind::Changed, aspect, &place, &was, &is);
            }
        };
        let (was, is) = (joined(&before.outcomes), joined(&after.outcomes));
        changed(Aspect::Status, "status", was, is);
        let (was, is) = (joined(&before.kinds), joined(&after.kinds));
        changed(Aspect::Kind, "kind", was, is);
        for (key, was) in &before.values {
            if let Some(is) = after.values.get(key) {
                changed(
                    Aspect::Value,
                    &format!("attribute {key}"),
                    joined(was),
                    joined(is),
                );
            }
        }
        let linked = |count: usize| count.to_string();
        changed(
            Aspect::Link,
            "links",
            linked(before.links),
            linked(after.links),
        );
        self.sets(
            Aspect::Event,
            &format!("{place} event"),
            &before.events,
            &after.events,
        );
    }

    fn maps(
        &mut self,
        aspect: Aspect,
        place: &str,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        for (key, was) in before {
            match after.get(key) {
                Some(is) if is == was => {}
                Some(is) => self.say(
                    ChangeKind::Renamed,
                    aspect,
                    place,
                    &format!("{key} {was}"),
                    &format!("{key} {is}"),
                ),
                None => self.say(
                    ChangeKind::Removed,
                    aspect,
                    place,
                    &format!("{key} {was}"),
                    "",
                ),
            }
        }
        for (key, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.say(ChangeKind::Added, aspect, place, "", &format!("{key} {is}"));
        }
    }

    /// One gone and one new is the same thing under another name.
    fn sets(
        &mut self,
        aspect: Aspect,
        place: &str,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
    ) {
        let gone: Vec<&String> = before.difference(after).collect();
        let new: Vec<&String> = after.difference(before).collect();
        if let ([was], [is]) = (gone.as_slice(), new.as_slice()) {
            self.say(ChangeKind::Renamed, aspect, place, was, is);
            return;
        }
        for was in gone {
            self.say(ChangeKind::Removed, aspect, place, was, "");
        }
        for is in new {
            self.say(ChangeKind::Added, aspect, place, "", is);
        }
    }

    fn call(&mut self, place: &str, before: &CallSummary, after: &CallSummary) {
        if !(before.polling && after.polling) {
            self.count(place, before.spans.count, after.spans.count);
        }
        self.spans(place, &before.spans, &after.spans);
        self.sets(
            Aspect::Name,
            &format!("{place} name"),
            &before.names,
            &after.names,
        );
        self.attributes(place, before, after);
        self.sets(
            Aspect::Server,
            &format!("{place} server"),
            &before.server,
            &after.server,
        );
        let answered = |joined: bool| if joined { "answered" } else { "not answered" };
        if before.joined != after.joined {
            self.say(
                ChangeKind::Changed,
                Aspect::Server,
                place,
                answered(before.joined),
                answered(after.joined),
            );
        }
        let (was, is) = (before.median(), after.median());
        if is > was.saturating_add(was / 2) && is - was > SLOWER_BY_NS {
            let shown = |ns: u64| format!("{:.1} ms", ns as f64 / 1e6);
            self.say(
                ChangeKind::Slower,
                Aspect::Time,
                place,
                &shown(was),
                &shown(is),
            );
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
                        Aspect::Attribute,
                        &format!("{place} attribute"),
                        &shown(was),
                        &shown(is),
                    );
                }
                None => self.say(
                    ChangeKind::Removed,
                    Aspect::Attribute,
                    &format!("{place} attribute"),
                    &shown(was),
                    "",
                ),
            }
        }
        for is in new {
            self.say(
                ChangeKind::Added,
                Aspect::Attribute,
                &format!("{place} attribute"),
                "",
                &shown(is),
            );
        }
    }

    /// The same change at several calls is said once; the most important ones come first.
    fn folded(self) -> Vec<Change> {
        let mut folded: Vec<Change> = Vec::new();
        let what = |place: &str| place.split_once(' ').map(|(_, what)| what.to_owned());
        for change in self.changes {
            let same = |known: &&mut Change| {
                known.place.contains(['/', ' '])
                    && matches!(
                        change.aspect,
                        Aspect::Attribute | Aspect::Value | Aspect::Event | Aspect::Kind
                    )
                    && what(&known.place) == what(&change.place)
                    && (known.kind, known.aspect, &known.before, &known.after)
                        == (change.kind, change.aspect, &change.before, &change.after)
            };
            match folded.iter_mut().find(same) {
                Some(known) => {
                    let what = what(&change.place).unwrap_or_default();
                    known.place = format!("calls {what}");
                }
                None => folded.push(change),
            }
        }
        folded.sort_by_key(|change| change.aspect);
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
