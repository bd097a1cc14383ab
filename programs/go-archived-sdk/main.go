// Insert three rows with the archived Go SDK and search them.
//
// SETUP chooses the tracing:
//
//	handler     otelgrpc's handler and a provider, as otelgrpc's documentation has it
//	propagator  the same, and a propagator, without which Go sends no trace context
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

var (
	texts      = []string{"the cat sleeps on the sofa", "the dog barks at night", "rain falls on the roof"}
	vectors    = [][]float32{{1, 0}, {0, 1}, {1, 1}}
	collection = cmp.Or(os.Getenv("MILVUS_COLLECTION"), "go_archived_sdk")
)

func main() {
	exporter := must(otlptracegrpc.New(context.Background()))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	if os.Getenv("SETUP") != "handler" {
		otel.SetTextMapPropagator(propagation.TraceContext{})
	}
	ctx, root := otel.Tracer("go-archived-sdk").Start(context.Background(), "go-archived-sdk")
	addAndSearch(ctx)
	root.End()
	check(provider.Shutdown(context.Background()))
}

func addAndSearch(ctx context.Context) {
	tracing := grpc.WithStatsHandler(otelgrpc.NewClientHandler())
	config := client.Config{Address: os.Getenv("MILVUS_URI"), DialOptions: append(client.DefaultGrpcOpts, tracing)}
	milvus := must(client.NewClient(ctx, config))
	defer milvus.Close()

	id := entity.NewField().WithName("id").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true).WithIsAutoID(true)
	text := entity.NewField().WithName("text").WithDataType(entity.FieldTypeVarChar).WithMaxLength(100)
	vector := entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(2)
	schema := entity.NewSchema().WithName(collection).WithField(id).WithField(text).WithField(vector)
	check(milvus.CreateCollection(ctx, schema, 1, client.WithConsistencyLevel(entity.ClStrong)))
	check(milvus.CreateIndex(ctx, collection, "vector", must(entity.NewIndexFlat(entity.L2)), false))
	check(milvus.LoadCollection(ctx, collection, false))

	columns := []entity.Column{entity.NewColumnVarChar("text", texts), entity.NewColumnFloatVector("vector", 2, vectors)}
	must(milvus.Insert(ctx, collection, "", columns...))
	question := []entity.Vector{entity.FloatVector{1, 0}}
	flat := must(entity.NewIndexFlatSearchParam())
	hits := must(milvus.Search(ctx, collection, nil, "", []string{"text"}, question, "vector", entity.L2, 1, flat))
	fmt.Println("found", must(hits[0].Fields.GetColumn("text").GetAsString(0)))
	check(milvus.DropCollection(ctx, collection))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
