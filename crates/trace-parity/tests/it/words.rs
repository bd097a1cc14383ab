//! The vocabulary rules compare a span with the program's own run, with most examples, or with the contract.

use serde_json::{Value, json};
use trace_parity::{Contract, Finding, Input, Severity, Verdict, judge, read};

use crate::support::{capture, changed, is_call_of, judged, text};

/// The rules of the findings above information.
fn rules(inputs: &[(&str, &[u8])], contract: &Contract) -> (Vec<&'static str>, String) {
    let inputs: Vec<Input<'_>> = inputs
        .iter()
        .map(|&(label, bytes)| Input {
            label: Some(label),
            bytes,
        })
        .collect();
    let (traces, problems) = read(&inputs);
    let verdict = judge(&traces, &problems, Some(contract), None);
    let rules = loud(&verdict).map(|finding| finding.rule.name());
    (rules.collect(), text(&verdict))
}

fn loud(verdict: &Verdict) -> impl Iterator<Item = &Finding> {
    let findings = verdict.findings.iter();
    findings.filter(|finding| finding.severity > Severity::Info)
}

/// The capture with only the server's spans and those of `examples`.
fn only(examples: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Ok(mut line) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let groups = line["resourceSpans"].as_array_mut().expect("groups");
        groups.retain(|group| {
            let attributes = group["resource"]["attributes"].as_array();
            let mut attributes = attributes.into_iter().flatten();
            let instance = attributes.find(|pair| pair["key"] == "service.instance.id");
            instance.is_none_or(|pair| {
                let name = pair["value"]["stringValue"].as_str();
                name.is_some_and(|name| examples.contains(&name))
            })
        });
        out.extend(format!("{line}\n").into_bytes());
    }
    out
}

#[test]
fn a_program_is_not_judged_by_the_resource_of_another_run() {
    let foreign = changed(|_, span| {
        let id = span["traceId"].as_str().expect("an id");
        span["traceId"] = json!(format!("ffff{}", &id[4..]));
    });
    let foreign = String::from_utf8(foreign).expect("it is text");
    let foreign = foreign.replace("milvus_otel.run", "deployment");
    let run = capture("five-languages.jsonl");
    let inputs = [("run", &run[..]), ("mine", foreign.as_bytes())];
    let (rules, verdict) = rules(&inputs, &Contract::builtin());
    assert!(verdict.contains("mine:go"), "{verdict}");
    assert!(!rules.contains(&"resource-mismatch"), "{verdict}");
}

#[test]
fn a_renamed_attribute_is_reported_if_most_examples_or_the_contract_use_another_name() {
    let check = |examples: &[&str], renamed: &[&str], expected: &[&str]| {
        let bytes = only(examples, &capture("five-languages.jsonl"));
        let newer = String::from_utf8(only(renamed, &bytes)).expect("it is text");
        let newer = newer.replace("\"rpc.system\"", "\"rpc.system.name\"");
        let rest: Vec<&str> = examples
            .iter()
            .copied()
            .filter(|example| !renamed.contains(example))
            .collect();
        // The server's spans occur twice and count once.
        let bytes = [newer.into_bytes(), only(&rest, &bytes)].concat();
        let verdict = judged(&bytes, None);
        let mut told: Vec<(&str, bool)> = Vec::new();
        for finding in &verdict.findings {
            if finding.rule.name() == "attribute-renamed" {
                let name = finding.example.as_deref().expect("an example");
                told.push((name, finding.message.contains("the contract writes it")));
            }
        }
        let by_contract = examples.len() == 2 * renamed.len() || examples.len() == 1;
        let expected: Vec<(&str, bool)> =
            expected.iter().map(|&name| (name, by_contract)).collect();
        assert_eq!(told, expected, "{}", text(&verdict));
    };
    let all = ["py", "go", "node", "java", "rust"];
    check(&all, &[], &[]);
    check(&all, &["node"], &["node"]);
    check(&all, &all, &[]);
    check(&["java", "rust"], &["rust"], &["rust"]);
    check(&["java", "rust"], &["java", "rust"], &[]);
    check(&["rust"], &["rust"], &["rust"]);
    for example in all {
        check(&[example], &[], &[]);
    }
}

#[test]
fn an_expected_name_of_the_root_can_become_stale() {
    let divergence = r#"
[[divergence]]
scope = "quick_setup"
versions = "*"
rule = "span-name"
subject = "name `nightly_import`"
reason = "a test"
"#;
    let contract = format!("{}{divergence}", Contract::builtin_text());
    let contract = Contract::parse(&contract).expect("it is right");
    let check = |name: &str, expected: &[&str]| {
        let bytes = changed(|_, span| {
            if span["name"] == "test_milvus_otel" {
                span["name"] = json!(name);
            }
        });
        let (rules, verdict) = rules(&[("run", &bytes)], &contract);
        assert_eq!(rules, expected, "{verdict}");
    };
    check("nightly_import", &[]);
    check("test_milvus_otel", &["stale-divergence"; 5]);
}

#[test]
fn a_refused_call_is_reported_once_by_the_contract() {
    let bytes = changed(|service, span| {
        if service == "milvus-client" && is_call_of("Insert", span) {
            span["status"] = json!({"code": 2, "message": "no such field"});
        }
    });
    let verdict = judged(&bytes, None);
    let told: Vec<(&str, &str)> = loud(&verdict)
        .map(|finding| (finding.rule.name(), finding.message.as_str()))
        .collect();
    let message = "the call `Insert` ended with ERROR: no such field";
    assert_eq!(told, [("status-differs", message); 5], "{}", text(&verdict));
}
