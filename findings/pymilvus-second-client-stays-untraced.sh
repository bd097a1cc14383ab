#!/usr/bin/env bash
# Expected: a MilvusClient that is created after GrpcInstrumentorClient().instrument() is traced. The rule is
#   "instrument before you open the channel", and this client is new.
# Observed: pymilvus shares one connection among all clients of one address and user. If any client was created before
#   instrument(), at import or by a library, all later ones use its channel: no call has a span or carries a trace
#   context.
# Versions: pymilvus 3.0.2, opentelemetry-instrumentation-grpc 0.66b2.
# Affects: programs that follow the documentation but in which another module connected first. Their traces have a
#   root span without calls.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    pymilvus==3.0.2 opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-grpc==0.66b2

cat >program.py <<'PY'
import sys
from concurrent import futures

import grpc
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from pymilvus import MilvusClient

calls = []


class Milvus(grpc.GenericRpcHandler):
    """Answers every call with an empty message, which is a success."""

    def service(self, details):
        traced = any(key == "traceparent" for key, _ in details.invocation_metadata)
        calls.append((details.method.split("/")[-1], traced))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Milvus()])
uri = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()
trace.set_tracer_provider(TracerProvider())

if sys.argv[1] == "another-first":
    MilvusClient(uri)
GrpcInstrumentorClient().instrument()
client = MilvusClient(uri)
calls.clear()
client.list_collections()
print("traced" if all(traced for _, traced in calls) and calls else "untraced")
PY
alone=$(timeout 180 venv/bin/python program.py alone)
second=$(timeout 180 venv/bin/python program.py another-first)
echo "a client made after instrument(): $alone; the same with another client made before: $second"
[ "$alone" = traced ] && [ "$second" = untraced ] || exit 1
