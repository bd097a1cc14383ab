#!/usr/bin/env bash
# Expected: OTEL_EXPORTER_OTLP_TIMEOUT is in milliseconds, as the specification says, so one value fits all
#   containers.
# Observed: the Python exporters read it as seconds. With 2000, JavaScript gives up on a receiver that doesn't answer
#   after two seconds, and Python waits for more than half an hour, in the thread that sends all spans.
# Versions: opentelemetry-exporter-otlp-proto-http 1.45.2 (Python), @opentelemetry/exporter-trace-otlp-http 0.223.1.
# Affects: anyone who lowers the timeout to protect programs. In Python, one request that hangs blocks the export for
#   so long that the queue overflows, and the program can't end before it.
set -euo pipefail

work=$(mktemp -d)
children=()
trap 'for child in ${children[@]+"${children[@]}"}; do kill "$child" 2>/dev/null || true; done; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund \
    @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 @opentelemetry/exporter-trace-otlp-http@0.223.1 >/dev/null

# A receiver that accepts connections and never answers.
cat >silent.py <<'PY'
import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
with open("port.new", "w") as port:
    port.write(str(listener.getsockname()[1]))
__import__("os").rename("port.new", "port")
time.sleep(300)
PY
cat >program.py <<'PY'
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
provider.get_tracer("t").start_span("work").end()
PY
cat >program.mjs <<'JS'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
provider.getTracer('t').startSpan('work').end();
await provider.forceFlush().catch(() => {});
process.exit(0);
JS

python3 silent.py &
children+=($!)
until [ -e port ]; do sleep 0.1; done
export OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$(cat port)" OTEL_EXPORTER_OTLP_TIMEOUT=2000

ended() { if timeout 20 "$@" 2>/dev/null; then echo "gave up within 20 s"; else echo "still waiting after 20 s"; fi; }
node=$(ended node program.mjs)
python=$(ended venv/bin/python program.py)
echo "OTEL_EXPORTER_OTLP_TIMEOUT=2000, no answer: JavaScript $node; Python $python"
[ "$node" = "gave up within 20 s" ] && [ "$python" = "still waiting after 20 s" ] || exit 1
