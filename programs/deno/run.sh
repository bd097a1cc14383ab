#!/bin/sh
# `SETUP` chooses the tracing:
#   own   Deno's own
#   both  Deno's own, with Node's instrumentation of gRPC
#   node  Node's instrumentation, provider and exporter
deno="node_modules/.bin/deno run --allow-all"
case "$SETUP" in
  own) OTEL_DENO=true exec $deno search.js ;;
  both) OTEL_DENO=true exec $deno --preload ./tracing.js search.js ;;
  *) exec $deno --preload ./tracing.js search.js ;;
esac
