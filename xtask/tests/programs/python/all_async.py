"""The async client, with the instrumentor that is named: `sync` (the wrong one), `aio` or `both`."""

import asyncio
import sys

from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from traced import URI, tracer

INSTRUMENTORS = {
    "sync": [GrpcInstrumentorClient],
    "aio": [GrpcAioInstrumentorClient],
    "both": [GrpcInstrumentorClient, GrpcAioInstrumentorClient],
}
tracer = tracer(*(make() for make in INSTRUMENTORS[sys.argv[1]]))

from pymilvus import AsyncMilvusClient


async def main():
    with tracer.start_as_current_span("request"):
        client = AsyncMilvusClient(URI)
        await client.create_collection("async", dimension=4)
        await client.insert("async", [{"id": i, "vector": [i] * 4} for i in range(10)])
        await client.search("async", data=[[0.1] * 4], consistency_level="Strong")
        await client.drop_collection("async")
        await client.close()


asyncio.run(main())
