//! Draws the map: judges all measurements again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::stack::embedded::stack_name;
use supervise::{Exit, Result};
use trace_parity::{Contract, Family, Severity};

use crate::environment::local_path;
use crate::map::{AxisInfo, Entry, Found, FoundFinding, Language, Machine, Map, SCHEMA};
use crate::mend::add_mends;
use crate::outcome::{Cause, Expected, Outcome};
use crate::pins::resolved;
use crate::plan::{ExamplePlan, Plan, Variant};
use crate::record::{Measured, Record};
use crate::sent::{Sent, mark_renamed};

/// Reads and judges every variant's record.
pub(crate) fn draw(
    plan: &Plan,
    contract: &Contract,
    folder: impl Fn(&str, &str) -> PathBuf,
) -> Result<Map> {
    let mut examples = Vec::new();
    for plan in &plan.examples {
        let folder = |variant: &Variant| folder(&plan.example, &variant.name);
        let mut measured = Vec::new();
        for variant in &plan.variants {
            let folder = folder(variant);
            let record = Record::read(&folder);
            measured.push(
                record
                    .map(|record| record.judge(&folder, contract, plan.program.as_ref()))
                    .transpose()?,
            );
        }
        let undecided = tell_what_is_not_honoured(&plan.variants, &mut measured);
        let mut variants = Vec::new();
        for (at, (variant, measured)) in plan.variants.iter().zip(&measured).enumerate() {
            let mut entry = entry(plan, variant, measured.as_ref(), &folder(variant));
            if let (Some(found), true) = (&mut entry.found, undecided.contains(&at)) {
                found.as_expected = variant.expected.may_be_met(found.outcome, &found.rules);
            }
            variants.push(entry);
        }
        fill_in_own_versions(&mut variants);
        add_mends(&mut variants);
        examples.push(Language {
            name: plan.example.clone(),
            axes: plan
                .axes
                .iter()
                .map(|axis| AxisInfo {
                    name: axis.name.clone(),
                    packages: axis.packages.clone(),
                })
                .collect(),
            is_program: plan.program.is_some(),
            folder: plan.folder.clone(),
            variants,
        });
    }
    compare_metrics(&mut examples);
    Ok(Map {
        schema: SCHEMA.to_owned(),
        server: stack_name(),
        machine: Machine::this(),
        examples,
        unmeasured: plan.unmeasured.clone(),
    })
}

/// Tells which variants call the metric otherwise than most examples with their own versions do.
fn compare_metrics(examples: &mut [Language]) {
    let own = examples.iter().flat_map(|language| &language.variants);
    let own = own.filter(|entry| entry.set.is_empty() && entry.env.is_empty());
    let names = own.filter_map(|entry| entry.found.as_ref()?.sent.as_ref()?.metric.as_deref());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let Some(usual) = most.map(|(name, _)| name.to_owned()) else {
        return;
    };
    let variants = examples
        .iter_mut()
        .flat_map(|language| &mut language.variants);
    let sent = variants.filter_map(|entry| entry.found.as_mut()?.sent.as_mut());
    mark_renamed(sent, &usual);
}

/// Adds the results of an earlier map for variants that weren't measured here and are made of the same.
pub(crate) fn fill_in(map: &mut Map, earlier: &Map) {
    let same = |one: &Entry, other: &Entry| {
        let versions = |entry: &Entry| -> Vec<Option<String>> {
            let set = one.set.iter();
            set.map(|axis| entry.versions.get(axis).cloned()).collect()
        };
        (&one.set, &one.env, &one.runtime) == (&other.set, &other.env, &other.runtime)
            && versions(one) == versions(other)
    };
    for language in &mut map.examples {
        let known = earlier.examples.iter().find(|of| of.name == language.name);
        let known = known.map_or(&[][..], |of| &of.variants);
        for entry in language
            .variants
            .iter_mut()
            .filter(|one| one.found.is_none())
        {
            let Some(known) = known.iter().find(|known| same(entry, known)) else {
                continue;
            };
            entry.versions.clone_from(&known.versions);
            entry.found.clone_from(&known.found);
            if let Some(found) = &mut entry.found {
                let expected = Expected {
                    outcome: entry.expected,
                    rules: entry.expected_rules.clone(),
                    ..Expected::default()
                };
                found.as_expected = expected.is_met(found.outcome, &found.rules);
            }
        }
        add_mends(&mut language.variants);
    }
    compare_metrics(&mut map.examples);
}

/// The setting that chooses a generation of the semantic conventions.
const OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// Finds the whole variants whose calls have the same names without their [`OPT_IN`]. Returns those that can't be
/// compared, because the same variant without it wasn't measured.
fn tell_what_is_not_honoured(
    variants: &[Variant],
    measured: &mut [Option<Measured>],
) -> BTreeSet<usize> {
    let without = |variant: &Variant| {
        let mut env = variant.env.clone();
        env.remove(OPT_IN);
        (env, variant.set.clone(), variant.runtime.clone())
    };
    let twin = |variant: &Variant| {
        let is_twin =
            |other: &Variant| !other.env.contains_key(OPT_IN) && without(other) == without(variant);
        variants.iter().position(is_twin)
    };
    let mut undecided = BTreeSet::new();
    for (at, variant) in variants.iter().enumerate() {
        if !variant.env.contains_key(OPT_IN) {
            continue;
        }
        let plain = twin(variant).and_then(|twin| Some(measured[twin].as_ref()?.names.clone()));
        match (plain, &mut measured[at]) {
            (Some(plain), Some(own)) if own.outcome == Outcome::Whole && own.names == plain => {
                own.outcome = Outcome::NotHonoured;
            }
            (None, _) => {
                undecided.insert(at);
            }
            _ => {}
        }
    }
    undecided
}

fn entry(
    plan: &ExamplePlan,
    variant: &Variant,
    measured: Option<&Measured>,
    folder: &Path,
) -> Entry {
    let versions = plan.axes.iter().filter_map(|axis| {
        let asked = variant.set.get(&axis.name);
        let local = asked.filter(|version| local_path(version).is_some());
        let found = || {
            let versions = &measured?.record.versions;
            resolved(versions, axis.packages.first()?).map(str::to_owned)
        };
        let version = local.cloned().or_else(found).or_else(|| asked.cloned())?;
        Some((axis.name.clone(), version))
    });
    Entry {
        name: variant.name.clone(),
        versions: versions.collect(),
        set: plan
            .axes
            .iter()
            .map(|axis| axis.name.clone())
            .filter(|axis| variant.set.contains_key(axis))
            .collect(),
        env: variant.env.clone(),
        runtime: variant.runtime.clone(),
        newest: variant.newest,
        expected: variant.expected.outcome,
        expected_rules: variant.expected.rules.clone(),
        reason: variant.expected.reason.clone(),
        advice: variant.expected.advice.clone(),
        found: measured.map(|measured| {
            let verdict = measured.verdict.as_ref().filter(|_| plan.program.is_none());
            Found {
                sent: verdict.map(Sent::of),
                ..found(measured, &variant.expected, folder)
            }
        }),
    }
}

fn found(measured: &Measured, expected: &Expected, folder: &Path) -> Found {
    let verdict = measured.verdict.as_ref();
    let example = verdict.and_then(|verdict| verdict.examples.first());
    let findings: Vec<FoundFinding> = verdict
        .into_iter()
        .flat_map(|verdict| &verdict.findings)
        .map(|finding| FoundFinding {
            rule: finding.rule.name().to_owned(),
            severity: finding.severity,
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            count: finding.count,
        })
        .collect();
    let mut families: BTreeMap<Family, Severity> = BTreeMap::new();
    for finding in verdict.into_iter().flat_map(|verdict| &verdict.findings) {
        let worst = families
            .entry(finding.rule.family())
            .or_insert(finding.severity);
        *worst = (*worst).max(finding.severity);
    }
    let decisive = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .min_by_key(|finding| {
            (
                !decides(measured.outcome, &finding.rule),
                std::cmp::Reverse(finding.severity),
            )
        });
    Found {
        outcome: measured.outcome,
        as_expected: expected.is_met(measured.outcome, &measured.rules),
        rules: measured.rules.clone(),
        cause: measured.cause,
        message: message(measured, decisive),
        hint: decisive.and_then(|finding| finding.hint.clone()),
        mend: None,
        client_rpcs: example.map_or(0, |example| example.client_rpcs),
        joined: example.map_or(0, |example| example.joined),
        divergences: verdict
            .into_iter()
            .flat_map(|verdict| &verdict.expected_divergences)
            .map(|divergence| format!("{} {}", divergence.rule, divergence.subject))
            .collect(),
        around: measured.around.clone(),
        sent: None,
        measured: measured.record.measured.clone(),
        families: families.into_iter().collect(),
        findings,
        all_versions: measured.record.versions.clone(),
        seconds: (measured.record.prepare_seconds, measured.record.run_seconds),
        folder: folder.to_owned(),
    }
}

/// The finding that decides the outcome comes first.
fn decides(outcome: Outcome, rule: &str) -> bool {
    match outcome {
        Outcome::ServerHalfLost => matches!(rule, "context-lost" | "no-server-span"),
        Outcome::ClientHalfLost => matches!(
            rule,
            "client-unseen" | "no-spans" | "no-root" | "untraced-calls"
        ),
        Outcome::CouldNotRun => rule == "example-failed",
        Outcome::Whole | Outcome::NotHonoured | Outcome::Differs | Outcome::DoesNotBuild => false,
    }
}

fn message(measured: &Measured, decisive: Option<&FoundFinding>) -> String {
    if let Some(cause) = measured.cause {
        let said = measured
            .message
            .as_deref()
            .map(str::trim)
            .filter(|said| !said.is_empty());
        let how = match measured.record.exit {
            Some(Exit::Code(code)) if said.is_none() => Some(format!("exit code {code}")),
            _ => said.map(str::to_owned),
        };
        return match how {
            Some(how) if cause == Cause::BuildFailed => anywhere(&how),
            Some(how) => format!("{}: {}", cause.words(), anywhere(&how)),
            None => cause.words().to_owned(),
        };
    }
    match decisive {
        _ if measured.outcome == Outcome::NotHonoured => {
            "the calls have the names that they have without the setting".to_owned()
        }
        Some(finding) => finding.message.clone(),
        None => "one trace, every call with its server span".to_owned(),
    }
}

/// Removes paths of homes and checkouts, so that the text is the same on every machine.
fn anywhere(line: &str) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    match home.len() {
        0 | 1 => line.to_owned(),
        _ => line.replace(&home, "~"),
    }
}

/// A variant that was never installed keeps the example's own versions on the axes that it doesn't set.
fn fill_in_own_versions(variants: &mut [Entry]) {
    let own = variants
        .iter()
        .find(|entry| entry.set.is_empty() && !entry.versions.is_empty())
        .map(|entry| entry.versions.clone())
        .unwrap_or_default();
    for entry in variants {
        for (axis, version) in &own {
            entry
                .versions
                .entry(axis.clone())
                .or_insert_with(|| version.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::prepare::task::Versions;

    use super::*;
    use crate::record::Record;

    #[test]
    fn a_setting_that_changes_no_name_is_not_honoured() {
        let variant = |sdk: &str, opt_in: Option<&str>| Variant {
            set: [("sdk".to_owned(), sdk.to_owned())].into(),
            env: opt_in
                .map(|value| (OPT_IN.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            ..Variant::default()
        };
        let measured = |outcome, names: &[&str]| Measured {
            record: Record::new(String::new(), Versions::new()),
            outcome,
            rules: Vec::new(),
            cause: None,
            message: None,
            verdict: None,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            around: None,
        };
        let whole = Outcome::Whole;
        let cases = [
            (variant("1", None), Some(measured(whole, &["old"])), whole),
            (
                variant("1", Some("rpc")),
                Some(measured(whole, &["old"])),
                Outcome::NotHonoured,
            ),
            (
                variant("1", Some("rpc/dup")),
                Some(measured(whole, &["old", "new"])),
                whole,
            ),
            // Other findings come first.
            (
                variant("1", Some("rpc, http")),
                Some(measured(Outcome::Differs, &["old"])),
                Outcome::Differs,
            ),
            // Its twin wasn't measured, so nothing is known of it.
            (variant("2", None), None, whole),
            (
                variant("2", Some("rpc")),
                Some(measured(whole, &["old"])),
                whole,
            ),
        ];
        let variants: Vec<Variant> = cases.iter().map(|(variant, ..)| variant.clone()).collect();
        let mut found: Vec<Option<Measured>> =
            cases.iter().map(|(_, one, _)| one.clone()).collect();
        let undecided = tell_what_is_not_honoured(&variants, &mut found);
        for (found, (variant, _, expected)) in found.iter().zip(cases) {
            let outcome = found.as_ref().map_or(Outcome::Whole, |one| one.outcome);
            assert_eq!(outcome, expected, "{:?} {:?}", variant.set, variant.env);
        }
        assert_eq!(undecided, [5].into());
    }
}
