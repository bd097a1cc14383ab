//! Programs without a contract: behavior that the scenario forbids can be right for them and causes no finding.

use serde_json::{Value, json};
use trace_parity::{Contract, Input, Severity, judge, read};

use crate::support::{changed, is_call_of, set, text};

/// With the contract, some example has a finding of `rule`; without it, there is no finding.
fn check(rule: &str, change: impl Fn(&str, &mut Value)) {
    let bytes = changed(change);
    let (traces, problems) = read(&[Input {
        label: None,
        bytes: &bytes,
    }]);
    let loud = |contract: Option<&Contract>| {
        let verdict = judge(&traces, &problems, contract, None);
        let loud = verdict
            .findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info);
        let rules: Vec<&str> = loud.map(|finding| finding.rule.name()).collect();
        (rules, text(&verdict))
    };
    let (rules, verdict) = loud(Some(&Contract::builtin()));
    assert!(rules.contains(&rule), "{rule}: {verdict}");
    let (rules, verdict) = loud(None);
    assert!(rules.is_empty(), "{rule}: {verdict}");
}

#[test]
fn behavior_that_the_scenario_forbids_is_right_without_a_contract() {
    check("span-name", |_, span| {
        if span["name"] == "test_milvus_otel" {
            span["name"] = json!("nightly_import");
        }
    });
    check("several-roots", |service, span| {
        if service == "milvus-client" && is_call_of("Search", span) {
            span["parentSpanId"] = json!("");
        }
    });
    // Client and server agree that the call failed.
    check("status-differs", |_, span| {
        if is_call_of("Search", span) {
            span["status"] = json!({"code": 2});
            set(span, "rpc.grpc.status_code", json!({"intValue": "14"}));
        }
    });
    // Milvus refuses with gRPC status OK and a code in the body, so only a client that reads the body marks its span.
    check("status-differs", |service, span| {
        if service == "milvus-client" && is_call_of("Search", span) {
            span["status"] = json!({"code": 2, "message": "no such collection"});
        }
    });
    // The root started tasks and didn't wait for them.
    check("bad-time", |_, span| {
        if span["name"] == "test_milvus_otel" {
            let start = span["startTimeUnixNano"].as_str().map(str::parse::<u64>);
            let start = start.and_then(Result::ok).expect("a time");
            span["endTimeUnixNano"] = json!((start + 1_000_000).to_string());
        }
    });
    // The program copies rows from one server to another.
    check("attribute-value", |service, span| {
        if service == "milvus-client" && is_call_of("Insert", span) {
            set(span, "server.port", json!({"intValue": "19531"}));
        }
    });
    check("undeclared-rpc", |_, span| {
        if is_call_of("DropCollection", span) {
            let name = span["name"].as_str().expect("a name");
            span["name"] = json!(name.replace("DropCollection", "RenameCollection"));
            let renamed = json!({"stringValue": "RenameCollection"});
            set(span, "rpc.method", renamed);
        }
    });
}
