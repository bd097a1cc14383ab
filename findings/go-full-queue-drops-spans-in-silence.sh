#!/usr/bin/env bash
# Expected: the program learns about lost spans, because the Go SDK has an error handler, and ForceFlush and Shutdown
#   return errors.
# Observed: spans that find the batch processor's queue full (2,048) are dropped without an error: the error handler
#   isn't called, and ForceFlush and Shutdown return nil. Of 20,000 spans ended in a loop, a few thousand arrive. The
#   number of dropped spans is logged at a level that the SDK's default logger doesn't show.
# Versions: go.opentelemetry.io/otel/sdk v1.47.0.
# Affects: programs with bursts (a batch import, a loop over rows). Parents are missing at random. Because the program
#   reports success, the loss is looked for in the network, the Collector and the sampler.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'GO'
module program

go 1.25.0

require go.opentelemetry.io/otel/sdk v1.47.0
GO
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// slow takes 200 ms for a batch, as a receiver far away does.
type slow struct{ spans int }

func (s *slow) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	time.Sleep(200 * time.Millisecond)
	s.spans += len(spans)
	return nil
}

func (s *slow) Shutdown(context.Context) error { return nil }

func main() {
	errors := 0
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { errors++ }))

	exporter := &slow{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	ctx, tracer := context.Background(), provider.Tracer("program")
	for range 20_000 {
		_, span := tracer.Start(ctx, "row")
		span.End()
	}
	flush, shutdown := provider.ForceFlush(ctx), provider.Shutdown(ctx)
	fmt.Printf("%d of 20000 spans arrived; ForceFlush: %v, Shutdown: %v, errors handled: %d\n", exporter.spans, flush, shutdown, errors)
	if exporter.spans > 15_000 || flush != nil || shutdown != nil || errors > 0 {
		os.Exit(1)
	}
}
GO
go build -mod=mod -o program . 2>/dev/null
timeout 180 ./program 2>stderr
echo "on standard error: $(wc -c <stderr) bytes"
[ ! -s stderr ] || exit 1
