//! What happens to captures in the field. A mutation names no rule: what is right to say of it was judged by hand.

use std::collections::HashSet;

use serde_json::{Value, json};
use trace_parity::{Contract, Input, SpanId, TraceId, Verdict, judge, read};

use crate::capture::{Capture, Entry, find};
use crate::random::Random;

/// One thing that happens to captures.
#[derive(Clone, Copy)]
pub struct Mutation {
    pub name: &'static str,
    apply: fn(&mut Scene) -> Option<()>,
}

impl std::fmt::Debug for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mutation({})", self.name)
    }
}

/// A capture to which something has happened.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The example that was picked.
    pub example: String,
    /// The inputs, in order.
    pub inputs: Vec<Vec<u8>>,
}

/// A capture, and one of its examples.
struct Scene {
    capture: Capture,
    example: String,
    traces: HashSet<String>,
    service: String,
    /// Call and server span, in order of the call's start.
    calls: Vec<(usize, usize)>,
    random: Random,
    /// Applied to the bytes at last.
    cut: fn(Vec<u8>, &mut Random) -> Vec<Vec<u8>>,
}

/// A capture to which things can happen.
pub struct Field {
    capture: Capture,
    verdict: Verdict,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field")
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

impl Field {
    /// A capture that OTLP JSON lines hold.
    #[must_use]
    pub fn new(bytes: &[u8], contract: Option<&Contract>) -> Self {
        let (traces, problems) = read(&[Input { label: None, bytes }]);
        Field {
            verdict: judge(&traces, &problems, contract, None),
            capture: Capture::parse(bytes),
        }
    }

    /// Lets `mutation` happen to one example; the seed picks the example and the place. `None` where there is no place for it.
    #[must_use]
    pub fn mutant(&self, mutation: &Mutation, seed: u64) -> Option<Mutant> {
        let mut random = Random::new(seed, mutation.name, "");
        let mut scene = Scene::of(self, &mut random)?;
        (mutation.apply)(&mut scene)?;
        Some(Mutant {
            inputs: (scene.cut)(scene.capture.bytes(), &mut scene.random),
            example: scene.example,
        })
    }
}

impl Scene {
    fn of(field: &Field, random: &mut Random) -> Option<Self> {
        let (capture, verdict) = (&field.capture, &field.verdict);
        let which = random.below(verdict.examples.len());
        let example = &verdict.examples[which];
        let at = |(trace, span): (TraceId, SpanId)| {
            let (trace, span) = (trace.to_string(), span.to_string());
            let mut spans = capture.spans.iter();
            spans.position(|entry| entry.text("spanId") == span && entry.text("traceId") == trace)
        };
        let cells = verdict.steps.iter().flat_map(|row| &row.cells[which]);
        let mut calls: Vec<(usize, usize)> = cells
            .flat_map(|cell| &cell.calls)
            .chain(&example.other_calls)
            .filter_map(|call| Some((at(call.client)?, at(call.server?)?)))
            .collect();
        calls.sort_by_key(|&(call, _)| capture.spans[call].time("startTimeUnixNano"));
        let service = capture.spans[calls.first()?.0].service().to_owned();
        Some(Scene {
            traces: example.traces.iter().map(ToString::to_string).collect(),
            example: example.name.clone(),
            service,
            calls,
            capture: capture.clone(),
            random: random.clone(),
            cut: |bytes, _| vec![bytes],
        })
    }

    fn is_own(&self, entry: &Entry) -> bool {
        self.traces.contains(entry.text("traceId"))
    }

    fn is_client(&self, entry: &Entry) -> bool {
        self.is_own(entry) && entry.service() == self.service
    }

    fn each(&mut self, wanted: impl Fn(&Self, &Entry) -> bool, mut change: impl FnMut(&mut Entry)) {
        let chosen: Vec<bool> = self
            .capture
            .spans
            .iter()
            .map(|entry| wanted(self, entry))
            .collect();
        for (entry, _) in self
            .capture
            .spans
            .iter_mut()
            .zip(chosen)
            .filter(|(_, chosen)| *chosen)
        {
            change(entry);
        }
    }

    fn drop_where(&mut self, gone: impl Fn(&Self, &Entry) -> bool) {
        let gone: Vec<usize> = (0..)
            .zip(&self.capture.spans)
            .filter(|(_, entry)| gone(self, entry))
            .map(|(index, _)| index)
            .collect();
        self.capture.remove(&gone);
    }

    /// A time somewhere in the middle of the example's calls.
    fn moment(&mut self) -> u64 {
        let middle = self.calls.len() / 4 + self.random.below(self.calls.len().div_ceil(2));
        self.capture.spans[self.calls[middle].0].time("startTimeUnixNano")
    }

    /// Lines that hold spans of the client's, or of the server's side of the example.
    fn lines(&self, of_client: bool) -> Vec<usize> {
        let mut lines: Vec<usize> = self
            .capture
            .spans
            .iter()
            .filter(|entry| self.is_own(entry) && self.is_client(entry) == of_client)
            .map(|entry| entry.line)
            .collect();
        lines.dedup();
        lines
    }

    fn add(&mut self, entries: Vec<Entry>) {
        self.capture.append(entries);
    }

    fn new_id(&mut self) -> String {
        self.random.span_id()
    }

    /// Puts a span of `service` between each call and its server span.
    fn insert_layer(&mut self, service: &str, scope: &str, name: Option<&str>, kind: u8) {
        let mut added = Vec::new();
        for (call, server) in self.calls.clone() {
            let id = self.new_id();
            let mut layer = self.capture.spans[server].clone();
            layer.set("spanId", id.clone());
            layer.set(
                "parentSpanId",
                self.capture.spans[server].text("parentSpanId"),
            );
            layer.set("kind", kind);
            layer.set("attributes", json!([]));
            layer.set("events", json!([]));
            if let Some(name) = name {
                layer.set("name", name);
            }
            for key in ["startTimeUnixNano", "endTimeUnixNano"] {
                let inner = i128::from(self.capture.spans[server].time(key));
                let outer = i128::from(self.capture.spans[call].time(key));
                layer.set(key, (i128::midpoint(inner, outer)).to_string());
            }
            layer.set_resource(json!([
                {"key": "service.name", "value": {"stringValue": service}},
                {"key": "telemetry.sdk.language", "value": {"stringValue": "cpp"}},
            ]));
            layer.set_scope(json!({"name": scope}));
            self.capture.spans[server].set("parentSpanId", id);
            added.push(layer);
        }
        self.add(added);
    }

    /// Moves a call's server half into a trace of its own.
    fn reroot(&mut self, server: usize, parent: &str, state: &str) {
        let trace = format!("{}{}", self.new_id(), self.new_id());
        for index in self.capture.subtree(server) {
            self.capture.spans[index].set("traceId", trace.clone());
            self.capture.spans[index].set("traceState", state);
        }
        self.capture.spans[server].set("parentSpanId", parent);
    }

    /// The calls of one method of the scenario's.
    fn calls_of(&self, method: &str) -> Vec<(usize, usize)> {
        let is =
            |&&(call, _): &&(usize, usize)| self.capture.spans[call].text("name").ends_with(method);
        self.calls.iter().filter(is).copied().collect()
    }

    fn a_method(&mut self) -> Option<String> {
        let names: Vec<String> = self
            .calls
            .iter()
            .map(|&(call, _)| self.capture.spans[call].text("name"))
            .filter_map(|name| {
                name.rsplit_once('/')
                    .map(|(_, method)| format!("/{method}"))
            })
            .collect();
        self.random.pick(&names).cloned()
    }
}

const fn mutation(name: &'static str, apply: fn(&mut Scene) -> Option<()>) -> Mutation {
    Mutation { name, apply }
}

/// Every mutation.
pub const MUTATIONS: &[Mutation] = &[
    mutation("a sidecar on both sides", |scene| {
        scene.insert_layer("envoy", "envoy", Some("egress"), 3);
        scene.insert_layer("envoy", "envoy", Some("ingress"), 2);
        Some(())
    }),
    mutation("a gateway that speaks gRPC", |scene| {
        scene.insert_layer("api-gateway", "grpc", None, 2);
        scene.insert_layer("api-gateway", "grpc", None, 3);
        Some(())
    }),
    mutation("one batch of the client's lost", |scene| {
        lost_batch(scene, true)
    }),
    mutation("one batch of the server's lost", |scene| {
        lost_batch(scene, false)
    }),
    mutation("the file's tail cut off", |scene| {
        scene.cut = |bytes, random| {
            let at = bytes.len() / 2 + random.below(bytes.len() / 2);
            vec![bytes[..at].to_vec()]
        };
        Some(())
    }),
    mutation("the file's head rotated away", |scene| {
        scene.cut = |bytes, random| {
            let at = random.below(bytes.len() / 2);
            vec![bytes[at..].to_vec()]
        };
        Some(())
    }),
    mutation("the client's clock set forward", |scene| {
        clock_jump(scene, 40_000_000_000)
    }),
    mutation("the client's clock set back", |scene| {
        clock_jump(scene, -40_000_000_000)
    }),
    mutation("the server's clock is fast all along", |scene| {
        scene.each(
            |scene, entry| scene.is_own(entry) && !scene.is_client(entry),
            |entry| entry.shift(45_000_000_000),
        );
        Some(())
    }),
    mutation("another tracer's context reaches the server", |scene| {
        for (_, server) in scene.calls.clone() {
            let parent = scene.new_id();
            scene.reroot(server, &parent, "dd=s:1;t.dm:-0");
        }
        Some(())
    }),
    mutation("two tracers, both in the input", two_tracers),
    mutation("an exporter sends a batch twice", |scene| {
        let lines = scene.lines(true);
        let line = *scene.random.pick(&lines)?;
        let copies = scene.capture.spans.iter();
        let copies: Vec<Entry> = copies.filter(|entry| entry.line == line).cloned().collect();
        scene.add(copies);
        Some(())
    }),
    mutation("a call sent again by the program", |scene| {
        let method = scene.a_method()?;
        let (call, _) = *scene.calls_of(&method).last()?;
        let length = scene.capture.spans[call].time("endTimeUnixNano")
            - scene.capture.spans[call].time("startTimeUnixNano");
        let by = i64::try_from(length + 100_000).ok()?;
        let copies = scene.capture.copies(call, by, &mut scene.random);
        scene.add(copies);
        Some(())
    }),
    mutation("the client's service renamed", |scene| {
        scene.each(Scene::is_client, |entry| {
            if let Some(pair) = find(entry.resource_attributes(), "service.name") {
                pair["value"] = json!({"stringValue": "shop"});
            }
        });
        Some(())
    }),
    mutation("the server's service renamed", |scene| {
        scene.each(
            |scene, entry| scene.is_own(entry) && !scene.is_client(entry),
            |entry| {
                if let Some(pair) = find(entry.resource_attributes(), "service.name") {
                    pair["value"] = json!({"stringValue": "milvus-prod"});
                }
            },
        );
        Some(())
    }),
    mutation("two overlapping files", |scene| {
        scene.cut = |bytes, random| {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let (third, shift) = (lines.len() / 3, random.below(lines.len() / 4));
            vec![lines[..2 * third].concat(), lines[third - shift..].concat()]
        };
        Some(())
    }),
    mutation("half of it as another format", |scene| {
        scene.cut = |bytes, random| {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let (one, other): (Vec<&[u8]>, Vec<&[u8]>) =
                lines.into_iter().partition(|_| random.below(2) == 0);
            let groups: Vec<Value> = other
                .iter()
                .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
                .flat_map(|line| {
                    line["resourceSpans"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default()
                })
                .collect();
            vec![
                one.concat(),
                json!({ "batches": groups }).to_string().into_bytes(),
            ]
        };
        Some(())
    }),
    mutation("spans sampled one by one", |scene| {
        let mut random = scene.random.clone();
        let gone: Vec<bool> = scene
            .capture
            .spans
            .iter()
            .map(|_| random.below(6) == 0)
            .collect();
        let gone: Vec<usize> = (0..gone.len())
            .filter(|&index| gone[index] && scene.is_own(&scene.capture.spans[index]))
            .collect();
        scene.capture.remove(&gone);
        Some(())
    }),
    mutation("the server's spans sampled away", |scene| {
        scene.drop_where(|scene, entry| scene.is_own(entry) && !scene.is_client(entry));
        Some(())
    }),
    mutation(
        "a collector keeps no internal spans of the server's",
        |scene| {
            let kept: HashSet<usize> = scene.calls.iter().map(|&(_, server)| server).collect();
            let own: Vec<usize> = (0..scene.capture.spans.len())
                .filter(|index| {
                    let entry = &scene.capture.spans[*index];
                    !kept.contains(index) && scene.is_own(entry) && !scene.is_client(entry)
                })
                .collect();
            scene.capture.remove(&own);
            Some(())
        },
    ),
    mutation("a collector deletes the RPC attributes", |scene| {
        scene.each(Scene::is_client, |entry| {
            entry.attributes().retain(|pair| {
                !pair["key"]
                    .as_str()
                    .is_some_and(|key| key.starts_with("rpc."))
            });
        });
        Some(())
    }),
    mutation("one method's calls run untraced", |scene| {
        let method = scene.a_method()?;
        let calls = scene.calls_of(&method);
        for &(_, server) in &calls {
            scene.reroot(server, "", "");
        }
        let gone: Vec<usize> = calls.iter().map(|&(call, _)| call).collect();
        scene.capture.remove(&gone);
        Some(())
    }),
    mutation("the program killed in the middle", |scene| {
        let moment = scene.moment();
        scene.drop_where(|scene, entry| {
            scene.is_client(entry) && entry.time("endTimeUnixNano") > moment
        });
        Some(())
    }),
    mutation("the server gone in the middle", |scene| {
        let moment = scene.moment();
        scene.drop_where(|scene, entry| {
            !scene.is_client(entry) && scene.is_own(entry) && entry.time("endTimeUnixNano") > moment
        });
        Some(())
    }),
    mutation("one method's context lost on the way", |scene| {
        let method = scene.a_method()?;
        for (_, server) in scene.calls_of(&method) {
            scene.reroot(server, "", "");
        }
        Some(())
    }),
    mutation("two instrumentations, one inside the other", |scene| {
        let mut inner = Vec::new();
        for (call, server) in scene.calls.clone() {
            let id = scene.new_id();
            let mut span = scene.capture.spans[call].clone();
            let parent = span.text("spanId").to_owned();
            span.set("spanId", id.clone());
            span.set("parentSpanId", parent);
            span.set_scope(json!({"name": "second.grpc.instrumentation", "version": "1.0"}));
            scene.capture.spans[server].set("parentSpanId", id);
            inner.push(span);
        }
        scene.add(inner);
        Some(())
    }),
    mutation(
        "trace ids cut to 64 bits on the way to the server",
        |scene| {
            scene.each(
                |scene, entry| scene.is_own(entry) && !scene.is_client(entry),
                |entry| {
                    let id = format!("{:0>32}", &entry.text("traceId")[16..]);
                    entry.set("traceId", id);
                },
            );
            Some(())
        },
    ),
    mutation("kinds lost in a conversion", |scene| {
        scene.each(Scene::is_own, |entry| entry.set("kind", 0));
        Some(())
    }),
    mutation("one batch under another program's resource", |scene| {
        let lines = scene.lines(true);
        let line = *scene.random.pick(&lines)?;
        scene.each(
            |scene, entry| scene.is_client(entry) && entry.line == line,
            |entry| {
                entry.set_resource(
                    json!([{"key": "service.name", "value": {"stringValue": "worker"}}]),
                );
            },
        );
        Some(())
    }),
    mutation("milliseconds written for nanoseconds", |scene| {
        scene.each(Scene::is_client, |entry| {
            for key in ["startTimeUnixNano", "endTimeUnixNano"] {
                let time = entry.time(key) / 1_000_000;
                entry.set(key, time.to_string());
            }
        });
        Some(())
    }),
    mutation("a job's TRACEPARENT above the root", |scene| {
        let parent = scene.new_id();
        scene.each(
            |scene, entry| scene.is_client(entry) && entry.text("parentSpanId").is_empty(),
            |entry| {
                entry.set("parentSpanId", parent.clone());
                entry.set("flags", 0x301);
            },
        );
        Some(())
    }),
    mutation(
        "flags, events and schema URLs left out by an exporter",
        |scene| {
            scene.each(Scene::is_own, |entry| {
                entry.set("flags", 0);
                entry.set("events", json!([]));
            });
            Some(())
        },
    ),
];

fn lost_batch(scene: &mut Scene, of_client: bool) -> Option<()> {
    let lines = scene.lines(of_client);
    let line = *scene.random.pick(&lines)?;
    scene.drop_where(|scene, entry| {
        entry.line == line && scene.is_own(entry) && scene.is_client(entry) == of_client
    });
    Some(())
}

/// Both times of what begins after a moment, and the end of what is open then.
fn clock_jump(scene: &mut Scene, by: i64) -> Option<()> {
    let moment = scene.moment();
    scene.each(Scene::is_client, |entry| {
        for key in ["startTimeUnixNano", "endTimeUnixNano"] {
            let time = entry.time(key);
            if time >= moment {
                entry.set(key, time.saturating_add_signed(by).to_string());
            }
        }
    });
    Some(())
}

/// A second tracer's spans of the same calls, in traces of its own, above the server's.
fn two_tracers(scene: &mut Scene) -> Option<()> {
    let mut added = Vec::new();
    for (call, server) in scene.calls.clone() {
        let (above, below) = (scene.new_id(), scene.new_id());
        scene.reroot(server, &below, "dd=s:1;t.dm:-0");
        let trace = scene.capture.spans[server].text("traceId").to_owned();
        for (id, parent, name, kind) in [
            (&above, "", "job", 1),
            (&below, above.as_str(), "grpc.client", 3),
        ] {
            let mut span = scene.capture.spans[call].clone();
            span.set("traceId", trace.clone());
            span.set("spanId", id.clone());
            span.set("parentSpanId", parent);
            span.set("name", name);
            span.set("kind", kind);
            span.set("attributes", json!([]));
            span.set_scope(json!({"name": "Datadog"}));
            added.push(span);
        }
    }
    scene.add(added);
    Some(())
}
