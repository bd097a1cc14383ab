#!/bin/sh
case "$SETUP" in
  late) exec node_modules/.bin/bun search.js ;;
  *) exec node_modules/.bin/bun --preload ./tracing.js search.js ;;
esac
