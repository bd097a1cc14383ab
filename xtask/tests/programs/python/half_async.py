"""The sync client is instrumented, as tutorials have it; the async client that serves isn't."""

import asyncio

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import AsyncMilvusClient, MilvusClient


async def serve():
    client = AsyncMilvusClient(URI)
    for _ in range(5):
        with tracer.start_as_current_span("request"):
            await client.search("half", data=[[0.1] * 4])
    await client.close()


with tracer.start_as_current_span("set-up"):
    client = MilvusClient(URI)
    client.create_collection("half", dimension=4)
    client.insert("half", [{"id": i, "vector": [i] * 4} for i in range(10)])
asyncio.run(serve())
client.drop_collection("half")
