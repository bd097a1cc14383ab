"""A provider that is given to the instrumentor and isn't the global one."""

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from traced import URI

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
GrpcInstrumentorClient().instrument(tracer_provider=provider)

from pymilvus import MilvusClient

with provider.get_tracer("program").start_as_current_span("program"):
    MilvusClient(URI).list_collections()
