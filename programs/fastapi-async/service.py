"""Serve searches with FastAPI and pymilvus's asyncio client, and ask three times.

`SETUP` chooses the instrumentation:
  sync  FastAPI and gRPC's blocking channels, as tutorials have it
  both  FastAPI and gRPC's blocking and asyncio channels
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcInstrumentorClient,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import AsyncMilvusClient, MilvusClient

COLLECTION = os.environ.get("MILVUS_COLLECTION", "fastapi")

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("fastapi-async")

GrpcInstrumentorClient().instrument()
if os.environ.get("SETUP", "sync") == "both":
    GrpcAioInstrumentorClient().instrument()


@asynccontextmanager
async def lifespan(app):
    app.state.milvus = AsyncMilvusClient(os.environ["MILVUS_URI"])
    yield
    await app.state.milvus.close()


app = FastAPI(lifespan=lifespan)


@app.get("/search")
async def search(x: float):
    found = await app.state.milvus.search(COLLECTION, data=[[x] * 8], limit=1)
    return {"id": found[0][0]["id"]}


FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])


async def serve_three():
    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        for at in range(3):
            answer = await http.get("/search", params={"x": 0.1 * at})
            print("found", answer.json()["id"])


with tracer.start_as_current_span("set-up"):
    client = MilvusClient(os.environ["MILVUS_URI"])
    client.create_collection(COLLECTION, dimension=8, consistency_level="Strong")
    client.insert(COLLECTION, [{"id": at, "vector": [0.1 * at] * 8} for at in range(3)])
asyncio.run(serve_three())
with tracer.start_as_current_span("tear-down"):
    client.drop_collection(COLLECTION)
