//! Draws the map: judges all measurements again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::stack::embedded::stack_name;
use supervise::{Exit, Result};
use trace_parity::{Contract, Family, Severity};

use crate::environment::{local_path, resolved};
use crate::map::{AxisInfo, Entry, Found, FoundFinding, Language, Machine, Map, SCHEMA};
use crate::mend::add_mends;
use crate::outcome::{Cause, Expected, Outcome};
use crate::plan::{ExamplePlan, Plan, Variant};
use crate::record::{Measured, Record};

/// Reads and judges every variant's record.
pub(crate) fn draw(
    plan: &Plan,
    contract: &Contract,
    folder: impl Fn(&str, &str) -> PathBuf,
) -> Result<Map> {
    let mut examples = Vec::new();
    for plan in &plan.examples {
        let mut variants = Vec::new();
        for variant in &plan.variants {
            let folder = folder(&plan.example, &variant.name);
            let measured = Record::read(&folder)
                .map(|record| record.judge(&folder, contract))
                .transpose()?;
            variants.push(entry(plan, variant, measured.as_ref(), &folder));
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
            variants,
        });
    }
    Ok(Map {
        schema: SCHEMA,
        server: stack_name(),
        machine: Machine::this(),
        examples,
        unmeasured: plan.unmeasured.clone(),
    })
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
        found: measured.map(|measured| found(measured, &variant.expected, folder)),
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
        Outcome::ClientHalfLost => matches!(rule, "client-unseen" | "no-spans" | "no-root"),
        Outcome::CouldNotRun => rule == "example-failed",
        Outcome::Whole | Outcome::Differs | Outcome::DoesNotBuild => false,
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
