// Milvus in ten calls, traced: the calls and the server's work end up in one trace.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/milvus-io/milvus/client/v2/entity"
	"github.com/milvus-io/milvus/client/v2/index"
	"github.com/milvus-io/milvus/client/v2/milvusclient"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

const dimension = 5

var (
	uri        = cmp.Or(os.Getenv("MILVUS_URI"), "http://localhost:19530")
	token      = os.Getenv("MILVUS_TOKEN")
	collection = cmp.Or(os.Getenv("MILVUS_COLLECTION"), "quick_setup")
)

func main() {
	if err := run(context.Background()); err != nil {
		os.Exit(1)
	}
}

// run starts the root span, the parent of every call that quickSetup makes.
func run(ctx context.Context) error {
	provider, err := setUpTracing(ctx)
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

	// Sends the spans that are still queued.
	flushCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if lost := provider.Shutdown(flushCtx); lost != nil {
		fmt.Fprintln(os.Stderr, "spans were lost:", lost)
	}
	fmt.Printf("trace_id=%s\n", root.SpanContext().TraceID())
	return err
}

func setUpTracing(ctx context.Context) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracegrpc.New(ctx, exporterOptions()...)
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
	return provider, nil
}

// exporterOptions sets an endpoint only if the environment has none: an option overrides both variables.
// Without an endpoint, the exporter would use TLS, unlike those of other languages.
func exporterOptions() []otlptracegrpc.Option {
	if os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		return nil
	}
	return []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL("http://localhost:4317")}
}

func quickSetup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	client, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", uri, err)
	}
	defer client.Close(ctx)
	fmt.Println("connected to", uri)

	exists, err := client.HasCollection(ctx, milvusclient.NewHasCollectionOption(collection))
	if err != nil {
		return fmt.Errorf("look for %s: %w", collection, err)
	}
	if exists {
		if err := client.DropCollection(ctx, milvusclient.NewDropCollectionOption(collection)); err != nil {
			return fmt.Errorf("drop the %s that was there: %w", collection, err)
		}
		fmt.Printf("dropped the %s that was there\n", collection)
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
	fmt.Println("created", collection)

	load, err := client.GetLoadState(ctx, milvusclient.NewGetLoadStateOption(collection))
	if err != nil {
		return fmt.Errorf("get the load state: %w", err)
	}
	fmt.Println("loaded:", load.State == entity.LoadStateLoaded)

	inserted, err := client.Insert(ctx, milvusclient.NewRowBasedInsertOption(collection, rows()...))
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if inserted.InsertCount != 10 {
		return fmt.Errorf("inserted %d rows instead of 10", inserted.InsertCount)
	}
	fmt.Println("inserted", inserted.InsertCount, "rows")

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
	fmt.Println("found ids", found)

	if err := client.DropCollection(ctx, milvusclient.NewDropCollectionOption(collection)); err != nil {
		return fmt.Errorf("drop %s: %w", collection, err)
	}
	fmt.Println("dropped", collection)
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
