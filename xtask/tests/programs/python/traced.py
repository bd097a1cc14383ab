"""The set-up that the programs share: a global provider that exports over gRPC."""

import atexit
import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

URI = os.environ.get("MILVUS_URI", "http://127.0.0.1:19530")


def tracer(*instrumentors):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
    trace.set_tracer_provider(provider)
    atexit.register(provider.shutdown)
    for instrumentor in instrumentors:
        instrumentor.instrument()
    return trace.get_tracer("program")
