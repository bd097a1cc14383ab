"""Index texts with LlamaIndex's Milvus store and query them, blocking and awaited.

`SETUP` chooses the instrumentation:
  sync  gRPC's blocking channels only, as tutorials have it
  both  gRPC's blocking and asyncio channels
"""

import asyncio
import os

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.milvus import MilvusVectorStore
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcInstrumentorClient,
)
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
tracer = trace.get_tracer("llama-index-milvus")

GrpcInstrumentorClient().instrument()
if os.environ.get("SETUP", "sync") == "both":
    GrpcAioInstrumentorClient().instrument()


async def main():
    collection = os.environ.get("MILVUS_COLLECTION", "llama_index")
    store = MilvusVectorStore(
        uri=os.environ["MILVUS_URI"],
        collection_name=collection,
        dim=8,
        overwrite=True,
        similarity_metric="L2",
        consistency_level="Strong",
    )
    embedding = MockEmbedding(embed_dim=8)
    index = VectorStoreIndex(
        [TextNode(text=text) for text in TEXTS],
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=embedding,
    )
    retriever = index.as_retriever(similarity_top_k=3)
    print("found", retriever.retrieve("which animal is quiet?")[0].text)
    print("found", (await retriever.aretrieve("which animal is loud?"))[0].text)
    store.client.drop_collection(collection)


with tracer.start_as_current_span("llama-index-milvus"):
    asyncio.run(main())
