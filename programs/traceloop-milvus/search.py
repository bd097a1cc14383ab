"""Insert rows and search them under Traceloop's instrumentation of pymilvus.

`SETUP` chooses the instrumentation:
  alone  Traceloop's spans of pymilvus alone, as its documentation has it
  grpc   the same beside gRPC's instrumentation
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.instrumentation.milvus import MilvusInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import MilvusClient

TEXTS = [
    "the cat sleeps on the sofa",
    "the dog barks at night",
    "rain falls on the roof",
]

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("traceloop-milvus")

MilvusInstrumentor().instrument()
if os.environ.get("SETUP", "alone") == "grpc":
    GrpcInstrumentorClient().instrument()

with tracer.start_as_current_span("traceloop-milvus"):
    collection = os.environ.get("MILVUS_COLLECTION", "traceloop")
    client = MilvusClient(os.environ["MILVUS_URI"])
    client.create_collection(collection, dimension=8, consistency_level="Strong")
    client.insert(
        collection,
        [
            {"id": at, "vector": [0.1 * at] * 8, "text": text}
            for at, text in enumerate(TEXTS)
        ],
    )
    found = client.search(collection, data=[[0.1] * 8], limit=3, output_fields=["text"])
    print("found", found[0][0]["entity"]["text"])
    client.drop_collection(collection)
