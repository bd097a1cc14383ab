#!/usr/bin/env bash
# Expected: a span at its attribute limit refuses further attributes, as the specification demands ("MUST discard that
#   key/value pair") and as the JavaScript SDK does.
# Observed: the Python SDK drops the oldest attribute for each new one. Instrumentations set their attributes when the
#   span starts, so a program that adds many attributes loses `rpc.system` and `rpc.service` and keeps its own.
# Versions: opentelemetry-sdk 1.45.2 (Python), @opentelemetry/sdk-trace-node 2.12.1.
# Affects: programs that lower OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT or set more than 128 attributes. Samplers, span metrics
#   and searches by `rpc.service` miss these spans, and only these.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 >/dev/null

cat >program.py <<'PY'
from opentelemetry.sdk.trace import TracerProvider

span = TracerProvider().get_tracer("t").start_span("call", attributes={"rpc.system": "grpc", "rpc.service": "Search"})
for name in ("row.0", "row.1", "row.2"):
    span.set_attribute(name, 1)
print(*span.attributes)
PY
cat >program.mjs <<'JS'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const tracer = new NodeTracerProvider().getTracer('t');
const span = tracer.startSpan('call', { attributes: { 'rpc.system': 'grpc', 'rpc.service': 'Search' } });
for (const name of ['row.0', 'row.1', 'row.2']) span.setAttribute(name, 1);
console.log(...Object.keys(span.attributes));
JS

export OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=3
python=$(timeout 180 venv/bin/python program.py 2>/dev/null)
node=$(timeout 180 node program.mjs)
echo "with room for three: Python keeps $python; JavaScript keeps $node"
[ "$python" = "row.0 row.1 row.2" ] && [ "$node" = "rpc.system rpc.service row.0" ] || exit 1
