//! At least two more inputs of each kind that was once misjudged and has no table elsewhere, with the right verdict on each.

use std::fmt::Write as _;

use serde_json::{Value, json};
use trace_parity::{Input, Kind, Outcome, Verdict, judge, read};

use crate::programs::{Part, by, case, changed, compare, contract, each, exec, rerooted};

use Outcome::{Consistent, CouldNotRun, Inconsistent};

/// Checks outcome, `joined/calls` and findings. A finding is written as its severity, rule and count, then parts of its message or
/// hint, with `!` before a part that must be absent: `Error orphan-span 2 | flush | !fork`.
fn check(what: &str, verdict: &Verdict, outcome: Outcome, joined: &str, expected: &[&str]) {
    // The right trace was captured before the C++ part came; a test of its own is about that.
    let own =
        |finding: &&trace_parity::Finding| finding.subject.as_deref() != Some("service `segcore`");
    let found: Vec<_> = verdict.findings.iter().filter(own).collect();
    let mut shown = String::new();
    for finding in &found {
        let _ = writeln!(
            shown,
            "{:?} {} {} | {}\n  hint: {}",
            finding.severity,
            finding.rule,
            finding.count,
            finding.message,
            finding.hint.as_deref().unwrap_or_default()
        );
    }
    let sum =
        |of: fn(&trace_parity::ExampleVerdict) -> u64| verdict.examples.iter().map(of).sum::<u64>();
    let all = format!("{}/{}", sum(|e| e.joined), sum(|e| e.client_rpcs));
    assert_eq!(
        (verdict.outcome, all.as_str()),
        (outcome, joined),
        "{what}:\n{shown}"
    );
    assert_eq!(found.len(), expected.len(), "{what}:\n{shown}");
    for (finding, expected) in found.iter().zip(expected) {
        let mut parts = expected.split(" | ");
        let head = format!("{:?} {} {}", finding.severity, finding.rule, finding.count);
        assert_eq!(Some(head.as_str()), parts.next(), "{what}:\n{shown}");
        let said = format!(
            "{}\n{}",
            finding.message,
            finding.hint.as_deref().unwrap_or_default()
        );
        for part in parts {
            let (is_wanted, text) = part
                .strip_prefix('!')
                .map_or((true, part), |text| (false, text));
            assert_eq!(said.contains(text), is_wanted, "{what}: {part}:\n{shown}");
        }
    }
}

fn is_own(part: &Part) -> bool {
    part.service == "milvus-client"
}

fn is_own_call(part: &Part) -> bool {
    part.scope == "demo.grpc"
}

/// Sets an attribute of the program's resource.
fn resource(parts: &mut [Part], key: &str, value: &str) {
    each(parts, is_own, |part| {
        let attributes = part.resource["attributes"]
            .as_array_mut()
            .expect("attributes");
        attributes.retain(|pair| pair["key"] != key);
        attributes.push(json!({"key": key, "value": {"stringValue": value}}));
    });
}

fn language(parts: &mut [Part], language: &str, sdk: &str) {
    resource(parts, "telemetry.sdk.language", language);
    resource(parts, "telemetry.sdk.version", sdk);
}

/// Gives the calls' scope another name and a version.
fn scoped(bytes: Vec<u8>, name: &str, version: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes).expect("it is text");
    let scope = |name: &str| format!("\"scope\":{{\"name\":\"{name}\"");
    assert!(text.contains(&scope("demo.grpc")));
    let versioned = format!("{},\"version\":\"{version}\"", scope(name));
    text.replace(&scope("demo.grpc"), &versioned).into_bytes()
}

fn id(part: &Part) -> Value {
    part.span["spanId"].clone()
}

fn the(parts: &[Part], wanted: impl Fn(&Part) -> bool) -> &Part {
    parts.iter().find(|part| wanted(part)).expect("a span")
}

fn milliseconds(part: &mut Part, start: u64, end: u64) {
    const BEGIN: u64 = 1_700_000_000_000_000_000;
    for (key, time) in [("startTimeUnixNano", start), ("endTimeUnixNano", end)] {
        part.set(key, json!((BEGIN + time * 1_000_000).to_string()));
    }
}

/// As `py-fork-child-lost`: the server's half proves that calls were traced.
#[test]
fn calls_whose_client_spans_are_lost() {
    let lost = |methods: &'static [&'static str], language: &'static str| {
        changed(move |parts| {
            resource(parts, "telemetry.sdk.language", language);
            parts.retain(|part| !methods.iter().any(|method| part.is_call(method)));
        })
    };
    check(
        "the last batch of a Go program",
        &exec(&lost(&["Insert", "Search"], "go")),
        Inconsistent,
        "7/7",
        &[
            "Error orphan-span 1 | call of `Insert` never arrived | flush | !fork",
            "Error orphan-span 1 | call of `Search` never arrived | flush | !fork",
        ],
    );
    check(
        "a forked child of a Python program",
        &exec(&lost(&["Insert"], "python")),
        Inconsistent,
        "8/8",
        &["Error orphan-span 1 | call of `Insert` never arrived | fork"],
    );
    let all = changed(|parts| parts.retain(|part| !is_own_call(part)));
    let nine = ["Error orphan-span 9 | call of `Connect` never arrived"];
    check("every call", &exec(&all), Inconsistent, "0/0", &nine);
    check(
        "every call, by the contract",
        &compare(&all),
        Inconsistent,
        "0/0",
        &nine,
    );
}

fn attempts(verdict: &Verdict) -> Vec<u64> {
    let cells = verdict
        .steps
        .iter()
        .flat_map(|row| row.cells.iter().flatten());
    cells.map(|cell| cell.attempts).collect()
}

/// Puts one span between each call and its server span, named after the call.
fn layer(parts: &mut Vec<Part>, number: u16, service: &str, scope: &str, kind: u8, prefix: &str) {
    let tops: Vec<(usize, Part)> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| {
            let parent = &part.span["parentSpanId"];
            part.service == "standalone"
                && !parts
                    .iter()
                    .any(|other| other.service == "standalone" && other.span["spanId"] == *parent)
        })
        .map(|(index, part)| (index, part.clone()))
        .collect();
    assert_eq!(tops.len(), 9);
    for (index, top) in tops {
        let name = top.name().to_owned();
        let name = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}{}", name.replace('/', "."))
        };
        let span = format!("{number:04x}{index:012x}");
        let mut new = top.above(&span, service, scope, &name, kind);
        if service == "milvus-client" {
            new.resource = the(parts, is_own).resource.clone();
        }
        parts[index].set("parentSpanId", json!(span));
        parts.push(new);
    }
}

/// As `a72-client`: gRPC's own tracing, alone or beside an instrumentation.
#[test]
fn calls_traced_by_grpc_itself() {
    let beside = changed(|parts| {
        layer(parts, 0xb001, "milvus-client", "grpc-go", 1, "Sent.");
        layer(parts, 0xb002, "milvus-client", "grpc-go", 3, "Attempt.");
    });
    check(
        "below an instrumentation's spans",
        &exec(&beside),
        Consistent,
        "9/9",
        &[],
    );
    assert!(attempts(&compare(&beside)).iter().all(|&count| count < 9));
    let alone = |prefix: &'static str, kind: u8, fails: bool| {
        changed(move |parts| {
            each(parts, is_own_call, |part| {
                let name = format!("{prefix}{}", part.name().replace('/', "."));
                part.set("name", json!(name));
                part.set("kind", json!(kind));
                part.set("attributes", json!([]));
            });
            if fails {
                parts
                    .retain(|part| part.service != "standalone" || !part.name().contains("Search"));
                each(
                    parts,
                    |part| part.name().ends_with(".Search"),
                    |part| {
                        part.set(
                            "status",
                            json!({"code": 2, "message": "UNAVAILABLE: connection refused"}),
                        );
                    },
                );
            }
        })
    };
    check(
        "attempts whose calls were not sampled",
        &exec(&alone("Attempt.", 3, false)),
        Consistent,
        "9/9",
        &["Info span-name 9 | gRPC's own tracing"],
    );
    check(
        "a call that fails",
        &exec(&alone("Sent.", 1, true)),
        Consistent,
        "8/9",
        &[
            "Warning call-failed 1 | `Search` ended UNAVAILABLE: connection refused, and | server listens",
            "Info span-name 9 | gRPC's own tracing",
        ],
    );
}

/// Only what the program itself sends counts as an attempt, and each once.
#[test]
fn attempts_are_counted_once() {
    let counted = |what: &str, bytes: &[u8], expected: u64| {
        let found: u64 = attempts(&compare(bytes)).iter().sum();
        assert_eq!(found, expected, "{what}");
    };
    let gateway = changed(|parts| {
        layer(parts, 0xb001, "gateway", "grpc", 2, "");
        layer(parts, 0xb002, "gateway", "grpc", 3, "");
    });
    counted("a gateway", &gateway, 0);
    let own = changed(|parts| {
        layer(parts, 0xb001, "milvus-client", "grpc-go", 1, "Sent.");
        layer(parts, 0xb002, "milvus-client", "grpc-go", 3, "Attempt.");
        layer(parts, 0xb003, "gateway", "grpc", 2, "");
    });
    counted("gRPC's own tracing below an instrumentation", &own, 9);
    let again = changed(|parts| {
        layer(parts, 0xb001, "milvus-client", "retry", 3, "");
        let first = the(parts, |part| {
            part.scope == "retry" && part.name().ends_with("/Search")
        });
        let mut first = first.clone();
        first.set("spanId", json!("b002000000000000"));
        first.set("status", json!({"code": 2}));
        parts.push(first);
    });
    counted("a second try", &again, 10);
}

/// As `aio.py`, `node-esm-direct-grpc` and `app ok localhost:1`: what the server saw decides between their causes.
#[test]
fn programs_without_a_traced_call() {
    let untraced = |name: &'static str, version: &'static str, reached: bool| {
        changed(move |parts| {
            language(parts, name, version);
            parts.retain(|part| !is_own_call(part));
            let is_top = |part: &Part| part.name().contains("MilvusService");
            parts.retain(|part| part.service != "standalone" || reached && is_top(part));
            let servers = parts.iter_mut().filter(|part| part.service == "standalone");
            for (number, part) in servers.enumerate() {
                rerooted(part, number, "", "");
            }
        })
    };
    for (name, version, cure) in [
        ("python", "1.45.2", "GrpcAioInstrumentorClient"),
        ("nodejs", "2.12.0", "hook.mjs"),
        ("go", "1.43.0", "DialOptions"),
        ("java", "1.59.0", "-javaagent"),
        ("rust", "0.33.1", "cargo tree"),
        ("dotnet", "1.14.0", "instrument the gRPC client"),
    ] {
        let seen = format!(
            "Error client-unseen 1 | 9 spans that nobody asked for | {cure} | !never reached"
        );
        check(
            name,
            &exec(&untraced(name, version, true)),
            Inconsistent,
            "0/0",
            &[&seen],
        );
        let never = format!("Error client-unseen 1 | never reached Milvus | !{cure}");
        check(
            name,
            &exec(&untraced(name, version, false)),
            Inconsistent,
            "0/0",
            &[&never],
        );
    }
}

/// As `node-callbacks`: a call under another one, which is over or runs.
#[test]
fn calls_under_other_calls() {
    let below = |through: bool, end: u64| {
        changed(move |parts| {
            let above = id(the(parts, |part| part.is_call("Connect")));
            each(
                parts,
                |part| part.is_call("Connect"),
                |part| milliseconds(part, 10, end),
            );
            let call = the(parts, |part| part.is_call("HasCollection"));
            let mut callback =
                call.above("cb00000000000001", "milvus-client", "app", "on answer", 1);
            callback.resource = call.resource.clone();
            callback.set("parentSpanId", above.clone());
            let parent = if through { id(&callback) } else { above };
            if through {
                parts.push(callback);
            }
            each(
                parts,
                |part| part.is_call("HasCollection"),
                |part| {
                    part.set("parentSpanId", parent.clone());
                },
            );
        })
    };
    let over = "Error wrong-parent 1 | `HasCollection` lies under another call, `milvus.proto.milvus.MilvusService/Connect` | was over 2 ms before | callback";
    check(
        "in its callback",
        &exec(&below(false, 18)),
        Inconsistent,
        "9/9",
        &[over],
    );
    let through = format!("{over} | through `on answer`");
    check(
        "in a span of its callback",
        &exec(&below(true, 18)),
        Inconsistent,
        "9/9",
        &[&through],
    );
    check(
        "by the contract",
        &compare(&below(true, 18)),
        Inconsistent,
        "9/9",
        &[&through],
    );
    // The SDK of JavaScript rounds a span's start to the millisecond.
    check(
        "in its callback, by a clock of milliseconds",
        &exec(&below(false, 21)),
        Inconsistent,
        "9/9",
        &[
            "Error wrong-parent 1 | `HasCollection` lies under another call | was over as it began | callback",
        ],
    );
    let running =
        "Error wrong-parent 1 | `HasCollection` lies under another call | !over | !callback";
    check(
        "while it runs",
        &exec(&below(false, 30)),
        Inconsistent,
        "9/9",
        &[running],
    );
}

/// As `v072-dup`: advice for a renamed attribute is such as the instrumentation follows.
#[test]
fn renamed_attributes_of_several_instrumentations() {
    let newer = changed(|parts| {
        each(parts, is_own_call, |part| {
            part.attribute("rpc.grpc.status_code", Value::Null);
            part.attribute("rpc.response.status_code", json!({"stringValue": "OK"}));
        });
    });
    let judged = |scope: &str, version: &str| compare(&scoped(newer.clone(), scope, version));
    let go = "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc";
    check(
        "Go's",
        &judged(go, "0.72.0"),
        Consistent,
        "9/9",
        &["Warning attribute-renamed 9 | neither `rpc/dup` | !rpc/dup` where"],
    );
    for other in ["my.interceptor", "Grpc.Net.Client"] {
        check(
            other,
            &judged(other, "1.0.0"),
            Consistent,
            "9/9",
            &["Warning attribute-renamed 9 | OTEL_SEMCONV_STABILITY_OPT_IN=rpc/dup | !neither"],
        );
    }
    let wants_new = contract(
        "key = \"rpc.grpc.status_code\"\ntype = \"int\"",
        "key = \"rpc.response.status_code\"\ntype = \"string\"",
    );
    let older = |name: &'static str, distro: Option<&'static str>, scope: &str, version: &str| {
        let bytes = changed(|parts| {
            language(parts, name, "1.45.2");
            if let Some(distro) = distro {
                resource(
                    parts,
                    "telemetry.distro.name",
                    "opentelemetry-java-instrumentation",
                );
                resource(parts, "telemetry.distro.version", distro);
            }
        });
        by(&wants_new, &scoped(bytes, scope, version))
    };
    let ignored =
        "Warning attribute-renamed 9 | ignores `OTEL_SEMCONV_STABILITY_OPT_IN` | !set `OTEL";
    let honoured =
        "Warning attribute-renamed 9 | set `OTEL_SEMCONV_STABILITY_OPT_IN=rpc` | !ignores";
    let agent = "io.opentelemetry.grpc-1.6";
    for (what, verdict, expected) in [
        (
            "Java's agent",
            older("java", Some("2.25.0"), agent, "2.25.0-alpha"),
            ignored,
        ),
        (
            "a newer one",
            older("java", Some("2.33.1"), agent, "2.33.1-alpha"),
            honoured,
        ),
        (
            "Java's library",
            older("java", None, agent, "2.25.0-alpha"),
            honoured,
        ),
    ] {
        check(what, &verdict, Consistent, "9/9", &[expected]);
    }
}

/// As `dropped-attr`: a span that says itself that a limit cut it, beside spans that don't.
#[test]
fn attributes_that_a_limit_cut_off() {
    let lacking = |cut: &'static [&'static str], absent: &'static [&'static str]| {
        changed(move |parts| {
            let is_one =
                |part: &Part, methods: &[&str]| methods.iter().any(|method| part.is_call(method));
            for part in parts.iter_mut() {
                let is_cut = is_one(part, cut);
                if is_cut || is_one(part, absent) {
                    part.attribute("server.port", Value::Null);
                }
                if is_cut {
                    part.set("droppedAttributesCount", json!(1));
                }
            }
        })
    };
    let cut = "Error attribute-missing 1 | `server.port` is absent from 1 of 9 | a limit cut 1 attribute off | OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT";
    let absent =
        "Error attribute-missing 2 | `server.port` is absent from 2 of 9 | !limit | set it where";
    let one = lacking(&["Search"], &[]);
    check("one of nine", &exec(&one), Inconsistent, "9/9", &[cut]);
    check(
        "one of nine, by the contract",
        &compare(&one),
        Inconsistent,
        "9/9",
        &[cut],
    );
    let both = lacking(&["Search"], &["Connect", "HasCollection"]);
    check(
        "beside two that never had it",
        &exec(&both),
        Inconsistent,
        "9/9",
        &[absent, cut],
    );
}

/// Spans as Zipkin's API writes them: names in lower case, the server's half of a shared span marked.
fn as_zipkin(bytes: &[u8]) -> Vec<u8> {
    let (traces, problems) = read(&[Input { label: None, bytes }]);
    assert_eq!(problems, []);
    let spans = traces.iter().flat_map(|trace| trace.spans());
    let spans: Vec<Value> = spans
        .map(|span| {
            let tags = span.attributes().map(|(key, value)| (key.to_owned(), json!(value.to_string())));
            let tags: serde_json::Map<String, Value> = tags.collect();
            let mut out = json!({"traceId": span.trace_id().to_string(), "id": span.id().to_string(), "name": span.name().to_lowercase(),
                "timestamp": span.start_ns() / 1_000, "duration": span.duration_ns() / 1_000,
                "localEndpoint": {"serviceName": span.service_name()}, "tags": tags});
            if let Some(parent) = span.parent_id() {
                out["parentId"] = json!(parent.to_string());
            }
            if let Kind::Client | Kind::Server = span.kind() {
                out["kind"] = json!(span.kind().to_string().to_uppercase());
                out["shared"] = json!(span.kind() == Kind::Server);
            }
            out
        })
        .collect();
    json!(spans).to_string().into_bytes()
}

/// As `brave-otlp`: client and server in one span, whoever made them.
#[test]
fn spans_that_share_an_id() {
    let shared = || {
        changed(|parts| {
            let calls: Vec<(Value, Value)> = parts
                .iter()
                .filter(|part| is_own_call(part))
                .map(|part| (id(part), part.span["parentSpanId"].clone()))
                .collect();
            for (call, parent) in calls {
                let below = |part: &Part| part.span["parentSpanId"] == call;
                let server = id(the(parts, below));
                each(parts, below, |part| {
                    part.set("spanId", call.clone());
                    part.set("parentSpanId", parent.clone());
                });
                for part in parts
                    .iter_mut()
                    .filter(|part| part.span["parentSpanId"] == server)
                {
                    part.set("parentSpanId", call.clone());
                }
            }
        })
    };
    let found = ["Error duplicate-span-id 9 | the same span id | supportsJoin(false) | !seed"];
    check("every call", &exec(&shared()), Inconsistent, "9/9", &found);
    check(
        "every call, by the contract",
        &compare(&shared()),
        Inconsistent,
        "9/9",
        &found,
    );
    let zipkin = [
        "Error duplicate-span-id 9 | the same span id | supportsJoin(false)",
        "Error span-name 9 | in lower case | passed through Zipkin",
    ];
    check(
        "in Zipkin's format",
        &exec(&as_zipkin(&shared())),
        Inconsistent,
        "9/9",
        &zipkin,
    );
    let alike = changed(|parts| {
        let first = id(the(parts, |part| part.is_call("Insert")));
        let server = id(the(parts, |part| part.is_server("Search")));
        parts.retain(|part| part.span["parentSpanId"] != server && id(part) != server);
        each(
            parts,
            |part| part.is_call("Search"),
            |part| part.set("spanId", first.clone()),
        );
    });
    let verdict = exec(&alike);
    let lead = &verdict.findings[0];
    assert_eq!(
        lead.rule.name(),
        "duplicate-span-id",
        "{:#?}",
        verdict.findings
    );
    let hint = lead.hint.as_deref().expect("a hint");
    assert!(
        hint.contains("seeded alike") && !hint.contains("supportsJoin"),
        "{hint}"
    );
}

/// As `kinds-shifted-python`: one finding for each resource whose exporter writes the API's numbers.
#[test]
fn kinds_by_the_numbers_of_the_api() {
    let shifted = |services: &'static [&'static str]| {
        changed(move |parts| {
            each(
                parts,
                |part| services.contains(&part.service.as_str()),
                |part| {
                    let kind = part.span["kind"].as_u64().expect("a kind");
                    part.set("kind", json!(kind - 1));
                },
            );
        })
    };
    let client = "Error wrong-kind 9 | all 9 calls from one resource have kind server | every kind is one too low";
    let server = "Error wrong-kind 9 | all 9 answers from one resource have kind internal | every kind is one too low";
    let program = shifted(&["milvus-client"]);
    check(
        "the program's",
        &exec(&program),
        Inconsistent,
        "9/9",
        &[client],
    );
    check(
        "the program's, by the contract",
        &compare(&program),
        Inconsistent,
        "9/9",
        &[client],
    );
    let all = shifted(&["milvus-client", "standalone"]);
    check(
        "everybody's",
        &exec(&all),
        Inconsistent,
        "9/9",
        &[client, server],
    );
    check(
        "the server's",
        &exec(&shifted(&["standalone"])),
        Inconsistent,
        "9/9",
        &[server],
    );
    let internal = changed(|parts| each(parts, is_own_call, |part| part.set("kind", json!(1))));
    check(
        "a kind that was never given",
        &exec(&internal),
        Inconsistent,
        "9/9",
        &["Error wrong-kind 9 | has kind internal | give the span its kind | !too low"],
    );
}

/// As `five-through-zipkin`: names in lower case, numbers as text, and one finding for all of it.
#[test]
fn captures_that_passed_through_zipkin() {
    let zipkin = |numbers: bool| {
        changed(move |parts| {
            for part in parts.iter_mut() {
                let name = part.name().to_lowercase();
                part.set("name", json!(name));
            }
            each(parts, is_own_call, |part| {
                if !numbers {
                    part.attribute("rpc.grpc.status_code", json!({"stringValue": "0"}));
                    part.attribute("server.port", json!({"stringValue": "19530"}));
                }
            });
        })
    };
    let text = "Error span-name 9 | in lower case | numbers are text | passed through Zipkin | send OTLP past Zipkin";
    let numbers = "Error span-name 9 | in lower case | !numbers are text | passed through Zipkin";
    check(
        "one program",
        &exec(&zipkin(false)),
        Inconsistent,
        "9/9",
        &[text],
    );
    check(
        "by the contract",
        &compare(&zipkin(false)),
        Inconsistent,
        "9/9",
        &[text],
    );
    check(
        "the receiver parses numbers",
        &compare(&zipkin(true)),
        Inconsistent,
        "9/9",
        &[numbers],
    );
    let (through, direct) = (zipkin(false), case("base.jsonl"));
    let inputs = [("through", &through), ("direct", &direct)].map(|(label, bytes)| Input {
        label: Some(label),
        bytes,
    });
    let (traces, problems) = read(&inputs);
    let builtin = trace_parity::Contract::builtin();
    let verdict = judge(&traces, &problems, Some(&builtin), None);
    check(
        "beside one that did not",
        &verdict,
        Inconsistent,
        "18/18",
        &[text],
    );
}

/// As `py-insert-twice`: what follows a call that failed for the client alone.
#[test]
fn calls_that_failed_for_the_client_alone() {
    let tried = |name: &'static str, again: Option<&'static str>, served: bool| {
        changed(move |parts| {
            language(parts, name, "1.45.2");
            let call = the(parts, |part| part.is_call("Insert")).clone();
            let server = the(parts, |part| part.is_server("Insert")).clone();
            each(
                parts,
                |part| part.is_call("Insert"),
                |part| part.fails("14"),
            );
            let Some(method) = again else { return };
            let (mut call, mut server) = (call, server);
            call.set("spanId", json!("a9a1000000000001"));
            server.set("spanId", json!("a9a1000000000002"));
            server.set("parentSpanId", id(&call));
            milliseconds(&mut call, 79, 80);
            milliseconds(&mut server, 79, 80);
            for part in [&mut call, &mut server] {
                let path = part.name().replace("/Insert", &format!("/{method}"));
                part.set("name", json!(path));
                part.attribute("rpc.method", json!({"stringValue": method}));
            }
            if served {
                parts.push(server);
            } else {
                call.fails("14");
            }
            parts.push(call);
        })
    };
    let differs =
        "Error status-differs 1 | `Insert` ended UNAVAILABLE for the client and OK for the server";
    let twice = format!("{differs} | 1 ms later the client called it again | work twice");
    let python = format!("{twice} | pymilvus tried again");
    check(
        "again, from Python",
        &exec(&tried("python", Some("Insert"), true)),
        Inconsistent,
        "10/10",
        &[&python],
    );
    let other = format!("{twice} | idempotent | !pymilvus");
    check(
        "again, from Java",
        &exec(&tried("java", Some("Insert"), true)),
        Inconsistent,
        "10/10",
        &[&other],
    );
    let once = format!("{differs} | !twice");
    check(
        "not again",
        &exec(&tried("python", None, true)),
        Inconsistent,
        "9/9",
        &[&once],
    );
    check(
        "another method",
        &exec(&tried("python", Some("Upsert"), true)),
        Inconsistent,
        "10/10",
        &[&once],
    );
    let unserved = "Warning call-failed 1 | `Insert` ended UNAVAILABLE at localhost:19530";
    check(
        "again, and it never arrived",
        &exec(&tried("python", Some("Insert"), false)),
        Inconsistent,
        "9/10",
        &[&once, unserved],
    );
}

/// As `root-without-event`: a root that failed while its calls did not.
#[test]
fn roots_that_failed_alone() {
    let failed = |message: &'static str, event: &'static str| {
        changed(move |parts| {
            each(
                parts,
                |part| part.scope == "demo",
                |part| {
                    part.set("status", json!({"code": 2, "message": message}));
                    if !event.is_empty() {
                        let time = part.span["endTimeUnixNano"].clone();
                        part.set("events", json!([{"name": event, "timeUnixNano": time}]));
                    }
                },
            );
        })
    };
    for (what, bytes, expected) in [
        (
            "no message",
            failed("", ""),
            "test_milvus_otel` is ERROR; no RPC span is | no exception event",
        ),
        (
            "a message",
            failed("no rows", ""),
            "is ERROR: no rows; no RPC span is | no exception event",
        ),
        (
            "another event",
            failed("no rows", "retry"),
            "is ERROR: no rows | no exception event",
        ),
        (
            "an exception",
            failed("no rows", "exception"),
            "is ERROR: no rows | read the root's exception event | !no exception",
        ),
    ] {
        let expected = format!("Error unmarked-error 1 | {expected}");
        check(what, &exec(&bytes), Inconsistent, "9/9", &[&expected]);
    }
}

/// As `py-own-provider`: the context reaches the server, and no span tells of the call.
#[test]
fn calls_that_pass_the_context_on_without_a_span() {
    let passed = |methods: &'static [&'static str], name: &'static str, sdk: &'static str| {
        changed(move |parts| {
            language(parts, name, sdk);
            let is_one = |part: &Part| {
                is_own_call(part)
                    && (methods.is_empty() || methods.iter().any(|method| part.is_call(method)))
            };
            let gone: Vec<Value> = parts.iter().filter(|part| is_one(part)).map(id).collect();
            let root = id(the(parts, |part| part.scope == "demo"));
            parts.retain(|part| !is_one(part));
            each(
                parts,
                |part| gone.contains(&part.span["parentSpanId"]),
                |part| part.set("parentSpanId", root.clone()),
            );
        })
    };
    let all = "Error client-unseen 9 | such as `Connect`, reached the server right under the span `test_milvus_otel`";
    let python = format!("{all} | trace.set_tracer_provider | !guess");
    check(
        "Python",
        &exec(&passed(&[], "python", "1.45.2")),
        Inconsistent,
        "0/0",
        &[&python],
    );
    let go = format!("{all} | an interceptor that only injects it | !set_tracer_provider");
    check(
        "Go",
        &exec(&passed(&[], "go", "1.43.0")),
        Inconsistent,
        "0/0",
        &[&go],
    );
    let two = "Error client-unseen 2 | 2 calls | such as `Insert`, reached the server right under the span | interceptor";
    let bytes = passed(&["Insert", "Search"], "nodejs", "2.12.0");
    check("two of nine", &exec(&bytes), Inconsistent, "7/7", &[two]);
    check(
        "two of nine, by the contract",
        &compare(&bytes),
        Inconsistent,
        "7/7",
        &[two],
    );
}

/// As `sem-dup-conflict`: two generations on one span that say different things.
#[test]
fn generations_that_contradict_each_other() {
    let also = |key: &'static str, value: &'static str| {
        changed(move |parts| {
            each(parts, is_own_call, |part| {
                part.attribute(key, json!({"stringValue": value}));
            });
        })
    };
    for (key, value, said) in [
        (
            "rpc.system.name",
            "connectrpc",
            "`rpc.system` is `grpc` and `rpc.system.name` is `connectrpc`",
        ),
        (
            "rpc.response.status_code",
            "NOT_FOUND",
            "`rpc.grpc.status_code` is `0` and `rpc.response.status_code` is `NOT_FOUND`",
        ),
        (
            "rpc.status_code",
            "Internal",
            "`rpc.grpc.status_code` is `0` and `rpc.status_code` is `Internal`",
        ),
    ] {
        let expected = format!("Error attribute-value 9 | {said} | write one generation");
        check(
            key,
            &exec(&also(key, value)),
            Inconsistent,
            "9/9",
            &[&expected],
        );
    }
    check(
        "they agree",
        &exec(&also("rpc.response.status_code", "ok")),
        Consistent,
        "9/9",
        &[],
    );
}

/// As `py-openinference`: each call begins a trace of its own while a span of another trace is around it.
#[test]
fn spans_around_calls_that_were_never_current() {
    let around = |scope: &'static str, service: &'static str| {
        changed(move |parts| {
            parts.retain(|part| part.scope != "demo");
            let calls: Vec<Part> = parts
                .iter()
                .filter(|part| is_own_call(part))
                .cloned()
                .collect();
            for (number, call) in calls.iter().enumerate() {
                let mut own = vec![id(call)];
                let trace = format!("ca11{number:028x}");
                for part in parts.iter_mut() {
                    if own.contains(&part.span["parentSpanId"]) {
                        own.push(id(part));
                    }
                    if own.contains(&id(part)) {
                        part.set("traceId", json!(trace));
                    }
                }
                each(
                    parts,
                    |part| id(part) == own[0],
                    |part| part.set("parentSpanId", json!("")),
                );
                let mut cover =
                    call.above(&format!("c0fe{number:012x}"), service, scope, "retrieve", 1);
                cover.set("traceId", json!(format!("c0fe{number:028x}")));
                cover.set("parentSpanId", json!(""));
                if service == call.service {
                    cover.resource = call.resource.clone();
                }
                parts.push(cover);
            }
        })
    };
    let nine = |scope: &str, rest: &str| {
        format!(
            "Info several-traces 9 | spans of `{scope}`, such as `retrieve`, are around them | {rest}"
        )
    };
    for (scope, rest) in [
        ("openinference.instrumentation.llama_index", "OpenInference"),
        (
            "opentelemetry.instrumentation.haystack",
            "made current | !OpenInference",
        ),
        ("shop.search", "made current | !OpenInference"),
    ] {
        let expected = nine(scope, rest);
        check(
            scope,
            &exec(&around(scope, "milvus-client")),
            Consistent,
            "9/9",
            &[&expected],
        );
    }
    check(
        "another program's",
        &exec(&around("shop.search", "shop")),
        Consistent,
        "9/9",
        &[],
    );
}

/// As `micrometer-names`: a vocabulary of its own, in which a failed call is OK.
#[test]
fn calls_in_the_words_of_micrometer() {
    let micrometer = |search: &'static str, ok: bool| {
        changed(move |parts| {
            resource(parts, "telemetry.sdk.language", "java");
            each(parts, is_own_call, |part| {
                let outcome = if part.is_call("Search") { search } else { "OK" };
                for key in [
                    "rpc.system",
                    "rpc.grpc.status_code",
                    "server.address",
                    "server.port",
                ] {
                    part.attribute(key, Value::Null);
                }
                for (key, value) in [
                    ("rpc.type", "UNARY"),
                    ("grpc.status_code", outcome),
                    ("net.peer.name", "localhost"),
                    ("net.peer.port", "19530"),
                ] {
                    part.attribute(key, json!({"stringValue": value}));
                }
                if ok {
                    part.set("status", json!({"code": 1}));
                }
            });
        })
    };
    let words = [
        "Error attribute-missing 9 | `rpc.system` is absent | Micrometer",
        "Error attribute-missing 9 | `rpc.grpc.status_code` is absent | `grpc.status_code` (text) is the outcome",
        "Warning attribute-type 9 | `net.peer.port` is a string | Micrometer",
    ];
    check(
        "every call is well",
        &exec(&micrometer("OK", true)),
        Inconsistent,
        "9/9",
        &words,
    );
    for status in ["INTERNAL", "UNAVAILABLE"] {
        let contradicts = format!(
            "Error status-differs 1 | `Search` contradicts itself: its span's status is OK and its gRPC status is {status} | Micrometer"
        );
        let expected = [words[0], words[1], &contradicts, words[2]];
        check(
            status,
            &exec(&micrometer(status, true)),
            Inconsistent,
            "9/9",
            &expected,
        );
    }
}

/// As `rust-otel-background`: a span whose parent is withheld by a child that lives on.
#[test]
fn spans_that_rust_withholds() {
    let withheld = |scope: &'static str, name: &'static str, methods: &'static [&'static str]| {
        let bytes = changed(move |parts| {
            language(parts, name, "0.33.1");
            if methods.is_empty() {
                parts.retain(|part| part.scope != "demo");
                return;
            }
            each(
                parts,
                |part| methods.iter().any(|method| part.is_call(method)),
                |part| {
                    part.set("parentSpanId", json!("eeee000000000001"));
                },
            );
        });
        scoped(bytes, scope, "0.34.0")
    };
    let cause = "withholds all of its ancestors";
    let two: &[&str] = &["Insert", "Search"];
    let orphans = |rest: &str| {
        format!(
            "Error orphan-span 2 | `milvus.proto.milvus.MilvusService/Insert` (the client's) names the parent `eeee000000000001` | so do 1 more | {rest}"
        )
    };
    for (scope, name, rest) in [
        ("tracing", "rust", cause),
        ("tracing-opentelemetry", "rust", cause),
        ("otel-grpc-layer", "rust", "!withholds"),
        ("tracing", "go", "!withholds"),
    ] {
        let expected = orphans(rest);
        check(
            scope,
            &exec(&withheld(scope, name, two)),
            Inconsistent,
            "9/9",
            &[&expected],
        );
    }
    let root = format!("Error no-root 1 | the root span never arrived | {cause}");
    check(
        "a root",
        &compare(&withheld("tracing", "rust", &[])),
        Inconsistent,
        "9/9",
        &[&root],
    );
}

/// As `rust-otel-last-exit`: events after the end of their span.
#[test]
fn events_after_the_end_of_their_span() {
    let late = |methods: &'static [&'static str], name: &'static str, by: u64| {
        changed(move |parts| {
            language(parts, name, "0.33.1");
            each(
                parts,
                |part| methods.iter().any(|method| part.is_call(method)),
                |part| {
                    let time = part.time("endTimeUnixNano") + by;
                    part.set(
                        "events",
                        json!([{"name": "done", "timeUnixNano": time.to_string()}]),
                    );
                },
            );
        })
    };
    let (two, ms): (&[&str], u64) = (&["Insert", "Search"], 1_000_000);
    let seen = "Info bad-time 2 | `milvus.proto.milvus.MilvusService/Insert` has an event 40 ms after its end";
    let rust = format!("{seen} | last exit");
    check(
        "two of Rust's",
        &exec(&late(two, "rust", 40 * ms)),
        Consistent,
        "9/9",
        &[&rust],
    );
    let java = format!("{seen} | end the span after its last event | !tracing-opentelemetry");
    check(
        "two of Java's",
        &compare(&late(two, "java", 40 * ms)),
        Consistent,
        "9/9",
        &[&java],
    );
    check(
        "within what clocks allow",
        &exec(&late(two, "rust", 2 * ms)),
        Consistent,
        "9/9",
        &[],
    );
}

/// As `rust-otel-key-twice`: a key that stands twice on a span.
#[test]
fn keys_that_stand_twice() {
    let twice = |name: &'static str,
                 key: &'static str,
                 values: &'static [(&'static str, &'static str)]| {
        changed(move |parts| {
            language(parts, name, "0.33.1");
            each(
                parts,
                |part| part.is_call("Search"),
                |part| {
                    part.attribute(key, Value::Null);
                    let attributes = part.span["attributes"].as_array_mut().expect("attributes");
                    for &(kind, value) in values {
                        attributes.push(json!({"key": key, "value": {kind: value}}));
                    }
                },
            );
        })
    };
    let port: &[_] = &[("intValue", "19530"), ("intValue", "19531")];
    let rust = "Warning attribute-value 1 | `server.port` stands on the call `Search` twice, as `19530` and as `19531` | Rust's SDK";
    check(
        "a port, by Rust",
        &exec(&twice("rust", "server.port", port)),
        Consistent,
        "9/9",
        &[rust],
    );
    let other = "Warning attribute-value 1 | `server.port` stands on the call `Search` twice | OTLP wants them unique | !Rust";
    check(
        "a port, by another",
        &exec(&twice("cpp", "server.port", port)),
        Consistent,
        "9/9",
        &[other],
    );
    let own =
        "Warning attribute-value 1 | `user` stands on the call `Search` twice, as `a` and as `b`";
    let values: &[_] = &[
        ("stringValue", "a"),
        ("stringValue", "b"),
        ("stringValue", "a"),
    ];
    check(
        "a key of one's own",
        &exec(&twice("rust", "user", values)),
        Consistent,
        "9/9",
        &[own],
    );
    let same: &[_] = &[("intValue", "19530"), ("intValue", "19530")];
    check(
        "one value twice",
        &exec(&twice("rust", "server.port", same)),
        Consistent,
        "9/9",
        &[],
    );
}

/// As `rust-otel-text-code-ok`: numbers as text, and refusals that count as successes.
#[test]
fn codes_as_text() {
    let coded = |name: &'static str, code: &'static str, status: u8| {
        changed(move |parts| {
            language(parts, name, "0.33.1");
            each(
                parts,
                |part| part.is_call("Search"),
                |part| {
                    part.attribute("rpc.grpc.status_code", json!({"stringValue": code}));
                    part.set("status", json!({"code": status}));
                },
            );
        })
    };
    let text = |code: &str, rest: &str| {
        format!(
            "Warning attribute-type 1 | `rpc.grpc.status_code` is a string `{code}` on 1 of 9 | {rest}"
        )
    };
    let (rust, other) = ("as `i64`", "!i64");
    for (name, rest) in [("rust", rust), ("php", other)] {
        check(
            name,
            &exec(&coded(name, "0", 0)),
            Consistent,
            "9/9",
            &[&text("0", rest)],
        );
    }
    let contradicts =
        "Error status-differs 1 | its span's status is OK and its gRPC status is NOT_FOUND";
    let tonic = format!("{contradicts} | tonic-tracing-opentelemetry");
    check(
        "a refusal",
        &exec(&coded("rust", "5", 1)),
        Inconsistent,
        "9/9",
        &[&tonic, &text("5", rust)],
    );
    let by_hand = format!("{contradicts} | !tonic");
    check(
        "elsewhere",
        &exec(&coded("php", "5", 1)),
        Inconsistent,
        "9/9",
        &[&by_hand, &text("5", other)],
    );
}

/// As `server-only`: inputs without a client's span.
#[test]
fn spans_of_the_server_alone() {
    let servers = |keep: fn(&Part) -> bool| {
        changed(move |parts| parts.retain(|part| part.service == "standalone" && keep(part)))
    };
    let message = |count: usize| {
        format!(
            "Error no-spans 1 | the input holds {count} spans of the server's and none of a client's | capture the client's spans"
        )
    };
    let whole = servers(|_| true);
    check(
        "under absent calls",
        &compare(&whole),
        CouldNotRun,
        "0/0",
        &[&message(30)],
    );
    let tops = servers(|part| part.name().contains("MilvusService"));
    check(
        "without the work",
        &compare(&tops),
        CouldNotRun,
        "0/0",
        &[&message(9)],
    );
    let run = "Error no-spans 1 | `program` ran to its end and not one of its spans arrived | 9 calls that carried a trace context | its export failed";
    check("of a run", &exec(&tops), Inconsistent, "0/0", &[run]);
}

/// As `otelgrpc-0.61`: a known difference ends with the version that mended it.
#[test]
fn divergences_at_their_boundary() {
    let of = |version: &str| {
        let text = crate::hints::unpacked(&case("otelgrpc-0.61.otlp.jsonl.gz"));
        let own = "\"version\":\"0.61.0\"";
        assert!(text.contains(own));
        compare(
            text.replace(own, &format!("\"version\":\"{version}\""))
                .as_bytes(),
        )
    };
    let stale = "Error stale-divergence 1 | at 0.60.0 no longer shows `attribute-missing`";
    check(
        "before it",
        &of("0.60.0"),
        Inconsistent,
        "20/20",
        &[stale, stale],
    );
    for version in ["0.61.1", "0.62.0", "1.0.0"] {
        check(version, &of(version), Consistent, "20/20", &[]);
    }
}

/// As `otlp-stdout-lambda.txt`: a request within a log record, in each of its encodings.
#[test]
fn requests_within_log_records() {
    use base64::Engine as _;
    use std::io::Write as _;
    let base = case("base.jsonl");
    let lines = base
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    let groups = lines.flat_map(|line| {
        let mut line: Value = serde_json::from_slice(line).expect("the capture is JSON");
        line["resourceSpans"]
            .as_array_mut()
            .expect("groups")
            .split_off(0)
    });
    let request = json!({"resourceSpans": groups.collect::<Vec<_>>()});
    let text = request.to_string();
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder
            .write_all(text.as_bytes())
            .expect("a Vec takes everything");
        encoder.finish().expect("a Vec takes everything")
    };
    let base64 = |bytes: &[u8]| json!(base64::engine::general_purpose::STANDARD.encode(bytes));
    for (what, payload, is_base64) in [
        ("JSON", request, false),
        ("JSON as text", json!(text), false),
        ("JSON in base64", base64(text.as_bytes()), true),
        ("gzip in base64", base64(&packed), true),
    ] {
        let record = json!({"__otel_otlp_stdout": "0.16.0", "source": "shop", "endpoint": "http://localhost:4318/v1/traces",
            "method": "POST", "content-type": "application/json", "payload": payload, "base64": is_base64});
        for prefix in ["", "2026-11-27T12:00:00.000Z\t6f0c\tINFO\t"] {
            let verdict = compare(format!("{prefix}{record}\n").as_bytes());
            check(what, &verdict, Consistent, "9/9", &[]);
        }
    }
}

/// As `root-link.jaeger-v3`: Jaeger's API writes a link of a root as its parent too.
#[test]
fn links_that_jaeger_writes_as_parents() {
    let answer = |links: &[(&str, &str)], parent: &str| {
        let links: Vec<Value> = links
            .iter()
            .map(|(span, kind)| {
                json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": span,
                "attributes": [{"key": "opentracing.ref_type", "value": {"stringValue": kind}}]})
            })
            .collect();
        let bytes = changed(|parts| {
            each(
                parts,
                |part| part.scope == "demo",
                |part| {
                    part.set("parentSpanId", json!(parent));
                    part.set("links", json!(links));
                },
            );
        });
        let text = String::from_utf8(bytes).expect("it is text");
        let lines = text.lines().map(|line| format!("{{\"result\":{line}}}\n"));
        compare(lines.collect::<String>().as_bytes())
    };
    let (away, other) = ("00000000000000ff", "00000000000000fe");
    check(
        "its only link",
        &answer(&[(away, "follows_from")], away),
        Consistent,
        "9/9",
        &[],
    );
    let two = [(other, "follows_from"), (away, "follows_from")];
    check(
        "one of two links",
        &answer(&two, away),
        Consistent,
        "9/9",
        &[],
    );
    let orphan = [
        "Error orphan-span 1 | `test_milvus_otel` (the client's) names the parent `00000000000000ff`",
    ];
    check(
        "another span's link",
        &answer(&[(other, "follows_from")], away),
        Inconsistent,
        "9/9",
        &orphan,
    );
    check(
        "a parent that is a link too",
        &answer(&[(away, "child_of")], away),
        Inconsistent,
        "9/9",
        &orphan,
    );
}

/// As `python-console.txt`: one problem for each document, which names its writer.
#[test]
fn texts_of_console_exporters() {
    let python = case("python-console.txt");
    let mut spans = serde_json::Deserializer::from_slice(&python).into_iter::<Value>();
    let span = spans.next().expect("a span").expect("it is JSON");
    let (one, compact) = (format!("{span:#}"), span.to_string());
    for (what, text, count) in [
        ("two spans", format!("{one}\n{one}\n"), 2),
        ("a span a line", format!("{compact}\n{compact}\n"), 2),
        (
            "among a program's own lines",
            format!("starting\n{compact}\ndone\n"),
            1,
        ),
    ] {
        let (traces, problems) = read(&[Input {
            label: None,
            bytes: text.as_bytes(),
        }]);
        let named = problems
            .iter()
            .filter(|problem| problem.message.contains("Python's ConsoleSpanExporter"));
        let counted: u64 = named.map(|problem| problem.count).sum();
        assert_eq!(
            (traces.span_count(), counted),
            (0, count),
            "{what}: {problems:#?}"
        );
    }
}

/// As `orphan-internal-min`: a program without a call, whose other spans lost their parents.
#[test]
fn orphans_of_programs_without_a_call() {
    let orphaned = |names: &'static [&'static str], shift: u64| {
        changed(move |parts| {
            parts.retain(|part| part.scope == "demo");
            let root = parts[0].clone();
            for (number, name) in (1..).zip(names) {
                let mut span = root.above(
                    &format!("aaaa{number:012x}"),
                    "milvus-client",
                    "app",
                    name,
                    1,
                );
                span.resource = root.resource.clone();
                span.set("parentSpanId", json!("abababababababab"));
                span.shift(shift * number);
                parts.push(span);
            }
        })
    };
    let unseen =
        "Error client-unseen 1 | `test_milvus_otel` and no client RPC span | never reached Milvus";
    for (names, shift, orphans) in [
        (
            &["load"][..],
            0,
            "Error orphan-span 1 | `load` (the client's) names the parent `abababababababab` | flush",
        ),
        (
            &["load", "embed", "rank"],
            0,
            "Error orphan-span 3 | `load` (the client's) names the parent | so do 2 more | flush",
        ),
        (
            &["load", "embed"],
            500_000_000,
            "Error orphan-span 2 | `load` (the client's) names the parent | so do 1 more",
        ),
    ] {
        check(
            orphans,
            &exec(&orphaned(names, shift)),
            Inconsistent,
            "0/0",
            &[unseen, orphans],
        );
    }
}

#[test]
fn zz_probe() {
    fn show(what: &str, verdict: &Verdict) {
        let sum = |of: fn(&trace_parity::ExampleVerdict) -> u64| {
            verdict.examples.iter().map(of).sum::<u64>()
        };
        println!(
            "== {what}: {:?} {}/{}",
            verdict.outcome,
            sum(|e| e.joined),
            sum(|e| e.client_rpcs)
        );
        for f in &verdict.findings {
            println!(
                "{:?} {} {} | {}\n   hint: {}",
                f.severity,
                f.rule,
                f.count,
                f.message,
                f.hint.as_deref().unwrap_or_default()
            );
        }
    }
    let twice = changed(|parts| {
        layer(parts, 0xb001, "milvus-client", "demo.grpc", 3, "");
        let calls: Vec<Part> = parts
            .iter()
            .filter(|p| is_own_call(p) && !p.span["spanId"].as_str().unwrap().starts_with("b001"))
            .cloned()
            .collect();
        for part in parts
            .iter_mut()
            .filter(|p| p.span["spanId"].as_str().unwrap().starts_with("b001"))
        {
            let call = calls
                .iter()
                .find(|c| c.span["spanId"] == part.span["parentSpanId"])
                .unwrap();
            part.span["attributes"] = call.span["attributes"].clone();
        }
    });
    show("two stats handlers, exec", &exec(&twice));
    show("two stats handlers, contract", &compare(&twice));
    let sibling = changed(|parts| {
        let calls: Vec<Part> = parts.iter().filter(|p| is_own_call(p)).cloned().collect();
        for (n, call) in calls.iter().enumerate() {
            let mut c = call.clone();
            c.set("spanId", json!(format!("b002{n:012x}")));
            parts.push(c);
        }
    });
    show("two interceptors side by side, exec", &exec(&sibling));
    let one = changed(|parts| {
        parts.retain(|p| !is_own_call(p) || p.is_call("Search"));
        parts.retain(|p| p.service != "standalone" || p.name().contains("Search"));
        each(parts, is_own, |p| {
            let k = p.span["kind"].as_u64().unwrap();
            p.set("kind", json!(k - 1));
        });
    });
    show("one call, shifted", &exec(&one));
    let base = String::from_utf8(case("base.jsonl")).unwrap();
    let docker: String = base
        .lines()
        .map(|l| {
            json!({"log": format!("{l}\n"), "stream": "stdout", "time": "2026-11-27T12:00:00Z"})
                .to_string()
                + "\n"
        })
        .collect();
    show("docker json-file", &compare(docker.as_bytes()));
    let journald: String = base
        .lines()
        .map(|l| {
            json!({"MESSAGE": format!("INFO: {l}"), "_PID": "1", "PRIORITY": "6"}).to_string()
                + "\n"
        })
        .collect();
    show("journald", &compare(journald.as_bytes()));
    let cri: String = base
        .lines()
        .map(|l| format!("2026-11-27T12:00:00.000000000Z stdout F {l}\n"))
        .collect();
    show("cri", &compare(cri.as_bytes()));
    for name in [
        "status-go-name.otlp.jsonl.gz",
        "v072-dup.otlp.jsonl.gz",
        "py-own-provider.jsonl.gz",
        "py-fork-child-lost.jsonl.gz",
        "node-callbacks.jsonl.gz",
        "micrometer-names.jsonl.gz",
    ] {
        show(name, &compare(&case(name)));
    }
    for name in [
        "brave-otlp.bin",
        "rust-otel-background.jsonl",
        "zipkin-trace.json",
        "five-through-zipkin.jsonl.gz",
        "v072-dup.otlp.jsonl.gz",
    ] {
        show(name, &exec(&case(name)));
    }
}
