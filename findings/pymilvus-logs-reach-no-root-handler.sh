#!/usr/bin/env bash
# Expected: a handler on the root logger, such as OpenTelemetry's LoggingHandler as its documentation has it, gets what every
#   library logs, pymilvus's errors included.
# Observed: pymilvus gives its three loggers handlers of their own, which write to stderr, and ends their propagation. The
#   ERROR of a failed connection is on stderr and nowhere else; the program's own record, made beside it, is exported.
# Versions: pymilvus 2.5.9 and 3.0.2, opentelemetry-sdk 1.33.1.
# Affects: who looks for the reason of a failed call in exported logs, and finds the program's records alone. The handler
#   has to be added to the logger `pymilvus` as well, after pymilvus is imported.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >program.py <<'PY'
import logging
import socket

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogExporter, SimpleLogRecordProcessor

exporter = InMemoryLogExporter()
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))

from pymilvus import MilvusClient

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
try:
    MilvusClient(f"http://127.0.0.1:{port}", timeout=2)
except Exception:
    logging.getLogger("program").error("no connection")
logging.getLogger("pymilvus").error("an error of pymilvus")
print(*sorted(str(log.log_record.body) for log in exporter.get_finished_logs()), sep="; ")
PY
for pymilvus in 2.5.9 3.0.2; do
    python3 -m venv --clear venv
    venv/bin/pip install --quiet --disable-pip-version-check "pymilvus==$pymilvus" opentelemetry-sdk==1.33.1 "setuptools<80"
    exported=$(timeout 120 venv/bin/python program.py 2>stderr.txt)
    echo "pymilvus $pymilvus: exported: $exported; on stderr: $(grep -c 'an error of pymilvus' stderr.txt) of pymilvus's own"
    [ "$exported" = "no connection" ] && grep -q "an error of pymilvus" stderr.txt || exit 1
done
