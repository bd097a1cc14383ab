#!/usr/bin/env bash
# Expected: minor versions of @opentelemetry/api work together. The package keeps its state in one global object for
#   that purpose, so a library may have its own copy.
# Observed: a copy that is newer than the one that registered the SDK (1.10.0 beside 1.9.1) does nothing: its spans
#   are never recorded, it sees no active span, and there is no warning, even if the program has set a diagnostic
#   logger. An older copy works.
# Versions: @opentelemetry/api 1.9.1 and 1.10.0, @opentelemetry/sdk-trace-node 2.12.1.
# Affects: users of an instrumented library that was upgraded before the program. Its spans are missing, its requests
#   carry no trace context, and a trace that was whole breaks in two.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm init --yes >/dev/null
npm install --silent --no-audit --no-fund \
    @opentelemetry/api@1.9.1 newer-api@npm:@opentelemetry/api@1.10.0 @opentelemetry/sdk-trace-node@2.12.1 >/dev/null

cat >program.mjs <<'JS'
import * as older from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import * as newer from 'newer-api';

let warnings = 0;
const count = () => { warnings += 1; };
const logger = { error: count, warn: count, info() {}, debug() {}, verbose() {} };
older.diag.setLogger(logger, older.DiagLogLevel.ALL);

const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();

const seen = {};
older.trace.getTracer('program').startActiveSpan('request', (request) => {
  newer.trace.getTracer('library').startActiveSpan('library work', (work) => {
    const carrier = {};
    newer.propagation.inject(newer.context.active(), carrier);
    seen.traceparent = carrier.traceparent ?? 'none';
    work.end();
  });
  request.end();
});
seen.spans = exporter.getFinishedSpans().map((span) => span.name);
seen.warnings = warnings;
console.log(JSON.stringify(seen));
JS

seen=$(timeout 180 node program.mjs)
echo "the program uses API 1.9.1, the library API 1.10.0: $seen"
[ "$seen" = '{"traceparent":"none","spans":["request"],"warnings":0}' ] || exit 1
