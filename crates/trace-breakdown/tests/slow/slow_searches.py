"""Searches that are slow for eleven reasons, each made for real in a trace of its own.

The root span of a trace is named after the reason that `breakdown` must name first. Rows, searches and waits are those that show the reason
on a machine with two cores.

Without an argument, all but `slow-link` are made. `slow-link` makes that one alone: run it with `--fault slow-link.toml`, which delays both
directions of the link to the server.
"""

import os
import random
import re
import signal
import sys
import threading
import time
from contextlib import closing, contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pymilvus import DataType, MilvusClient

URI = os.environ.get("MILVUS_URI") or "http://localhost:19530"
TOKEN = os.environ.get("MILVUS_TOKEN", "")
SEALED, GROWING = "breakdown_sealed", "breakdown_growing"
DIMENSION = 32
BITS = 1024
ROWS = 40_000
BATCH = 10_000
TIMEOUT = 120

random.seed(5)  # The vectors; not the ids of spans, which have their own generator.


def set_up_tracing() -> TracerProvider:
    ours = Resource({SERVICE_NAME: "milvus-client"})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    GrpcInstrumentorClient().instrument()
    return provider


tracer = trace.get_tracer("slow-searches")


@contextmanager
def case(reason: str):
    with tracer.start_as_current_span(reason, context=context.Context()):
        print(reason, flush=True)
        yield


def vectors(count: int) -> list:
    return [[random.random() for _ in range(DIMENSION)] for _ in range(count)]


def fill_sealed(client: MilvusClient, rows: int) -> None:
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 64})
    client.create_collection(SEALED, schema=schema, index_params=index, timeout=TIMEOUT)
    for first in range(0, rows, BATCH):
        batch = zip(range(first, first + BATCH), vectors(BATCH))
        batch = [{"id": i, "vector": v, "color": f"color {i * 7919 % rows}"} for i, v in batch]
        client.insert(SEALED, batch, timeout=TIMEOUT)
    client.flush(SEALED, timeout=TIMEOUT)
    # A collection that is loaded after its index was built has sealed segments with it.
    client.release_collection(SEALED, timeout=TIMEOUT)
    while client.describe_index(SEALED, "vector", timeout=TIMEOUT)["pending_index_rows"]:
        time.sleep(0.2)
    client.load_collection(SEALED, timeout=TIMEOUT)


def fill_growing(client: MilvusClient) -> None:
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.BINARY_VECTOR, dim=BITS)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="BIN_FLAT", metric_type="HAMMING")
    client.create_collection(GROWING, schema=schema, index_params=index, timeout=TIMEOUT)
    for first in range(0, ROWS, BATCH):
        rows = [{"id": first + i, "vector": random.randbytes(BITS // 8)} for i in range(BATCH)]
        client.insert(GROWING, rows, timeout=TIMEOUT)


def search(client: MilvusClient, data=None, limit=3, level="Bounded", **more) -> list:
    """A search in a span of the program's own, as an application has one around it."""
    with tracer.start_as_current_span("find"):
        return client.search(
            more.pop("collection", SEALED),
            data=data or vectors(1),
            limit=limit,
            consistency_level=level,
            timeout=TIMEOUT,
            **more,
        )


def server_process() -> int:
    """The process that listens on Milvus's port."""
    port = f":{int(re.search(r':([0-9]+)', URI.split('//')[1]).group(1)):04X}"
    with open("/proc/net/tcp") as ipv4, open("/proc/net/tcp6") as ipv6:
        lines = [line.split() for table in (ipv4, ipv6) for line in table]
    inodes = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(port) and line[3] == "0A"}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            open_files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if inodes & set(open_files):
            return int(pid)
    raise RuntimeError(f"no process listens on {URI}")


def stopped(client: MilvusClient) -> None:
    pid = server_process()

    def stop() -> None:
        time.sleep(0.002)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stop)
    thread.start()
    while thread.is_alive():
        search(client)
    thread.join()


def slow_client(client: MilvusClient) -> None:
    """The program computes while the answer waits: `sort` of numbers never lets another thread run."""
    numbers = [random.random() for _ in range(700_000)]
    started = threading.Event()

    def compute() -> None:
        started.set()
        time.sleep(0.002)
        numbers.sort()

    thread = threading.Thread(target=compute)
    thread.start()
    started.wait()
    search(client)
    thread.join()


def at_once(client: MilvusClient, count: int) -> None:
    here = context.get_current()
    together = threading.Barrier(count)

    def one(number: int) -> None:
        context.attach(here)
        data = vectors(10)
        together.wait()
        search(client, data, limit=50, filter=f"id != {number}")

    threads = [threading.Thread(target=one, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def slow_searches(client: MilvusClient) -> None:
    with case("cold"):
        search(client)

    with case("at-rest"):
        for _ in range(40):
            search(client)

    with case("consistency-wait"):
        row = {"id": ROWS, "vector": vectors(1)[0], "color": "new"}
        client.insert(SEALED, [row], timeout=TIMEOUT)
        search(client, level="Strong")

    with case("no-index"):
        many = [random.randbytes(BITS // 8) for _ in range(20)]
        search(client, many, collection=GROWING)

    with case("filter"):
        # A dynamic field is JSON, which is parsed for each row.
        search(client, filter='color == "color 7"')

    with case("long-expression"):
        ids = random.sample(range(ROWS), 30_000)
        search(client, filter=f"id in {ids}")

    with case("large-answer"):
        search(client, limit=16_384)

    with case("requery"):
        search(client, limit=100, output_fields=["vector"])

    with case("queue"):
        at_once(client, 50)

    with case("slow-client"):
        slow_client(client)

    with case("server-stood-still"):
        stopped(client)

    client.release_collection(SEALED, timeout=TIMEOUT)
    client.load_collection(SEALED, timeout=TIMEOUT)
    with case("first-after-load"):
        search(client)


def slow_link(client: MilvusClient) -> None:
    search(client)
    with case("slow-link"):
        client.get_load_state(SEALED, timeout=TIMEOUT)
        client.has_collection(SEALED, timeout=TIMEOUT)
        search(client)


def main() -> int:
    provider = set_up_tracing()
    try:
        with closing(MilvusClient(uri=URI, token=TOKEN, timeout=10)) as client:
            for name in (SEALED, GROWING):
                if client.has_collection(name, timeout=TIMEOUT):
                    client.drop_collection(name, timeout=TIMEOUT)
            if sys.argv[1:] == ["slow-link"]:
                fill_sealed(client, BATCH)
                slow_link(client)
            else:
                fill_sealed(client, ROWS)
                fill_growing(client)
                slow_searches(client)
            for name in (SEALED, GROWING):
                client.drop_collection(name, timeout=TIMEOUT)
    finally:
        provider.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
