#!/usr/bin/env bash
# Expected: `force_flush(500)` returns after at most half a second, and returns False if the spans weren't exported.
#   Its documentation says both.
# Observed: the Python batch processor ignores the timeout, exports in the caller's thread with all of the exporter's
#   retries, and returns True, even if every span was lost. If nothing listens at the endpoint, that takes six to ten
#   seconds.
# Versions: opentelemetry-sdk 1.45.2, opentelemetry-exporter-otlp-proto-grpc 1.45.2 (Python).
# Affects: programs that flush at the end of a request or of a serverless invocation. During an outage of the
#   Collector, each takes seconds longer, up to the platform's own limit, and a check of the result reports success.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2

cat >program.py <<'PY'
import socket
import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# A port that is bound, but not listening.
nobody = socket.socket()
nobody.bind(("127.0.0.1", 0))
exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}")

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter))
provider.get_tracer("program").start_span("work").end()
started = time.monotonic()
flushed = provider.force_flush(timeout_millis=500)
seconds = time.monotonic() - started
print(f"nobody listens: force_flush(500) returned {flushed} after {seconds:.1f} s")
raise SystemExit(0 if flushed and seconds > 2 else 1)
PY
timeout 180 venv/bin/python program.py 2>/dev/null || exit 1
