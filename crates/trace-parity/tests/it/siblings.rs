//! More inputs of the kinds that were once judged wrongly, as users would meet them.

use serde_json::{Value, json};
use trace_parity::{Contract, Input, Outcome, Severity, Verdict, diff, judge, read};

use crate::programs::{
    Part, by, case, changed, check, compare, contract, each, exec, exec_with, rerooted,
};

use Outcome::{Consistent, CouldNotRun, Inconsistent};
use Severity::{Error, Info, Warning};

/// One trace of the base, as Jaeger's query API writes it.
fn as_jaeger(bytes: &[u8]) -> Vec<u8> {
    let (traces, _) = read(&[Input { label: None, bytes }]);
    let mut processes = serde_json::Map::new();
    let mut spans = Vec::new();
    let tag = |key: &str, value: &Value| json!({"key": key, "value": value});
    for span in traces.iter().flat_map(|trace| trace.spans()) {
        let service = span.service_name().expect("a service");
        let tags = |attributes: trace_parity::Attributes<'_>| -> Vec<Value> {
            attributes
                .map(|(key, value)| match value.as_str() {
                    Some(text) => tag(key, &json!(text)),
                    None => tag(
                        key,
                        &serde_json::from_str(&value.to_string()).expect("a value"),
                    ),
                })
                .collect()
        };
        let own: Vec<Value> = tags(span.resource_attributes())
            .into_iter()
            .filter(|tag| tag["key"] != "service.name")
            .collect();
        processes.insert(
            service.to_owned(),
            json!({"serviceName": service, "tags": own}),
        );
        let mut own = tags(span.attributes());
        own.push(tag("span.kind", &json!(span.kind().to_string())));
        own.push(tag("otel.scope.name", &json!(span.scope_name())));
        let references: Vec<Value> = span
            .parent_id()
            .iter()
            .map(|parent| json!({"refType": "CHILD_OF", "traceID": span.trace_id().to_string(), "spanID": parent.to_string()}))
            .collect();
        spans.push(json!({"traceID": span.trace_id().to_string(), "spanID": span.id().to_string(),
            "operationName": span.name(), "references": references, "startTime": span.start_ns() / 1000,
            "duration": span.duration_ns() / 1000, "tags": own, "processID": service}));
    }
    let id = spans[0]["traceID"].clone();
    json!({"data": [{"traceID": id, "spans": spans, "processes": processes}]})
        .to_string()
        .into_bytes()
}

#[test]
fn two_inputs_of_one_trace_are_two_columns() {
    let base = case("base.jsonl");
    let jaeger = as_jaeger(&base);
    let contract = Contract::builtin();
    let columns = |inputs: [(Option<&str>, &[u8]); 2]| -> Vec<String> {
        let inputs = inputs.map(|(label, bytes)| Input { label, bytes });
        let (traces, problems) = read(&inputs);
        let verdict = judge(&traces, &problems, Some(&contract), None);
        assert_eq!(verdict.outcome, Consistent, "{:#?}", verdict.findings);
        verdict
            .examples
            .into_iter()
            .map(|example| example.name)
            .collect()
    };
    let (a, b) = (Some("a"), Some("b"));
    assert_eq!(columns([(a, &base), (b, &base)]), ["a", "b"]);
    assert_eq!(columns([(a, &base), (b, &jaeger)]), ["a", "b"]);
    assert_eq!(columns([(None, &base), (None, &base)]).len(), 1);
}

#[test]
fn two_tracers_both_in_the_input() {
    let traced_twice = |service: &'static str| {
        changed(move |parts| {
            let mut others = Vec::new();
            let answers = parts.iter_mut().filter(|part| {
                part.service == "standalone" && part.name().contains("MilvusService")
            });
            for (number, part) in answers.enumerate() {
                let id = format!("dada{number:012x}");
                rerooted(part, number, &id, "dd=s:1;t.dm:-0");
                let mut above = part.above(&id, service, "Datadog", "grpc.client", 3);
                above.set("parentSpanId", json!(""));
                others.push(above);
            }
            parts.retain(|part| {
                part.service != "standalone" || part.name().contains("MilvusService")
            });
            parts.extend(others);
        })
    };
    for service in ["milvus-client", "milvus-client-dd"] {
        let verdict = exec_with(&traced_twice(service), |facts| facts.run = None);
        let lead = &verdict.findings[0];
        assert_eq!(
            lead.rule.name(),
            "context-replaced",
            "{:#?}",
            verdict.findings
        );
        assert!(
            lead.message
                .contains("under `grpc.client` of scope `Datadog`"),
            "{}",
            lead.message
        );
        let rules: Vec<&str> = verdict
            .findings
            .iter()
            .map(|finding| finding.rule.name())
            .collect();
        assert!(
            !rules.contains(&"wrong-parent") && !rules.contains(&"no-server-span"),
            "{rules:?}"
        );
    }
}

#[test]
fn the_two_files_that_diff_took_for_equal() {
    let traces = |name: &str| {
        read(&[Input {
            label: None,
            bytes: &case(name),
        }])
        .0
    };
    let base = traces("base.jsonl");
    for name in ["search-fails.jsonl", "insert-3-times.jsonl"] {
        let changes = diff(&base, &traces(name), &Contract::builtin());
        assert!(!changes.is_empty(), "{name}");
    }
}

/// The base in Jaeger's JSON, with a remark on the span of `method`.
fn remarked(method: &str, remark: &str) -> Verdict {
    let mut document: Value =
        serde_json::from_slice(&as_jaeger(&case("base.jsonl"))).expect("JSON");
    let spans = document["data"][0]["spans"].as_array_mut().expect("spans");
    for span in spans {
        if span["operationName"]
            .as_str()
            .expect("a name")
            .ends_with(method)
        {
            span["warnings"] = json!([remark]);
        }
    }
    compare(document.to_string().as_bytes())
}

#[test]
fn remarks_of_jaeger() {
    check(
        "Jaeger set a negative duration to nothing",
        &remarked(
            "/Insert",
            "Negative duration detected, sanitizing end timestamp.",
        ),
        Inconsistent,
        "9/9",
        &[(Error, "bad-time", 2, "Jaeger changed the times of")],
    );
    check(
        "Jaeger moved the server's clock",
        &remarked("/Search", "This span's timestamps were adjusted by -2.5s"),
        Consistent,
        "9/9",
        &[(Info, "bad-time", 2, "were adjusted by -2.5s")],
    );
    check(
        "a remark that says nothing of times",
        &remarked(
            "/Search",
            "invalid parent span IDs=1; skipping clock skew adjustment",
        ),
        Consistent,
        "9/9",
        &[],
    );
}

#[test]
fn a_part_of_the_server_that_sent_nothing() {
    let note = |verdict: &Verdict| -> Vec<String> {
        let own = verdict
            .findings
            .iter()
            .filter(|finding| finding.subject.as_deref() == Some("service `segcore`"));
        own.map(|finding| {
            format!(
                "{:?} ×{}: {}",
                finding.severity, finding.count, finding.message
            )
        })
        .collect()
    };
    assert_eq!(
        note(&exec(&case("base.jsonl"))),
        ["Info ×1: `segcore` sent no span for 1 call, such as `Search`"]
    );
    // A store of somebody else's, which may keep it elsewhere.
    assert!(note(&compare(&case("base.jsonl"))).is_empty());
    let with = changed(|parts| {
        let search = parts
            .iter()
            .find(|part| part.is_server("Search"))
            .expect("a search");
        let mut part = search.above("5e9c000000000001", "segcore", "segcore", "SegCoreSearch", 1);
        part.set("parentSpanId", search.span["spanId"].clone());
        parts.push(part);
    });
    assert!(note(&exec(&with)).is_empty());
    let without = changed(|parts| parts.retain(|part| !part.name().contains("Search")));
    assert!(note(&exec(&without)).is_empty());
}

#[test]
fn an_insert_that_grpc_refuses() {
    let refused = |code: &'static str| {
        changed(move |parts| {
            each(
                parts,
                |part| part.is_call("Insert"),
                |part| part.fails(code),
            );
            parts.retain(|part| part.service != "standalone" || !part.name().contains("Insert"));
        })
    };
    for code in ["8", "ResourceExhausted", "RESOURCE_EXHAUSTED"] {
        check(
            code,
            &exec(&refused(code)),
            Consistent,
            "8/9",
            &[(
                Warning,
                "call-failed",
                1,
                "`Insert` ended RESOURCE_EXHAUSTED at localhost:19530: it failed, and the server recorded nothing",
            )],
        );
    }
}

#[test]
fn rest_calls_of_other_libraries() {
    let rest = |name: &'static str, key: &'static str, value: &'static str| {
        changed(move |parts| {
            parts.retain(|part| part.service == "milvus-client");
            each(
                parts,
                |part| part.scope == "demo.grpc",
                |part| {
                    part.set("name", json!(name));
                    part.set("attributes", json!([]));
                    part.attribute(key, json!({"stringValue": value}));
                },
            );
        })
    };
    for bytes in [
        rest(
            "POST",
            "http.url",
            "http://127.0.0.1:19530/v1/vector/search",
        ),
        rest(
            "HTTP POST",
            "url.full",
            "http://127.0.0.1:19530/v2/vectordb/entities/search",
        ),
        rest("POST /v1/vector/insert", "url.path", "/v1/vector/insert"),
    ] {
        check(
            "HTTP client spans to Milvus",
            &exec(&bytes),
            Inconsistent,
            "0/0",
            &[(Error, "client-unseen", 1, "9 spans of its own")],
        );
    }
}

#[test]
fn eight_searches_that_run_out_of_time() {
    let timed_out = |copies: usize| {
        changed(move |parts| {
            each(parts, |part| part.is_call("Search"), |part| part.fails("4"));
            let own: Vec<Part> = parts
                .iter()
                .filter(|part| part.is_call("Search") || part.is_server("Search"))
                .cloned()
                .collect();
            for copy in 1..copies {
                for part in &own {
                    let mut part = part.clone();
                    let is_call = part.is_call("Search");
                    let id = |half: &str| json!(format!("{half}{copy:012x}"));
                    part.set("spanId", id(if is_call { "ca11" } else { "5e4e" }));
                    if !is_call {
                        part.set("parentSpanId", id("ca11"));
                    }
                    part.shift(10_000 * copy as u64);
                    parts.push(part);
                }
            }
        })
    };
    let message = "`Search` ended DEADLINE_EXCEEDED for the client and OK for the server";
    for copies in [2, 8] {
        let count = copies as u64;
        let joined = format!("{0}/{0}", 8 + copies);
        let found = |severity| [(severity, "status-differs", count, message)];
        check(
            "a deadline",
            &exec(&timed_out(copies)),
            Consistent,
            &joined,
            &found(Info),
        );
    }
    let meant = contract(
        "name = \"search\"\n",
        "name = \"search\"\nstatus = \"error\"\n",
    );
    check(
        "a contract that means it",
        &by(&meant, &timed_out(1)),
        Consistent,
        "9/9",
        &[(Info, "status-differs", 1, message)],
    );
}

/// Jaeger's minimal files, once with the reference that counts and once without.
#[test]
fn jaegers_references_in_files_as_they_came() {
    let roots = |name: &str| {
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: &case(name),
        }]);
        assert_eq!(problems, [], "{name}");
        traces
            .iter()
            .map(|trace| trace.roots().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(roots("jaeger-follows-min.json"), [1]);
    assert_eq!(roots("jaeger-foreign-min.json"), [1]);
}

/// What is no capture at all.
#[test]
fn siblings_of_nothing_to_judge() {
    let nothing = |text: &str, message: &str| {
        check(
            text,
            &compare(text.as_bytes()),
            CouldNotRun,
            "0/0",
            &[(Error, "no-spans", 1, message)],
        );
    };
    nothing("", "the input holds no spans");
    nothing("\n\n", "the input holds no spans");
    nothing("{\"resourceSpans\":[]}", "the input holds no spans");
}

/// A program that has nothing to do with Milvus.
#[test]
fn programs_of_other_kinds() {
    let web = |url: &'static str| {
        changed(move |parts| {
            parts.retain(|part| part.service == "milvus-client");
            each(
                parts,
                |part| part.scope == "demo.grpc",
                |part| {
                    part.set("name", json!("HTTP POST"));
                    part.set("attributes", json!([]));
                    part.attribute("http.url", json!({"stringValue": url}));
                },
            );
        })
    };
    for url in [
        "http://loki:3100/loki/api/v1/push",
        "https://metrics/api/v1/write",
        "http://shop/v1/vectors/1",
        "http://shop?next=/v1/vector/search",
    ] {
        let bytes = web(url);
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: &bytes,
        }]);
        check(
            url,
            &judge(&traces, &problems, None, None),
            Consistent,
            "0/0",
            &[(Warning, "client-unseen", 1, "no client RPC span")],
        );
        check(
            url,
            &exec(&bytes),
            Inconsistent,
            "0/0",
            &[(Error, "client-unseen", 1, "no client RPC span")],
        );
    }
}

/// One problem says it, and nothing is said of what can't be known.
#[test]
fn nothing_was_read() {
    let stored = json!({"spans": [{"traceId": "AAAAAAAAAABSlpqJVVcaPw==", "spanId": "AAAAAABkfZg=",
        "operationName": "get", "startTime": "2017-01-26T16:46:31.639875-05:00", "duration": "5000ns"}],
        "process": {"serviceName": "api"}});
    let alone = json!([{"traceID": "2be38093ead7a083", "spanID": "7606ddfe69932d34", "operationName": "a",
        "startTime": 1, "duration": 2}]);
    let no_hex = json!({"traceID": "trace-1", "spans": [{"traceID": "trace-1", "spanID": "span-1", "operationName": "a",
        "startTime": 1, "duration": 2}], "processes": {}});
    for (document, message) in [
        (stored, "the form of Jaeger's storage"),
        (alone, "a Jaeger span outside a trace"),
        (no_hex, "isn't hexadecimal"),
    ] {
        let verdict = compare(document.to_string().as_bytes());
        check(
            message,
            &verdict,
            CouldNotRun,
            "0/0",
            &[(Error, "malformed-input", 1, message)],
        );
        let hint = verdict.findings[0].hint.as_deref().unwrap_or_default();
        assert!(!hint.contains("were read"), "{message}: {hint}");
        assert!(!verdict.findings[0].message.contains("gaps"), "{message}");
    }
}
