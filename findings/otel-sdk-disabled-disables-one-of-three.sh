#!/usr/bin/env bash
# Expected: OTEL_SDK_DISABLED=true switches tracing off. It is the first variable in the specification's list, made
#   for the moment when telemetry is the problem.
# Observed: it does so in Python. The Go SDK and JavaScript's NodeTracerProvider don't read it (in JavaScript only
#   NodeSDK does), and go on recording and exporting.
# Versions: opentelemetry-sdk 1.45.2 (Python), go.opentelemetry.io/otel/sdk v1.47.0, @opentelemetry/sdk-trace-node
#   2.12.1.
# Affects: anyone who sets it for all services during an incident, or in CI, to take load off the Collector.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 >/dev/null
cat >go.mod <<'GO'
module program

go 1.25.0

require go.opentelemetry.io/otel/sdk v1.47.0
GO

cat >program.py <<'PY'
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
provider.get_tracer("program").start_span("work").end()
print(len(exporter.get_finished_spans()))
PY
cat >program.mjs <<'JS'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.getTracer('program').startSpan('work').end();
console.log(exporter.getFinishedSpans().length);
JS
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func main() {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	_, span := provider.Tracer("program").Start(context.Background(), "work")
	span.End()
	fmt.Println(len(exporter.GetSpans()))
}
GO
go build -mod=mod -o program . 2>/dev/null

export OTEL_SDK_DISABLED=true
python=$(timeout 180 venv/bin/python program.py 2>/dev/null)
node=$(timeout 180 node program.mjs)
go=$(timeout 180 ./program)
echo "OTEL_SDK_DISABLED=true, spans exported: Python $python, JavaScript $node, Go $go"
[ "$python" = 0 ] && [ "$node" = 1 ] && [ "$go" = 1 ] || exit 1
