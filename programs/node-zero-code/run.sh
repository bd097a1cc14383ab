#!/bin/sh
# `SETUP` chooses how the tracing is started:
#   late    by the program, below its imports: gRPC is loaded already
#   import  before the program: every call is traced, each in a trace of its own
#   root    the same, and the program puts one span around its calls
case "$SETUP" in
  late) exec node search.js ;;
  *) exec node --import @opentelemetry/auto-instrumentations-node/register search.js ;;
esac
