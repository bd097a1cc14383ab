"""Milvus in ten calls, traced: the calls and the server's work end up in one trace."""

import os
import sys
from contextlib import closing

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import MilvusClient

URI = os.environ.get("MILVUS_URI") or "http://localhost:19530"
TOKEN = os.environ.get("MILVUS_TOKEN", "")
COLLECTION = os.environ.get("MILVUS_COLLECTION") or "quick_setup"
DIMENSION = 5
TIMEOUT = 30  # Seconds for one call; without it, pymilvus retries for minutes.


def set_up_tracing() -> TracerProvider:
    # The environment comes last, so it wins.
    ours = Resource({SERVICE_NAME: "milvus-client", "application": "milvus-otel-test"})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())

    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    # Only channels opened after this line are traced.
    GrpcInstrumentorClient().instrument()
    return provider


def quick_setup() -> None:
    with closing(MilvusClient(uri=URI, token=TOKEN, timeout=10)) as client:
        print(f"connected to {URI}")

        if client.has_collection(COLLECTION, timeout=TIMEOUT):
            client.drop_collection(COLLECTION, timeout=TIMEOUT)
            print(f"dropped the {COLLECTION} that was there")

        # This creates the index and loads the collection, too. With Strong consistency,
        # the search below sees the rows inserted just before it.
        client.create_collection(
            COLLECTION,
            dimension=DIMENSION,
            metric_type="COSINE",
            consistency_level="Strong",
            timeout=TIMEOUT,
        )
        print(f"created {COLLECTION}")

        state = client.get_load_state(COLLECTION, timeout=TIMEOUT)["state"]
        print(f"load state: {state}")

        rows = [
            {
                "id": i,
                "vector": [(i + d) / 10 for d in range(DIMENSION)],
                "color": ("red", "green", "blue")[i % 3],
            }
            for i in range(10)
        ]
        inserted = client.insert(COLLECTION, rows, timeout=TIMEOUT)["insert_count"]
        if inserted != 10:
            raise RuntimeError(f"inserted {inserted} rows instead of 10")
        print(f"inserted {inserted} rows")

        query = [0.1, 0.2, 0.3, 0.4, 0.5]
        hits = client.search(COLLECTION, data=[query], limit=3, timeout=TIMEOUT)[0]
        if len(hits) != 3:
            raise RuntimeError(f"found {len(hits)} rows instead of 3")
        print("found ids", ", ".join(str(hit["id"]) for hit in hits))

        client.drop_collection(COLLECTION, timeout=TIMEOUT)
        print(f"dropped {COLLECTION}")


def main() -> int:
    provider = set_up_tracing()
    tracer = trace.get_tracer("quick_setup")
    exit_code = 0
    try:
        # An exception that leaves this block is recorded on the span as its error.
        with tracer.start_as_current_span("test_milvus_otel") as root:
            quick_setup()
    except Exception as error:
        print(f"failed: {error}", file=sys.stderr)
        exit_code = 1

    provider.shutdown()  # Sends the spans that are still queued.
    print(f"trace_id={trace.format_trace_id(root.get_span_context().trace_id)}")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
