#!/usr/bin/env bash
# Expected: the program learns about spans that a backend rejects (quota, too old, too large). OTLP has
#   `partial_success` for that, with a count and a message, and the specification wants clients to log it.
# Observed: the Python exporter over gRPC doesn't read the response: if all spans of a batch are rejected, the export
#   is still a SUCCESS, and nothing is logged at any level. The JavaScript exporter logs a warning with the backend's
#   message.
# Versions: opentelemetry-exporter-otlp-proto-grpc 1.45.2 (Python), @opentelemetry/exporter-trace-otlp-grpc 0.223.1.
# Affects: users of a backend with limits. Traces are missing, but every metric of the exporter counts them as sent.
set -euo pipefail

work=$(mktemp -d)
children=()
trap 'for child in ${children[@]+"${children[@]}"}; do kill "$child" 2>/dev/null || true; done; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund \
    @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 @opentelemetry/exporter-trace-otlp-grpc@0.223.1 >/dev/null

# A receiver that rejects every span, and reports it as a partial success.
cat >receiver.py <<'PY'
import os
import time
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service


class Rejecting(service.TraceServiceServicer):
    def Export(self, request, context):
        rejected = otlp.ExportTracePartialSuccess(rejected_spans=1, error_message="quota exceeded")
        return otlp.ExportTraceServiceResponse(partial_success=rejected)


server = grpc.server(futures.ThreadPoolExecutor(2))
service.add_TraceServiceServicer_to_server(Rejecting(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with open("port.new", "w") as file:
    file.write(str(port))
os.rename("port.new", "port")
time.sleep(300)
PY
cat >program.py <<'PY'
import logging

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

logged = []
handler = logging.Handler()
handler.emit = logged.append
logging.basicConfig(level=logging.DEBUG, handlers=[handler])


class Watched(OTLPSpanExporter):
    def export(self, spans):
        self.result = super().export(spans)
        return self.result


exporter = Watched()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
provider.get_tracer("t").start_span("work").end()
spoken = [record for record in logged if "quota" in record.getMessage() or "partial" in record.getMessage().lower()]
print(exporter.result.name, "and", "a log line" if spoken else "nothing logged")
PY
cat >program.mjs <<'JS'
import { diag, DiagLogLevel } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

let spoken = 'nothing logged';
const look = (...words) => { if (JSON.stringify(words).includes('quota exceeded')) spoken = 'a warning'; };
diag.setLogger({ error: look, warn: look, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
provider.getTracer('t').startSpan('work').end();
await provider.forceFlush();
console.log(spoken);
process.exit(0);
JS

venv/bin/python receiver.py &
children+=($!)
until [ -e port ]; do sleep 0.1; done
export OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$(cat port)"
python=$(timeout 180 venv/bin/python program.py)
node=$(timeout 180 node program.mjs)
echo "the receiver rejects every span: Python: $python; JavaScript: $node"
[ "$python" = "SUCCESS and nothing logged" ] && [ "$node" = "a warning" ] || exit 1
