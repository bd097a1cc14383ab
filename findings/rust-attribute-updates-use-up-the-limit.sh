#!/usr/bin/env bash
# Expected: a second `set_attribute` with the same key replaces the first value, as the specification says.
# Observed: the Rust SDK appends. Both values are exported, although OTLP requires unique keys, and each update
#   counts: a progress counter that is updated 128 times fills the span, and the result that is set at the end is
#   dropped.
# Versions: opentelemetry 0.33.1, opentelemetry_sdk 0.33.1.
# Affects: programs that update an attribute in a loop. Backends show the first value, the last or an arbitrary one,
#   and the attribute with the outcome is missing exactly on the long operations.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "program"
version = "0.0.0"
edition = "2024"

[dependencies]
opentelemetry = { version = "=0.33.1", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["trace", "testing"] }

[workspace]
TOML
cat >src/main.rs <<'RS'
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

fn main() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let mut span = provider.tracer("program").start("import");
    for percent in 1..=128 {
        span.set_attribute(KeyValue::new("progress", percent));
    }
    span.set_attribute(KeyValue::new("result", "ok"));
    span.end();

    let span = &exporter.get_finished_spans().unwrap()[0];
    let count = |key: &str| span.attributes.iter().filter(|it| it.key.as_str() == key).count();
    println!("progress {} times, result {} times, dropped {}", count("progress"), count("result"), span.dropped_attributes_count);
}
RS
cargo build --quiet 2>/dev/null
seen=$(timeout 180 target/debug/program)
echo "exported: $seen"
[ "$seen" = "progress 128 times, result 0 times, dropped 1" ] || exit 1
