"""An insert that is larger than the 64 MiB that Milvus accepts in one message."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    client = MilvusClient(URI)
    client.create_collection("big", dimension=1536)
    try:
        client.insert("big", [{"id": i, "vector": [0.5] * 1536} for i in range(12000)])
    except Exception as error:
        print(type(error).__name__)
    client.drop_collection("big")
