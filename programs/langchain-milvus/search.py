"""Add texts to LangChain's store on Milvus and search them, blocking and awaited.

`SETUP` chooses the instrumentation:
  sync           gRPC's blocking channels only, as tutorials have it
  both           gRPC's blocking and asyncio channels
  openinference  both, with OpenInference's spans for LangChain
"""

import asyncio
import os

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_milvus import Milvus
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
tracer = trace.get_tracer("langchain-milvus")

setup = os.environ.get("SETUP", "sync")
GrpcInstrumentorClient().instrument()
if setup != "sync":
    GrpcAioInstrumentorClient().instrument()
if setup == "openinference":
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument()


async def search_async(store):
    return await store.asimilarity_search("which animal is quiet?", k=3)


with tracer.start_as_current_span("langchain-milvus"):
    store = Milvus(
        embedding_function=DeterministicFakeEmbedding(size=8),
        connection_args={"uri": os.environ["MILVUS_URI"]},
        collection_name=os.environ.get("MILVUS_COLLECTION", "langchain"),
        index_params={"index_type": "FLAT", "metric_type": "L2"},
        consistency_level="Strong",
        auto_id=True,
        drop_old=True,
    )
    store.add_texts(TEXTS)
    print(
        "found", store.similarity_search("which animal is quiet?", k=3)[0].page_content
    )
    print(
        "found",
        store.as_retriever(search_kwargs={"k": 3})
        .invoke("which animal is loud?")[0]
        .page_content,
    )
    print("found", asyncio.run(search_async(store))[0].page_content)
    store.client.drop_collection(store.collection_name)
