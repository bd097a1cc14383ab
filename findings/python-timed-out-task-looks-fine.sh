#!/usr/bin/env bash
# Expected: `start_as_current_span` marks a span whose block was left by an exception. By default it records
#   exceptions and sets ERROR, and a timeout is a failure that traces should show.
# Observed: a block that is left because its asyncio task was cancelled, as `asyncio.wait_for` and `asyncio.timeout`
#   do with everything inside them, ends UNSET without an event. Only the outer span, where the cancellation has
#   become a TimeoutError, is an error. All spans of the cancelled work look finished.
# Versions: opentelemetry-sdk 1.45.2, Python 3.9 and later (asyncio.CancelledError isn't an Exception).
# Affects: anyone who looks for the step that was too slow. Error filters and error rates don't show it, and its
#   duration, cut off at the timeout, even improves the percentiles.
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
