"""Searches with a deadline of 50 ms: Strong consistency waits for the next time tick, up to 200 ms."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    client = MilvusClient(URI)
    client.create_collection("short", dimension=8, consistency_level="Strong")
    client.insert("short", [{"id": i, "vector": [i] * 8} for i in range(10)])
    for _ in range(8):
        try:
            client.search("short", data=[[0.1] * 8], timeout=0.05)
        except Exception as error:
            print(type(error).__name__)
    client.drop_collection("short")
