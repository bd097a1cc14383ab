"""Create, fill and search a collection with pymilvus's ORM classes."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import (
    Collection,
    CollectionSchema,
    DataType,
    FieldSchema,
    connections,
    utility,
)

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("pymilvus-orm")
GrpcInstrumentorClient().instrument()

with tracer.start_as_current_span("pymilvus-orm"):
    connections.connect(uri=os.environ["MILVUS_URI"])
    schema = CollectionSchema(
        [
            FieldSchema("id", DataType.INT64, is_primary=True),
            FieldSchema("vector", DataType.FLOAT_VECTOR, dim=8),
        ]
    )
    collection = Collection(
        os.environ.get("MILVUS_COLLECTION", "orm"), schema, consistency_level="Strong"
    )
    collection.insert([[0, 1, 2], [[0.1 * at] * 8 for at in range(3)]])
    collection.create_index(
        "vector", {"index_type": "FLAT", "metric_type": "L2", "params": {}}
    )
    collection.load()
    hits = collection.search([[0.1] * 8], "vector", {"metric_type": "L2"}, limit=1)
    print("found", hits[0].ids[0])
    utility.drop_collection(collection.name)
    connections.disconnect("default")
