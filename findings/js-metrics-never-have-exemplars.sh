#!/usr/bin/env bash
# Expected: a histogram that is recorded within a sampled span has exemplars, the trace ids that lead from a slow
#   bucket to a slow trace. The specification's default filter is `trace_based`, and Python records exemplars by
#   default.
# Observed: the JavaScript SDK never exports an exemplar, whatever OTEL_METRICS_EXEMPLAR_FILTER is set to. Its code
#   contains filters and reservoirs for them, but doesn't use them.
# Versions: @opentelemetry/sdk-metrics 2.12.1, opentelemetry-sdk 1.45.2 (Python).
# Affects: dashboards that rely on exemplars from all services. The panels of Node.js services have no link to a
#   trace.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund \
    @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-node@2.12.1 @opentelemetry/sdk-metrics@2.12.1 >/dev/null

cat >program.py <<'PY'
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

reader = InMemoryMetricReader()
histogram = MeterProvider(metric_readers=[reader]).get_meter("program").create_histogram("seconds")
with TracerProvider().get_tracer("program").start_as_current_span("work"):
    histogram.record(1.5)
point = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
print(len(point.exemplars))
PY
cat >program.mjs <<'JS'
import { trace } from '@opentelemetry/api';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

new NodeTracerProvider().register();
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter });
const provider = new MeterProvider({ readers: [reader] });
const histogram = provider.getMeter('program').createHistogram('seconds');
trace.getTracer('program').startActiveSpan('work', (span) => {
  if (!span.isRecording()) throw new Error('the span is not sampled');
  histogram.record(1.5);
  span.end();
});
await provider.forceFlush();
const point = exporter.getMetrics()[0].scopeMetrics[0].metrics[0].dataPoints[0];
if (point.value.count !== 1) throw new Error('the histogram is empty');
console.log(JSON.stringify(point).match(/exemplar/i)?.length ?? 0);
await provider.shutdown();
JS

export OTEL_METRICS_EXEMPLAR_FILTER=always_on
node=$(timeout 180 node program.mjs)
python=$(timeout 180 venv/bin/python program.py)
echo "exemplars of one recording within a sampled span: JavaScript $node, Python $python"
[ "$node" = 0 ] && [ "$python" = 1 ] || exit 1
