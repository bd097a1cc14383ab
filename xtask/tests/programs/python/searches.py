"""Eight searches and an end at once, before the C++ half of the server sends its spans."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    client = MilvusClient(URI)
    client.create_collection("searches", dimension=8, consistency_level="Strong")
    client.insert("searches", [{"id": i, "vector": [i] * 8} for i in range(10)])
    for _ in range(8):
        client.search("searches", data=[[0.1] * 8])
    client.drop_collection("searches")
