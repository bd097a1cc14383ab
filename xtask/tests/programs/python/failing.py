"""Calls that fail for reasons of their own: a missing collection, a wrong dimension, a short deadline, an unknown method."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    client = MilvusClient(URI)
    client.create_collection("failing", dimension=4)
    client.insert("failing", [{"id": i, "vector": [i] * 4} for i in range(10)])
    attempts = {
        "missing": lambda: client.search("nope", data=[[0.1] * 4]),
        "dimension": lambda: client.search("failing", data=[[0.1] * 5]),
        "deadline": lambda: client.query("failing", filter="id > 0", timeout=0.0005),
        "unknown": client.list_privilege_groups,
    }
    for name, attempt in attempts.items():
        with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False):
            try:
                attempt()
            except Exception as error:
                print(name, type(error).__name__)
    client.drop_collection("failing")
