"""An insert that asyncio cancels after it was sent: its client span is never ended."""

import asyncio

from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient(), GrpcAioInstrumentorClient())

from pymilvus import AsyncMilvusClient

ROWS = [{"id": i, "vector": [i] * 64} for i in range(2000)]


async def main():
    with tracer.start_as_current_span("request"):
        client = AsyncMilvusClient(URI)
        await client.create_collection("cancelled", dimension=64)
        await client.insert("cancelled", ROWS[:1])
        search = asyncio.ensure_future(client.search("cancelled", data=[[0.1] * 64], consistency_level="Strong"))
        await asyncio.sleep(0.02)
        search.cancel()
        try:
            await search
        except asyncio.CancelledError:
            print("cancelled")
        await client.drop_collection("cancelled")
        await client.close()


asyncio.run(main())
