//! Do the spans say whose they are?

use std::collections::{BTreeMap, HashMap};

use crate::draft::Draft;
use crate::rule::Rule;
use crate::traces::Value;
use crate::view::View;
use crate::view::examples::Example;
use crate::view::links::Side;

/// Spans by resource, with the first span of each; of the client's side alone.
fn resources(view: &View<'_>, example: &Example<'_>) -> BTreeMap<u32, (usize, u32)> {
    let mut counts = BTreeMap::new();
    for span in example
        .traces
        .iter()
        .flat_map(|&trace| view.traces.traces[trace as usize].spans())
    {
        if view.links.side(span) == Side::Client {
            let resource = view.traces.record(span).resource;
            counts.entry(resource).or_insert((0, span)).0 += 1;
        }
    }
    counts
}

fn value<'a>(view: &View<'a>, resource: u32, key: &str) -> Option<Value<'a>> {
    let slice = view.traces.resources[resource as usize].attributes;
    view.traces.attribute_named(slice, key)
}

pub(crate) fn resource_mismatch(view: &View<'_>, drafts: &mut Vec<Draft>) {
    let runs = runs(view);
    for (index, example) in view.examples() {
        let resources = resources(view, example);
        for declared in &view.contract.resource {
            let key = declared.key.as_str();
            drafts.extend(mismatch(
                view,
                index,
                &resources,
                key,
                declared.value.as_deref(),
            ));
        }
        // What tells examples apart must stand on all spans of an example, once it stands on any span of the run.
        if let Some(run) = &runs[index as usize] {
            drafts.extend(mismatch(
                view,
                index,
                &resources,
                "milvus_otel.run",
                Some(run),
            ));
            // An agent may make up an instance id of its own: it is to be one, not a certain one.
            let name = most(view, &resources, "service.instance.id");
            drafts.extend(mismatch(
                view,
                index,
                &resources,
                "service.instance.id",
                name.as_deref(),
            ));
        }
    }
}

/// Per example, the run that it says or is known to be of, or that another one in the same input says.
fn runs(view: &View<'_>) -> Vec<Option<String>> {
    let told = view.facts.and_then(|facts| facts.run.as_ref());
    let own: Vec<(Option<u32>, Option<String>)> = view
        .examples
        .iter()
        .map(|example| {
            let resources = resources(view, example);
            let source = resources.keys().next();
            let source = source.map(|&resource| view.traces.resources[resource as usize].source);
            (source, most(view, &resources, "milvus_otel.run"))
        })
        .collect();
    let mut of_input: HashMap<Option<u32>, &String> = HashMap::new();
    for (source, run) in &own {
        if let Some(run) = run {
            of_input.entry(*source).or_insert(run);
        }
    }
    own.iter()
        .map(|(source, run)| {
            let run = told.or(run.as_ref());
            run.or_else(|| of_input.get(source).copied()).cloned()
        })
        .collect()
}

/// The value that most spans have.
fn most(view: &View<'_>, resources: &BTreeMap<u32, (usize, u32)>, key: &str) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (&resource, &(count, _)) in resources {
        if let Some(value) = value(view, resource, key) {
            *counts.entry(value.to_string()).or_default() += count;
        }
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(value, _)| value)
}

/// The spans whose resource lacks `key`, or has another value than the expected one.
fn mismatch(
    view: &View<'_>,
    example: u32,
    resources: &BTreeMap<u32, (usize, u32)>,
    key: &str,
    expected: Option<&str>,
) -> Vec<Draft> {
    let all: usize = resources.values().map(|(count, _)| count).sum();
    let mut wrong: BTreeMap<Option<String>, (usize, u32)> = BTreeMap::new();
    for (&resource, &(count, span)) in resources {
        let found = value(view, resource, key).map(|value| value.to_string());
        let fits = match (&found, expected) {
            (Some(found), Some(expected)) => found == expected,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !fits {
            let entry = wrong.entry(found).or_insert((0, span));
            entry.0 += count;
            entry.1 = entry.1.min(span);
        }
    }
    let should = expected.map_or_else(String::new, |expected| {
        format!("; it should be `{expected}`")
    });
    wrong
        .into_iter()
        .map(|(found, (count, span))| {
            let what = match found {
                Some(found) => {
                    format!("`{key}` is `{found}` on {count} of {all} client spans{should}")
                }
                None => format!("`{key}` is absent from {count} of {all} client spans{should}"),
            };
            Draft::new(Rule::ResourceMismatch, what)
                .example(example)
                .span(span)
                .subject(key)
                .tell("key", key)
        })
        .collect()
}

const SDK: [&str; 3] = [
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
];

pub(crate) fn sdk_unknown(view: &View<'_>, drafts: &mut Vec<Draft>) {
    for (index, example) in view.examples() {
        let resources = resources(view, example);
        let all: usize = resources.values().map(|(count, _)| count).sum();
        let lacks = |resource: u32| SDK.iter().any(|key| value(view, resource, key).is_none());
        let lacking: Vec<(u32, usize, u32)> = resources
            .iter()
            .filter(|&(&resource, _)| lacks(resource))
            .map(|(&resource, &(count, span))| (resource, count, span))
            .collect();
        let Some(span) = lacking.iter().map(|&(_, _, span)| span).min() else {
            continue;
        };
        let absent = |key: &&&str| {
            lacking
                .iter()
                .any(|&(resource, _, _)| value(view, resource, key).is_none())
        };
        let keys: Vec<&str> = SDK.iter().filter(absent).copied().collect();
        let count: usize = lacking.iter().map(|(_, count, _)| count).sum();
        drafts.push(
            Draft::new(
                Rule::SdkUnknown,
                format!(
                    "`{}` {} absent from {count} of {all} client spans",
                    keys.join("`, `"),
                    if keys.len() == 1 { "is" } else { "are" }
                ),
            )
            .example(index)
            .span(span)
            .subject(keys.join(", ")),
        );
    }
}
