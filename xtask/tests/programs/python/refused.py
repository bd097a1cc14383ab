"""A traced program that also sends a request that can't be read, as a broken exporter does."""

import urllib.error
import urllib.request

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

with tracer.start_as_current_span("program"):
    MilvusClient(URI).list_collections()
    broken = urllib.request.Request(
        "http://127.0.0.1:4318/v1/traces",
        data=b'{"resourceSpans": [{"scopeSpans": [{"spans": [',
        headers={"Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(broken)
    except urllib.error.HTTPError as error:
        print(error.code)
