"""Milvus in ten calls, traced: the calls and the server's work end up in one trace."""

import logging
import os
import sys
from contextlib import closing

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import MilvusClient

URI = os.environ.get("MILVUS_URI") or "http://localhost:19530"
TOKEN = os.environ.get("MILVUS_TOKEN", "")
COLLECTION = os.environ.get("MILVUS_COLLECTION") or "quick_setup"
DIMENSION = 5
TIMEOUT = 30  # Seconds for one call; without it, pymilvus retries for minutes.

logging.basicConfig(format="%(message)s", stream=sys.stdout)
log = logging.getLogger("quick_setup")
log.setLevel(logging.INFO)


def set_up_telemetry() -> list:
    """Set up all signals; their providers must be shut down before the program ends."""
    # The environment comes last, so it wins.
    ours = Resource({SERVICE_NAME: "milvus-client", "application": "milvus-otel-test"})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())

    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    providers = [provider]

    # The tutorial's Jaeger accepts only traces, so the others are off by default.
    if os.environ.get("OTEL_METRICS_EXPORTER") == "otlp":
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource)
        metrics.set_meter_provider(meters)
        providers.append(meters)
    if os.environ.get("OTEL_LOGS_EXPORTER") == "otlp":
        logs = LoggerProvider(resource)
        logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        handler = LoggingHandler(logger_provider=logs)
        logging.getLogger().addHandler(handler)
        # pymilvus passes none of its records on to the root logger.
        logging.getLogger("pymilvus").addHandler(handler)
        providers.append(logs)

    # Only channels opened after this line are traced.
    GrpcInstrumentorClient().instrument()
    return providers


def quick_setup() -> None:
    with closing(MilvusClient(uri=URI, token=TOKEN, timeout=10)) as client:
        log.info("connected to %s", URI)

        if client.has_collection(COLLECTION, timeout=TIMEOUT):
            client.drop_collection(COLLECTION, timeout=TIMEOUT)
            log.info("dropped the %s that was there", COLLECTION)

        # This creates the index and loads the collection, too. With Strong consistency,
        # the search below sees the rows inserted just before it.
        client.create_collection(
            COLLECTION,
            dimension=DIMENSION,
            metric_type="COSINE",
            consistency_level="Strong",
            timeout=TIMEOUT,
        )
        log.info("created %s", COLLECTION)

        state = client.get_load_state(COLLECTION, timeout=TIMEOUT)["state"]
        log.info("load state: %s", state)

        rows = [
            {
                "id": i,
                "vector": [(i + d) / 10 for d in range(DIMENSION)],
                "color": ("red", "green", "blue")[i % 3],
            }
            for i in range(10)
        ]
        inserted = client.insert(COLLECTION, rows, timeout=TIMEOUT)["insert_count"]
        if inserted != 10:
            raise RuntimeError(f"inserted {inserted} rows instead of 10")
        log.info("inserted %s rows", inserted)

        query = [0.1, 0.2, 0.3, 0.4, 0.5]
        hits = client.search(COLLECTION, data=[query], limit=3, timeout=TIMEOUT)[0]
        if len(hits) != 3:
            raise RuntimeError(f"found {len(hits)} rows instead of 3")
        log.info("found ids %s", ", ".join(str(hit["id"]) for hit in hits))

        client.drop_collection(COLLECTION, timeout=TIMEOUT)
        log.info("dropped %s", COLLECTION)


def main() -> int:
    providers = set_up_telemetry()
    tracer = trace.get_tracer("quick_setup")
    exit_code = 0
    try:
        # An exception that leaves this block is recorded on the span as its error.
        with tracer.start_as_current_span("test_milvus_otel") as root:
            quick_setup()
    except Exception as error:
        print(f"failed: {error}", file=sys.stderr)
        exit_code = 1

    for provider in providers:
        provider.shutdown()  # Sends what is still queued.
    print(f"trace_id={trace.format_trace_id(root.get_span_context().trace_id)}")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
