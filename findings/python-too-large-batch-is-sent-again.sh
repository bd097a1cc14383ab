#!/usr/bin/env bash
# Expected: a batch that is too large for the receiver fails immediately. The specification allows a retry of
#   RESOURCE_EXHAUSTED only if the server adds RetryInfo, and a batch doesn't shrink by waiting.
# Observed: the Python exporter retries it anyway, with growing pauses, until its timeout of ten seconds. Five
#   megabytes exceed gRPC's default limit of four.
# Versions: opentelemetry-exporter-otlp-proto-grpc 1.45.2, grpcio 1.85.3 (Python).
# Affects: programs with large attributes (prompts, rows, vectors) in a batch of 512 spans. Each such batch stops the
#   export for seven to ten seconds, and the spans behind it overflow the queue.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2 grpcio==1.85.3

cat >program.py <<'PY'
import logging
import time
from concurrent import futures

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


class Receiver(service.TraceServiceServicer):
    def Export(self, request, context):
        return otlp.ExportTraceServiceResponse()


server = grpc.server(futures.ThreadPoolExecutor(2))
service.add_TraceServiceServicer_to_server(Receiver(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()

logged = []
handler = logging.Handler()
handler.emit = lambda record: logged.append(record.getMessage())
logging.getLogger("opentelemetry.exporter").addHandler(handler)

provider = TracerProvider()
# Thirty seconds instead of the default ten, so that a slow machine reaches the retries too.
exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}", timeout=30)
provider.add_span_processor(SimpleSpanProcessor(exporter))
span = provider.get_tracer("t").start_span("work", attributes={"prompt": "x" * 5_000_000})
started = time.monotonic()
span.end()
seconds = time.monotonic() - started
retries = sum("RESOURCE_EXHAUSTED" in line and "retrying" in line for line in logged)
print(f"the export of one 5 MB span took {seconds:.1f} s, with {retries} retries of RESOURCE_EXHAUSTED; at last: {logged[-1][:160]}")
raise SystemExit(0 if seconds > 0.7 and retries >= 1 else 1)
PY
timeout 180 venv/bin/python program.py || exit 1
