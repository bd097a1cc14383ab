#!/usr/bin/env bash
# A good engineer expects `force_flush(500)` to return after half a second at the latest, and to return False if the
# spans weren't exported: its documentation says both.
# In fact the Python batch processor ignores the timeout, exports in the caller's thread with all retries of the
# exporter, and returns True, also when every span was lost. With nobody listening that takes six to ten seconds.
# Versions: opentelemetry-sdk 1.45.2, opentelemetry-exporter-otlp-proto-grpc 1.45.2 (Python).
# Hurt: who flushes at the end of a request or of a serverless invocation. An outage of the Collector makes each of them
# slower by seconds, up to the platform's own limit, and a check of the result says that all is well.
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

# A port that is taken, where nobody listens.
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
