// Milvus in ten calls, traced: the calls and the server's work end up in one trace.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/milvus-io/milvus/client/v2/entity"
	"github.com/milvus-io/milvus/client/v2/index"
	"github.com/milvus-io/milvus/client/v2/milvusclient"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	logglobal "go.opentelemetry.io/otel/log/global"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

const dimension = 5

var (
	uri        = cmp.Or(os.Getenv("MILVUS_URI"), "http://localhost:19530")
	token      = os.Getenv("MILVUS_TOKEN")
	collection = cmp.Or(os.Getenv("MILVUS_COLLECTION"), "quick_setup")
	logger     = otelslog.NewLogger("quick_setup")
)

func main() {
	if err := run(context.Background()); err != nil {
		os.Exit(1)
	}
}

// run starts the root span, the parent of every call that quickSetup makes.
func run(ctx context.Context) error {
	shutdowns, err := setUpTelemetry(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		return err
	}

	spanCtx, root := otel.Tracer("quick_setup").Start(ctx, "test_milvus_otel")
	if err = quickSetup(spanCtx); err != nil {
		root.RecordError(err)
		root.SetStatus(codes.Error, err.Error())
		fmt.Fprintln(os.Stderr, "failed:", err)
	}
	root.End()

	// Sends what is still queued.
	flushCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, shutdown := range shutdowns {
		if lost := shutdown(flushCtx); lost != nil {
			fmt.Fprintln(os.Stderr, "telemetry was lost:", lost)
		}
	}
	fmt.Printf("trace_id=%s\n", root.SpanContext().TraceID())
	return err
}

// setUpTelemetry returns what must be called before the program ends, so that nothing is lost.
func setUpTelemetry(ctx context.Context) ([]func(context.Context) error, error) {
	// Without an endpoint, the exporters would use TLS, unlike those of other languages.
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
	}
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("create the exporter: %w", err)
	}

	// The environment comes last, so it wins.
	attributes, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "milvus-client"),
			attribute.String("application", "milvus-otel-test"),
		),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("read the resource attributes: %w", err)
	}

	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(attributes))
	otel.SetTracerProvider(provider)
	// Go's default propagator sends no trace context: the server's spans would start new traces.
	otel.SetTextMapPropagator(propagation.TraceContext{})
	shutdowns := []func(context.Context) error{provider.Shutdown}

	// The tutorial's Jaeger accepts only traces, so these two are off unless the environment asks for them.
	if os.Getenv("OTEL_METRICS_EXPORTER") == "otlp" {
		exporter, err := otlpmetricgrpc.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("create the exporter of metrics: %w", err)
		}
		reader := sdkmetric.NewPeriodicReader(exporter)
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(attributes))
		otel.SetMeterProvider(provider)
		shutdowns = append(shutdowns, provider.Shutdown)
	}
	if os.Getenv("OTEL_LOGS_EXPORTER") == "otlp" {
		exporter, err := otlploggrpc.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("create the exporter of logs: %w", err)
		}
		processor := sdklog.NewBatchProcessor(exporter)
		provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(processor), sdklog.WithResource(attributes))
		logglobal.SetLoggerProvider(provider)
		shutdowns = append(shutdowns, provider.Shutdown)
	}
	return shutdowns, nil
}

// say prints a line and logs it as a record of the current span.
func say(ctx context.Context, words ...any) {
	line := strings.TrimSuffix(fmt.Sprintln(words...), "\n")
	fmt.Println(line)
	logger.InfoContext(ctx, line)
}

func quickSetup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	client, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", uri, err)
	}
	defer client.Close(ctx)
	say(ctx, "connected to", uri)

	exists, err := client.HasCollection(ctx, milvusclient.NewHasCollectionOption(collection))
	if err != nil {
		return fmt.Errorf("look for %s: %w", collection, err)
	}
	if exists {
		if err := client.DropCollection(ctx, milvusclient.NewDropCollectionOption(collection)); err != nil {
			return fmt.Errorf("drop the %s that was there: %w", collection, err)
		}
		say(ctx, "dropped the", collection, "that was there")
	}

	// This creates the index and loads the collection, too. With Strong consistency, the search below
	// sees the rows inserted just before it.
	vectorIndex := milvusclient.NewCreateIndexOption(collection, "vector", index.NewAutoIndex(entity.COSINE))
	err = client.CreateCollection(ctx, milvusclient.SimpleCreateCollectionOptions(collection, dimension).
		WithAutoID(false).
		WithConsistencyLevel(entity.ClStrong).
		WithIndexOptions(vectorIndex))
	if err != nil {
		return fmt.Errorf("create %s: %w", collection, err)
	}
	say(ctx, "created", collection)

	load, err := client.GetLoadState(ctx, milvusclient.NewGetLoadStateOption(collection))
	if err != nil {
		return fmt.Errorf("get the load state: %w", err)
	}
	say(ctx, "loaded:", load.State == entity.LoadStateLoaded)

	inserted, err := client.Insert(ctx, milvusclient.NewRowBasedInsertOption(collection, rows()...))
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if inserted.InsertCount != 10 {
		return fmt.Errorf("inserted %d rows instead of 10", inserted.InsertCount)
	}
	say(ctx, "inserted", inserted.InsertCount, "rows")

	query := []entity.Vector{entity.FloatVector{0.1, 0.2, 0.3, 0.4, 0.5}}
	results, err := client.Search(ctx, milvusclient.NewSearchOption(collection, 3, query))
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	found, err := ids(results)
	if err != nil {
		return fmt.Errorf("read the hits: %w", err)
	}
	if len(found) != 3 {
		return fmt.Errorf("found %d rows instead of 3", len(found))
	}
	say(ctx, "found ids", found)

	if err := client.DropCollection(ctx, milvusclient.NewDropCollectionOption(collection)); err != nil {
		return fmt.Errorf("drop %s: %w", collection, err)
	}
	say(ctx, "dropped", collection)
	return nil
}

func connect(ctx context.Context) (*milvusclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// DialOptions replace the client's defaults, so the list starts with those.
	tracing := []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler())}
	options := slices.Concat(milvusclient.DefaultGrpcOpts, tracing)
	return milvusclient.New(ctx, &milvusclient.ClientConfig{Address: uri, APIKey: token, DialOptions: options})
}

func rows() []any {
	colors := []string{"red", "green", "blue"}
	rows := make([]any, 10)
	for i := range rows {
		vector := make([]float32, dimension)
		for d := range vector {
			vector[d] = float32(i+d) / 10
		}
		rows[i] = map[string]any{"id": int64(i), "vector": vector, "color": colors[i%len(colors)]}
	}
	return rows
}

func ids(results []milvusclient.ResultSet) ([]int64, error) {
	var ids []int64
	for _, hits := range results {
		if hits.Err != nil {
			return nil, hits.Err
		}
		for i := range hits.Len() {
			id, err := hits.IDs.GetAsInt64(i)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}
