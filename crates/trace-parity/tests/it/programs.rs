//! Unchanged captures of real programs and the right verdict on each, then variants of each kind, made from one correct trace.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trace_parity::{
    Contract, Delivery, ExampleFacts, Exit, Input, Outcome, RunFacts, Settlement, Severity,
    Verdict, judge, read,
};

use crate::support::capture;

/// Judges as `exec` does: no contract, one program, the run's own server.
pub(crate) fn exec(bytes: &[u8]) -> Verdict {
    exec_with(bytes, |_| {})
}

pub(crate) fn exec_with(bytes: &[u8], change: impl Fn(&mut RunFacts)) -> Verdict {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    let mut attributes = traces
        .iter()
        .flat_map(|trace| trace.spans())
        .flat_map(|span| {
            let attributes = span.resource_attributes();
            attributes.map(|(key, value)| (key.to_owned(), value.to_string()))
        });
    let run = attributes.find(|(key, _)| key == "milvus_otel.run");
    let mut facts = RunFacts {
        run: run.map(|(_, run)| run),
        examples: vec![example("program")],
        server_is_own: true,
        server_version: Some("2.3.5".to_owned()),
        delivery: Some(Delivery::default()),
        ..RunFacts::default()
    };
    change(&mut facts);
    judge(&traces, &problems, None, Some(&facts))
}

fn example(name: &str) -> ExampleFacts {
    ExampleFacts {
        name: name.to_owned(),
        exit: Exit::Code(0),
        trace_id: None,
    }
}

/// Judges as `compare FILE` does.
pub(crate) fn compare(bytes: &[u8]) -> Verdict {
    by(&Contract::builtin(), bytes)
}

pub(crate) fn by(contract: &Contract, bytes: &[u8]) -> Verdict {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    judge(&traces, &problems, Some(contract), None)
}

/// The built-in contract with some of its text replaced.
pub(crate) fn contract(from: &str, to: &str) -> Contract {
    let text = Contract::builtin_text();
    assert!(text.contains(from), "{from}");
    Contract::parse(&text.replacen(from, to, 1)).expect(to)
}

/// Checks a verdict: its outcome, `joined/calls` of all examples, and each finding with a part of its message.
pub(crate) fn check(
    what: &str,
    verdict: &Verdict,
    outcome: Outcome,
    joined: &str,
    findings: &[(Severity, &str, u64, &str)],
) {
    let found: Vec<(Severity, &str, u64, &str)> = verdict
        .findings
        .iter()
        // The right trace was captured before the C++ half came; a test of its own is about that.
        .filter(|finding| finding.subject.as_deref() != Some("service `segcore`"))
        .map(|finding| {
            (
                finding.severity,
                finding.rule.name(),
                finding.count,
                finding.message.as_str(),
            )
        })
        .collect();
    let sum =
        |of: fn(&trace_parity::ExampleVerdict) -> u64| verdict.examples.iter().map(of).sum::<u64>();
    let all = format!("{}/{}", sum(|e| e.joined), sum(|e| e.client_rpcs));
    assert_eq!(verdict.outcome, outcome, "{what}: {found:#?}");
    assert_eq!(all, joined, "{what}: {found:#?}");
    assert_eq!(found.len(), findings.len(), "{what}: {found:#?}");
    for (found, expected) in found.iter().zip(findings) {
        let same = (found.0, found.1, found.2) == (expected.0, expected.1, expected.2);
        assert!(
            same && found.3.contains(expected.3),
            "{what}: {found:?}, expected {expected:?}"
        );
    }
}

use Outcome::{Consistent, CouldNotRun, Inconsistent};
use Severity::{Error, Info, Warning};

pub(crate) fn case(name: &str) -> Vec<u8> {
    capture(&format!("cases/{name}"))
}

#[test]
fn exec_judges_real_programs_right() {
    let check = |name: &str, outcome, joined, findings: &[_]| {
        check(name, &exec(&case(name)), outcome, joined, findings);
    };
    check("base.jsonl", Consistent, "9/9", &[]);
    check("envoy-server.jsonl", Consistent, "9/9", &[]);
    check("node-edot-instance-id.jsonl.gz", Consistent, "17/17", &[]);
    check("otelgrpc-0.61.otlp.jsonl.gz", Consistent, "20/20", &[]);
    check("status-go-name.otlp.jsonl.gz", Consistent, "20/20", &[]);
    let doubles = "is a double `0` on 17 of 17";
    let ports = "is a double `19530` on 17 of 17";
    check(
        "node-deno-native.jsonl.gz",
        Consistent,
        "17/17",
        &[
            (Warning, "attribute-type", 17, doubles),
            (Warning, "attribute-type", 17, ports),
        ],
    );
    check(
        "py-half-async.jsonl.gz",
        Inconsistent,
        "24/24",
        &[(
            Error,
            "untraced-calls",
            6,
            "beside 24 that carried one: 5 `Search`, 1 `Connect`; 5 of its traces have no call, such as that of `request`",
        )],
    );
    check(
        "py-own-provider.jsonl.gz",
        Inconsistent,
        "0/0",
        &[(
            Error,
            "client-unseen",
            2,
            "such as `Connect`, reached the server right under the span `main`",
        )],
    );
    check(
        "node-flush-operate.jsonl.gz",
        Consistent,
        "31/31",
        &[(
            Info,
            "orphan-span",
            1,
            "`Operate` (`standalone`'s) names the parent `919b37dcb9e10c6f`",
        )],
    );
    check(
        "node-dd-and-otel.jsonl.gz",
        Inconsistent,
        "0/2",
        &[(
            Error,
            "context-replaced",
            2,
            "`Connect` is answered in trace `6b097ad400000000539b0fb1cfdcae31` under `246eb155c2b3c88f`",
        )],
    );
    check(
        "nosrv-unavailable.jsonl",
        Consistent,
        "8/9",
        &[(
            Warning,
            "call-failed",
            1,
            "`Search` ended UNAVAILABLE at localhost:19530: connection refused",
        )],
    );
    check(
        "node-unimplemented.jsonl.gz",
        Consistent,
        "1/3",
        &[(
            Warning,
            "call-failed",
            2,
            "`DescribeDatabase`, `ListPrivilegeGroups` at 127.0.0.1:19530 can have no server span",
        )],
    );
    check(
        "py-unimplemented.jsonl.gz",
        Consistent,
        "1/2",
        &[(
            Warning,
            "call-failed",
            1,
            "`ListPrivilegeGroups` ended UNIMPLEMENTED: unknown method",
        )],
    );
    check(
        "py-nobody-listens.jsonl.gz",
        Consistent,
        "0/1",
        &[(
            Warning,
            "call-failed",
            1,
            "`Connect` ended UNAVAILABLE: failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:29539",
        )],
    );
    check(
        "java-never-reached.jsonl.gz",
        Consistent,
        "0/1",
        &[(
            Warning,
            "call-failed",
            1,
            "`Connect` ended DEADLINE_EXCEEDED at 127.0.0.1:19999",
        )],
    );
    let lost = |method: &'static str| (Error, "orphan-span", 1, method);
    check(
        "py-fork-child-lost.jsonl.gz",
        Inconsistent,
        "0/0",
        &[
            lost("the client's span of this call of `Connect` never arrived"),
            lost("the client's span of this call of `ShowCollections` never arrived"),
        ],
    );
    check(
        "a72-client.jsonl",
        Consistent,
        "9/9",
        &[(
            Info,
            "span-name",
            9,
            "9 of 9 calls are told by gRPC's own tracing",
        )],
    );
    check(
        "node-http-only.jsonl.gz",
        Inconsistent,
        "0/0",
        &[(
            Error,
            "client-unseen",
            1,
            "5 spans of its own, such as `POST`, go to Milvus's REST API",
        )],
    );
    check(
        "node-callbacks.jsonl.gz",
        Inconsistent,
        "3/3",
        &[
            (
                Error,
                "wrong-parent",
                1,
                "`HasCollection` lies under another call, `grpc.milvus.proto.milvus.MilvusService/GetVersion`, which was over 1.2 ms before",
            ),
            (
                Error,
                "wrong-parent",
                1,
                "`ShowCollections` lies under another call, `grpc.milvus.proto.milvus.MilvusService/HasCollection`, which was over 712.6 µs before",
            ),
        ],
    );
    check(
        "py-insert-twice.jsonl.gz",
        Inconsistent,
        "29/29",
        &[(
            Error,
            "status-differs",
            1,
            "ended UNAVAILABLE for the client and OK for the server: Stream removed (Socket closed); 64.6 ms later the client called it again, so the server did the work twice",
        )],
    );
    check(
        "sem-dup-conflict.jsonl",
        Inconsistent,
        "9/9",
        &[(
            Error,
            "attribute-value",
            9,
            "`rpc.grpc.status_code` is `0` and `rpc.response.status_code` is `UNAVAILABLE`",
        )],
    );
    check(
        "dropped-attr.jsonl",
        Inconsistent,
        "9/9",
        &[(
            Error,
            "attribute-missing",
            9,
            "a limit cut 3 attributes off",
        )],
    );
    check(
        "remote-root.jsonl",
        Consistent,
        "9/9",
        &[(
            Info,
            "orphan-span",
            1,
            "its flags say that the parent is another process's",
        )],
    );
    check(
        "root-without-event.jsonl.gz",
        Inconsistent,
        "20/20",
        &[(Error, "unmarked-error", 1, "is ERROR: no rows came back")],
    );
    check(
        "kinds-shifted-python.jsonl.gz",
        Inconsistent,
        "103/103",
        &[(Error, "wrong-kind", 26, "every kind is one too low")],
    );
    let sdk = "are absent from 2 of 2 client spans";
    check(
        "orphan-internal-min.json",
        Inconsistent,
        "0/0",
        &[
            (Error, "client-unseen", 1, "no client RPC span"),
            (
                Error,
                "orphan-span",
                1,
                "`child` (the client's) names the parent `abababababababab`",
            ),
            (Warning, "sdk-unknown", 1, sdk),
        ],
    );
}

#[test]
fn the_contract_judges_real_captures_right() {
    let check = |name: &str, outcome, joined, findings: &[_]| {
        check(name, &compare(&case(name)), outcome, joined, findings);
    };
    check("base.jsonl", Consistent, "9/9", &[]);
    check("envoy-server.jsonl", Consistent, "9/9", &[]);
    check("otelgrpc-0.61.otlp.jsonl.gz", Consistent, "20/20", &[]);
    check(
        "nosrv-unavailable.jsonl",
        Inconsistent,
        "8/9",
        &[(Error, "call-failed", 1, "`Search` ended UNAVAILABLE")],
    );
    check(
        "a72-client.jsonl",
        Inconsistent,
        "9/9",
        &[(Error, "span-name", 9, "gRPC's own tracing")],
    );
    check(
        "remote-root.jsonl",
        Consistent,
        "9/9",
        &[(
            Warning,
            "orphan-span",
            1,
            "`test_milvus_otel` (the client's) names the parent",
        )],
    );
    check(
        "empty.jsonl",
        CouldNotRun,
        "0/0",
        &[(Error, "no-spans", 1, "the input holds no spans")],
    );
    check(
        "server-only.jsonl",
        CouldNotRun,
        "0/0",
        &[(
            Error,
            "no-spans",
            1,
            "the input holds 30 spans of the server's and none of a client's",
        )],
    );
}

/// The services between a call and its server span, and the attempts, are in the table.
#[test]
fn the_table_shows_services_in_between_and_attempts() {
    let through = |verdict: &Verdict| -> Vec<String> {
        let cells = verdict
            .steps
            .iter()
            .flat_map(|row| row.cells.iter().flatten());
        let mut names: Vec<String> = cells.flat_map(|cell| cell.through.clone()).collect();
        names.dedup();
        names
    };
    let attempts = |verdict: &Verdict| -> u64 {
        let cells = verdict
            .steps
            .iter()
            .flat_map(|row| row.cells.iter().flatten());
        cells.map(|cell| cell.attempts).sum()
    };
    let none: [&str; 0] = [];
    assert_eq!(through(&compare(&case("base.jsonl"))), none);
    assert_eq!(through(&compare(&case("envoy-server.jsonl"))), ["envoy"]);
    assert_eq!(
        through(&compare(&case("node-deno-native.jsonl.gz"))),
        ["deno"]
    );
    let a72 = compare(&case("a72-client.jsonl"));
    assert_eq!(through(&a72), ["grpc-java"]);
    assert_eq!(attempts(&a72), 9);
    assert_eq!(attempts(&compare(&case("base.jsonl"))), 0);
}

/// A span of the correct trace, with its service and scope.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) service: String,
    pub(crate) scope: String,
    pub(crate) resource: Value,
    pub(crate) span: Value,
}

impl Part {
    pub(crate) fn name(&self) -> &str {
        self.span["name"].as_str().expect("a name")
    }

    pub(crate) fn is_call(&self, method: &str) -> bool {
        self.service == "milvus-client" && self.name().ends_with(&format!("/{method}"))
    }

    pub(crate) fn is_server(&self, method: &str) -> bool {
        self.service == "standalone" && self.name().ends_with(&format!("MilvusService/{method}"))
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.span[key] = value;
    }

    pub(crate) fn attribute(&mut self, key: &str, value: Value) {
        let attributes = self.span["attributes"].as_array_mut().expect("attributes");
        attributes.retain(|pair| pair["key"] != key);
        if !value.is_null() {
            attributes.push(json!({"key": key, "value": value}));
        }
    }

    /// Sets status and attributes as a client does whose call fails with `code`.
    pub(crate) fn fails(&mut self, code: &str) {
        self.set("status", json!({"code": 2, "message": "it failed"}));
        self.attribute("rpc.grpc.status_code", Value::Null);
        if code.parse::<u8>().is_ok() {
            self.attribute("rpc.grpc.status_code", json!({"intValue": code}));
        } else {
            self.attribute("rpc.response.status_code", json!({"stringValue": code}));
        }
    }

    pub(crate) fn time(&self, key: &str) -> u64 {
        let time = self.span[key].as_str().expect("a time");
        time.parse().expect("a number")
    }

    pub(crate) fn shift(&mut self, nanoseconds: u64) {
        for key in ["startTimeUnixNano", "endTimeUnixNano"] {
            let time = self.time(key) + nanoseconds;
            self.set(key, json!(time.to_string()));
        }
    }

    /// A new span with this span's parent and times, to be its parent.
    pub(crate) fn above(&self, id: &str, service: &str, scope: &str, name: &str, kind: u8) -> Part {
        let mut span = json!({
            "traceId": self.span["traceId"], "spanId": id, "parentSpanId": self.span["parentSpanId"], "name": name, "kind": kind,
            "startTimeUnixNano": self.span["startTimeUnixNano"], "endTimeUnixNano": self.span["endTimeUnixNano"],
            "attributes": [], "status": {}, "flags": 257,
        });
        span["traceId"] = self.span["traceId"].clone();
        let mut resource = self.resource.clone();
        for pair in resource["attributes"].as_array_mut().expect("attributes") {
            if pair["key"] == "service.name" {
                pair["value"] = json!({"stringValue": service});
            }
        }
        Part {
            service: service.to_owned(),
            scope: scope.to_owned(),
            resource,
            span,
        }
    }
}

/// The correct trace with `change` applied.
pub(crate) fn changed(change: impl Fn(&mut Vec<Part>)) -> Vec<u8> {
    let text = String::from_utf8(case("base.jsonl")).expect("it is text");
    let mut parts = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        for group in line["resourceSpans"].as_array().expect("groups") {
            let attributes = group["resource"]["attributes"].as_array();
            let name = attributes
                .expect("attributes")
                .iter()
                .find(|pair| pair["key"] == "service.name");
            for scope in group["scopeSpans"].as_array().expect("scopes") {
                parts.extend(
                    scope["spans"]
                        .as_array()
                        .expect("spans")
                        .iter()
                        .map(|span| Part {
                            service: name.expect("a name")["value"]["stringValue"]
                                .as_str()
                                .expect("text")
                                .to_owned(),
                            scope: scope["scope"]["name"].as_str().expect("a scope").to_owned(),
                            resource: group["resource"].clone(),
                            span: span.clone(),
                        }),
                );
            }
        }
    }
    change(&mut parts);
    let lines = parts.iter().map(|part| {
        let scope = json!({"scope": {"name": part.scope}, "spans": [part.span]});
        json!({"resourceSpans": [{"resource": part.resource, "scopeSpans": [scope]}]}).to_string()
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

pub(crate) fn each(parts: &mut [Part], wanted: impl Fn(&Part) -> bool, change: impl Fn(&mut Part)) {
    let mut found = 0;
    for part in parts.iter_mut().filter(|part| wanted(part)) {
        change(part);
        found += 1;
    }
    assert!(found > 0, "nothing to change");
}

/// Puts spans between every call and its server span; each layer is service, scope, name and kind, from the call downwards.
fn between(parts: &mut Vec<Part>, layers: &[(&str, &str, Option<&str>, u8)]) {
    let mut added = Vec::new();
    let own: BTreeMap<String, ()> = parts
        .iter()
        .filter(|part| part.service == "milvus-client")
        .map(|part| (part.span["spanId"].as_str().expect("an id").to_owned(), ()))
        .collect();
    for (index, part) in parts.iter_mut().enumerate() {
        let parent = part.span["parentSpanId"].as_str().unwrap_or_default();
        if part.service != "standalone" || !own.contains_key(parent) {
            continue;
        }
        for (layer, &(service, scope, name, kind)) in layers.iter().enumerate() {
            let id = format!("aaaa{layer:04x}{index:08x}");
            let name = name.unwrap_or(part.name()).to_owned();
            added.push(part.above(&id, service, scope, &name, kind));
            part.set("parentSpanId", json!(id));
        }
    }
    parts.extend(added);
}

#[test]
fn calls_are_joined_through_proxies() {
    let check = |what: &str, layers: &[(&str, &str, Option<&str>, u8)]| {
        let bytes = changed(|parts| between(parts, layers));
        check(what, &compare(&bytes), Consistent, "9/9", &[]);
        check(what, &exec(&bytes), Consistent, "9/9", &[]);
        let mut settlement = Settlement::new(Contract::builtin(), None, &["program"]);
        for line in bytes.split(|&byte| byte == b'\n').rev() {
            settlement.feed(line);
        }
        assert!(settlement.is_complete(), "{what}");
    };
    check(
        "a sidecar on each side",
        &[
            ("envoy", "envoy", Some("egress"), 3),
            ("envoy", "envoy", Some("ingress"), 2),
        ],
    );
    check(
        "a gateway that speaks gRPC: its server and client spans are named after the method",
        &[("gateway", "grpc", None, 2), ("gateway", "grpc", None, 3)],
    );
    check(
        "an internal span of the program",
        &[("milvus-client", "retry", Some("attempt 1"), 1)],
    );
    check(
        "a second instrumentation",
        &[("milvus-client", "another.grpc", None, 3)],
    );
    check(
        "an HTTP client's span",
        &[("milvus-client", "undici", Some("POST"), 3)],
    );
    check(
        "five hops",
        &[
            ("milvus-client", "undici", Some("POST"), 3),
            ("envoy", "envoy", Some("egress"), 3),
            ("mesh", "istio", Some("router"), 1),
            ("gateway", "grpc", None, 2),
            ("gateway", "grpc", None, 3),
        ],
    );
}

#[test]
fn a_service_that_does_not_pass_the_call_on_is_not_a_proxy() {
    let bytes = changed(|parts| {
        each(
            parts,
            |part| part.is_server("Search"),
            |part| {
                let renamed = part.above("0", "milvus-next", "server", "", 2);
                part.resource = renamed.resource;
            },
        );
    });
    check(
        "the server under another name",
        &compare(&bytes),
        Inconsistent,
        "8/9",
        &[(Error, "wrong-server", 1, "service `milvus-next`'s")],
    );
}

#[test]
fn a_contract_limits_the_services_in_between() {
    let bytes = changed(|parts| between(parts, &[("envoy", "envoy", Some("ingress"), 2)]));
    let with = |between: &str| {
        let text =
            format!("rpc_service = \"milvus.proto.milvus.MilvusService\"\nbetween = [{between}]\n");
        contract(
            "rpc_service = \"milvus.proto.milvus.MilvusService\"\n",
            &text,
        )
    };
    check(
        "it is named",
        &by(&with("\"envoy\""), &bytes),
        Consistent,
        "9/9",
        &[],
    );
    let other = by(&with("\"linkerd\""), &bytes);
    check(
        "another is",
        &other,
        Inconsistent,
        "9/9",
        &[(
            Error,
            "wrong-server",
            9,
            "reaches the server through service `envoy`",
        )],
    );
}

#[test]
fn calls_with_unusual_names_are_recognized() {
    let http = |key: &'static str, value: &'static str| {
        changed(|parts| {
            each(
                parts,
                |part| part.scope == "demo.grpc",
                |part| {
                    let method = part.name().rsplit('/').next().expect("a method").to_owned();
                    part.set("name", json!("POST"));
                    part.set("attributes", json!([]));
                    let path = format!("{value}/milvus.proto.milvus.MilvusService/{method}");
                    part.attribute(key, json!({"stringValue": path}));
                },
            );
        })
    };
    for bytes in [
        http("url.path", ""),
        http("url.full", "http://localhost:19530"),
        http("http.target", ""),
    ] {
        check(
            "HTTP client spans alone",
            &exec(&bytes),
            Consistent,
            "9/9",
            &[(
                Info,
                "span-name",
                9,
                "9 of 9 calls are told by an HTTP client's span, such as `POST` for `Connect`",
            )],
        );
    }
    let tried_twice = changed(|parts| {
        between(
            parts,
            &[("milvus-client", "demo.grpc", Some("Attempt.x"), 3)],
        );
        each(
            parts,
            |part| part.scope == "demo.grpc",
            |part| {
                let name = part.name().to_owned();
                if let Some((service, method)) = name.rsplit_once('/') {
                    part.set("name", json!(format!("Sent.{service}.{method}")));
                    part.set("attributes", json!([]));
                }
            },
        );
        let sent: BTreeMap<String, String> = parts
            .iter()
            .filter(|part| part.name().starts_with("Sent."))
            .map(|part| {
                (
                    part.span["spanId"].to_string(),
                    part.name()["Sent.".len()..].to_owned(),
                )
            })
            .collect();
        each(
            parts,
            |part| part.name() == "Attempt.x",
            |part| {
                let method = sent[&part.span["parentSpanId"].to_string()].clone();
                part.set("name", json!(format!("Attempt.{method}")));
            },
        );
        let search =
            |part: &&Part| part.name().starts_with("Attempt.") && part.name().ends_with(".Search");
        let mut first = parts.iter().find(search).expect("an attempt").clone();
        first.set("spanId", json!("bbbb000000000001"));
        first.set("status", json!({"code": 2}));
        parts.push(first);
    });
    let verdict = compare(&tried_twice);
    let search = verdict
        .steps
        .iter()
        .find(|row| row.name == "search")
        .expect("a row");
    let cell = search.cells[0].as_ref().expect("a cell");
    assert_eq!((cell.count, cell.joined, cell.attempts), (1, 1, 2));
}

/// Moves a server span to another trace, without a parent or under a foreign one.
pub(crate) fn rerooted(part: &mut Part, number: usize, parent: &str, state: &str) {
    part.set("traceId", json!(format!("ffff{number:028x}")));
    part.set("parentSpanId", json!(parent));
    part.set("traceState", json!(state));
}

#[test]
fn untraced_calls_are_found() {
    let untraced = |shift: u64| {
        changed(|parts| {
            let search = parts
                .iter()
                .find(|part| part.is_server("Search"))
                .expect("a search");
            let mut more = [search.clone(), search.clone()];
            for (number, part) in more.iter_mut().enumerate() {
                part.shift(shift);
                part.set("spanId", json!(format!("cccc{number:012x}")));
                rerooted(part, number, "", "");
            }
            parts.extend(more);
        })
    };
    let found = |severity| {
        [(
            severity,
            "untraced-calls",
            2,
            "beside 9 that carried one: 2 `Search`",
        )]
    };
    let during = untraced(0);
    check(
        "during the run",
        &exec(&during),
        Inconsistent,
        "9/9",
        &found(Error),
    );
    let shared = exec_with(&during, |facts| facts.server_is_own = false);
    check(
        "on a shared server",
        &shared,
        Consistent,
        "9/9",
        &found(Warning),
    );
    check(
        "without run facts",
        &compare(&during),
        Consistent,
        "9/9",
        &found(Warning),
    );
    check(
        "after the run",
        &exec(&untraced(3_600_000_000_000)),
        Consistent,
        "9/9",
        &[],
    );
    let all = changed(|parts| {
        parts.retain(|part| part.scope != "demo.grpc");
        let mut number = 0;
        for part in parts.iter_mut() {
            if part.service == "standalone" && part.name().contains("MilvusService") {
                rerooted(part, number, "", "");
                number += 1;
            }
        }
        parts.retain(|part| part.service != "standalone" || part.name().contains("MilvusService"));
    });
    check(
        "no call is traced",
        &exec(&all),
        Inconsistent,
        "0/0",
        &[(Error, "client-unseen", 1, "9 spans that nobody asked for")],
    );
}

#[test]
fn a_replaced_context_is_found() {
    let replaced = |method: &'static str, parent: &'static str, state: &'static str| {
        changed(|parts| {
            let answers = parts.iter_mut().filter(|part| part.is_server(method));
            for (number, part) in answers.enumerate() {
                rerooted(part, number, parent, state);
            }
            let inner = |part: &Part| {
                part.service == "standalone"
                    && part.name().contains(method)
                    && !part.is_server(method)
            };
            parts.retain(|part| !inner(part));
        })
    };
    let verdict = exec(&replaced("HasCollection", "eeee000000000001", "es=s:1"));
    assert!(
        verdict.findings[0]
            .message
            .ends_with("its tracestate is `es=s:1`")
    );
    check(
        "one call of nine",
        &verdict,
        Inconsistent,
        "8/9",
        &[(
            Error,
            "context-replaced",
            1,
            "1 of 9 calls reached the server with another context",
        )],
    );
    check(
        "without a parent it is lost",
        &exec(&replaced("HasCollection", "", "")),
        Inconsistent,
        "8/9",
        &[(Error, "context-lost", 1, "1 of 9 calls")],
    );
}

#[test]
fn spans_that_milvus_itself_orphans_are_information() {
    let orphan = |name: &'static str, scope: &'static str| {
        changed(move |parts| {
            let search = parts
                .iter()
                .find(|part| part.is_server("Search"))
                .expect("a search");
            let mut orphan = search.above("dddd000000000001", "standalone", scope, name, 1);
            orphan.set("parentSpanId", json!("dddd0000000000ff"));
            parts.push(orphan);
        })
    };
    let operate = orphan("Operate", "datanode");
    let known = [(Info, "orphan-span", 1, "`Operate`")];
    check("by its name", &exec(&operate), Consistent, "9/9", &known);
    check(
        "without run facts",
        &compare(&operate),
        Consistent,
        "9/9",
        &known,
    );
    let unknown = |name| [(Error, "orphan-span", 1, name)];
    let newer = exec_with(&operate, |facts| {
        facts.server_version = Some("2.5.11".to_owned());
    });
    check(
        "of a version that doesn't",
        &newer,
        Inconsistent,
        "9/9",
        &unknown("`Operate`"),
    );
    let other = orphan("QueryNode/Search", "querynode");
    check(
        "of another name",
        &exec(&other),
        Inconsistent,
        "9/9",
        &unknown("`QueryNode/Search`"),
    );
    let scope = orphan("Operate", "proxy");
    check(
        "of another scope",
        &exec(&scope),
        Inconsistent,
        "9/9",
        &unknown("`Operate`"),
    );
}

/// Makes a call of the correct trace fail for the client, with or without its server span.
fn failing(method: &'static str, code: &'static str, served: bool) -> Vec<u8> {
    changed(|parts| {
        each(parts, |part| part.is_call(method), |part| part.fails(code));
        if !served {
            let inner = |part: &Part| {
                part.service == "standalone"
                    && (part.name().contains(method) || part.name() == format!("{method}Task"))
            };
            parts.retain(|part| !inner(part));
        }
    })
}

#[test]
fn failed_calls_are_judged_by_their_status() {
    for code in [
        "1",
        "4",
        "8",
        "12",
        "14",
        "Canceled",
        "DeadlineExceeded",
        "UNAVAILABLE",
        "16",
    ] {
        let bytes = failing("HasCollection", code, false);
        let failed = |severity| [(severity, "call-failed", 1, "localhost:19530: it failed")];
        check(code, &exec(&bytes), Consistent, "8/9", &failed(Warning));
        if code.parse::<u8>().is_err() {
            continue;
        }
        check(code, &compare(&bytes), Inconsistent, "8/9", &failed(Error));
        let lenient = contract(
            "name = \"quick_setup\"\n",
            "name = \"quick_setup\"\ncall_failed = \"warning\"\n",
        );
        check(
            code,
            &by(&lenient, &bytes),
            Consistent,
            "8/9",
            &failed(Warning),
        );
        let meant = contract(
            "name = \"has_collection\"\n",
            "name = \"has_collection\"\nstatus = \"error\"\n",
        );
        check(code, &by(&meant, &bytes), Consistent, "8/9", &failed(Info));
        let mut settlement = Settlement::new(Contract::builtin(), None, &["program"]);
        bytes
            .split(|&byte| byte == b'\n')
            .for_each(|line| settlement.feed(line));
        assert!(settlement.is_complete(), "{code}");
    }
    for code in ["0", "3", "5", "9"] {
        let verdict = exec(&failing("HasCollection", code, false));
        check(
            code,
            &verdict,
            Inconsistent,
            "8/9",
            &[(Error, "no-server-span", 1, "`HasCollection`")],
        );
    }
}

#[test]
fn legal_differences_of_status_are_not_errors() {
    for (code, name) in [
        ("4", "DEADLINE_EXCEEDED"),
        ("Canceled", "CANCELLED"),
        ("8", "RESOURCE_EXHAUSTED"),
    ] {
        let bytes = failing("Search", code, true);
        let message = format!("`Search` ended {name} for the client and OK for the server");
        let differs = |severity| [(severity, "status-differs", 1, message.as_str())];
        check(code, &exec(&bytes), Consistent, "9/9", &differs(Info));
        if code.parse::<u8>().is_err() {
            continue;
        }
        check(code, &compare(&bytes), Inconsistent, "9/9", &differs(Error));
        let meant = contract(
            "name = \"search\"\n",
            "name = \"search\"\nstatus = \"error\"\n",
        );
        check(code, &by(&meant, &bytes), Consistent, "9/9", &differs(Info));
    }
    for code in ["14", "13", "5"] {
        let verdict = exec(&failing("Search", code, true));
        let differs = "for the client and OK for the server";
        check(
            code,
            &verdict,
            Inconsistent,
            "9/9",
            &[(Error, "status-differs", 1, differs)],
        );
    }
}

#[test]
fn a_step_may_allow_retries() {
    let retried = |first: &'static str| {
        changed(move |parts| {
            let call = parts
                .iter()
                .find(|part| part.is_call("Insert"))
                .expect("an insert")
                .clone();
            let mut failed = call.clone();
            failed.set("spanId", json!("bbbb000000000002"));
            failed.fails(first);
            let start = call.time("startTimeUnixNano");
            failed.set("startTimeUnixNano", json!((start - 1_500_000).to_string()));
            failed.set("endTimeUnixNano", json!((start - 500_000).to_string()));
            parts.push(failed);
        })
    };
    let bytes = retried("14");
    let strict = compare(&bytes);
    let rules: Vec<&str> = strict
        .findings
        .iter()
        .map(|finding| finding.rule.name())
        .collect();
    assert_eq!(rules, ["call-failed", "repeated-step"]);
    for allowed in ["retries", "hedging"] {
        let lenient = contract(
            "name = \"insert\"\n",
            &format!("name = \"insert\"\n{allowed} = true\n"),
        );
        let findings = [(Info, "call-failed", 1, "`Insert` ended UNAVAILABLE")];
        check(
            allowed,
            &by(&lenient, &bytes),
            Consistent,
            "9/10",
            &findings,
        );
    }
}

#[test]
fn each_trace_belongs_to_the_right_example() {
    let labelled = |run: &'static str, instance: &'static str| {
        changed(move |parts| {
            each(
                parts,
                |part| part.service == "milvus-client",
                |part| {
                    let attributes = part.resource["attributes"]
                        .as_array_mut()
                        .expect("attributes");
                    for (key, value) in
                        [("milvus_otel.run", run), ("service.instance.id", instance)]
                    {
                        attributes.push(json!({"key": key, "value": {"stringValue": value}}));
                    }
                },
            );
        })
    };
    let bytes = labelled("r1", "made-up-by-the-agent");
    let contract = Contract::builtin();
    let judged = |run: &str, names: &[&str]| {
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: &bytes,
        }]);
        let facts = RunFacts {
            run: Some(run.to_owned()),
            examples: names.iter().map(|name| example(name)).collect(),
            delivery: Some(Delivery::default()),
            ..RunFacts::default()
        };
        judge(&traces, &problems, Some(&contract), Some(&facts))
    };
    check(
        "the run says it",
        &judged("r1", &["py"]),
        Consistent,
        "9/9",
        &[],
    );
    let silent = [(Error, "no-spans", 1, "not one of its spans arrived")];
    check(
        "another run's",
        &judged("r2", &["py"]),
        Inconsistent,
        "0/0",
        &silent,
    );
    let verdict = judged("r1", &["py", "go"]);
    let joined: Vec<u64> = verdict
        .examples
        .iter()
        .map(|example| example.joined)
        .collect();
    assert_eq!(joined, [0, 0], "nobody can say which of the two made it");
}

#[test]
fn a_program_without_spans_is_told_what_its_calls_carried() {
    let check = |what: &str, parentless: bool, message: &str, hints: &str, no_hint: &str| {
        let bytes = changed(|parts| {
            parts.retain(|part| part.service != "milvus-client");
            let is_call = |part: &Part| part.name().contains("MilvusService/");
            each(parts, is_call, |part| {
                if parentless {
                    part.set("parentSpanId", json!(""));
                }
            });
        });
        let verdict = exec_with(&bytes, |facts| facts.run = Some("r1".to_owned()));
        check(
            what,
            &verdict,
            Inconsistent,
            "0/0",
            &[(Error, "no-spans", 1, message)],
        );
        let hint = verdict.findings[0].hint.as_deref().expect("a hint");
        assert!(
            hint.contains(hints) && !hint.contains(no_hint),
            "{what}: {hint}"
        );
    };
    check(
        "the export failed",
        false,
        "calls that carried a trace context: if they are the program's, its client is traced, and its export failed",
        "the exporter has an endpoint of its own",
        "no SDK is set up",
    );
    check(
        "no client span was made",
        true,
        "calls without a trace context: if they are the program's, its client isn't traced",
        "no SDK is set up",
        "nothing that is never said",
    );
}

#[test]
fn generations_of_conventions_can_be_mixed() {
    let both = |status: &'static str, method: &'static str| {
        changed(move |parts| {
            each(
                parts,
                |part| part.is_call("Search"),
                |part| {
                    part.attribute("rpc.system.name", json!({"stringValue": "grpc"}));
                    part.attribute("rpc.response.status_code", json!({"stringValue": status}));
                    part.attribute("rpc.method", json!({"stringValue": method}));
                },
            );
        })
    };
    check(
        "they agree",
        &exec(&both("OK", "Search")),
        Consistent,
        "9/9",
        &[],
    );
    let full = "milvus.proto.milvus.MilvusService/Search";
    check(
        "the new form of the method",
        &exec(&both("0", full)),
        Consistent,
        "9/9",
        &[],
    );
    check(
        "they don't",
        &exec(&both("NotFound", "Search")),
        Inconsistent,
        "9/9",
        &[(
            Error,
            "attribute-value",
            1,
            "`rpc.grpc.status_code` is `0` and `rpc.response.status_code` is `NotFound`",
        )],
    );
}

#[test]
fn a_missing_parent_outside_the_program_is_not_an_error() {
    let remote = |kind: u8, flags: u32| {
        changed(move |parts| {
            each(
                parts,
                |part| part.name() == "test_milvus_otel",
                |part| {
                    part.set("parentSpanId", json!("abababababababab"));
                    part.set("flags", json!(flags));
                    part.set("kind", json!(kind));
                },
            );
        })
    };
    let outside = [(Info, "orphan-span", 1, "began outside of the program")];
    check(
        "a request that a web server answers",
        &exec(&remote(2, 0x301)),
        Consistent,
        "9/9",
        &outside,
    );
    let absent = [(Error, "orphan-span", 1, "which is not in the input")];
    check(
        "its flags say that it is local",
        &exec(&remote(1, 0x101)),
        Inconsistent,
        "9/9",
        &absent,
    );
    check(
        "its flags say nothing",
        &exec(&remote(1, 1)),
        Inconsistent,
        "9/9",
        &absent,
    );
}
