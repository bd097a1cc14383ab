//! Programs that follow no contract: what is right for them is no finding, however wrong the scenario would find it.

use serde_json::{Value, json};
use trace_parity::{Contract, Input, Severity, judge, read};

use crate::support::{changed, is_call_of, set, text};

/// By the contract, `rule` is broken in some example; without one, nothing is.
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
fn what_the_scenario_forbids_may_be_right_elsewhere() {
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
    // Client and server agree that it failed.
    check("status-differs", |_, span| {
        if is_call_of("Search", span) {
            span["status"] = json!({"code": 2});
            set(span, "rpc.grpc.status_code", json!({"intValue": "14"}));
        }
    });
    // Milvus refuses with gRPC status OK and a code in the body; a client that reads it marks its own span alone.
    check("status-differs", |service, span| {
        if service == "milvus-client" && is_call_of("Search", span) {
            span["status"] = json!({"code": 2, "message": "no such collection"});
        }
    });
    // The root began tasks and did not wait for them.
    check("bad-time", |_, span| {
        if span["name"] == "test_milvus_otel" {
            let start = span["startTimeUnixNano"].as_str().map(str::parse::<u64>);
            let start = start.and_then(Result::ok).expect("a time");
            span["endTimeUnixNano"] = json!((start + 1_000_000).to_string());
        }
    });
    // Rows are copied from one server to another.
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
