"""An insert whose answer is lost with its connection, so that pymilvus sends it again.

The program reaches Milvus through a proxy of its own, which cuts the connection once: after the first big request and before its answer.
"""

import socket
import threading

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer = tracer(GrpcInstrumentorClient())

from pymilvus import MilvusClient

sent = threading.Event()
cut = threading.Event()


def pump(source, target, is_answer):
    try:
        while data := source.recv(65536):
            if is_answer and sent.is_set() and not cut.is_set():
                # The server does its work while its answers are thrown away, until it is quiet.
                source.settimeout(0.5)
                continue
            if not is_answer and len(data) > 4000:
                sent.set()
            target.sendall(data)
    except OSError:
        pass
    if is_answer and sent.is_set():
        cut.set()
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener):
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", 19530))
        threading.Thread(target=pump, args=(near, far, False), daemon=True).start()
        threading.Thread(target=pump, args=(far, near, True), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()

with tracer.start_as_current_span("program"):
    direct = MilvusClient(URI)
    direct.create_collection("twice", dimension=4096, auto_id=True)
    client = MilvusClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
    client.describe_collection("twice")
    client.insert("twice", [{"vector": [0.5] * 4096}])
    direct.drop_collection("twice")
