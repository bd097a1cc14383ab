//! Finds the version at which a trace changes, by bisection.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use harness::event::{Event, Events};
use harness::prepare::example::Example;
use harness::run::judge;
use harness::workspace::Workspace;
use supervise::{Failure, Interrupt, Result};
use trace_parity::{Contract, Traces};

use crate::environment::Recipe;
use crate::lab::{Lab, ServerSettings, Task, in_lab};
use crate::measure::{MatrixOptions, examples, read_plan};
use crate::outcome::Outcome;
use crate::plan::{ExamplePlan, Variant};
use crate::record::{Measured, judged};
use crate::registry;

/// Options of a bisection.
#[derive(Clone, Debug, Default)]
pub struct BisectOptions {
    pub example: String,
    pub axis: String,
    /// The oldest version; `None`: the example's own. A part is enough: `2.20` is the first 2.20.x.
    pub from: Option<String>,
    /// The newest version; `None`: the registry's newest.
    pub to: Option<String>,
    /// Versions of other axes, for all probes.
    pub with: BTreeMap<String, String>,
    pub folders: Vec<PathBuf>,
    pub plan: Option<PathBuf>,
}

/// The result of a bisection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bisection {
    pub axis: String,
    pub from: String,
    pub to: String,
    /// The number of versions between the ends, including the ends.
    pub versions: usize,
    /// The probes, in order.
    pub probes: Vec<Probe>,
    /// `None` if both ends have the same result.
    pub border: Option<Border>,
}

/// A tried version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub version: String,
    pub outcome: Outcome,
    pub rules: Vec<String>,
    pub folder: PathBuf,
}

/// Two neighboring versions with different results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    pub before: Probe,
    pub after: Probe,
    /// Other differences in the spans they sent, such as `traceparent flags 01 -> 03`. Unescaped.
    pub changes: Vec<String>,
}

/// Tries both ends, then bisects.
pub async fn bisect(
    workspace: &Workspace,
    options: &BisectOptions,
    events: &Events,
    interrupt: impl Future<Output = Interrupt>,
) -> Result<Bisection> {
    let matrix = MatrixOptions {
        only: vec![options.example.clone()],
        folders: options.folders.clone(),
        plan: options.plan.clone(),
        ..MatrixOptions::default()
    };
    let plan = read_plan(workspace, &matrix)?.select(&matrix.only, None)?;
    let example = examples(workspace, &matrix, &plan)?.remove(0);
    let plan = plan.of(&options.example)?;
    plan.axis(&options.axis)?;
    let contract = judge::contract(None)?;
    let search = Search {
        options,
        plan,
        example: Arc::new(example),
        contract: &contract,
    };
    in_lab(
        (workspace, &ServerSettings::default()),
        &contract,
        events,
        interrupt,
        async |lab| search.run(lab).await,
    )
    .await
}

struct Search<'a> {
    options: &'a BisectOptions,
    plan: &'a ExamplePlan,
    example: Arc<Example>,
    contract: &'a Contract,
}

impl Search<'_> {
    async fn run(&self, lab: &mut Lab<'_>) -> Result<Bisection> {
        let versions = self.versions(lab).await?;
        let mut probes = Vec::new();
        let (mut good, mut bad) = (0, versions.len() - 1);
        let first = self.probe(lab, &versions[good], &mut probes).await?;
        let last = self.probe(lab, &versions[bad], &mut probes).await?;
        let bisection = |probes, border| Bisection {
            axis: self.options.axis.clone(),
            from: versions[0].clone(),
            to: versions[versions.len() - 1].clone(),
            versions: versions.len(),
            probes,
            border,
        };
        if first.is_like(&last) {
            return Ok(bisection(probes, None));
        }
        let (mut before, mut after) = (first.clone(), last);
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            let probe = self.probe(lab, &versions[middle], &mut probes).await?;
            if probe.is_like(&first) {
                (good, before) = (middle, probe);
            } else {
                (bad, after) = (middle, probe);
            }
        }
        let changes = self.changes(&before, &after)?;
        Ok(bisection(
            probes,
            Some(Border {
                before,
                after,
                changes,
            }),
        ))
    }

    async fn versions(&self, lab: &Lab<'_>) -> Result<Vec<String>> {
        let axis = self.plan.axis(&self.options.axis)?;
        let (workspace, supervisor, events) = (lab.workspace, &lab.supervisor, lab.events);
        let all = registry::versions(workspace, &self.example, axis, supervisor, events).await?;
        let own = registry::own_versions(workspace, &self.example, supervisor, events).await?;
        let own = registry::own_version(&own, axis);
        between(
            &all,
            self.options.from.as_deref().or(own.as_deref()),
            self.options.to.as_deref(),
        )
    }

    async fn probe(
        &self,
        lab: &mut Lab<'_>,
        version: &str,
        probes: &mut Vec<Probe>,
    ) -> Result<Probe> {
        let mut set = self.options.with.clone();
        set.insert(self.options.axis.clone(), version.to_owned());
        let variant = Variant {
            name: format!("{}-{version}", self.options.axis),
            set,
            ..Variant::default()
        };
        let recipe = Recipe::new(self.example.clone(), self.plan, &variant)?;
        let task = Task {
            fingerprint: recipe.fingerprint()?,
            folder: lab
                .workspace
                .state()
                .join("matrix")
                .join("bisect")
                .join(&self.example.name)
                .join(&variant.name),
            recipe,
        };
        let prepared = task
            .recipe
            .prepare(lab.workspace, &lab.supervisor, lab.events)
            .await;
        let measured = lab.measure(&task, prepared, 0.0).await?;
        unless_unknown(version, &measured)?;
        lab.events.emit(Event::VariantMeasured {
            name: task.name(),
            outcome: measured.outcome.words().to_owned(),
            as_expected: true,
            done: probes.len() + 1,
            of: probes.len() + 1,
        });
        let probe = Probe {
            version: version.to_owned(),
            outcome: measured.outcome,
            rules: measured.rules,
            folder: task.folder,
        };
        probes.push(probe.clone());
        Ok(probe)
    }

    fn changes(&self, before: &Probe, after: &Probe) -> Result<Vec<String>> {
        let traits = |probe: &Probe| -> Result<Option<Traits>> {
            if !probe.folder.join("capture.jsonl").is_file() {
                return Ok(None);
            }
            Ok(Some(Traits::of(
                &judged(&probe.folder, Some(self.contract))?.traces,
            )))
        };
        Ok(match (traits(before)?, traits(after)?) {
            (Some(before), Some(after)) => before.changes(&after),
            _ => Vec::new(),
        })
    }
}

impl Probe {
    fn is_like(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.rules == other.rules
    }
}

/// A bisection needs results, so an unreachable registry is an error.
fn unless_unknown(version: &str, measured: &Measured) -> Result<()> {
    match &measured.record.unready {
        Some(unready) if unready.outcome == Outcome::CouldNotRun => Err(Failure::new(format!(
            "{version} can't be tried: {}: {}",
            unready.cause.words(),
            unready.message
        ))
        .hint("choose other ends with `--from` and `--to`, or run the same command again later")),
        _ => Ok(()),
    }
}

/// The versions in a range, including both ends.
fn between(all: &[String], from: Option<&str>, to: Option<&str>) -> Result<Vec<String>> {
    let is_part = |version: &str, part: &str| {
        version == part
            || version
                .strip_prefix(part)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let after_from = |version: &&String| {
        from.is_none_or(|from| versions::compare(version, from).is_ge() || is_part(version, from))
    };
    let before_to = |version: &&String| {
        to.is_none_or(|to| versions::compare(version, to).is_le() || is_part(version, to))
    };
    let versions: Vec<String> = all
        .iter()
        .filter(after_from)
        .filter(before_to)
        .cloned()
        .collect();
    if versions.len() < 2 {
        return Err(Failure::new(format!(
            "there are {} versions from {} to {}, and halving needs two",
            versions.len(),
            from.unwrap_or("the oldest"),
            to.unwrap_or("the newest")
        ))
        .hint(format!("the registry has: {}", all.join(", "))));
    }
    Ok(versions)
}

/// Properties in which two clients can differ although their program is the same.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traits {
    flags: BTreeSet<String>,
    names: BTreeSet<String>,
    scopes: BTreeSet<String>,
    attributes: BTreeSet<String>,
}

impl Traits {
    /// The properties of the spans that a run's programs sent.
    fn of(traces: &Traces) -> Self {
        let mut traits = Self::default();
        for trace in traces.iter() {
            for span in trace.spans() {
                let from_client = span
                    .resource_attributes()
                    .any(|(key, _)| key == "milvus_otel.run");
                if !from_client {
                    continue;
                }
                // `traceparent` carries the lowest byte.
                traits.flags.insert(format!("{:02x}", span.flags() & 0xff));
                traits.scopes.insert(span.scope_name().to_owned());
                if let Some((prefix, _)) = span.name().split_once("milvus.proto.milvus.") {
                    traits.names.insert(format!("{prefix}…"));
                    traits
                        .attributes
                        .extend(span.attributes().map(|(key, _)| key.to_owned()));
                }
            }
        }
        traits
    }

    fn changes(&self, after: &Self) -> Vec<String> {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        let mut changes = Vec::new();
        if self.flags != after.flags {
            changes.push(format!(
                "traceparent flags {} -> {}",
                list(&self.flags),
                list(&after.flags)
            ));
        }
        if self.names != after.names && !after.names.is_empty() {
            changes.push(format!(
                "span names {} -> {}",
                list(&self.names),
                list(&after.names)
            ));
        }
        let gone = |what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>| {
            let (gone, new) = (before - after, after - before);
            let gone = (!gone.is_empty()).then(|| format!("{what} gone: {}", list(&gone)));
            let new = (!new.is_empty()).then(|| format!("{what} new: {}", list(&new)));
            gone.into_iter().chain(new).collect::<Vec<_>>()
        };
        changes.extend(gone("scopes", &self.scopes, &after.scopes));
        if !after.names.is_empty() {
            changes.extend(gone("attributes", &self.attributes, &after.attributes));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_may_be_parts_of_versions() {
        let all: Vec<String> = ["2.19.0", "2.20.1", "2.25.0", "2.26.0", "2.26.1", "2.33.1"]
            .map(str::to_owned)
            .into();
        let check = |from: Option<&str>, to: Option<&str>, expected: &[&str]| {
            assert_eq!(
                between(&all, from, to).unwrap(),
                expected,
                "{from:?} {to:?}"
            );
        };
        check(
            Some("2.20"),
            None,
            &["2.20.1", "2.25.0", "2.26.0", "2.26.1", "2.33.1"],
        );
        check(
            Some("2.25.0"),
            Some("2.26"),
            &["2.25.0", "2.26.0", "2.26.1"],
        );
        check(None, Some("2.20.1"), &["2.19.0", "2.20.1"]);
        assert!(between(&all, Some("2.30"), None).is_err());
    }
}
