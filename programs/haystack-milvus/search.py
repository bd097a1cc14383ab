"""Write three documents to Haystack's Milvus store and retrieve one through a pipeline.

`SETUP` chooses the instrumentation:
  sync      gRPC's blocking channels, as tutorials have it
  haystack  the same, with Haystack's own spans of pipelines and components
"""

import os

from haystack import Document, Pipeline, tracing
from milvus_haystack import MilvusDocumentStore, MilvusEmbeddingRetriever
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TEXTS = [
    "the cat sleeps on the sofa",
    "the dog barks at night",
    "rain falls on the roof",
]

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("haystack-milvus")

GrpcInstrumentorClient().instrument()
if os.environ.get("SETUP", "sync") == "haystack":
    from haystack_integrations.tracing.opentelemetry import OpenTelemetryTracer

    tracing.enable_tracing(OpenTelemetryTracer(tracer))

with tracer.start_as_current_span("haystack-milvus"):
    store = MilvusDocumentStore(
        connection_args={"uri": os.environ["MILVUS_URI"]},
        collection_name=os.environ.get("MILVUS_COLLECTION", "haystack"),
        drop_old=True,
        consistency_level="Strong",
        index_params={"index_type": "FLAT", "metric_type": "L2", "params": {}},
        search_params={"metric_type": "L2", "params": {}},
    )
    store.write_documents(
        [
            Document(content=text, embedding=[0.1 * at] * 8)
            for at, text in enumerate(TEXTS)
        ]
    )
    pipeline = Pipeline()
    pipeline.add_component(
        "retriever", MilvusEmbeddingRetriever(document_store=store, top_k=3)
    )
    result = pipeline.run({"retriever": {"query_embedding": [0.1] * 8}})
    print("found", result["retriever"]["documents"][0].content)
