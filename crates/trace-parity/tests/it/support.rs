//! Shared by the tests: captures, and a verdict as text.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use trace_parity::{Contract, Input, RunFacts, Verdict, judge, read};

pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn judged(bytes: &[u8], facts: Option<&RunFacts>) -> Verdict {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    judge(&traces, &problems, Some(&Contract::builtin()), facts)
}

/// Changes every span of the real capture; `change` gets the span's service.
pub(crate) fn changed(change: impl Fn(&str, &mut Value)) -> Vec<u8> {
    let mut out = Vec::new();
    for line in capture("five-languages.jsonl").split(|&byte| byte == b'\n') {
        let Ok(mut line) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        for group in line["resourceSpans"].as_array_mut().expect("groups") {
            let attributes = group["resource"]["attributes"].as_array();
            let mut attributes = attributes.into_iter().flatten();
            let named = attributes.find(|pair| pair["key"] == "service.name");
            let service = named.expect("a name")["value"]["stringValue"].clone();
            let service = service.as_str().expect("text");
            for scope in group["scopeSpans"].as_array_mut().expect("scopes") {
                for span in scope["spans"].as_array_mut().expect("spans") {
                    change(service, span);
                }
            }
        }
        out.extend(format!("{line}\n").into_bytes());
    }
    out
}

pub(crate) fn is_call_of(method: &str, span: &Value) -> bool {
    let name = span["name"].as_str().expect("a name");
    name.ends_with(&format!("MilvusService/{method}"))
}

/// Replaces the value of the span's attribute `key`, if it has one.
pub(crate) fn set(span: &mut Value, key: &str, value: Value) {
    let attributes = span["attributes"].as_array_mut().into_iter().flatten();
    for pair in attributes.filter(|pair| pair["key"] == key) {
        pair["value"] = value.clone();
    }
}

/// The whole verdict as lines of text, without times.
pub(crate) fn text(verdict: &Verdict) -> String {
    let mut out = format!("{:?}\n", verdict.outcome);
    for example in &verdict.examples {
        let _ = writeln!(
            out,
            "{}: {:?} {} spans, {} of {} joined",
            example.name, example.outcome, example.spans, example.joined, example.client_rpcs
        );
    }
    for row in &verdict.steps {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|cell| match cell {
                Some(cell) => {
                    let mark = if cell.differs { "!" } else { "" };
                    format!(
                        "{}×{}/{}{mark}",
                        cell.rpcs.join("+"),
                        cell.joined,
                        cell.count
                    )
                }
                None => "-".to_owned(),
            })
            .collect();
        let _ = writeln!(out, "{}: {}", row.name, cells.join(" "));
    }
    for finding in &verdict.findings {
        let at = [&finding.example, &finding.step, &finding.subject]
            .map(|part| part.as_deref().unwrap_or("-"));
        let _ = writeln!(
            out,
            "{:?} {} {} ×{}\n  {}\n  hint: {}",
            finding.severity,
            finding.rule,
            at.join(" | "),
            finding.count,
            finding.message,
            finding.hint.as_deref().unwrap_or("-")
        );
    }
    for expected in &verdict.expected_divergences {
        let _ = writeln!(
            out,
            "expected {} {} {} {}",
            expected.examples.join(","),
            expected.scope,
            expected.rule,
            expected.subject
        );
    }
    out
}
