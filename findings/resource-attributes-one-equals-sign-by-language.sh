#!/usr/bin/env bash
# Expected: OTEL_RESOURCE_ATTRIBUTES means the same in every language, and a bad entry is reported or affects only
#   itself.
# Observed: one value with an unescaped `=` (the query of a link, the padding of base64) removes every resource
#   attribute of a Node.js service, and is reported only at debug level. Python keeps all attributes, including the
#   value with its `=`. The specification asks for the loss, and for an error report.
# Versions: @opentelemetry/resources 2.12.1, opentelemetry-sdk 1.45.2 (Python).
# Affects: anyone who sets one variable for all containers. The Node.js services lose deployment.environment.name and
#   everything else that dashboards, samplers and retention rules select by.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/resources@2.12.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2

cat >program.mjs <<'JS'
import { diag, DiagLogLevel } from '@opentelemetry/api';
import { detectResources, envDetector } from '@opentelemetry/resources';

let warnings = 0;
const count = () => { warnings += 1; };
diag.setLogger({ error: count, warn: count, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
const { attributes } = detectResources({ detectors: [envDetector] });
console.log(attributes['deployment.environment.name'] ?? 'nothing', `${warnings} warnings`);
JS
cat >program.py <<'PY'
from opentelemetry.sdk.resources import Resource

print(Resource.create().attributes.get("deployment.environment.name", "nothing"))
PY

export OTEL_RESOURCE_ATTRIBUTES='deployment.environment.name=prod,runbook=https://wiki.example/?page=milvus'
node=$(timeout 180 node program.mjs)
python=$(timeout 180 venv/bin/python program.py)
echo "deployment.environment.name is, in Node.js: $node; in Python: $python"
[ "$node" = "nothing 0 warnings" ] && [ "$python" = "prod" ] || exit 1
