"""Milvus's REST API, traced by the instrumentation of `requests`."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient(), RequestsInstrumentor())

import requests

with tracer.start_as_current_span("program"):
    for path, body in [
        ("collections/create", {"collectionName": "rest", "dimension": 4}),
        ("insert", {"collectionName": "rest", "data": [{"id": 1, "vector": [0.1] * 4}]}),
        ("search", {"collectionName": "rest", "vector": [0.1] * 4, "limit": 1}),
        ("collections/drop", {"collectionName": "rest"}),
    ]:
        print(path, requests.post(f"{URI}/v1/vector/{path}", json=body).status_code)
