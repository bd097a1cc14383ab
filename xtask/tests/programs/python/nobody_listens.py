"""A client on a port where nothing listens."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    try:
        MilvusClient("http://127.0.0.1:1", timeout=3)
    except Exception as error:
        print(type(error).__name__)
