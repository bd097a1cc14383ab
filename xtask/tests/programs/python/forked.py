"""A forked child that ends without a flush: the server's spans come, the client's don't."""

import multiprocessing

from opentelemetry import context
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())


def child(parent):
    from pymilvus import MilvusClient

    context.attach(parent)
    with tracer.start_as_current_span("child"):
        MilvusClient(URI).list_collections()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    with tracer.start_as_current_span("parent"):
        process = multiprocessing.Process(target=child, args=(context.get_current(),))
        process.start()
        process.join(15)
