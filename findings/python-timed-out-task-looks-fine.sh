#!/usr/bin/env bash
# A good engineer expects `start_as_current_span` to mark a span whose block was left by an exception: it records
# exceptions and sets ERROR by default, and a timeout is the failure that one traces for.
# In fact a block that is left because its asyncio task was cancelled, as `asyncio.wait_for` and `asyncio.timeout` do
# with everything inside them, ends UNSET without an event. Only the span outside, where the cancellation has become
# a TimeoutError, is an error; all spans of the work that was cut off look like finished work.
# Versions: opentelemetry-sdk 1.45.2, Python 3.9 and later (asyncio.CancelledError is no Exception).
# Hurt: who looks for the step that was too slow. Error filters and error rates show none, and its duration, cut at the
# timeout, even makes the percentiles look good.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2

cat >program.py <<'PY'
import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("t")


async def search():
    with tracer.start_as_current_span("search"):
        await asyncio.sleep(60)


async def request():
    with tracer.start_as_current_span("request"):
        await asyncio.wait_for(search(), timeout=0.2)


try:
    asyncio.run(request())
except asyncio.TimeoutError:
    pass
for span in exporter.get_finished_spans():
    print(span.name, span.status.status_code.name, f"{len(span.events)} events")
PY
seen=$(timeout 180 venv/bin/python program.py)
echo "$seen"
[ "$seen" = "search UNSET 0 events
request ERROR 1 events" ] || exit 1
