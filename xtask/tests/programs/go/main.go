// Program is a Milvus client of one kind, chosen by its argument.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(kind string) error {
	ctx := context.Background()
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return err
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithBatcher(exporter)}
	if kind == "own-instance" {
		options = append(options, sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "shop"), attribute.String("service.instance.id", "shop-7f9c"))))
	}
	provider := sdktrace.NewTracerProvider(options...)
	defer func() { _ = provider.Shutdown(ctx) }()
	otel.SetTracerProvider(provider)
	if kind != "no-propagator" {
		otel.SetTextMapPropagator(propagation.TraceContext{})
	}
	ctx, root := provider.Tracer("program").Start(ctx, "program")
	defer root.End()
	if kind == "not-utf8" {
		root.SetAttributes(attribute.String("query.id", "a\xffb"))
	}
	address := os.Getenv("MILVUS_URI")
	if kind == "nowhere" {
		address = "127.0.0.1:1"
	}
	dialling, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	milvus, err := client.NewClient(dialling, client.Config{
		Address:     address,
		DialOptions: append(append([]grpc.DialOption{}, client.DefaultGrpcOpts...), grpc.WithStatsHandler(otelgrpc.NewClientHandler())),
	})
	if err != nil {
		fmt.Println(err)
		return nil
	}
	defer func() { _ = milvus.Close() }()
	call(ctx, milvus, kind)
	return nil
}

func call(ctx context.Context, milvus client.Client, kind string) {
	switch kind {
	case "missing":
		_, err := milvus.DescribeCollection(ctx, "missing")
		fmt.Println(err)
		fmt.Println(milvus.DropCollection(ctx, "missing"))
		_, err = milvus.GetCollectionStatistics(ctx, "missing")
		fmt.Println(err)
	case "cancelled":
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err := milvus.ListCollections(over)
		fmt.Println(err)
	default:
		_, err := milvus.ListCollections(ctx)
		fmt.Println(err)
		_, err = milvus.HasCollection(ctx, "missing")
		fmt.Println(err)
	}
}
