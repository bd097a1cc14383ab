#!/usr/bin/env bash
# Expected: OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT and OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT truncate long values in every
#   SDK. They are in the specification's list beside the count limits.
# Observed: the Rust SDK reads only the count limits. A value of 10,000 characters, which Python truncates to 64,
#   leaves Rust whole, without a warning. There is no setting in code either.
# Versions: opentelemetry_sdk 0.33.1 (Rust), opentelemetry-sdk 1.45.2 (Python).
# Affects: anyone who relies on the limit to keep prompts, rows or tokens out of the backend, or requests under four
#   megabytes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
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
    let mut span = provider.tracer("program").start("work");
    span.set_attribute(KeyValue::new("prompt", "x".repeat(10_000)));
    span.end();
    println!("{}", exporter.get_finished_spans().unwrap()[0].attributes[0].value.as_str().len());
}
RS
cat >program.py <<'PY'
from opentelemetry.sdk.trace import TracerProvider

span = TracerProvider().get_tracer("program").start_span("work", attributes={"prompt": "x" * 10_000})
print(len(span.attributes["prompt"]))
PY
cargo build --quiet 2>/dev/null

export OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=64 OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=64
rust=$(timeout 180 target/debug/program)
python=$(timeout 180 venv/bin/python program.py 2>/dev/null)
echo "of 10,000 characters, with a limit of 64: Rust exports $rust, Python $python"
[ "$rust" = 10000 ] && [ "$python" = 64 ] || exit 1
